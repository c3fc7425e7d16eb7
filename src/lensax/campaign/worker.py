"""What a worker of a cluster does: take a shard, make it, write it, record it."""

import functools
import json
import pickle
import threading
from dataclasses import dataclass
from typing import Any

import jax

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.files import named_error
from lensax.campaign.plan import Plan
from lensax.campaign.prepare import layout_of
from lensax.campaign.rows import RowMaker
from lensax.campaign.run import refuse_other
from lensax.campaign.shards import make_shard
from lensax.campaign.store import Store

__all__ = ["Task", "make_on_worker"]

BUSY = threading.Lock()
"""One shard at a time in a process: a simulation uses all of its device."""


@dataclass(frozen=True)
class Task:
    """What a worker must know to make any shard; the same for all shards, so that it prepares and compiles once.

    Args:
        build: a pickled function that builds the model.
        folder: of the campaign, absolute: all workers see it under this path.
        plan: as JSON.
        lease_seconds: age at which the lease of a process on another node is stale.
    """

    build: bytes
    folder: str
    plan: str
    lease_seconds: float


def make_on_worker(task: Task, shard: int) -> bool:
    """Make a shard, unless it is whole already; returns whether it was made.

    Raises:
        LeaseHeld: another process makes it.
        CampaignError: it cannot be written, or the model or the device fails.
    """
    with BUSY:
        maker, layout, store = _prepared(task)
        try:
            with store.leased(shard) as held:
                record = store.record(shard)
                if record is not None and not store.problems(shard, record, read=True):
                    return False
                rows, facts = make_shard(maker, layout, shard)
                store.write_shard(layout, shard, rows, facts, held)
        except OSError as error:
            raise named_error(error, f"shard {shard} could not be written", store.folder) from error
    return True


@functools.lru_cache(maxsize=1)
def _prepared(task: Task) -> tuple[RowMaker, Any, Store]:
    """The model, compiled at its first call, and the store that it fits."""
    plan = Plan.from_attributes(json.loads(task.plan))
    jax.config.update("jax_enable_x64", plan.precision == "float64")
    store = Store(task.folder)
    if not store.exists:
        raise CampaignRefused(f"{task.folder} is not there on this worker: all workers must see the campaign's folder")
    refuse_other(store, plan)
    store.lease_seconds = task.lease_seconds
    # From the coordinator, over the cluster's own connections; nothing that lies in a store is ever unpickled.
    model = pickle.loads(task.build)()
    maker = RowMaker(model, plan.seed, plan.batch_size, plan.shard_size, plan.dtype)
    return maker, layout_of(model, plan), store
