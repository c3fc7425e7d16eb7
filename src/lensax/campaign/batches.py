"""Batches of stored rows for training with JAX."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._prefetch import ahead
from lensax._types import Array, PRNGKeyArray
from lensax.campaign.order import batches_of, pools
from lensax.campaign.source import RowSource

if TYPE_CHECKING:
    from lensax.campaign.selection import Selection

__all__ = ["POOL_BYTES", "jax_batches", "pool_rows_of"]

POOL_BYTES = 2**26
"""Images that are mixed in memory take about so much."""


def pool_rows_of(source: RowSource, shuffle_rows: int | None) -> int:
    """How many rows are mixed together: as many as are asked for, or as fit 64 MiB.

    Raises:
        ValueError: a number below 1.
    """
    if shuffle_rows is not None and shuffle_rows < 1:
        raise ValueError(f"shuffle_rows: expected at least 1, found {shuffle_rows}")
    return shuffle_rows or max(1, POOL_BYTES // source.row_bytes)


def jax_batches(
    selection: "Selection",
    key: PRNGKeyArray,
    batch_size: int,
    epochs: int | None = 1,
    noise: str | None = None,
    shuffle: bool = True,
    shuffle_rows: int | None = None,
    drop_last: bool = True,
    prefetch: int = 2,
    instrument: Any = None,
) -> Iterator[tuple[dict[str, Array], Array]]:
    """See `Selection.jax_batches`."""
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
    source, fresh = selection.source(noise)
    camera = selection.instrument(instrument) if fresh else None
    pool_rows = pool_rows_of(source, shuffle_rows)
    words = [int(word) for word in np.asarray(jax.random.key_data(key)).ravel()]
    blocks = source.blocks.cut(selection.numbers)

    def batches() -> Iterator[tuple[dict[str, Array], Array]]:
        epoch = 0
        while epochs is None or epoch < epochs:
            random = np.random.default_rng([*words, epoch]) if shuffle else None
            noise_key = jax.random.fold_in(key, epoch)
            rows = (tuple(source.read(np.concatenate(group))) for group in pools(blocks, pool_rows, random))
            read = ahead(rows, min(prefetch, 1))
            for numbers, theta, images in batches_of(read, batch_size, random, drop_last):
                on_device = jnp.asarray(images)
                if camera is not None:
                    on_device = _with_noise(camera, on_device, noise_key, jnp.asarray(numbers.astype(np.uint32)))
                yield _named(selection.names, jnp.asarray(theta)), on_device
            epoch += 1

    return ahead(batches(), prefetch)


@eqx.filter_jit
def _with_noise(instrument: Any, images: Array, key: PRNGKeyArray, numbers: Array) -> Array:
    """Noise that depends on the key and the row number, not on the batch in which the row comes."""
    keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
    return jax.vmap(instrument.add_noise)(images, keys)


@eqx.filter_jit
def _named(names: tuple[str, ...], theta: Array) -> dict[str, Array]:
    return {name: theta[:, column] for column, name in enumerate(names)}
