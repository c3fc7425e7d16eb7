"""Lens models in the terms of lenstronomy: lists of profile names, redshifts and keyword arguments, in and out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from lensax._types import Array, as_real, concrete
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import HaloCatalogue
from lensax.mass import ExternalShear, Halo, MassProfile, MassSheet, PointMass, PowerLaw
from lensax.raytrace import Planes
from lensax.scene import Scene

if TYPE_CHECKING:
    from astropy.cosmology import FlatLambdaCDM as AstropyFlatLambdaCDM

__all__ = ["LensModelLists", "from_lens_model", "to_lens_model"]

Keywords = Mapping[str, Any]

NFW_DEFLECTION = 4 * (1 - math.log(2))  # of an NFW halo at its scale radius, in units of kappa_s r_s


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


def _unit_cored_deflection(f: np.ndarray) -> np.ndarray:
    """Deflection of untruncated cored NFW halos at their scale radius in units of kappa_s r_s, for core fractions f."""
    one, zero, infinity = as_real(1.0), as_real(0.0), as_real(np.inf)

    def deflection(core: Array) -> Array:
        return Halo(one, one, infinity, core, zero, zero).deflection(one, zero)[0]

    return np.asarray(jax.vmap(deflection)(as_real(f)))


class _Kind(NamedTuple):
    """Keywords that a profile needs, those it may have with their defaults, and what makes a macro profile of them."""

    needs: tuple[str, ...]
    defaults: Mapping[str, float]
    macro: Callable[[Keywords], MassProfile] | None = None


_CENTER = {"center_x": 0.0, "center_y": 0.0}
_ORIGIN = {"ra_0": 0.0, "dec_0": 0.0}
_KINDS = {
    "EPL": _Kind(("theta_E", "gamma", "e1", "e2"), _CENTER, _power_law),
    "SIE": _Kind(("theta_E", "e1", "e2"), _CENTER, _power_law),
    "SIS": _Kind(("theta_E",), _CENTER, _power_law),
    "SHEAR": _Kind(("gamma1", "gamma2"), _ORIGIN, lambda k: ExternalShear(k["gamma1"], k["gamma2"])),
    "SHEAR_GAMMA_PSI": _Kind(("gamma_ext", "psi_ext"), _ORIGIN, _shear_by_angle),
    "POINT_MASS": _Kind(("theta_E",), _CENTER, _point_mass),
    "CONVERGENCE": _Kind(("kappa",), _ORIGIN),
    "NFW": _Kind(("Rs", "alpha_Rs"), _CENTER),
    "TNFW": _Kind(("Rs", "alpha_Rs", "r_trunc"), _CENTER),
    "CNFW": _Kind(("Rs", "alpha_Rs", "r_core"), _CENTER),
}
_HALOS = ("NFW", "TNFW", "CNFW")
_POSITIVE = ("Rs", "alpha_Rs", "r_trunc")


def from_lens_model(
    lens_model_list: Sequence[str],
    lens_redshift_list: Sequence[float] | None,
    kwargs_lens: Sequence[Keywords],
    *,
    source_redshift: float,
    cosmology: "FlatLambdaCDM | AstropyFlatLambdaCDM",
    lens_redshift: float | None = None,
    slots: int | None = None,
    source: Any = (),
    lens_light: Any = (),
) -> Scene:
    """A scene from the lists that lenstronomy's `LensModel` takes, unchanged.

    NFW, TNFW and CNFW of every plane become the halos, CONVERGENCE the mass sheets, all others the macro model.
    Each redshift is a plane of its own; the conventions of EPL, SIE, SIS, SHEAR, SHEAR_GAMMA_PSI and POINT_MASS are
    lensax's own. `kappa_s = alpha_Rs / (4 (1 - ln 2) Rs)` for NFW and TNFW.

    Args:
        lens_model_list: names of profiles.
        lens_redshift_list: redshift of each profile; None puts all at `lens_redshift`.
        kwargs_lens: keyword arguments of each profile; deflections scaled to `source_redshift`.
        source_redshift: redshift of the source, lenstronomy's `z_source` (and `z_source_convention`).
        cosmology: lensax's, or an astropy `FlatLambdaCDM`.
        lens_redshift: plane of the macro model; by default that of the macro profiles.
        slots: halos per plane that there is room for; by default what the lists need.
        source, lens_light: light profiles of the scene.

    Raises:
        ValueError: lists of different lengths, a profile or keyword that is not known, missing, or cannot be placed;
            the message names its position.
    """
    names = list(lens_model_list)
    if len(kwargs_lens) != len(names):
        raise ValueError(f"kwargs_lens: expected {len(names)} entries as in lens_model_list, found {len(kwargs_lens)}")
    if lens_redshift_list is None:
        if lens_redshift is None:
            raise ValueError("lens_redshift: needed where lens_redshift_list is None")
        redshifts = np.full(len(names), float(lens_redshift))
    else:
        redshifts = np.asarray(lens_redshift_list, float)
    if redshifts.shape != (len(names),):
        raise ValueError(
            f"lens_redshift_list: expected {len(names)} entries as in lens_model_list, found {len(redshifts)}"
        )
    keywords = [_complete(row, name, given) for row, (name, given) in enumerate(zip(names, kwargs_lens))]
    lens_redshift = _lens_redshift(names, redshifts, lens_redshift)
    plane_redshifts = np.unique(np.append(redshifts, lens_redshift))
    planes = Planes(plane_redshifts, lens_redshift, source_redshift, _cosmology(cosmology))
    macro, sheets = [], np.zeros(len(plane_redshifts))
    for name, z, k in zip(names, redshifts, keywords):
        make = _KINDS[name].macro
        if make is not None:
            macro.append(make(k))
        elif name == "CONVERGENCE":
            sheets[np.searchsorted(plane_redshifts, z)] += k["kappa"]
    table = _halo_table(names, redshifts, keywords)
    halos = HaloCatalogue.from_table(table, planes, slots=slots, sheets=sheets)
    return Scene(planes, tuple(macro), halos, source, lens_light)


def to_lens_model(scene: Scene) -> LensModelLists:
    """The lists of lenstronomy for the mass of a scene; its light is not part of them.

    A halo with a core and a finite truncation has no counterpart in lenstronomy.

    Args:
        scene: one scene, not a batch.

    Raises:
        ValueError: a traced or batched scene, a profile without counterpart, a catalogue that has overflowed.
    """
    if any(concrete(leaf) is None for leaf in jax.tree.leaves(scene)):
        raise ValueError("scene: expected numbers, found values that are being traced")
    if scene.planes.redshifts.ndim != 1:
        raise ValueError(f"scene: expected one scene, found a batch of shape {scene.planes.redshifts.shape[:-1]}")
    lists = LensModelLists([], [], [])
    lens_redshift = float(scene.planes.lens_redshift)
    for profile in scene.macro:
        _append(lists, lens_redshift, *_macro_entry(profile))
    if scene.halos is not None:
        if bool(scene.halos.overflow):
            raise ValueError("halos: the catalogue has overflowed its slots, the lists would lack halos")
        redshifts = np.asarray(scene.planes.redshifts, float)
        for z, kappa in zip(redshifts, np.asarray(scene.halos.sheets, float)):
            if kappa != 0:
                _append(lists, float(z), "CONVERGENCE", {"kappa": float(kappa)})
        plane, slot = np.nonzero(np.asarray(scene.halos.halos.kappa_s))
        halos = jax.tree.map(lambda leaf: np.asarray(leaf, float)[plane, slot], scene.halos.halos)
        for z, (name, k) in zip(redshifts[plane], _halo_entries(halos)):
            _append(lists, float(z), name, k)
    return lists


def _append(lists: LensModelLists, redshift: float, name: str, keywords: dict[str, float]) -> None:
    lists.lens_model_list.append(name)
    lists.lens_redshift_list.append(redshift)
    lists.kwargs_lens.append(keywords)


def _complete(row: int, name: str, given: Keywords) -> dict[str, float]:
    """The keywords of one profile with their defaults, or an error that names the row."""
    if name not in _KINDS:
        raise ValueError(f"lens_model_list[{row}]: {name!r} has no counterpart in lensax; known: {', '.join(_KINDS)}")
    kind = _KINDS[name]
    for key in kind.needs:
        if key not in given:
            raise ValueError(f"kwargs_lens[{row}]: {name} needs {key!r}, found only {', '.join(map(repr, given))}")
    complete = dict(kind.defaults)
    for key, value in given.items():
        if key not in kind.needs and key not in kind.defaults:
            expected = ", ".join([*kind.needs, *kind.defaults])
            raise ValueError(f"kwargs_lens[{row}]: {name} has no parameter {key!r}; expected {expected}")
        complete[key] = float(value)
        if not math.isfinite(complete[key]):
            raise ValueError(f"kwargs_lens[{row}]: {name} has {key} = {value}, expected a finite number")
        if key in _POSITIVE and complete[key] <= 0:
            raise ValueError(f"kwargs_lens[{row}]: {name} has {key} = {value}, expected a positive number")
    for key in _ORIGIN:
        if complete.get(key):
            raise ValueError(f"kwargs_lens[{row}]: {key} = {complete[key]:g}, but lensax centres {name} on 0")
    return complete


def _lens_redshift(names: list[str], redshifts: np.ndarray, given: float | None) -> float:
    """The plane of the macro model: as given, or where the macro profiles stand; they must all stand there."""
    rows = [row for row, name in enumerate(names) if _KINDS[name].macro is not None]
    if given is None:
        if not rows:
            raise ValueError("lens_redshift: needed where lens_model_list has no macro profile")
        given = float(redshifts[rows[0]])
    for row in rows:
        if abs(redshifts[row] - given) > 1e-6:
            raise ValueError(
                f"lens_redshift_list[{row}]: {names[row]} stands at {redshifts[row]:g}, but the macro model of lensax "
                f"has one plane, at {given:g}; other planes hold {', '.join(_HALOS)} and CONVERGENCE"
            )
    return float(given)


def _halo_table(names: list[str], redshifts: np.ndarray, keywords: list[dict[str, float]]) -> dict[str, np.ndarray]:
    rows = np.array([row for row, name in enumerate(names) if name in _HALOS], int)

    def column(key: str, default: float = 0.0) -> np.ndarray:
        return np.array([keywords[row].get(key, default) for row in rows], float)

    scale_radius, core_radius = column("Rs"), column("r_core")
    per_unit = np.full(len(rows), NFW_DEFLECTION)
    cored = core_radius > 0
    if cored.any():
        per_unit[cored] = _unit_cored_deflection(core_radius[cored] / scale_radius[cored])
    return {
        "redshift": redshifts[rows],
        "center_x": column("center_x"),
        "center_y": column("center_y"),
        "kappa_s": column("alpha_Rs") / (per_unit * scale_radius),
        "scale_radius": scale_radius,
        "truncation_radius": column("r_trunc", math.inf),
        "core_radius": core_radius,
    }


def _halo_entries(halos: Halo) -> list[tuple[str, dict[str, float]]]:
    """(name, keywords) of halos whose leaves are NumPy arrays of one length."""
    core, cut = np.asarray(halos.core_radius), np.asarray(halos.truncation_radius)
    scale, kappa_s = np.asarray(halos.scale_radius), np.asarray(halos.kappa_s)
    impossible = (core > 0) & np.isfinite(cut)
    if impossible.any():
        row = int(np.flatnonzero(impossible)[0])
        raise ValueError(
            f"halo {row}: core_radius = {core[row]:g} and truncation_radius = {cut[row]:g}, "
            "but lenstronomy has no truncated cored NFW"
        )
    per_unit = np.full(len(core), NFW_DEFLECTION)
    if (core > 0).any():
        per_unit[core > 0] = _unit_cored_deflection(core[core > 0] / scale[core > 0])
    entries = []
    for row in range(len(core)):
        k = {
            "alpha_Rs": float(kappa_s[row] * scale[row] * per_unit[row]),
            "Rs": float(scale[row]),
            "center_x": float(halos.center_x[row]),
            "center_y": float(halos.center_y[row]),
        }
        if core[row] > 0:
            entries.append(("CNFW", {**k, "r_core": float(core[row])}))
        elif np.isfinite(cut[row]):
            entries.append(("TNFW", {**k, "r_trunc": float(cut[row])}))
        else:
            entries.append(("NFW", k))
    return entries


def _macro_entry(profile: MassProfile) -> tuple[str, dict[str, float]]:
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
            return _halo_entries(jax.tree.map(lambda leaf: np.asarray(leaf, float)[None], profile))[0]
        case _:
            raise ValueError(f"macro: {type(profile).__name__} has no counterpart in lenstronomy")


def _renamed(profile: MassProfile, names: Mapping[str, str]) -> dict[str, float]:
    return {theirs: float(getattr(profile, ours)) for ours, theirs in names.items()}


def _cosmology(cosmology: Any) -> FlatLambdaCDM:
    """lensax's own cosmology unchanged, astropy's translated."""
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
