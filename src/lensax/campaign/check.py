"""Read a whole store and say what is missing, partial, damaged, flagged, or was made again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lensax.campaign.plan import Plan
from lensax.campaign.records import flagged_rows, remade_rows, row_errors
from lensax.campaign.runs import read_runs
from lensax.campaign.store import Store

__all__ = ["Report", "check"]


@dataclass(frozen=True)
class Report:
    """The state of a campaign.

    Args:
        plan: what it is to make.
        whole: number of shards that are recorded and whose bytes are those that were written.
        missing: shards without any file.
        partial: shards with files but without a record: cut short, made again by the next run.
        damaged: recorded shards whose files changed, and how.
        metadata: files of the group's metadata and coordinates that are missing or changed.
        overflow, non_finite, failed: flagged rows.
        errors: what is wrong with a row, by row number.
        remade: how rows were made again with more room, by row number: `attempts`, `tracer_room` and `slot_room`
            (factors), `pairs` and `capacity` of the last attempt.
        rows: number of rows in whole shards.
        size: bytes on disk.
        rate: rows simulated per second and process, compiling not counted; None where that was not timed.
        devices, versions: that made them.
        writer: the process that is writing now, or None.
        runs: the runs of the program so far.
    """

    plan: Plan
    whole: int
    missing: list[int]
    partial: list[int]
    damaged: dict[int, list[str]]
    metadata: list[str]
    overflow: list[int]
    non_finite: list[int]
    failed: list[int]
    errors: dict[int, str]
    remade: dict[int, dict[str, int]]
    rows: int
    size: int
    rate: float | None
    devices: list[str]
    versions: list[str]
    writer: str | None
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every row is there, unchanged and unflagged."""
        trouble = (self.missing, self.partial, self.damaged, self.metadata)
        return not any((*trouble, self.overflow, self.non_finite, self.failed))

    @property
    def was_finished(self) -> bool:
        """Whether all shards have been there: one that is missing now was lost."""
        made = self.whole + len(self.damaged) + len(self.partial)
        finished = [run for run in self.runs if run.get("ended") == "finished" and run.get("part") is None]
        return bool(finished) or made == self.plan.n_shards

    @property
    def bad_shards(self) -> list[int]:
        """The shards to make again: damaged or cut short, lost after the campaign was finished, or with failed rows."""
        failed = {row // self.plan.shard_size for row in self.failed}
        lost = self.missing if self.was_finished else []
        return sorted({*self.damaged, *self.partial, *lost, *failed})


def check(store: Store, progress: Callable[[int, int], None] = lambda done, total: None) -> Report:
    """Compare every file of a campaign with its checksum.

    Args:
        store: the campaign's folder.
        progress: called with the number of shards read and of all shards.

    Raises:
        CampaignRefused: there is no campaign.
    """
    plan = store.plan
    missing, partial, damaged = [], [], {}
    records: list[tuple[int, dict[str, Any]]] = []
    rows = 0
    for shard in range(plan.n_shards):
        record = store.record(shard)
        if record is not None:
            problems = store.problems(shard, record, read=True)
            if (record["start"], record["stop"]) == (plan.rows(shard).start, plan.rows(shard).stop):
                records.append((shard, record))
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
    return Report(
        plan=plan,
        whole=plan.n_shards - len(missing) - len(partial) - len(damaged),
        missing=missing,
        partial=partial,
        damaged=damaged,
        metadata=store.changed_metadata(),
        **flagged_rows(records),
        errors=row_errors(records),
        remade=remade_rows(records),
        rows=rows,
        size=store.size,
        rate=_rate(records),
        devices=sorted({str(record.get("device")) for _, record in records}),
        versions=sorted({str((record.get("versions") or {}).get("lensax")) for _, record in records}),
        writer=store.writer,
        runs=read_runs(store.runs),
    )


def _rate(records: list[tuple[int, dict[str, Any]]]) -> float | None:
    numbers = [(record.get("timed_rows", 0), record.get("timed_seconds", 0)) for _, record in records]
    rows, seconds = (sum(float(pair[index]) for pair in numbers) for index in (0, 1))
    return rows / seconds if seconds > 0 else None
