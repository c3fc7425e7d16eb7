"""Row `i` of a campaign: a pure function of the model, the seed and `i`."""

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, PRNGKeyArray

__all__ = ["RowMaker", "draw", "row_shapes"]

ROWS_PER_CALL = 8
"""At least this many rows per call of the compiled program, so that calling costs nothing beside simulating."""

ROWS_PER_ACCELERATOR = 512
"""Rows that are handed to an accelerator at once, which then fills its memory as it sees fit."""


def draw(prior: Any, root: PRNGKeyArray, rows: Array) -> tuple[dict[str, Array], Array]:
    """Theta and keys of rows: `theta_key, key = split(fold_in(root, row))`, `theta = prior.sample(theta_key)`.

    Arguments
    ---------
    prior: of the forward model.
    root: the key of the campaign's seed.
    rows: row numbers, unsigned 32-bit integers (n,).

    Returns theta, every array (n,), and the n keys that the model takes beside it.
    """

    def one(row: Array) -> tuple[dict[str, Array], Array]:
        theta_key, key = jax.random.split(jax.random.fold_in(root, row))
        return prior.sample(theta_key), key

    return jax.vmap(one)(rows)


_draw = eqx.filter_jit(draw)


def _make(model: Any, root: PRNGKeyArray, rows: Array, batch_size: int | None) -> dict[str, Array]:
    theta, keys = _draw(model.prior, root, rows)
    seen = model.batch_both(theta, keys, batch_size)
    return {
        "theta": model.prior.flatten(theta),
        "key": jax.random.key_data(keys),
        "noiseless": seen.noiseless.astype(jnp.float32),
        "noisy": seen.noisy.astype(jnp.float32),
        "error_estimate": seen.diagnostics.error_estimate.astype(jnp.float32),
        "overflow": seen.diagnostics.overflow,
        "halos_per_plane": seen.diagnostics.halos_per_plane.astype(jnp.int32),
    }


def row_shapes(model: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and type of every array of one row, without simulating."""
    made = eqx.filter_eval_shape(_make, model, jax.random.key(0), jax.ShapeDtypeStruct((1,), jnp.uint32), 1)
    return {name: jax.ShapeDtypeStruct(value.shape[1:], value.dtype) for name, value in made.items()}


class RowMaker:
    """Makes rows in calls of one size, so that one compiled program serves a whole campaign.

    Arguments
    ---------
    model: the forward model: `prior` and `batch_both(theta, keys, micro_batch)`.
    seed: the campaign's seed.
    batch_size: rows simulated side by side on each device; None leaves it to the model, which knows the device.
    shard_size: no call is larger than this.

    `timed_rows` and `timed_seconds` count what was made after the first call, in which the program is compiled.
    """

    def __init__(self, model: Any, seed: int, batch_size: int | None, shard_size: int):
        self.model = model
        self.root = jax.random.key(np.uint32(seed))
        self.batch_size = batch_size
        devices = jax.local_devices()
        if batch_size is None:
            rows = ROWS_PER_CALL if devices[0].platform == "cpu" else ROWS_PER_ACCELERATOR * len(devices)
        else:
            together = batch_size * len(devices)
            rows = together * -(-ROWS_PER_CALL // together)
        self.rows_per_call = min(rows, shard_size)
        self.calls_made, self.timed_rows, self.timed_seconds = 0, 0, 0.0

    def __call__(self, rows: range) -> dict[str, np.ndarray]:
        """At most `rows_per_call` rows as NumPy arrays; a shorter call is filled up with its last row and cut."""
        begin = time.monotonic()
        numbers = np.minimum(np.arange(rows.start, rows.start + self.rows_per_call), rows.stop - 1).astype(np.uint32)
        made = _make(self.model, self.root, jnp.asarray(numbers), self.batch_size)
        found = {name: np.asarray(value)[: len(rows)] for name, value in made.items()}
        if self.calls_made:
            self.timed_rows += len(rows)
            self.timed_seconds += time.monotonic() - begin
        self.calls_made += 1
        return found

    def calls(self, rows: range) -> list[range]:
        """The calls that make up a range of rows."""
        return [rows[start : start + self.rows_per_call] for start in range(0, len(rows), self.rows_per_call)]

    def memory(self) -> int | None:
        """Bytes that the compiled program needs for one call, results included; None where the compiler is silent."""
        rows = jnp.zeros(self.rows_per_call, jnp.uint32)
        program: Any = eqx.filter_jit(_make)
        compiled = program.lower(self.model, self.root, rows, self.batch_size).compile()
        analysis = compiled.compiled.memory_analysis()
        if analysis is None:
            return None
        return int(analysis.temp_size_in_bytes + analysis.output_size_in_bytes + analysis.argument_size_in_bytes)
