"""Halos and mass sheets in the terms of lenstronomy, which pyHalo uses too: names of profiles and their keywords."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from lensax._types import Array, as_real
from lensax.halos import HaloCatalogue
from lensax.halos.table import RowLabels, plane_of
from lensax.mass import Halo, MassProfile
from lensax.mass.mixed import CORED_NFW, LARGEST_CORE

if TYPE_CHECKING:
    from lensax.raytrace import Planes

__all__ = [
    "CENTER",
    "HALOS",
    "ORIGIN",
    "SHEETS_AND_HALOS",
    "Kind",
    "catalogue_entries",
    "catalogue_of",
    "complete",
    "halo_entries",
    "refuse_truncated_core",
]

Keywords = Mapping[str, Any]

NFW_DEFLECTION = 4 * (1 - math.log(2))  # of an NFW halo at its scale radius, in units of kappa_s r_s


def _unit_cored_deflection(f: np.ndarray) -> np.ndarray:
    """Deflection of untruncated cored NFW halos at their scale radius in units of kappa_s r_s, for core fractions f."""
    one, zero, infinity = as_real(1.0), as_real(0.0), as_real(np.inf)

    def deflection(core: Array) -> Array:
        return Halo(one, one, infinity, core, zero, zero).deflection(one, zero)[0]

    return np.asarray(jax.vmap(deflection)(as_real(f)))


class Kind(NamedTuple):
    """Keywords that a profile needs, those it may have with their defaults, and what makes a macro profile of them."""

    needs: tuple[str, ...]
    defaults: Mapping[str, float]
    macro: Callable[[Keywords], MassProfile] | None = None


CENTER = {"center_x": 0.0, "center_y": 0.0}
ORIGIN = {"ra_0": 0.0, "dec_0": 0.0}
SHEETS_AND_HALOS = {
    "CONVERGENCE": Kind(("kappa",), ORIGIN),
    "NFW": Kind(("Rs", "alpha_Rs"), CENTER),
    "TNFW": Kind(("Rs", "alpha_Rs", "r_trunc"), CENTER),
    "CNFW": Kind(("Rs", "alpha_Rs", "r_core"), CENTER),
}
HALOS = ("NFW", "TNFW", "CNFW")
_POSITIVE = ("Rs", "alpha_Rs", "r_trunc")


def complete(
    row: int, name: str, given: Keywords, kinds: Mapping[str, Kind], where: str = "lensax"
) -> dict[str, float]:
    """The keywords of one profile with their defaults, as numbers that the profile may have.

    Args:
        row: position in the lists.
        name: of the profile.
        given: its keywords.
        kinds: all profiles that may stand there.
        where: what has no counterpart of another one.

    Raises:
        ValueError: a profile or keyword that is not known, one that is missing, or a value that is no number or
            outside its range; the message names the position.
    """
    if name not in kinds:
        raise ValueError(f"lens_model_list[{row}]: {name!r} has no counterpart in {where}; known: {', '.join(kinds)}")
    kind = kinds[name]
    for key in kind.needs:
        if key not in given:
            raise ValueError(f"kwargs_lens[{row}]: {name} needs {key!r}, found only {', '.join(map(repr, given))}")
    complete = dict(kind.defaults)
    for key, value in given.items():
        if key not in kind.needs and key not in kind.defaults:
            expected = ", ".join([*kind.needs, *kind.defaults])
            raise ValueError(f"kwargs_lens[{row}]: {name} has no parameter {key!r}; expected {expected}")
        complete[key] = _number(value)
        if (wanted := _expectation(key, complete[key])) is not None:
            raise ValueError(f"kwargs_lens[{row}]: {name} has {key} = {value}, expected {wanted}")
    largest = LARGEST_CORE[CORED_NFW]
    if "r_core" in complete and complete["r_core"] > largest * complete["Rs"]:
        raise ValueError(
            f"kwargs_lens[{row}]: {name} has r_core = {complete['r_core']:g}, expected at most {largest:g} times its "
            f"Rs = {complete['Rs']:g}"
        )
    for key in ORIGIN:
        if complete.get(key):
            raise ValueError(f"kwargs_lens[{row}]: {key} = {complete[key]:g}, but lensax centres {name} on 0")
    return complete


def _number(value: Any) -> float:
    """The value as a number, NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _expectation(key: str, value: float) -> str | None:
    """What was expected of the keyword, or None if the value is that."""
    if not math.isfinite(value):
        return "a finite number"
    if key in _POSITIVE and value <= 0:
        return "a positive number"
    if key == "r_core" and value < 0:
        return "zero or a positive number"
    return None


def catalogue_of(
    names: list[str],
    redshifts: np.ndarray,
    keywords: list[dict[str, float]],
    planes: "Planes",
    slots: int | None = None,
) -> HaloCatalogue:
    """The halos and mass sheets of complete lists, on the planes at whose redshifts they stand."""
    sheets = np.zeros(planes.n_planes)
    rows = [row for row, name in enumerate(names) if name == "CONVERGENCE"]
    if rows:
        found = plane_of(redshifts[rows], np.asarray(planes.redshifts), RowLabels())
        np.add.at(sheets, found, [keywords[row]["kappa"] for row in rows])
    return HaloCatalogue.from_table(_halo_table(names, redshifts, keywords), planes, slots=slots, sheets=sheets)


def catalogue_entries(catalogue: HaloCatalogue, redshifts: np.ndarray) -> Iterator[tuple[float, str, dict[str, float]]]:
    """(redshift, name, keywords) of every sheet that is not zero and of every halo, plane by plane.

    Raises:
        ValueError: a catalogue that has overflowed, or a halo without counterpart; the message numbers the halos as
            the rows of `catalogue.to_table`.
    """
    if bool(catalogue.overflow):
        raise ValueError("halos: the catalogue has overflowed its slots, the lists would lack halos")
    for z, kappa in zip(redshifts, np.asarray(catalogue.sheets, float)):
        if kappa != 0:
            yield float(z), "CONVERGENCE", {"kappa": float(kappa)}
    plane, slot = np.nonzero(np.asarray(catalogue.halos.kappa_s))
    halos = jax.tree.map(lambda leaf: np.asarray(leaf, float)[plane, slot], catalogue.cored_nfw)
    for z, (name, k) in zip(redshifts[plane], halo_entries(halos, lambda row: f"halo {row}")):
        yield float(z), name, k


def _halo_table(names: list[str], redshifts: np.ndarray, keywords: list[dict[str, float]]) -> dict[str, np.ndarray]:
    rows = np.array([row for row, name in enumerate(names) if name in HALOS], int)

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


def refuse_truncated_core(core_radius: float, truncation_radius: float, code: str, place: str) -> None:
    """Refuses a halo with a core and a truncation, which no other code has.

    Args:
        core_radius, truncation_radius: of the halo, arcsec.
        code: that the halo is meant for.
        place: the words for the halo.

    Raises:
        ValueError: it has both; the message names the place.
    """
    if core_radius > 0 and math.isfinite(truncation_radius):
        raise ValueError(
            f"{place}: core_radius = {core_radius:g} and truncation_radius = {truncation_radius:g}, "
            f"but {code} has no truncated cored NFW"
        )


def halo_entries(halos: Halo, place: Callable[[int], str]) -> list[tuple[str, dict[str, float]]]:
    """(name, keywords) of halos whose leaves are NumPy arrays of one length.

    Args:
        halos: of the one family that lenstronomy knows.
        place: the words for a row.

    Raises:
        ValueError: a halo with a core and a truncation; the message names its place.
    """
    core, cut = np.asarray(halos.core_radius), np.asarray(halos.truncation_radius)
    scale, kappa_s = np.asarray(halos.scale_radius), np.asarray(halos.kappa_s)
    per_unit = np.full(len(core), NFW_DEFLECTION)
    if (core > 0).any():
        per_unit[core > 0] = _unit_cored_deflection(core[core > 0] / scale[core > 0])
    entries = []
    for row in range(len(core)):
        refuse_truncated_core(core[row], cut[row], "lenstronomy", place(row))
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
