"""The normal equations of an inversion, assembled tile by tile.

With A the blurred and white mapping (pixels x coefficients) and d the white data, `F = A^T A` and `D = A^T d`. A pixel
sees few coefficients, so that a dense A would be wasted memory. For each tile of pixels: mark the coefficients that its
rays see, lay the taps of the tile and its margin on these columns alone, blur with a constant matrix, whiten, multiply,
add. Tiles are sorted by their number of columns into sizes that are known when compiling; a loop of varying length does
those of each size. Nothing overflows, as the largest size holds all coefficients.

In reverse mode, `dA = A (dF + dF^T) + d dD^T` tile by tile in the same way; the tiles of A are kept from the way there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import sequential_vmap

from lensax._types import Array
from lensax.instrument.convolution import pixel_weights
from lensax.instrument.kernel import Kernel
from lensax.inversion.blocks import merge
from lensax.inversion.frame import Frame
from lensax.inversion.noise import Whitener, whiten, whitening_matrix
from lensax.inversion.taps import Taps
from lensax.inversion.tile_layout import TileLayout
from lensax.inversion.tile_mapping import (
    Samples,
    Spread,
    add_slice,
    columns_of,
    columns_seen,
    mapping,
    pull_back,
    slice_of,
)

__all__ = ["NormalEquations", "normal_equations"]


class NormalEquations(NamedTuple):
    """`F s = D` without the prior: the source's coefficients first, then the amplitudes of the linear light.

    Attributes:
        curvature: F, (n, n).
        data_vector: D, (n,).
    """

    curvature: Array
    data_vector: Array


class _Pixels(NamedTuple):
    """What the pixels of a field or of a tile bring: see `whiten`."""

    inverse: Array
    last: Array
    coefficients: Array | None


def _blur_matrix(layout: TileLayout, weights: Array) -> Array:
    """The matrix that blurs a block of samples to `blur_rows` rows of pixels, (samples, pixels)."""
    outputs = layout.blur_rows, layout.output[1]
    inputs = layout.inputs(outputs)
    at = [np.arange(m)[:, None] - layout.sampling * np.arange(n)[None, :] for m, n in zip(inputs, outputs)]
    inside = [(a >= 0) & (a < k) for a, k in zip(at, layout.kernel)]
    row, column = (np.clip(a, 0, k - 1) for a, k in zip(at, layout.kernel))
    both = inside[0][:, None, :, None] & inside[1][None, :, None, :]
    matrix = jnp.where(both, weights[row[:, None, :, None], column[None, :, None, :]], 0.0)
    return matrix.reshape(inputs[0] * inputs[1], outputs[0] * outputs[1])


def _observe(layout: TileLayout, mapping: Array, blur: Array, pixels: _Pixels) -> Array:
    """Blurred and white columns (k, tile^2) from columns of samples (k, rows, columns)."""
    if layout.single:
        mapping, blur = mapping.astype(jnp.float32), blur.astype(jnp.float32)
    step, count = layout.blur_rows, layout.output[0] // layout.blur_rows
    height = layout.inputs((step, layout.output[1]))[0]
    k = mapping.shape[0]
    strips = [
        (mapping[:, i * step * layout.sampling : i * step * layout.sampling + height].reshape(k, -1) @ blur).reshape(
            k, step, layout.output[1]
        )
        for i in range(count)
    ]
    blurred = jnp.concatenate(strips, axis=1) if count > 1 else strips[0]
    if pixels.coefficients is None:
        return whiten(blurred.astype(pixels.last.dtype), *pixels).reshape(k, -1)
    # A pixel and its twelve predecessors: one product is faster than twelve shifted sums, above all on the way back.
    matrix = whitening_matrix(pixels.inverse, pixels.last, pixels.coefficients).astype(blurred.dtype)
    return (blurred.reshape(k, -1) @ matrix).astype(pixels.last.dtype)


class _Problem(NamedTuple):
    """All arrays of a problem; `light` and `data` are white and have the core's shape."""

    samples: Samples
    spread: Spread
    light: Array
    data: Array
    weights: Array
    pixels: _Pixels
    tiles: Array


def _tile_samples(layout: TileLayout, samples: Samples, tile: Array) -> Samples:
    """The samples of the window that a tile needs."""
    start, size = layout.window_start(tile), layout.inputs(layout.output)
    return jax.tree.map(lambda array: slice_of(array, start, size), samples)


def _tile_pixels(layout: TileLayout, pixels: _Pixels, tile: Array) -> _Pixels:
    square = layout.tile, layout.tile
    b = pixels.coefficients
    return _Pixels(
        slice_of(pixels.inverse, tile, layout.output),
        slice_of(pixels.last, tile, square),
        None if b is None else slice_of(b, tile, square, 1),
    )


def _at(array: Array, rows: Array) -> Array:
    """Rows of an array, zero for those beyond its last."""
    return array.at[rows].get(mode="fill", fill_value=0.0)


class _Order(NamedTuple):
    """In which order the tiles are done.

    Attributes:
        seen: which coefficients each tile sees, (n_tiles, n_cells).
        tiles: their numbers, those with few columns first.
        stops: how many of them each size and all below it can hold.
    """

    seen: Array
    tiles: Array
    stops: Array


def _order(layout: TileLayout, problem: _Problem) -> _Order:
    seen = columns_seen(layout, problem.samples, problem.tiles)
    counts, sizes = jnp.sum(seen, axis=1), jnp.asarray(layout.sizes)
    stops = jnp.sum(counts[None, :] <= sizes[:, None], axis=1)
    return _Order(seen, jnp.argsort(counts), stops.astype(jnp.int32))


def _for_each_size(layout: TileLayout, order: _Order, body: Callable[[int, Any, Any, Any], Any], carry: Any) -> Any:
    """Fold `body(k, tile, place, carry)` over all tiles, k being the smallest size that holds the tile's columns.

    Their place among the columns of all tiles counts k for each.
    """
    start = place = jnp.zeros((), jnp.int32)
    for k, stop in zip(layout.sizes, order.stops):

        def one(i: Array, state: tuple[Array, Any], k: int = k) -> tuple[Array, Any]:
            return state[0] + k, body(k, order.tiles[i], *state)

        place, carry = lax.fori_loop(start, stop, one, (place, carry))
        start = stop
    return carry


def _white(layout: TileLayout, problem: _Problem, part: Samples, columns: Any, blur: Array, tile: Array) -> Array:
    """The blurred and white columns of a tile, (k, tile^2)."""
    laid = mapping(layout, part, problem.spread, columns, columns.cells.size)
    return _observe(layout, laid, blur, _tile_pixels(layout, problem.pixels, tile))


def _assemble(layout: TileLayout, problem: _Problem, keep: bool = False) -> tuple[NormalEquations, Array]:
    """F and D; and the white columns of all tiles, as far as there is room for them, or none of them."""
    light, data = problem.light, problem.data
    blur, order = _blur_matrix(layout, problem.weights), _order(layout, problem)
    n, g = layout.n_cells, light.shape[0]
    square = layout.tile, layout.tile
    room = layout.kept_columns(len(problem.tiles)) if keep else 0

    def add(k: int, index: Array, place: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        source, cross, vector, kept = carry
        tile = problem.tiles[index]
        columns = columns_of(layout, order.seen[index], k)
        white = _white(layout, problem, _tile_samples(layout, problem.samples, tile), columns, blur, tile)
        cells = columns.cells
        source = source.at[cells[:, None], cells[None, :]].add(white @ white.T, mode="drop")
        cross = cross.at[cells].add(white @ slice_of(light, tile, square, 1).reshape(g, layout.tile**2).T, mode="drop")
        vector = vector.at[cells].add(white @ slice_of(data, tile, square).ravel(), mode="drop")
        if keep:  # what there is no room for is written behind the rest, again and again
            at = jnp.where(place + k <= room, place, room)
            kept = lax.dynamic_update_slice(kept, white, [at, jnp.zeros((), at.dtype)])
        return source, cross, vector, kept

    shapes = (n, n), (n, g), (n,), (room + n if keep else 0, layout.tile**2)
    source, cross, vector, kept = _for_each_size(layout, order, add, tuple(jnp.zeros(s, data.dtype) for s in shapes))
    flat = light.reshape(g, data.size)
    curvature = jnp.block([[source, cross], [cross.T, flat @ flat.T]])
    return NormalEquations(curvature, jnp.concatenate([vector, flat @ data.ravel()])), kept


def _pull_back(
    layout: TileLayout, problem: _Problem, kept: Array, curvature: Array, vector: Array
) -> tuple[Array, Spread, Array, Array]:
    """Cotangents of the blocks' weights, the spread rays, light and data from those of F and D."""
    light, data = problem.light, problem.data
    blur, order = _blur_matrix(layout, problem.weights), _order(layout, problem)
    n, g = layout.n_cells, light.shape[0]
    square, room = (layout.tile, layout.tile), layout.kept_columns(len(problem.tiles))
    both = curvature + curvature.T
    source, cross = both[:n, :n], both[:n, n:]

    def add(k: int, index: Array, place: Array, carry: Any) -> Any:
        weights_bar, spread_bar, light_bar, data_bar = carry
        tile = problem.tiles[index]
        part = _tile_samples(layout, problem.samples, tile)
        columns = columns_of(layout, order.seen[index], k)
        pixels = _tile_pixels(layout, problem.pixels, tile)
        shape = k, *layout.inputs(layout.output)
        transpose = jax.linear_transpose(
            lambda m: _observe(layout, m, blur, pixels), jax.ShapeDtypeStruct(shape, data.dtype)
        )
        white = lax.cond(
            place + k <= room,
            lambda: lax.dynamic_slice(kept, [place, jnp.zeros((), place.dtype)], (k, layout.tile**2)),
            lambda: _white(layout, problem, part, columns, blur, tile),
        )
        cells = columns.cells
        of_cross, of_vector = _at(cross, cells), _at(vector, cells)
        of_source = _at(_at(source, cells).T, cells).T
        light_tile, data_tile = (
            slice_of(light, tile, square, 1).reshape(g, layout.tile**2),
            slice_of(data, tile, square).ravel(),
        )
        bar = of_source @ white + of_cross @ light_tile + of_vector[:, None] * data_tile[None, :]
        weights, spread_bar = pull_back(layout, part, problem.spread, columns, transpose(bar)[0], spread_bar)
        weights_bar = add_slice(weights_bar, weights, layout.window_start(tile))
        light_bar = add_slice(light_bar, (of_cross.T @ white).reshape(g, *square), tile, 1)
        data_bar = add_slice(data_bar, (of_vector @ white).reshape(square), tile)
        return weights_bar, spread_bar, light_bar, data_bar

    zeros = jax.tree.map(jnp.zeros_like, (problem.samples.weights, problem.spread, light, data))
    weights_bar, spread_bar, light_bar, data_bar = _for_each_size(layout, order, add, zeros)
    flat = light.reshape(g, data.size)
    light_bar = light_bar + (both[n:, n:] @ flat + vector[n:, None] * data.ravel()[None, :]).reshape(light.shape)
    return weights_bar, spread_bar, light_bar, data_bar + (vector[n:] @ flat).reshape(data.shape)


def _in_window(frame: Frame, taps: Taps) -> tuple[Samples, Spread]:
    """The rays of traced pixels as samples of the window; a pixel that is not traced sees no coefficient."""
    samples = frame.sampling**2
    blocks = merge(taps, samples)
    row, column = frame.window(taps.row), frame.window(taps.column)
    block_row, block_column, weights = (frame.window(a)[:, :, 0] for a in (blocks.row, blocks.column, blocks.weights))
    if blocks.spread is None:
        none = jnp.zeros((0, 1, taps.degree + 1), weights.dtype)
        return Samples(row, column, block_row, block_column, weights, None, None), Spread(none, none)
    number = np.arange(frame.n_traced * samples, dtype=np.int32).reshape(frame.n_traced, samples)
    spread, numbers = (frame.window(a)[:, :, 0] for a in (blocks.spread, jnp.asarray(number)))
    rays = taps.row.shape[1] // samples
    one_by_one = (a.reshape(-1, rays, taps.degree + 1) for a in (taps.along_y, taps.along_x))
    return Samples(row, column, block_row, block_column, weights, spread, numbers), Spread(*one_by_one)


def normal_equations(
    frame: Frame,
    taps: Taps,
    light: Array,
    data: Array,
    kernel: Kernel,
    whitener: Whitener,
    pixel_area: float,
    single: bool = False,
) -> NormalEquations:
    """F and D of a source with linear light, differentiable in the taps, the light and the data.

    The point spread function and the noise are constants: their derivative is an error.

    Args:
        frame: the pixels.
        taps: of the traced rays, (n_traced, rays per pixel).
        light: white images of the linear light, (n, rows, columns) of the core.
        data: the white data.
        kernel: point spread function.
        whitener: on the field, `last` and `coefficients` on the core.
        pixel_area: by which a brightness becomes the light of a pixel.
        single: blur the source in float32.
    """
    weights = pixel_weights(kernel, data.dtype) * pixel_area
    start_y, start_x = (m * frame.sampling - k // 2 for m, k in zip(frame.margin, kernel.shape))
    layout = TileLayout(
        frame.tile,
        frame.reach,
        frame.sampling,
        (start_y, start_x),
        (weights.shape[0], weights.shape[1]),
        taps.shape,
        taps.degree,
        single,
    )
    samples, spread = _in_window(frame, taps)
    pixels = _Pixels(whitener.inverse, whitener.last, whitener.coefficients)
    constants = _constant((weights, pixels))
    assemble = sequential_vmap(lambda problem: _assemble(layout, problem)[0])
    assemble_and_keep = sequential_vmap(lambda problem: _assemble(layout, problem, keep=True))
    backwards = sequential_vmap(lambda problem, kept, f, d: _pull_back(layout, problem, kept, f, d))

    @jax.custom_vjp
    def equations(block_weights: Array, spread: Spread, light: Array, data: Array, rest: Any) -> NormalEquations:
        return assemble(posed(block_weights, spread, light, data, rest))

    def posed(block_weights: Array, spread: Spread, light: Array, data: Array, rest: Any) -> _Problem:
        samples, weights, pixels, tiles = rest
        return _Problem(samples._replace(weights=block_weights), spread, light, data, weights, pixels, tiles)

    def forward(block_weights: Array, spread: Spread, light: Array, data: Array, rest: Any) -> Any:
        problem = posed(block_weights, spread, light, data, rest)
        found, kept = assemble_and_keep(problem)
        return found, (problem, kept)

    def backward(residual: tuple[_Problem, Array], bar: NormalEquations) -> Any:
        problem, kept = residual
        return *backwards(problem, kept, bar.curvature, bar.data_vector), None

    equations.defvjp(forward, backward)
    rest = (samples._replace(weights=jnp.zeros(())), *constants, jnp.asarray(frame.tiles))
    return equations(samples.weights, spread, light, data, rest)


@jax.custom_jvp
def _constant(values: Any) -> Any:
    """The same values; an error when something is differentiated with respect to them."""
    return values


def _refuse(primals: tuple, tangents: tuple) -> tuple:
    from jax.custom_derivatives import SymbolicZero

    if any(not isinstance(t, SymbolicZero) for t in jax.tree.leaves(tangents)):
        raise TypeError(
            "the point spread function and the noise are constants of an inversion: "
            "it has no derivative with respect to them"
        )
    return primals[0], tangents[0]


_constant.defjvp(_refuse, symbolic_zeros=True)
