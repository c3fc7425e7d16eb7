"""A campaign over `dask.distributed`: workers take shards; any of them may be lost."""

import contextlib
import functools
import json
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from lensax.campaign.connect import connected, needs_cluster
from lensax.campaign.errors import CampaignError, CampaignRefused, LeaseHeld, RowsFail, SchedulerLost
from lensax.campaign.run import Work
from lensax.campaign.worker import Task, make_on_worker

__all__ = ["Distributed", "connected"]

TRIES = 6
"""So often a shard is tried before it is given up."""

LARGEST_PAUSE = 30.0
"""Seconds between two tries of a shard, at most; the first pause is one second, each is twice the one before."""

GIVEN_UP = 3
"""After so many shards were given up the run ends: more of them would not tell more."""

POLL = 0.25
COUNT = 2.0
"""Seconds between two looks at how many workers there are."""

SILENCE = 20.0
"""Seconds without a connection to the scheduler after which it is lost."""


class Distributed:
    """Makes shards on the workers of a Dask cluster.

    Every worker builds and compiles the model once and writes its shards itself. Never more than two shards per worker
    are under way, so that a million of them do not burden the scheduler. A shard whose worker was lost, whose disk was
    full or whose lease another process holds is tried again after a pause that grows.

    Args:
        client: a `distributed.Client`.
        progress: called with the number of rows of every finished shard.
        stop: True ends the run when what is under way is finished.
        say: told what a person should know.
        build: builds the model on a worker, picklable; by default from the model's configuration.
    """

    rate: float | None = None
    waited: float | None = None

    def __init__(
        self,
        client: Any,
        progress: Callable[[int], None] = lambda rows: None,
        stop: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda text: None,
        build: Callable[[], Any] | None = None,
    ):
        self.client = client
        self.progress = progress
        self.stop = stop
        self.say = say
        self.build = build
        self.facts: Mapping[str, Any] = {"scheduler": str(getattr(client.scheduler, "address", ""))}
        self._heard = time.monotonic()
        self._told = False
        self._workers, self._counted = 0, -COUNT

    def make(self, work: Work) -> int:
        """Make the pending shards; returns the number of rows.

        Raises:
            SchedulerLost: the scheduler cannot be reached any more.
            CampaignError: shards were given up, after everything else was made.
        """
        task = self._task(work)
        todo = deque(work.pending)
        paused: list[tuple[float, int]] = []
        under_way: dict[Any, int] = {}
        tries: Counter[int] = Counter()
        given_up: dict[int, str] = {}
        run, made = secrets.token_hex(4), 0
        while todo or paused or under_way:
            now = time.monotonic()
            todo.extend(shard for due, shard in paused if due <= now)
            paused = [(due, shard) for due, shard in paused if due > now]
            if self.stop() or len(given_up) >= GIVEN_UP:
                todo.clear()
                paused = []
                if not under_way:
                    break
            self._check_scheduler(bool(todo or under_way))
            while todo and len(under_way) < 2 * max(1, self._n_workers()):
                shard = todo.popleft()
                key = f"lensax-{run}-{shard}-{tries[shard]}"
                under_way[self.client.submit(make_on_worker, task, shard, key=key, pure=False)] = shard
            for future in self._finished(list(under_way)):
                shard = under_way.pop(future)
                error = self._error(future)
                if error is None:
                    made += len(work.plan.rows(shard))
                    self.progress(len(work.plan.rows(shard)))
                    continue
                if isinstance(error, RowsFail | CampaignRefused):
                    raise error if isinstance(error, RowsFail) else CampaignError(str(error))
                if future.status != "error" and self.client.status != "running":
                    todo.append(shard)  # lost with the scheduler, through no fault of its own
                    continue
                tries[shard] += 1
                if tries[shard] < TRIES:
                    pause = min(2.0 ** (tries[shard] - 1), LARGEST_PAUSE)
                    pause = max(pause, work.store.lease_seconds / 4) if isinstance(error, LeaseHeld) else pause
                    self.say(f"shard {shard}: {_short(error)}; tried again in {pause:.0f} s")
                    paused.append((time.monotonic() + pause, shard))
                else:
                    given_up[shard] = _short(error)
        if given_up:
            shard, reason = next(iter(given_up.items()))
            raise CampaignError(f"{len(given_up)} shards were given up, among them {shard}: {reason}")
        return made

    def _task(self, work: Work) -> Task:
        cloudpickle = needs_cluster("cloudpickle")
        build = self.build
        if build is None:
            build = functools.partial(type(work.model).from_configuration, work.model.configuration)
        plan = json.dumps(work.plan.to_attributes())
        folder = str(work.store.folder.absolute())
        return Task(cloudpickle.dumps(build), folder, plan, work.store.lease_seconds)

    def _finished(self, futures: list[Any]) -> list[Any]:
        """The futures that are done, after a short wait for one."""
        if not futures:
            time.sleep(POLL)
            return []
        wait = needs_cluster("distributed").wait
        with contextlib.suppress(Exception):  # a timeout, or a connection that is being lost: asked again
            wait(futures, timeout=POLL, return_when="FIRST_COMPLETED")
        return [future for future in futures if future.status in ("finished", "error", "cancelled", "lost")]

    def _error(self, future: Any) -> BaseException | None:
        """What went wrong with a future that is done."""
        if future.status == "finished":
            return None
        if future.status == "error":
            return future.exception(timeout=SILENCE) or CampaignError("it failed for an unknown reason")
        return CampaignError("the scheduler forgot it")

    def _n_workers(self) -> int:
        """Workers that are connected; asked now and then."""
        now = time.monotonic()
        if now - self._counted > COUNT and self.client.status == "running":
            self._workers = len(self.client.scheduler_info(n_workers=-1).get("workers", {}))
            self._counted = now if self._workers else -COUNT
        return self._workers

    def _check_scheduler(self, needed: bool) -> None:
        now = time.monotonic()
        if self.client.status == "running":
            self._heard = now
            if needed and not self._told and not self._n_workers():
                self.say("waiting for workers")
                self._told = True
        elif now - self._heard > SILENCE or self.client.status in ("closed", "closing"):
            raise SchedulerLost(
                f"the scheduler at {self.facts['scheduler']} cannot be reached any more; "
                "what is recorded is safe, and the same command continues with a new one"
            )


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}".rstrip(": ")
