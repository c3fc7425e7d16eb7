"""Make the rows of a campaign that are not on disk yet."""

import datetime
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lensax.campaign.errors import CampaignError, CampaignRefused
from lensax.campaign.layout import FLAGS, Layout
from lensax.campaign.plan import IMAGES, Plan, default_shard_size
from lensax.campaign.provenance import (
    describe_device,
    describe_part,
    describe_versions,
    git_revision,
)
from lensax.campaign.rows import RowMaker, row_shapes
from lensax.campaign.store import Store
from lensax.campaign.units import unit_of

__all__ = ["Outcome", "Work", "prepare"]


@dataclass(frozen=True)
class Outcome:
    """What a run did, and how the whole campaign stands after it.

    Arguments
    ---------
    made: rows made by this run.
    seconds: this run took, from its first row to its last record.
    rate: rows per second after the first call of the compiled program, None where there was no second.
    remaining: rows that are still to be made.
    overflow, non_finite: rows of the whole campaign with these flags.
    """

    made: int
    seconds: float
    rate: float | None
    remaining: int
    overflow: list[int]
    non_finite: list[int]


@dataclass(frozen=True)
class Work:
    """A campaign that is ready to run: checked against its folder, nothing written yet.

    Arguments
    ---------
    model: the forward model.
    store: its folder.
    layout: its plan and arrays.
    attributes: what a new store's metadata says beside the plan.
    pending: the shards to make.
    """

    model: Any
    store: Store
    layout: Layout
    attributes: dict[str, Any]
    pending: list[int]

    @property
    def plan(self) -> Plan:
        """What the campaign makes."""
        return self.layout.plan

    @property
    def pending_rows(self) -> int:
        """Number of rows to make."""
        return sum(len(self.plan.rows(shard)) for shard in self.pending)

    def run(
        self, progress: Callable[[int], None] = lambda rows: None, stop: Callable[[], bool] = lambda: False
    ) -> Outcome:
        """Make the pending shards; one is written while the next is simulated.

        Arguments
        ---------
        progress: called with the number of rows after every batch.
        stop: asked before every shard; True ends the run there, with everything before it recorded.

        Raises `CampaignRefused` while another process writes, and `CampaignError` where a shard cannot be written.
        """
        with self.store.writing():
            fresh = Store(self.store.folder)
            if fresh.exists:
                _refuse_other(fresh, self.plan)
                fresh.restore_metadata()
            else:
                self.store.create(self.layout, self.attributes)
            begin = time.monotonic()
            maker = RowMaker(self.model, self.plan.seed, self.plan.batch_size, self.plan.shard_size)
            made = self._make(maker, progress, stop)
            seconds = time.monotonic() - begin
        rate = maker.timed_rows / maker.timed_seconds if maker.timed_seconds > 0 else None
        return Outcome(made, seconds, rate, self.pending_rows - made, *flagged_rows(self.store))

    def _make(self, maker: RowMaker, progress: Callable[[int], None], stop: Callable[[], bool]) -> int:
        facts = {"device": describe_device(), "versions": describe_versions()}
        made = 0
        with ThreadPoolExecutor(1, thread_name_prefix="lensax-writer") as pool:
            writing: Future[None] | None = None
            for shard in self.pending:
                if stop():
                    break
                timed_rows, timed_seconds = maker.timed_rows, maker.timed_seconds
                rows = self._shard(maker, shard, progress)
                if writing is not None:
                    writing.result()
                flags = {
                    name: _rows_with(rows["status"], shard, self.plan, name) for name in ("overflow", "non_finite")
                }
                finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                took = {
                    "finished": finished,
                    "timed_rows": maker.timed_rows - timed_rows,
                    "timed_seconds": round(maker.timed_seconds - timed_seconds, 4),
                }
                writing = pool.submit(self._write, shard, rows, {**facts, **flags, **took})
                made += len(self.plan.rows(shard))
            if writing is not None:
                writing.result()
        return made

    def _shard(self, maker: RowMaker, shard: int, progress: Callable[[int], None]) -> dict[str, np.ndarray]:
        """The arrays of one shard."""
        parts = []
        for call in maker.calls(self.plan.rows(shard)):
            parts.append(maker(call))
            progress(len(call))
        made = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        finite = np.ones(len(made["key"]), bool)
        for name in IMAGES:
            finite &= np.isfinite(made[name]).all(axis=(1, 2))
        status = made["overflow"] * FLAGS["overflow"] + ~finite * FLAGS["non_finite"]
        made["status"] = status.astype(np.uint8)
        return {variable.name: made[variable.name] for variable in self.layout.variables}

    def _write(self, shard: int, rows: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        try:
            self.store.write_shard(self.layout, shard, rows, facts)
        except OSError as error:
            raise CampaignError(
                f"shard {shard} could not be written to {self.store.folder}: {error.strerror}; "
                f"what is recorded is safe, and the same command continues"
            ) from error


def prepare(
    model: Any,
    configuration: str,
    configuration_hash: str,
    folder: str | Path,
    count: int,
    seed: int | None = None,
    shard_size: int | None = None,
    batch_size: int | None = None,
    keep: Iterable[str] = IMAGES,
    verify: bool = False,
) -> Work:
    """Check a campaign against its folder and the disk; nothing is written.

    Arguments
    ---------
    model: the forward model that the configuration describes.
    configuration, configuration_hash: its text, and the hash of what it means.
    folder: where the store is, or will be.
    count: number of rows.
    seed, shard_size, batch_size: None takes those of the campaign in the folder; for a new one a fresh seed is
        drawn from the system, shards get about 16 MiB, and the batch size is left to the model.
    keep: which images are stored.
    verify: read every recorded shard and make those again whose bytes have changed; else only sizes are looked at.

    Raises `CampaignRefused` where a number is out of its range, the folder holds something else (the differences are
    named), another process is writing, or the disk is too small.
    """
    store = Store(folder)
    shapes = row_shapes(model)
    keep = tuple(keep)
    stored = store.plan if store.exists else None
    image_bytes = 4 * int(np.prod(shapes["noisy"].shape))
    plan = Plan(
        configuration=configuration,
        configuration_hash=configuration_hash,
        seed=seed if seed is not None else stored.seed if stored else secrets.randbits(32),
        count=count,
        shard_size=shard_size
        if shard_size is not None
        else stored.shard_size
        if stored
        else default_shard_size(image_bytes, count),
        batch_size=batch_size if batch_size is not None or stored is None else stored.batch_size,
        keep=keep,
        precision=str(jnp.zeros(()).dtype),
    )
    if stored:
        _refuse_other(store, plan)
    if store.writer:
        raise CampaignRefused(f"{store.folder} is being written by {store.writer}")
    grid = model.simulator.instrument.grid
    x, y = grid.pixel_centers()
    layout = Layout.of_rows(plan, shapes, tuple(model.prior.names), np.asarray(x)[0], np.asarray(y)[:, 0])
    pending = list(range(plan.n_shards))
    if stored:
        records = dict(store.recorded())
        pending = [shard for shard in pending if shard not in records or store.problems(shard, records[shard], verify)]
    work = Work(model, store, layout, _attributes(model), pending)
    _check_space(work)
    return work


def flagged_rows(store: Store) -> tuple[list[int], list[int]]:
    """The rows whose tracer overflowed and those with a value that is not finite, as recorded."""
    overflow: list[int] = []
    non_finite: list[int] = []
    for _, record in store.recorded():
        overflow += record["overflow"]
        non_finite += record["non_finite"]
    return overflow, non_finite


def _attributes(model: Any) -> dict[str, Any]:
    prior = {}
    for name, law in model.prior.describe().items():
        unit = unit_of(name)
        prior[name] = {"distribution": law} | ({} if unit is None else {"units": unit})
    return {
        "prior": prior,
        "tracer": describe_part(model.simulator.tracer),
        "versions": describe_versions(),
        "device": describe_device(),
        "git_revision": git_revision(),
        "random_key": "theta_key, key = split(fold_in(key(seed), row)); theta = prior.sample(theta_key)",
    }


def _refuse_other(store: Store, plan: Plan) -> None:
    differences = store.plan.differences(plan)
    if differences:
        raise CampaignRefused(f"{store.folder} holds another campaign: its {'; its '.join(differences)}")


def _rows_with(status: np.ndarray, shard: int, plan: Plan, flag: str) -> list[int]:
    return [int(row) + plan.rows(shard).start for row in np.flatnonzero(status & FLAGS[flag])]


def _check_space(work: Work) -> None:
    """Refuse to begin what cannot be written; the compression so far, or none, is expected to go on."""
    place = work.store.folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise CampaignRefused(f"{place} is a file, not a folder")
    if work.pending and not os.access(place, os.W_OK | os.X_OK):
        raise CampaignRefused(f"{place} cannot be written to")
    row_bytes = float(work.layout.row_bytes)
    records = [record for _, record in work.store.recorded()]
    rows = sum(record["stop"] - record["start"] for record in records)
    if rows > 0:
        row_bytes = work.store.size / rows
    needed = int(work.pending_rows * row_bytes)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise CampaignRefused(
            f"{work.store.folder} needs up to {needed / 1e9:.1f} GB more, the disk has {free / 1e9:.1f} GB free; "
            f"a smaller count or keeping one kind of image needs less"
        )
