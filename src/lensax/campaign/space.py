"""Is there room on the disk for what is going to be written?"""

import os
import shutil
from dataclasses import dataclass

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.layout import Layout
from lensax.campaign.store import Store

__all__ = ["Space", "check_space"]

RECORD_BYTES = 4096
"""Of a shard's record and the ends of its files' last blocks."""


@dataclass(frozen=True)
class Space:
    """Room on the disk.

    Args:
        needed: bytes that are still going to be written, at most.
        free: bytes that are free.
    """

    needed: int
    free: int


def check_space(store: Store, layout: Layout, pending: list[int]) -> Space:
    """Refuse to begin what cannot be written; the compression so far, or none, is expected to go on.

    Raises:
        CampaignRefused: a folder that cannot be written to, or too little room.
    """
    place = store.folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise CampaignRefused(f"{place} is a file, not a folder")
    if pending and not os.access(place, os.W_OK | os.X_OK):
        raise CampaignRefused(f"{place} cannot be written to")
    free = shutil.disk_usage(place).free
    needed = int(sum(len(layout.plan.rows(shard)) for shard in pending) * _row_bytes(store, layout))
    needed += RECORD_BYTES * len(pending)
    if needed > free:
        raise CampaignRefused(
            f"{store.folder} needs up to {needed / 1e9:.1f} GB more, the disk has {free / 1e9:.1f} GB free; "
            f"a smaller count, --dtype float16 or keeping one kind of image needs less"
        )
    return Space(needed, free)


def _row_bytes(store: Store, layout: Layout) -> float:
    records = [record for _, record in store.recorded()]
    rows = sum(record["stop"] - record["start"] for record in records)
    if not rows:
        return float(layout.row_bytes)
    entries = [entry for record in records for entry in record["files"].values() if isinstance(entry, dict)]
    return sum(int(entry.get("bytes", 0)) for entry in entries) / rows
