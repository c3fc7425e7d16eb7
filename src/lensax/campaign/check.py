"""Read a whole store and say what is missing, partial, damaged or flagged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lensax.campaign.plan import Plan
from lensax.campaign.run import flagged_rows
from lensax.campaign.store import Store

__all__ = ["Report", "check"]


@dataclass(frozen=True)
class Report:
    """The state of a campaign.

    Arguments
    ---------
    plan: what it is to make.
    whole: number of shards that are recorded and whose bytes are those that were written.
    missing: shards without any file.
    partial: shards with files but without a record: cut short, made again by the next run.
    damaged: recorded shards whose files changed, and how.
    metadata: what is wrong with the group's own files.
    overflow, non_finite: flagged rows.
    rows: number of rows in whole shards.
    size: bytes on disk.
    rate: rows simulated per second, compiling not counted; None where that was not timed.
    devices, versions: that made them.
    writer: the process that is writing now, or None.
    """

    plan: Plan
    whole: int
    missing: list[int]
    partial: list[int]
    damaged: dict[int, list[str]]
    metadata: list[str]
    overflow: list[int]
    non_finite: list[int]
    rows: int
    size: int
    rate: float | None
    devices: list[str]
    versions: list[str]
    writer: str | None

    @property
    def is_good(self) -> bool:
        """Whether every row is there, unchanged and unflagged."""
        trouble = (self.missing, self.partial, self.damaged, self.metadata, self.overflow, self.non_finite)
        return not any(trouble)


def check(store: Store, progress: Callable[[int, int], None] = lambda done, total: None) -> Report:
    """Compare every file of a campaign with its checksum.

    Arguments
    ---------
    store: the campaign's folder.
    progress: called with the number of shards read and of all shards.

    Raises `CampaignRefused` where there is no campaign.
    """
    plan = store.plan
    missing, partial, damaged = [], [], {}
    devices, versions = set(), set()
    rows = 0
    for shard in range(plan.n_shards):
        record = store.record(shard)
        if record is not None:
            problems = store.problems(shard, record, read=True)
            devices.add(str(record.get("device")))
            versions.add(str((record.get("versions") or {}).get("lensax")))
            if problems:
                damaged[shard] = problems
            else:
                rows += len(plan.rows(shard))
        elif store.record_path(shard).exists():
            damaged[shard] = ["its record cannot be read"]
        elif any(store.shard_path(name, shard).exists() for name in store.arrays):
            partial.append(shard)
        else:
            missing.append(shard)
        progress(shard + 1, plan.n_shards)
    overflow, non_finite = flagged_rows(store)
    return Report(
        plan=plan,
        whole=plan.n_shards - len(missing) - len(partial) - len(damaged),
        missing=missing,
        partial=partial,
        damaged=damaged,
        metadata=_metadata_problems(store),
        overflow=overflow,
        non_finite=non_finite,
        rows=rows,
        size=store.size,
        rate=_rate([record for _, record in store.recorded()]),
        devices=sorted(devices),
        versions=sorted(versions),
        writer=store.writer,
    )


def _metadata_problems(store: Store) -> list[str]:
    if not store.arrays:
        return ["the group lists no arrays"]
    return [f"{name}/zarr.json is missing or changed" for name in store.changed_metadata()]


def _rate(records: list[dict[str, Any]]) -> float | None:
    rows, seconds = (sum(float(record.get(name, 0)) for record in records) for name in ("timed_rows", "timed_seconds"))
    return rows / seconds if seconds > 0 else None
