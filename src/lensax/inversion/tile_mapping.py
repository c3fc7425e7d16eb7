"""What a tile sees of a source: its columns, the weights of its rays laid on them, and the same backwards."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array
from lensax.inversion.blocks import SLACK
from lensax.inversion.tile_layout import TileLayout

__all__ = [
    "Columns",
    "Samples",
    "Spread",
    "add_slice",
    "columns_of",
    "columns_seen",
    "mapping",
    "pull_back",
    "slice_of",
]

# Spread samples that are laid on the mesh at once.
_CHUNK = 32


class Spread(NamedTuple):
    """The rays of all traced samples one by one, for samples that are spread: (samples, rays, degree + 1)."""

    along_y: Array
    along_x: Array


class Samples(NamedTuple):
    """What the rays of the window bring, in its layout: (rows, columns, ...).

    Attributes:
        row, column: first spline of every ray, (rows, columns, rays).
        block_row, block_column, weights: see `Blocks`.
        spread: see `Blocks`.
        number: place of a sample in `Spread`.
    """

    row: Array
    column: Array
    block_row: Array
    block_column: Array
    weights: Array
    spread: Array | None
    number: Array | None


class Columns(NamedTuple):
    """A tile's columns: their coefficients (k,); the column of each cell of the mesh with its border, or k."""

    cells: Array
    position: Array


def slice_of(array: Array, start: Any, size: tuple[int, int], lead: int = 0) -> Array:
    """Rows and columns `start` to `start + size` of an array whose rows are axis `lead`."""
    rest = array.ndim - lead - 2
    zero = jnp.zeros((), jnp.int32)
    sizes = (*array.shape[:lead], *size, *array.shape[lead + 2 :])
    return lax.dynamic_slice(array, [zero] * lead + list(start) + [zero] * rest, sizes)


def add_slice(array: Array, part: Array, start: Any, lead: int = 0) -> Array:
    """The array with a part added where `slice_of` would have taken it."""
    size = part.shape[lead], part.shape[lead + 1]
    zero = jnp.zeros((), jnp.int32)
    where = [zero] * lead + list(start) + [zero] * (array.ndim - lead - 2)
    return lax.dynamic_update_slice(array, slice_of(array, start, size, lead) + part, where)


def columns_seen(layout: TileLayout, samples: Samples, tiles: Array) -> Array:
    """Which coefficients each tile sees, (n_tiles, n_cells)."""
    border = layout.degree + 1
    shape = layout.mesh[0] + 2 * border, layout.mesh[1] + 2 * border

    def seen(tile: Array) -> Array:
        start, size = layout.window_start(tile), layout.inputs(layout.output)
        row, column = (slice_of(index, start, size) for index in (samples.row, samples.column))
        first = jnp.zeros(shape, bool).at[row, column].set(True, mode="promise_in_bounds")
        rows = first
        for i in range(1, layout.degree + 1):
            rows = rows | jnp.roll(first, i, 0)
        both = rows
        for i in range(1, layout.degree + 1):
            both = both | jnp.roll(rows, i, 1)
        return both[border:-border, border:-border].ravel()

    return lax.map(seen, tiles)


def columns_of(layout: TileLayout, seen: Array, k: int) -> Columns:
    """Columns of the coefficients that a tile sees; cells of the border have column k, which is dropped."""
    border = layout.degree + 1
    place = jnp.cumsum(seen.astype(jnp.int32))
    cells = jnp.searchsorted(place, jnp.arange(1, k + 1, dtype=jnp.int32)).astype(jnp.int32)
    numbers = jnp.where(seen, place - 1, k).reshape(layout.mesh)
    return Columns(cells, jnp.pad(numbers, (border, border + SLACK), constant_values=k).ravel())


def _target(layout: TileLayout, columns: Columns, row: Array, column: Array, splines: int) -> Array:
    """Columns of `splines` x `splines` neighbours, the first of which is given."""
    n_x = layout.mesh[1] + 2 * (layout.degree + 1) + SLACK
    first = row * n_x + column
    near = jnp.stack([jnp.stack([first + (i * n_x + j) for j in range(splines)], -1) for i in range(splines)], -2)
    return columns.position.at[near].get(mode="promise_in_bounds")


def _block_target(layout: TileLayout, part: Samples, columns: Columns) -> Array:
    """Where each weight of the blocks lies in (k + 1, samples)."""
    rows, width = part.block_row.shape
    sample = np.arange(rows * width, dtype=np.int32).reshape(rows, width, 1, 1)
    target = _target(layout, columns, part.block_row, part.block_column, part.weights.shape[-1])
    return target * (rows * width) + jnp.asarray(sample)


def _for_each_chunk(layout: TileLayout, part: Samples, columns: Columns, body: Any, carry: Any) -> Any:
    """Fold `body(places in Spread, whether they count, targets, carry)` over the tile's spread samples."""
    if part.spread is None or part.number is None:
        return carry
    numbers, count = part.number.ravel(), part.spread.size
    order = jnp.nonzero(part.spread.ravel(), size=-(-count // _CHUNK) * _CHUNK, fill_value=count)[0].astype(jnp.int32)
    row, column = (a.reshape(count, -1) for a in (part.row, part.column))

    def chunk(i: Array, carry: Any) -> Any:
        which = lax.dynamic_slice(order, [i * _CHUNK], [_CHUNK])
        sample = jnp.minimum(which, count - 1)
        target = _target(layout, columns, row[sample], column[sample], layout.degree + 1)
        return body(numbers[sample], which < count, target * count + sample[:, None, None, None], carry)

    chunks = -(-jnp.sum(part.spread).astype(jnp.int32) // _CHUNK)
    return lax.fori_loop(jnp.zeros((), jnp.int32), chunks, chunk, carry)


def mapping(layout: TileLayout, part: Samples, spread: Spread, columns: Columns, k: int) -> Array:
    """The tile's part of the mapping, (k, rows, columns) of samples."""
    rows, width = part.block_row.shape
    flat = jnp.zeros((k + 1) * rows * width, part.weights.dtype)
    target = _block_target(layout, part, columns)
    flat = flat.at[target.ravel()].add(part.weights.ravel(), mode="promise_in_bounds")

    def add(place: Array, counts: Array, target: Array, flat: Array) -> Array:
        y, x = spread.along_y[place], spread.along_x[place]
        weights = y[..., :, None] * jnp.where(counts[:, None, None], x * (1 / x.shape[1]), 0.0)[..., None, :]
        return flat.at[target.ravel()].add(weights.ravel(), mode="promise_in_bounds")

    flat = _for_each_chunk(layout, part, columns, add, flat)
    return flat.reshape(k + 1, rows, width)[:k]


def pull_back(
    layout: TileLayout, part: Samples, spread: Spread, columns: Columns, bar: Array, along: Spread
) -> tuple[Array, Spread]:
    """Cotangent of the blocks' weights from that of the mapping; that of the spread rays is added to `along`."""
    flat = jnp.concatenate([bar.reshape(-1), jnp.zeros(bar[0].size, bar.dtype)])
    weights = flat.at[_block_target(layout, part, columns)].get(mode="promise_in_bounds")

    def add(place: Array, counts: Array, target: Array, along: Spread) -> Spread:
        share = jnp.where(counts, 1 / spread.along_y.shape[1], 0.0)[:, None, None, None]
        taps = flat.at[target].get(mode="promise_in_bounds") * share
        y = jnp.sum(taps * spread.along_x[place][..., None, :], -1)
        x = jnp.sum(taps * spread.along_y[place][..., :, None], -2)
        return Spread(along.along_y.at[place].add(y), along.along_x.at[place].add(x))

    return weights, _for_each_chunk(layout, part, columns, add, along)
