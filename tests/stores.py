"""Stores for the tests of readers: written by the campaign's own layout, without a simulator."""

import os
from pathlib import Path

import jax
import numpy as np

from lensax.campaign import Plan, Store
from lensax.campaign.layout import Layout, chunk_name

TEXT = """
lens:
  redshift: 0.5
source:
  redshift: 1.5
instrument: {shape: [6, 7], pixel_scale: 0.1, exposure_time: 100.0, sky_level: 0.5, read_noise: 5.0}
"""
NAMES = ("lens.mass.PowerLaw.einstein_radius", "blob.center_x")


def row_values(numbers, shape=(6, 7)):
    """Rows that say which they are: theta and both images begin with the row number."""
    numbers = np.asarray(numbers, np.float32)
    theta = np.stack([numbers, -numbers], axis=1)
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    noiseless = numbers[:, None, None] + ramp
    return theta, noiseless, noiseless + 0.25


def make_store(
    folder, count, shard_size, keep=("noiseless", "noisy"), status=None, shape=(6, 7), text=TEXT, names=NAMES, **shards
):
    """A campaign; `status` flags rows; `only` makes these shards; `linked` makes one and links it as all others."""
    plan = Plan(text, "0", 1, count, shard_size, None, keep, dtype=shards.get("dtype", "float32"))
    image = jax.ShapeDtypeStruct(shape, np.float32)
    shapes = {
        "noiseless": image,
        "noisy": image,
        "theta": jax.ShapeDtypeStruct((2,), np.float32),
        "key": jax.ShapeDtypeStruct((2,), np.uint32),
        "error_estimate": jax.ShapeDtypeStruct((), np.float32),
        "halos_per_plane": jax.ShapeDtypeStruct((3,), np.int32),
    }
    x, y = (0.1 * (np.arange(n) - (n - 1) / 2) for n in (shape[1], shape[0]))
    layout = Layout.of_rows(plan, shapes, names, x, y)
    store = Store(folder)
    status = np.zeros(count, np.uint8) if status is None else np.asarray(status, np.uint8)
    prior = {name: {"distribution": "Normal(loc=1, scale=0.1)", "units": "arcsec"} for name in names}
    with store.writing(), store.preparing():
        store.create(
            layout, {"prior": prior, "versions": {"lensax": "0.1.0"}, "device": "cpu", "tracer": {"tolerance": 2e-5}}
        )
        for shard in [0] if shards.get("linked") else shards.get("only", range(plan.n_shards)):
            numbers = np.asarray(plan.rows(shard))
            theta, noiseless, noisy = row_values(numbers, shape)
            random = np.random.default_rng(shard)
            rows = {
                "theta": theta,
                "noiseless": noiseless,
                "noisy": noisy,
                "key": np.stack([numbers, numbers], axis=1).astype(np.uint32),
                "error_estimate": random.gamma(4.0, 3e-6, len(numbers)).astype(np.float32),
                "halos_per_plane": random.poisson(20, (len(numbers), 3)).astype(np.int32),
                "status": status[numbers],
            }
            rows = {variable.name: rows[variable.name] for variable in layout.variables}
            store.write_shard(layout, shard, rows, facts(numbers, status))
        if shards.get("linked"):
            link_shards(store, plan)
    return Path(folder)


def facts(numbers, status):
    return {
        "overflow": [int(row) for row in numbers if status[row] & 1],
        "non_finite": [int(row) for row in numbers if status[row] & 2],
        "failed": [int(row) for row in numbers if status[row] & 4],
        "errors": {str(row): f"row {row} went wrong" for row in numbers if status[row]},
        "finished": "2026-11-20T12:00:00+00:00",
        "timed_rows": len(numbers),
        "timed_seconds": 0.5,
        "device": "cpu",
        "versions": {"lensax": "0.1.0"},
    }


def link_shards(store, plan):
    """The files of the first shard stand for those of all: a store of any size on a small disk."""
    import json

    record = json.loads(store.record_path(0).read_bytes())
    for shard in range(1, plan.n_shards):
        for name, dimensions in store.arrays.items():
            os.link(store.shard_path(name, 0), store.folder / name / chunk_name(shard, dimensions))
        span = plan.rows(shard)
        written = {**record, "shard": shard, "start": span.start, "stop": span.stop}
        store.record_path(shard).write_text(json.dumps(written))
