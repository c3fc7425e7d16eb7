"""Make one row again, alone, and compare it with what is stored."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.rows import RowMaker
from lensax.campaign.store import Store

__all__ = ["Comparison", "Difference", "compare_row"]

ROUNDING = {"noiseless": 64.0, "noisy": 64.0, "theta": 4.0, "error_estimate": 1e5}
"""Steps of the stored type, at the largest value of the row, within which two compilers may disagree."""

COUNTS = 0.01
"""Share of the pixels of a noisy image that may be another count: rounding moves an expectation across a threshold."""


@dataclass(frozen=True)
class Difference:
    """One array of a row, stored and made again.

    Args:
        name: of the array.
        exact: every bit is the same.
        agrees: the same but for rounding.
        largest: difference, in the array's unit; NaN where only one of both is NaN.
        relative: the same over the row's largest value.
    """

    name: str
    exact: bool
    agrees: bool
    largest: float
    relative: float


@dataclass(frozen=True)
class Comparison:
    """A row that was made again.

    Args:
        row: its number.
        shard: in which it is stored.
        differences: of each of its arrays.
        error: what is wrong with the row as it was made now, or None.
        remade: how it was made again with more room, or None.
        arrays: the row as it was made now.
    """

    row: int
    shard: int
    differences: tuple[Difference, ...]
    error: str | None
    remade: dict[str, int] | None
    arrays: dict[str, np.ndarray]

    @property
    def exact(self) -> bool:
        """Whether every bit is the same."""
        return all(difference.exact for difference in self.differences)

    @property
    def agrees(self) -> bool:
        """Whether the row is the same but for rounding."""
        return all(difference.agrees for difference in self.differences)


def compare_row(store: Store, model: Any, row: int) -> Comparison:
    """Make one row of a campaign again and compare it with the stored one.

    The program that made the campaign is compiled for calls of several rows; the row is made in a call of that size
    which holds nothing but its copies, so that the same device gives the same bits.

    Args:
        store: the campaign's folder.
        model: its forward model.
        row: the row's number.

    Raises:
        CampaignRefused: the row does not exist, or is not made yet.
    """
    import zarr

    plan = store.plan
    if not 0 <= row < plan.count:
        raise CampaignRefused(f"row {row} is not among the {plan.count} rows of {store.folder}")
    shard = row // plan.shard_size
    record = store.record(shard)
    if record is None:
        raise CampaignRefused(f"row {row} is not made yet: shard {shard} of {store.folder} is not recorded")
    problems = store.problems(shard, record, read=True)
    if problems:
        raise CampaignRefused(f"shard {shard} of {store.folder} is damaged: {'; '.join(problems)}; repair it first")
    maker = RowMaker(model, plan.seed, plan.batch_size, plan.shard_size, plan.dtype)
    made = maker(range(row, row + 1))
    group: Any = zarr.open_group(store.folder, mode="r", zarr_format=3)
    stored: dict[str, Any] = {name: np.asarray(group[name][row]) for name in store.arrays}
    arrays = {name: np.asarray(values[0]) for name, values in made.arrays.items()}
    differences = tuple(_difference(name, stored[name], arrays[name]) for name in sorted(stored))
    return Comparison(row, shard, differences, made.errors.get(row), made.remade.get(row), arrays)


def _difference(name: str, stored: np.ndarray, made: np.ndarray) -> Difference:
    made = made.astype(stored.dtype)
    exact = stored.tobytes() == made.tobytes()
    if exact or stored.shape != made.shape:
        return Difference(name, exact, exact, 0.0 if exact else np.nan, 0.0 if exact else np.nan)
    with np.errstate(invalid="ignore"):
        apart = np.abs(stored.astype(float) - made.astype(float))
    apart = np.where(np.isnan(stored) & np.isnan(made), 0.0, apart) if stored.dtype.kind == "f" else apart
    scale = float(np.nanmax(np.abs(stored.astype(float)))) or 1.0
    largest = float(apart.max())
    agrees = False
    if name in ROUNDING and np.isfinite(largest):
        near = apart <= ROUNDING[name] * float(np.finfo(stored.dtype).eps) * scale
        agrees = bool(near.all()) or (name == "noisy" and float((~near).mean()) <= COUNTS)
    return Difference(name, False, agrees, largest, largest / scale)
