"""What a tile sees of a source: its columns, the light of a chunk of them in the tile's pixels, and the same backwards.

A chunk of columns is seen by few of the samples that blur into a tile, about a seventh. Those are gathered, some at
once: their weights are laid on the chunk's columns, and multiplied with their rows of the matrix that blurs.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array
from lensax.inversion.blocks import SLACK
from lensax.inversion.cholesky import product
from lensax.inversion.tile_layout import TileLayout

__all__ = [
    "Columns",
    "Samples",
    "Spread",
    "add_slice",
    "columns_in_pixels",
    "columns_seen",
    "pull_back",
    "rows_of",
    "slice_of",
]

# Samples that are laid on the mesh at once, and spread ones.
_GROUP, _SPREAD_GROUP = 512, 64


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
        of_block: the column of each weight of the tile's blocks, (samples, splines, splines); that of no chunk where
            there is none, or where the sample is spread.
        of_cell: the column of each cell of the mesh with its border; that of no chunk where it is not seen.
        spread: the spread samples, filled up to whole groups with the number of samples; None where each has one ray.
        n_spread: how many there are.
    """

    cells: Array
    of_block: Array
    of_cell: Array
    spread: Array | None
    n_spread: Array


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


def rows_of(array: Array, which: Array) -> Array:
    """Rows of an array, zero for those beyond its last."""
    return array.at[which].get(mode="fill", fill_value=0.0)


def columns_seen(layout: TileLayout, samples: Samples) -> tuple[Columns, Array]:
    """The columns of a tile from the samples of its window, and how many there are."""
    border, most = layout.degree + 1, layout.n_chunks * layout.chunk_size
    shape = layout.mesh[0] + 2 * border, layout.mesh[1] + 2 * border
    first = jnp.zeros(shape, bool).at[samples.row, samples.column].set(True, mode="promise_in_bounds")
    rows = first
    for i in range(1, layout.degree + 1):
        rows = rows | jnp.roll(first, i, 0)
    both = rows
    for i in range(1, layout.degree + 1):
        both = both | jnp.roll(rows, i, 1)
    seen = both[border:-border, border:-border].ravel()
    cells, place = _marked(seen, layout.chunk_size)
    numbers = jnp.where(seen, place - 1, most).reshape(layout.mesh)
    of_cell = jnp.pad(numbers, (border, border + SLACK), constant_values=most).ravel()
    of_block = _near(layout, of_cell, samples.block_row, samples.block_column, samples.weights.shape[-1])
    of_block = of_block.reshape(layout.n_samples, *of_block.shape[2:])
    if samples.spread is None:
        return Columns(cells, of_block, of_cell, None, jnp.zeros((), jnp.int32)), place[-1]
    spread = samples.spread.ravel()
    of_block = jnp.where(spread[:, None, None], most, of_block)
    order, n_spread = _marked(spread, _SPREAD_GROUP)
    return Columns(cells, of_block, of_cell, order, n_spread[-1]), place[-1]


def _near(layout: TileLayout, of_cell: Array, row: Array, column: Array, splines: int) -> Array:
    """Columns of `splines` x `splines` neighbours, the first of which is given."""
    n_x = layout.mesh[1] + 2 * (layout.degree + 1) + SLACK
    first = row * n_x + column
    near = jnp.stack([jnp.stack([first + (i * n_x + j) for j in range(splines)], -1) for i in range(splines)], -2)
    return of_cell.at[near].get(mode="promise_in_bounds")


def _marked(marks: Array, group: int) -> tuple[Array, Array]:
    """Where the marks are, filled up to whole groups with the number of places; and how many there are up to each."""
    place, room = jnp.cumsum(marks.astype(jnp.int32)), -(-marks.size // group) * group
    (where,) = jnp.nonzero(marks, size=room, fill_value=marks.size)
    return where.astype(jnp.int32), place


def _for_each_group(order: Array, count: Array, group: int, body: Any, carry: Any) -> Any:
    """Fold `body(samples of a group, carry)`."""

    def one(i: Array, carry: Any) -> Any:
        return body(lax.dynamic_slice_in_dim(order, i * group, group), carry)

    return lax.fori_loop(jnp.zeros((), jnp.int32), -(-count // group), one, carry)


def _within(layout: TileLayout, columns: Array, chunk: Array) -> Array:
    """Columns counted within a chunk; one behind its last for those of other chunks."""
    at = columns - chunk * layout.chunk_size
    return jnp.where((at >= 0) & (at < layout.chunk_size), at, layout.chunk_size)


def _numbers(columns: Array) -> Array:
    """The number of the sample of each column, given as (samples, ...)."""
    count = columns.shape[0]
    return jnp.asarray(np.arange(count, dtype=np.int32).reshape(count, *[1] * (columns.ndim - 1)))


def _seeing(layout: TileLayout, columns: Columns, chunk: Array) -> tuple[Array, Array]:
    """The samples that see a chunk but are not spread, filled up to whole groups, and how many there are."""
    order, number = _marked(jnp.any(_within(layout, columns.of_block, chunk) < layout.chunk_size, (1, 2)), _GROUP)
    return order, number[-1]


def _of_group(layout: TileLayout, columns: Columns, chunk: Array, group: Array) -> Array:
    """The columns of the weights of a group of samples, counted within a chunk."""
    none = layout.n_chunks * layout.chunk_size
    return _within(layout, columns.of_block.at[group].get(mode="fill", fill_value=none), chunk)


def _of_spread(layout: TileLayout, part: Samples, columns: Columns, chunk: Array, group: Array) -> tuple[Array, Array]:
    """The same for spread samples ray by ray, and the places of these in `Spread`, beyond its end for none."""
    assert part.number is not None
    inside, sample = group < layout.n_samples, jnp.minimum(group, layout.n_samples - 1)
    row, column = (a.reshape(layout.n_samples, -1)[sample] for a in (part.row, part.column))
    near = _near(layout, columns.of_cell, row, column, layout.degree + 1)
    place = jnp.where(inside, part.number.ravel()[sample], np.iinfo(np.int32).max)
    return _within(layout, near, chunk), place


def _laid(layout: TileLayout, within: Array, weights: Array) -> Array:
    """Weights of samples (samples, ...) on their columns of a chunk, (chunk, samples)."""
    count = within.shape[0]
    flat = jnp.zeros((layout.chunk_size + 1) * count, weights.dtype)
    target = within * count + _numbers(within)
    flat = flat.at[target.ravel()].add(weights.ravel(), mode="promise_in_bounds")
    return flat.reshape(layout.chunk_size + 1, count)[: layout.chunk_size]


def _looked_up(bar: Array, blur: Array, within: Array) -> Array:
    """The transpose of laying weights and blurring them: `bar` is (pixels, chunk), `blur` (samples, pixels)."""
    laid_bar = product(blur, bar)
    return laid_bar.at[_numbers(within), within].get(mode="fill", fill_value=0.0)


def columns_in_pixels(
    layout: TileLayout, part: Samples, spread: Spread, columns: Columns, chunk: Array, blur: Array
) -> Array:
    """The columns of a chunk as the pixels of the tile see them, (chunk, pixels).

    Args:
        layout, part, spread, columns, chunk: which columns.
        blur: the matrix that blurs the tile's samples, (samples, pixels).
    """
    dtype = blur.dtype
    weights = part.weights.reshape(columns.of_block.shape)

    def add(group: Array, blurred: Array) -> Array:
        within = _of_group(layout, columns, chunk, group)
        return blurred + _laid(layout, within, rows_of(weights, group).astype(dtype)) @ rows_of(blur, group)

    def add_spread(group: Array, blurred: Array) -> Array:
        within, place = _of_spread(layout, part, columns, chunk, group)
        y, x = rows_of(spread.along_y, place), rows_of(spread.along_x, place)
        each = y[..., :, None] * (x * (1 / x.shape[1]))[..., None, :]
        return blurred + _laid(layout, within, each.astype(dtype)) @ rows_of(blur, group)

    blurred = jnp.zeros((layout.chunk_size, blur.shape[1]), dtype)
    blurred = _for_each_group(*_seeing(layout, columns, chunk), _GROUP, add, blurred)
    if columns.spread is None:
        return blurred
    return _for_each_group(columns.spread, columns.n_spread, _SPREAD_GROUP, add_spread, blurred)


def pull_back(
    layout: TileLayout,
    part: Samples,
    spread: Spread,
    columns: Columns,
    chunk: Array,
    blur: Array,
    bar: Array,
    bars: tuple[Array, Spread],
) -> tuple[Array, Spread]:
    """Adds to cotangents of the blocks' weights, (samples, splines, splines), and of the spread rays what follows from
    that of `columns_in_pixels`."""
    bar = bar.astype(blur.dtype).T

    def add(group: Array, weights: Array) -> Array:
        more = _looked_up(bar, rows_of(blur, group), _of_group(layout, columns, chunk, group))
        return weights.at[group].add(more.astype(weights.dtype), mode="drop")

    def add_spread(group: Array, along: Spread) -> Spread:
        within, place = _of_spread(layout, part, columns, chunk, group)
        taps = _looked_up(bar, rows_of(blur, group), within).astype(along.along_y.dtype) / along.along_y.shape[1]
        y = jnp.sum(taps * rows_of(spread.along_x, place)[..., None, :], -1)
        x = jnp.sum(taps * rows_of(spread.along_y, place)[..., :, None], -2)
        add = (a.at[place].add(more, mode="drop") for a, more in ((along.along_y, y), (along.along_x, x)))
        return Spread(*add)

    weights, along = bars
    weights = _for_each_group(*_seeing(layout, columns, chunk), _GROUP, add, weights)
    if columns.spread is None:
        return weights, along
    return weights, _for_each_group(columns.spread, columns.n_spread, _SPREAD_GROUP, add_spread, along)
