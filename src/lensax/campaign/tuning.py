"""How many rows to simulate side by side: measured, where measuring pays."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax

from lensax._batching import micro_batch_size
from lensax.campaign.errors import CampaignError
from lensax.campaign.rows import RowMaker

__all__ = ["Tuning", "measured_batch_size"]

CANDIDATES = {"cpu": (1, 2, 4), "accelerator": (8, 32, 128, 512)}
"""Sizes that are tried, smallest first."""

WORTH = 1.1
"""A larger size must be so much faster: it needs more memory, and a choice should not hang on the noise of a clock."""

FEW = 256
"""Campaigns of fewer rows are over before anything could be gained."""

SHARE = 0.05
"""Measuring may take this share of the whole campaign."""


@dataclass(frozen=True)
class Tuning:
    """The choice of a batch size.

    Args:
        batch_size: rows side by side on each device.
        rates: rows per second of every size that was tried; empty where measuring would not have paid.
        seconds: that measuring took.
    """

    batch_size: int
    rates: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        rates = {str(size): round(rate, 3) for size, rate in self.rates.items()}
        return {"batch_size": self.batch_size, "rows_per_second": rates, "seconds": round(self.seconds, 2)}


def measured_batch_size(
    model: Any, seed: int, count: int, shard_size: int, clock: Callable[[], float] = time.monotonic
) -> Tuning:
    """The batch size with which this device makes rows fastest.

    The smallest is timed first; others are compiled and timed only as long as that takes little beside the campaign.

    Args:
        model: the forward model.
        seed: of the campaign, whose first rows are made.
        count: rows of the campaign.
        shard_size: no batch is larger.
        clock: of the seconds.
    """
    device = jax.local_devices()[0]
    on_cpu = device.platform == "cpu"
    most = 4 if on_cpu else micro_batch_size(model.bytes_per_image, device)
    sizes = [size for size in CANDIDATES["cpu" if on_cpu else "accelerator"] if size <= min(most, shard_size)] or [1]
    # A core's caches hold one image; an accelerator fills its memory.
    unmeasured = Tuning(sizes[0] if on_cpu else sizes[-1])
    if count < FEW:
        return unmeasured
    begin = clock()
    rates: dict[int, float] = {}
    for size in sizes:
        started = clock()
        maker = RowMaker(model, seed, size, shard_size)
        rows = range(min(maker.rows_per_call, count))
        try:
            maker(rows)
            compiled = clock()
            maker(rows)
        except CampaignError:
            break  # the device has no memory for this size, or the rows fail: the campaign itself will say so
        finished = clock()
        rates[size] = len(rows) / max(finished - compiled, 1e-9)
        another = finished - started
        if finished - begin + another > SHARE * count / max(rates.values()):
            break
    if len(rates) < 2:
        return unmeasured
    best = sizes[0]
    for size, rate in rates.items():
        if rate > WORTH * rates[best]:
            best = size
    return Tuning(best, rates, clock() - begin)
