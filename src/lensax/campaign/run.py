"""Make the rows of a campaign that are not on disk yet."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.files import named_error
from lensax.campaign.layout import Layout
from lensax.campaign.lock import Part
from lensax.campaign.plan import Plan
from lensax.campaign.provenance import describe_device, describe_versions
from lensax.campaign.records import flagged_rows
from lensax.campaign.rows import RowMaker
from lensax.campaign.runs import RunLog
from lensax.campaign.shards import make_shard
from lensax.campaign.space import Space
from lensax.campaign.store import Store
from lensax.campaign.tuning import Tuning, measured_batch_size
from lensax.campaign.writer import Writer

__all__ = ["Local", "Outcome", "Work", "refuse_other"]


@dataclass(frozen=True)
class Outcome:
    """What a run did, and how the whole campaign stands after it.

    Args:
        made: rows made by this run.
        seconds: this run took, from its first row to its last record.
        rate: rows per second after the first call of the compiled program, None where there was no second.
        waited: seconds in which the simulation waited for the disk; None where others wrote.
        remaining: rows that are still to be made, of the part where there is one.
        overflow, non_finite, failed: rows of the whole campaign with these flags.
    """

    made: int
    seconds: float
    rate: float | None
    waited: float | None
    remaining: int
    overflow: list[int]
    non_finite: list[int]
    failed: list[int]


@dataclass
class Local:
    """Makes shards with the devices of this process; one is written while the next is simulated.

    Args:
        progress: called with the number of rows after every call of the program.
        stop: asked before every shard; True ends the run there, with everything before it recorded.
    """

    progress: Callable[[int], None] = lambda rows: None
    stop: Callable[[], bool] = lambda: False
    rate: float | None = None
    waited: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def make(self, work: "Work") -> int:
        """Make the pending shards; returns the number of rows.

        Raises:
            CampaignError: a shard cannot be written, or the model or the device fails.
        """
        plan = work.plan
        maker = RowMaker(work.model, plan.seed, plan.batch_size, plan.shard_size, plan.dtype)
        made = 0

        def write(shard: int, rows: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
            work.write(shard, rows, facts)

        try:
            with Writer(write) as writer:
                for shard in work.pending:
                    if self.stop():
                        break
                    rows, facts = make_shard(maker, work.layout, shard, self.progress)
                    writer.put(shard, rows, facts)
                    made += len(plan.rows(shard))
        finally:
            self.waited = writer.waited
            self.rate = maker.timed_rows / maker.timed_seconds if maker.timed_seconds > 0 else None
        return made


@dataclass(frozen=True)
class Work:
    """A campaign that is ready to run: checked against its folder, nothing written yet.

    Args:
        model: the forward model.
        store: its folder.
        layout: its plan and arrays.
        attributes: what a new store's metadata says beside the plan.
        pending: the shards to make.
        files: the files that the configuration names, by their names in it.
        part: the part of the campaign that this process makes; None for all of it.
        space: room that it needs on the disk.
    """

    model: Any
    store: Store
    layout: Layout
    attributes: dict[str, Any]
    pending: list[int]
    files: Mapping[str, bytes] = field(default_factory=dict)
    part: Part | None = None
    space: Space | None = None

    @property
    def plan(self) -> Plan:
        """What the campaign makes."""
        return self.layout.plan

    @property
    def pending_rows(self) -> int:
        """Number of rows to make."""
        return sum(len(self.plan.rows(shard)) for shard in self.pending)

    def run(
        self,
        progress: Callable[[int], None] = lambda rows: None,
        stop: Callable[[], bool] = lambda: False,
        maker: Any = None,
    ) -> Outcome:
        """Make the pending shards.

        Args:
            progress: called with the number of rows after every call of the program.
            stop: asked before every shard; True ends the run there, with everything before it recorded.
            maker: who makes them, `Local(progress, stop)` by default: `make(work)` returns the number of rows.

        Raises:
            CampaignRefused: another process writes.
            CampaignError: the run had to stop; everything recorded is safe.
        """
        maker = Local(progress, stop) if maker is None else maker
        with self.store.writing(self.part):
            ready, tuning = self._set_up()
            about = {
                "device": describe_device(),
                "versions": describe_versions(),
                "pending_rows": self.pending_rows,
                "part": None if self.part is None else str(self.part),
                **tuning.to_json(),
                **maker.facts,
            }
            log = RunLog(self.store.runs, self.store.private, about) if self.pending else None
            begin, made, ended = time.monotonic(), 0, "killed"
            try:
                made = maker.make(ready)
                ended = "finished" if made == self.pending_rows else "stopped"
            except BaseException as error:
                ended = f"{type(error).__name__}: {error}"
                raise
            finally:
                seconds = time.monotonic() - begin
                if log is not None:
                    with contextlib.suppress(OSError):
                        took = {"seconds": round(seconds, 3), "rate": maker.rate, "waited": maker.waited}
                        log.finish(made=made, **took, ended=ended)
            with contextlib.suppress(OSError):
                self.store.tidy()
            flags = flagged_rows(self.store.recorded())
        return Outcome(made, seconds, maker.rate, maker.waited, self.pending_rows - made, **flags)

    def write(self, shard: int, rows: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Write a shard.

        Raises:
            CampaignError: named after what the system says.
        """
        with _named(f"shard {shard} could not be written", self.store):
            self.store.write_shard(self.layout, shard, rows, facts)

    def _set_up(self) -> tuple["Work", Tuning]:
        """Create the group, or adopt what another process has created meanwhile and mend its metadata."""
        with _named("the campaign could not be set up", self.store), self.store.preparing():
            fresh = Store(self.store.folder)
            if fresh.exists:
                plan = refuse_other(fresh, self.plan)
                self.store.restore_metadata()
                tuning = Tuning(plan.batch_size or 1)
            else:
                given = self.plan.batch_size
                tuning = Tuning(given) if given is not None else self._measured()
                plan = dataclasses.replace(self.plan, batch_size=tuning.batch_size)
                self.store.create(
                    dataclasses.replace(self.layout, plan=plan),
                    {**self.attributes, "batch_size_measured": tuning.to_json()["rows_per_second"]},
                    self.files,
                )
        return dataclasses.replace(self, layout=dataclasses.replace(self.layout, plan=plan)), tuning

    def _measured(self) -> Tuning:
        return measured_batch_size(self.model, self.plan.seed, self.plan.count, self.plan.shard_size)


@contextlib.contextmanager
def _named(doing: str, store: Store) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise named_error(error, doing, store.folder) from error


def refuse_other(store: Store, plan: Plan) -> Plan:
    """The stored plan, where it is the given one; a batch size that was not given is the stored one.

    Raises:
        CampaignRefused: naming every difference.
    """
    stored = store.plan
    if plan.batch_size is None:
        plan = dataclasses.replace(plan, batch_size=stored.batch_size)
    differences = stored.differences(plan)
    if differences:
        raise CampaignRefused(f"{store.folder} holds another campaign: its {'; its '.join(differences)}")
    return stored
