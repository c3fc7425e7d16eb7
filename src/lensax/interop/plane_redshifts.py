"""Redshifts of another code's profiles, checked, and the planes at which they stand."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lensax._types import concrete
from lensax.halos.table import PLANE_TOLERANCE

__all__ = ["merged_redshifts", "read_redshifts", "require_in_front"]


def read_redshifts(name: str, values: Any, count: int) -> np.ndarray:
    """A list with the redshift of each entry of `lens_model_list`, as an array.

    Args:
        name: of the list.
        values: what was given as such.
        count: entries of `lens_model_list`.

    Raises:
        ValueError: no list of numbers, another number of entries, or one that is not positive; the message names its
            position.
    """
    try:
        redshifts = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a list of numbers, found {values!r}") from None
    if redshifts.shape != (count,):
        raise ValueError(f"{name}: expected {count} entries as in lens_model_list, found {redshifts.size}")
    bad = np.flatnonzero(~(np.isfinite(redshifts) & (redshifts > 0)))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] = {redshifts[bad[0]]:.9g}, expected a positive redshift")
    return redshifts


def require_in_front(redshifts: np.ndarray, source_redshift: Any, place: Callable[[int], str]) -> None:
    """Refuses what does not stand between the observer and the source.

    Args:
        redshifts: (rows,).
        source_redshift: redshift of the source, which may be traced; what stands within 1e-6 of it stands with it.
        place: the words for a row.

    Raises:
        ValueError: a redshift that is not between them; the message names its place.
    """
    known = concrete(source_redshift)
    source = np.inf if known is None else float(known)
    bad = np.flatnonzero(~((redshifts > 0) & (redshifts < source - PLANE_TOLERANCE)))
    if bad.size:
        raise ValueError(
            f"{place(int(bad[0]))}: redshift = {redshifts[bad[0]]:.9g}, expected above 0 and in front of the source "
            f"at {source:.9g}"
        )


def merged_redshifts(redshifts: np.ndarray, lens_redshift: float) -> tuple[np.ndarray, np.ndarray]:
    """Planes for redshifts that differ by rounding, and every redshift moved onto its plane.

    What stands within 1e-6 of the lens redshift, the tolerance of a `HaloCatalogue`, stands on the lens plane. Of all
    others the smallest opens a plane, which takes what stands up to 1e-6 behind it, and so on. The planes are further
    apart than neighbouring numbers of single precision.

    Args:
        redshifts: (rows,), in any order.
        lens_redshift: plane of the macro model.

    Returns:
        the redshifts of the planes, strictly increasing, the lens redshift among them; and that of each row's plane.
    """
    of_lens = np.abs(redshifts - lens_redshift) <= PLANE_TOLERANCE
    planes: list[float] = []
    for z in np.unique(redshifts[~of_lens]).tolist():
        if not planes or z - planes[-1] > PLANE_TOLERANCE:
            planes.append(z)
    found = np.sort([*planes, lens_redshift])
    # No lens plane stands between another plane and what it has taken: it would have taken that itself.
    own = found[np.searchsorted(found, redshifts, side="right") - 1]
    return found, np.where(of_lens, lens_redshift, own)
