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
    "columns_seen",
    "mapping",
    "pull_back",
    "slice_of",
]

# Spread samples that are laid on the mesh at once.
_GROUP = 32


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
    """A tile's columns.

    Attributes:
        cells: their coefficients, filled up to whole chunks with `n_cells`.
        position: the column of each cell of the mesh with its border; that of no chunk where a cell is not seen.
    """

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


def columns_seen(layout: TileLayout, samples: Samples) -> tuple[Columns, Array]:
    """The columns of a tile from the samples of its window, and how many there are."""
    border, most = layout.degree + 1, layout.n_chunks * layout.chunk
    shape = layout.mesh[0] + 2 * border, layout.mesh[1] + 2 * border
    first = jnp.zeros(shape, bool).at[samples.row, samples.column].set(True, mode="promise_in_bounds")
    rows = first
    for i in range(1, layout.degree + 1):
        rows = rows | jnp.roll(first, i, 0)
    both = rows
    for i in range(1, layout.degree + 1):
        both = both | jnp.roll(rows, i, 1)
    seen = both[border:-border, border:-border].ravel()
    place = jnp.cumsum(seen.astype(jnp.int32))
    cells = jnp.searchsorted(place, jnp.arange(1, most + 1, dtype=jnp.int32)).astype(jnp.int32)
    numbers = jnp.where(seen, place - 1, most).reshape(layout.mesh)
    pads = (border, border + SLACK)
    return Columns(cells, jnp.pad(numbers, pads, constant_values=most).ravel()), place[-1]


def _target(layout: TileLayout, columns: Columns, chunk: Array, row: Array, column: Array, splines: int) -> Array:
    """Columns within a chunk of `splines` x `splines` neighbours, the first of which is given; behind its last column
    for those of other chunks."""
    n_x = layout.mesh[1] + 2 * (layout.degree + 1) + SLACK
    first = row * n_x + column
    near = jnp.stack([jnp.stack([first + (i * n_x + j) for j in range(splines)], -1) for i in range(splines)], -2)
    at = columns.position.at[near].get(mode="promise_in_bounds") - chunk * layout.chunk
    return jnp.where((at >= 0) & (at < layout.chunk), at, layout.chunk)


def _block_target(layout: TileLayout, part: Samples, columns: Columns, chunk: Array) -> Array:
    """Where each weight of the blocks lies in (chunk + 1, samples)."""
    rows, width = part.block_row.shape
    sample = np.arange(rows * width, dtype=np.int32).reshape(rows, width, 1, 1)
    target = _target(layout, columns, chunk, part.block_row, part.block_column, part.weights.shape[-1])
    return target * (rows * width) + jnp.asarray(sample)


def _for_each_group(layout: TileLayout, part: Samples, columns: Columns, chunk: Array, body: Any, carry: Any) -> Any:
    """Fold `body(places in Spread, whether they count, targets, carry)` over the tile's spread samples."""
    if part.spread is None or part.number is None:
        return carry
    numbers, count = part.number.ravel(), part.spread.size
    order = jnp.nonzero(part.spread.ravel(), size=-(-count // _GROUP) * _GROUP, fill_value=count)[0].astype(jnp.int32)
    row, column = (a.reshape(count, -1) for a in (part.row, part.column))

    def group(i: Array, carry: Any) -> Any:
        which = lax.dynamic_slice(order, [i * _GROUP], [_GROUP])
        sample = jnp.minimum(which, count - 1)
        target = _target(layout, columns, chunk, row[sample], column[sample], layout.degree + 1)
        return body(numbers[sample], which < count, target * count + sample[:, None, None, None], carry)

    groups = -(-jnp.sum(part.spread).astype(jnp.int32) // _GROUP)
    return lax.fori_loop(jnp.zeros((), jnp.int32), groups, group, carry)


def mapping(layout: TileLayout, part: Samples, spread: Spread, columns: Columns, chunk: Array) -> Array:
    """A chunk's part of the mapping, (chunk, samples)."""
    count, dtype = part.block_row.size, part.weights.dtype
    flat = jnp.zeros((layout.chunk + 1) * count, dtype)
    target = _block_target(layout, part, columns, chunk)
    flat = flat.at[target.ravel()].add(part.weights.ravel(), mode="promise_in_bounds")

    def add(place: Array, counts: Array, target: Array, flat: Array) -> Array:
        y, x = spread.along_y[place], spread.along_x[place]
        weights = y[..., :, None] * jnp.where(counts[:, None, None], x * (1 / x.shape[1]), 0.0)[..., None, :]
        return flat.at[target.ravel()].add(weights.ravel().astype(dtype), mode="promise_in_bounds")

    flat = _for_each_group(layout, part, columns, chunk, add, flat)
    return flat.reshape(layout.chunk + 1, count)[: layout.chunk]


def pull_back(
    layout: TileLayout, part: Samples, spread: Spread, columns: Columns, chunk: Array, bar: Array, along: Spread
) -> tuple[Array, Spread]:
    """Cotangent of the blocks' weights from that of a chunk's mapping; that of the spread rays is added to `along`."""
    flat = jnp.concatenate([bar.ravel(), jnp.zeros(bar[0].size, bar.dtype)])
    weights = flat.at[_block_target(layout, part, columns, chunk)].get(mode="promise_in_bounds")

    def add(place: Array, counts: Array, target: Array, along: Spread) -> Spread:
        share = jnp.where(counts, 1 / spread.along_y.shape[1], 0.0)[:, None, None, None]
        taps = flat.at[target].get(mode="promise_in_bounds").astype(share.dtype) * share
        y = jnp.sum(taps * spread.along_x[place][..., None, :], -1)
        x = jnp.sum(taps * spread.along_y[place][..., :, None], -2)
        return Spread(along.along_y.at[place].add(y), along.along_x.at[place].add(x))

    return weights, _for_each_group(layout, part, columns, chunk, add, along)
