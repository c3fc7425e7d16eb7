"""The rows of one shard, and what its record says about them."""

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np

from lensax.campaign.layout import FLAGS, Layout
from lensax.campaign.provenance import describe_device, describe_versions
from lensax.campaign.rows import Made, RowMaker

__all__ = ["make_shard"]


def make_shard(
    maker: RowMaker, layout: Layout, shard: int, progress: Callable[[int], None] = lambda rows: None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Make the rows of a shard.

    Args:
        maker: makes them.
        layout: the campaign's plan and arrays.
        shard: its number.
        progress: called with the number of rows after every call of the program.

    Returns:
        the arrays to store, and the facts for the record: flagged rows, their errors, how rows were made again, the
        device, versions and times.
    """
    timed_rows, timed_seconds = maker.timed_rows, maker.timed_seconds
    span, parts = layout.plan.rows(shard), []
    for call in maker.calls(span):
        parts.append(maker(call))
        progress(len(call))
    made = Made.joined(parts)
    status = made.arrays["status"]
    flagged = {
        name: [int(row) + span.start for row in np.flatnonzero(status & FLAGS[name])]
        for name in ("overflow", "non_finite", "failed")
    }
    facts = {
        "device": describe_device(),
        "versions": describe_versions(),
        **flagged,
        "errors": {str(row): text for row, text in made.errors.items()},
        "remade": {str(row): how for row, how in made.remade.items()},
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "timed_rows": maker.timed_rows - timed_rows,
        "timed_seconds": round(maker.timed_seconds - timed_seconds, 4),
    }
    return {variable.name: made.arrays[variable.name] for variable in layout.variables}, facts
