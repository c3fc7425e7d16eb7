"""Lens models in the terms of lenstronomy: lists of profile names, redshifts and keyword arguments, in and out."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from lensax._types import ArrayLike, concrete
from lensax.cosmology import FlatLambdaCDM
from lensax.halos.table import PLANE_TOLERANCE
from lensax.interop.halo_lists import (
    CENTER,
    HALOS,
    ORIGIN,
    SHEETS_AND_HALOS,
    Kind,
    catalogue_entries,
    catalogue_of,
    complete,
    halo_entries,
)
from lensax.interop.place import at
from lensax.interop.plane_redshifts import merged_redshifts, read_redshifts, require_in_front
from lensax.mass import ExternalShear, Halo, MassProfile, MassSheet, PointMass, PowerLaw
from lensax.raytrace import Planes
from lensax.scene import Scene

if TYPE_CHECKING:
    from astropy.cosmology import FlatLambdaCDM as AstropyFlatLambdaCDM

__all__ = ["LensModelLists", "from_lens_model", "to_lens_model"]

Keywords = Mapping[str, Any]


class LensModelLists(NamedTuple):
    """What `lenstronomy.LensModel.lens_model.LensModel` and its `ray_shooting` take.

    Attributes:
        lens_model_list: names of profiles.
        lens_redshift_list: redshift of each profile.
        kwargs_lens: keyword arguments of each profile; angles in arcsec, deflections scaled to the source.
    """

    lens_model_list: list[str]
    lens_redshift_list: list[float]
    kwargs_lens: list[dict[str, float]]


def _power_law(k: Keywords) -> MassProfile:
    return PowerLaw(k["theta_E"], k.get("gamma", 2.0), k.get("e1", 0.0), k.get("e2", 0.0), k["center_x"], k["center_y"])


def _shear_by_angle(k: Keywords) -> MassProfile:
    angle = 2 * k["psi_ext"]
    return ExternalShear(k["gamma_ext"] * math.cos(angle), k["gamma_ext"] * math.sin(angle))


def _point_mass(k: Keywords) -> MassProfile:
    return PointMass(k["theta_E"], k["center_x"], k["center_y"])


_KINDS = {
    "EPL": Kind(("theta_E", "gamma", "e1", "e2"), CENTER, _power_law),
    "SIE": Kind(("theta_E", "e1", "e2"), CENTER, _power_law),
    "SIS": Kind(("theta_E",), CENTER, _power_law),
    "SHEAR": Kind(("gamma1", "gamma2"), ORIGIN, lambda k: ExternalShear(k["gamma1"], k["gamma2"])),
    "SHEAR_GAMMA_PSI": Kind(("gamma_ext", "psi_ext"), ORIGIN, _shear_by_angle),
    "POINT_MASS": Kind(("theta_E",), CENTER, _point_mass),
    **SHEETS_AND_HALOS,
}


def from_lens_model(
    lens_model_list: Sequence[str],
    lens_redshift_list: Sequence[float] | None,
    kwargs_lens: Sequence[Keywords],
    *,
    source_redshift: ArrayLike,
    cosmology: "FlatLambdaCDM | AstropyFlatLambdaCDM",
    lens_redshift: float | None = None,
    slots: int | None = None,
    source: Any = (),
    lens_light: Any = (),
) -> Scene:
    """A scene from the lists that lenstronomy's `LensModel` takes, unchanged.

    NFW, TNFW and CNFW of every plane become the halos, CONVERGENCE the mass sheets, all others the macro model.
    Each redshift is a plane of its own, except that those within 1e-6 of one another, which rounding tells apart, share
    one. The conventions of EPL, SIE, SIS, SHEAR, SHEAR_GAMMA_PSI and POINT_MASS are lensax's own.
    `kappa_s = alpha_Rs / (4 (1 - ln 2) Rs)` for NFW and TNFW. Thousands of profiles are traced by
    `lensax.raytrace.Lattice`.

    Args:
        lens_model_list: names of profiles.
        lens_redshift_list: redshift of each profile; None puts all at `lens_redshift`.
        kwargs_lens: keyword arguments of each profile; deflections scaled to `source_redshift`.
        source_redshift: of the source, lenstronomy's `z_source` (and `z_source_convention`); may be traced.
        cosmology: lensax's, or an astropy `FlatLambdaCDM`.
        lens_redshift: plane of the macro model; by default that of the macro profiles.
        slots: halos per plane that there is room for; by default what the lists need.
        source, lens_light: light profiles of the scene.

    Raises:
        ValueError: lists of different lengths, a profile or keyword that is not known or missing, a value outside its
            range, a redshift that is not in front of the source, a macro profile on another plane than the first; the
            message names the position. Also too few `slots`, or no `lens_redshift` where nothing says it.
        TypeError: a cosmology of another class, or light that is none.
    """
    names = list(lens_model_list)
    if len(kwargs_lens) != len(names):
        raise ValueError(f"kwargs_lens: expected {len(names)} entries as in lens_model_list, found {len(kwargs_lens)}")
    if lens_redshift_list is None:
        if lens_redshift is None:
            raise ValueError("lens_redshift: needed where lens_redshift_list is None")
        redshifts = np.full(len(names), float(lens_redshift))
    else:
        redshifts = read_redshifts("lens_redshift_list", lens_redshift_list, len(names))
    keywords = [complete(row, name, given, _KINDS) for row, (name, given) in enumerate(zip(names, kwargs_lens))]
    if lens_redshift is not None:
        require_in_front(np.array([lens_redshift], float), source_redshift, lambda row: "lens_redshift")
    require_in_front(redshifts, source_redshift, lambda row: f"lens_redshift_list[{row}]")
    lens_redshift = _lens_redshift(names, redshifts, lens_redshift)
    plane_redshifts, redshifts = merged_redshifts(redshifts, lens_redshift)
    planes = Planes(plane_redshifts, lens_redshift, source_redshift, flat_cosmology(cosmology))
    macro = []
    for row, (name, k) in enumerate(zip(names, keywords)):
        if (made := _KINDS[name].macro) is not None:
            with at(f"kwargs_lens[{row}]: {name}"):
                macro.append(made(k))
    halos = catalogue_of(names, redshifts, keywords, planes, slots)
    return Scene(planes, tuple(macro), halos, source, lens_light)


def to_lens_model(scene: Scene) -> LensModelLists:
    """The lists of lenstronomy for the mass of a scene; its light is not part of them.

    A halo with a core and a finite truncation has no counterpart in lenstronomy.

    Args:
        scene: one scene, not a batch.

    Raises:
        ValueError: a traced or batched scene, a catalogue that has overflowed, a profile without counterpart; the
            message names its position in `scene.macro`, or numbers the halos as the rows of `scene.halos.to_table`.
    """
    if any(concrete(leaf) is None for leaf in jax.tree.leaves(scene)):
        raise ValueError("scene: expected numbers, found values that are being traced")
    if scene.planes.redshifts.ndim != 1:
        raise ValueError(f"scene: expected one scene, found a batch of shape {scene.planes.redshifts.shape[:-1]}")
    lists = LensModelLists([], [], [])
    lens_redshift = float(scene.planes.lens_redshift)
    for index, profile in enumerate(scene.macro):
        _append(lists, lens_redshift, *_macro_entry(f"macro[{index}]", profile))
    if scene.halos is not None:
        for z, name, k in catalogue_entries(scene.halos, np.asarray(scene.planes.redshifts, float)):
            _append(lists, z, name, k)
    return lists


def _append(lists: LensModelLists, redshift: float, name: str, keywords: dict[str, float]) -> None:
    lists.lens_model_list.append(name)
    lists.lens_redshift_list.append(redshift)
    lists.kwargs_lens.append(keywords)


def _lens_redshift(names: list[str], redshifts: np.ndarray, given: float | None) -> float:
    """The plane of the macro model: as given, or where the macro profiles stand; they must all stand there."""
    rows = [row for row, name in enumerate(names) if _KINDS[name].macro is not None]
    if given is None:
        if not rows:
            raise ValueError("lens_redshift: needed where lens_model_list has no macro profile")
        given = float(redshifts[rows[0]])
    for row in rows:
        if abs(redshifts[row] - given) > PLANE_TOLERANCE:
            raise ValueError(
                f"lens_redshift_list[{row}]: {names[row]} stands at {redshifts[row]:g}, but the macro model of lensax "
                f"has one plane, at {given:g}; other planes hold {', '.join(HALOS)} and CONVERGENCE"
            )
    return float(given)


def _macro_entry(place: str, profile: MassProfile) -> tuple[str, dict[str, float]]:
    match profile:
        case PowerLaw():
            names = {"einstein_radius": "theta_E", "slope": "gamma", "e1": "e1", "e2": "e2"}
            return "EPL", _renamed(profile, {**names, "center_x": "center_x", "center_y": "center_y"})
        case ExternalShear():
            return "SHEAR", _renamed(profile, {"gamma_1": "gamma1", "gamma_2": "gamma2"})
        case MassSheet():
            return "CONVERGENCE", _renamed(profile, {"kappa": "kappa"})
        case PointMass():
            names = {"einstein_radius": "theta_E", "center_x": "center_x", "center_y": "center_y"}
            return "POINT_MASS", _renamed(profile, names)
        case Halo():
            return halo_entries(jax.tree.map(lambda leaf: np.asarray(leaf, float)[None], profile), lambda row: place)[0]
        case _:
            raise ValueError(f"{place}: {type(profile).__name__} has no counterpart in lenstronomy")


def _renamed(profile: MassProfile, names: Mapping[str, str]) -> dict[str, float]:
    return {theirs: float(getattr(profile, ours)) for ours, theirs in names.items()}


def flat_cosmology(cosmology: Any) -> FlatLambdaCDM:
    """lensax's own cosmology unchanged, astropy's translated.

    Raises:
        TypeError: a cosmology of another class.
    """
    if isinstance(cosmology, FlatLambdaCDM):
        return cosmology
    from astropy.cosmology import FlatLambdaCDM as AstropyFlatLambdaCDM

    if not isinstance(cosmology, AstropyFlatLambdaCDM):
        raise TypeError(f"cosmology: expected a FlatLambdaCDM of lensax or astropy, found {type(cosmology).__name__}")
    masses = None if cosmology.m_nu is None else cosmology.m_nu.to_value("eV")
    return FlatLambdaCDM(
        H0=cosmology.H0.value,
        Om0=cosmology.Om0,
        Tcmb0=cosmology.Tcmb0.value,
        Neff=cosmology.Neff,
        m_nu=np.zeros(()) if masses is None else np.asarray(masses),
    )
