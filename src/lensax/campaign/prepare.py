"""Check a campaign against its folder and the disk before anything is written."""

import secrets
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import jax.numpy as jnp
import numpy as np

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.layout import Layout
from lensax.campaign.lock import Part
from lensax.campaign.plan import IMAGES, TYPES, Plan, default_shard_size
from lensax.campaign.provenance import describe_device, describe_part, describe_versions, git_revision
from lensax.campaign.rows import row_shapes
from lensax.campaign.run import Work, refuse_other
from lensax.campaign.space import check_space
from lensax.campaign.store import Store
from lensax.campaign.units import unit_of

__all__ = ["layout_of", "prepare"]


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
    dtype: str | None = None,
    part: Part | None = None,
) -> Work:
    """Check a campaign against its folder and the disk; nothing is written.

    Args:
        model: the forward model that the configuration describes.
        configuration: its YAML text.
        configuration_hash: a hash of what the text means.
        folder: where the store is, or will be.
        count: number of rows.
        seed: of all random numbers. None takes that of the campaign in the folder; for a new one the system draws it.
        shard_size: rows in a file. None takes that of the campaign in the folder, else about 16 MiB of images.
        batch_size: rows side by side. None takes that of the campaign in the folder, else it is measured.
        keep: which images are stored.
        verify: read every recorded shard and make those again whose bytes have changed; else only sizes are looked at.
        dtype: of the stored images. None takes that of the campaign in the folder, else float32.
        part: make only this part of the shards; other processes may make the others at the same time.

    Raises:
        CampaignRefused: a number out of its range, a folder that holds something else (the differences are named),
            another process that is writing, a disk that is too small.
    """
    store = Store(folder)
    shapes = row_shapes(model)
    keep = tuple(keep)
    stored = store.plan if store.exists else None
    if part is not None and seed is None and stored is None:
        raise CampaignRefused("the parts of a campaign share a seed: give it with --seed")
    dtype = dtype or (stored.dtype if stored else "float32")
    image_bytes = (2 if dtype == TYPES[0] else 4) * int(np.prod(shapes["noisy"].shape))
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
        batch_size=batch_size,
        keep=keep,
        precision=str(jnp.zeros(()).dtype),
        dtype=dtype,
    )
    if stored:
        plan = refuse_other(store, plan)
    if part is None and store.writer:
        raise CampaignRefused(f"{store.folder} is being written by {store.writer}")
    pending = [shard for shard in range(plan.n_shards) if part is None or part.holds(shard)]
    if stored:
        records = dict(store.recorded())
        pending = [shard for shard in pending if shard not in records or store.problems(shard, records[shard], verify)]
    layout = layout_of(model, plan)
    space = check_space(store, layout, pending)
    return Work(model, store, layout, _attributes(model), pending, _named_files(model), part, space)


def layout_of(model: Any, plan: Plan) -> Layout:
    """The arrays that a model makes for a plan."""
    x, y = model.simulator.instrument.grid.pixel_centers()
    names = tuple(model.prior.names)
    return Layout.of_rows(plan, row_shapes(model), names, np.asarray(x)[0], np.asarray(y)[:, 0])


def _attributes(model: Any) -> dict[str, Any]:
    prior = {}
    for name, law in model.prior.describe().items():
        unit = unit_of(name)
        prior[name] = {"distribution": law} | ({} if unit is None else {"units": unit})
    return {
        "prior": prior,
        "tracer": describe_part(model.simulator.tracer),
        "instrument": describe_part(model.simulator.instrument),
        "versions": describe_versions(),
        "device": describe_device(),
        "git_revision": git_revision(),
        "random_key": "theta_key, key = split(fold_in(key(seed), row)); theta = prior.sample(theta_key)",
    }


def _named_files(model: Any) -> dict[str, bytes]:
    """The files that a model's configuration names inside of its folder, so that the store can make rows by itself."""
    named = getattr(model.configuration, "files", {})
    return {
        written: path.read_bytes()
        for written, path in named.items()
        if not PurePosixPath(written).is_absolute() and ".." not in PurePosixPath(written).parts and written[0] != "~"
    }
