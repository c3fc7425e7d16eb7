"""The normal equations of an inversion, assembled tile by tile.

With A the blurred and white mapping (pixels x coefficients) and d the white data, `F = A^T A` and `D = A^T d`. A pixel
sees few coefficients, so that a dense A would be wasted memory. For each tile of pixels: mark the coefficients that its
rays see; then, for one chunk of them after the other, lay the taps of the tile and its margin on these columns alone,
blur with a matrix that all tiles have in common, whiten, multiply with the chunks before, add. How many chunks a tile
has is counted when it runs: one program does every tile, whatever it sees, and nothing overflows.

In reverse mode, `dA = A (dF + dF^T) + d dD^T` tile by tile in the same way; columns of A are kept from the way there as
far as there is room, the others are made again.
"""

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
from lensax.inversion.noise import Whitener, whitening_matrix
from lensax.inversion.taps import Taps
from lensax.inversion.tile_layout import TileLayout
from lensax.inversion.tile_mapping import (
    Columns,
    Samples,
    Spread,
    add_slice,
    columns_in_pixels,
    columns_seen,
    pull_back,
    rows_of,
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
    """The matrix that blurs the samples of a tile, (samples, pixels)."""
    outputs, inputs = layout.output, layout.inputs
    at = [np.arange(m)[:, None] - layout.sampling * np.arange(n)[None, :] for m, n in zip(inputs, outputs)]
    inside = [(a >= 0) & (a < k) for a, k in zip(at, layout.kernel)]
    row, column = (np.clip(a, 0, k - 1) for a, k in zip(at, layout.kernel))
    both = inside[0][:, None, :, None] & inside[1][None, :, None, :]
    matrix = jnp.where(both, weights[row[:, None, :, None], column[None, :, None, :]], 0.0)
    return matrix.reshape(layout.n_samples, outputs[0] * outputs[1])


class _Problem(NamedTuple):
    """All arrays of a problem; `light` and `data` are white and have the core's shape."""

    samples: Samples
    spread: Spread
    light: Array
    data: Array
    weights: Array
    pixels: _Pixels
    tiles: Array


class _Tile(NamedTuple):
    """What a tile needs: its first pixel, its part of the problem, and the coefficients that it sees.

    Attributes:
        corner: first row and column.
        samples: of the window that blur into it.
        columns: the coefficients, and the column of each.
        chunks: how many chunks of columns there are.
        pixels: what makes it white.
        light, data: white, (tile^2, components) and (tile^2,).
    """

    corner: Array
    samples: Samples
    columns: Columns
    chunks: Array
    pixels: _Pixels
    light: Array
    data: Array


def _tile(layout: TileLayout, problem: _Problem, number: Array) -> _Tile:
    corner, square, pixels = problem.tiles[number], (layout.tile, layout.tile), problem.pixels
    start = layout.window_start(corner)
    samples = jax.tree.map(lambda array: slice_of(array, start, layout.inputs), problem.samples)
    b = pixels.coefficients
    own = _Pixels(
        slice_of(pixels.inverse, corner, layout.output),
        slice_of(pixels.last, corner, square),
        None if b is None else slice_of(b, corner, square, 1),
    )
    columns, count = columns_seen(layout, samples)
    light = slice_of(problem.light, corner, square, 1).reshape(problem.light.shape[0], layout.tile**2).T
    data = slice_of(problem.data, corner, square).ravel()
    return _Tile(corner, samples, columns, -(-count // layout.chunk_size), own, light, data)


def _whitened(pixels: _Pixels, blurred: Array) -> Array:
    """White columns (k, tile^2) from blurred ones, (k, pixels)."""
    if pixels.coefficients is None:
        return blurred * (pixels.inverse * pixels.last).reshape(1, -1).astype(blurred.dtype)
    # A pixel and its twelve predecessors: one product is faster than twelve shifted sums.
    return blurred @ whitening_matrix(pixels.inverse, pixels.last, pixels.coefficients).astype(blurred.dtype)


def _cells(layout: TileLayout, tile: _Tile, chunk: Array) -> Array:
    """The coefficients of a chunk, `n_cells` where there is none."""
    return lax.dynamic_slice_in_dim(tile.columns.cells, chunk * layout.chunk_size, layout.chunk_size)


def _white(layout: TileLayout, problem: _Problem, blur: Array, tile: _Tile, chunk: Array) -> Array:
    """The blurred and white columns of a chunk, (chunk, tile^2)."""
    blurred = columns_in_pixels(layout, tile.samples, problem.spread, tile.columns, chunk, blur)
    return _whitened(tile.pixels, blurred).astype(problem.data.dtype)


def _for_each(count: Any, body: Any, carry: Any) -> Any:
    return lax.fori_loop(jnp.zeros((), jnp.int32), jnp.asarray(count, jnp.int32), body, carry)


def _blur(layout: TileLayout, problem: _Problem) -> Array:
    blur = _blur_matrix(layout, problem.weights)
    return blur.astype(jnp.float32) if layout.single else blur


def _assemble(layout: TileLayout, problem: _Problem, keep: bool = False) -> tuple[NormalEquations, Array]:
    """F and D; and the white columns of all tiles, as far as there is room for them, or none of them."""
    light, data = problem.light, problem.data
    blur, n, g, size = _blur(layout, problem), layout.n_cells, light.shape[0], layout.chunk_size
    room = layout.kept_chunks if keep else 0

    def add_tile(number: Array, carry: Any) -> Any:
        tile = _tile(layout, problem, number)

        def add_chunk(j: Array, carry: Any) -> Any:
            place, source, cross, vector, whites, kept = carry
            white, cells = _white(layout, problem, blur, tile, j), _cells(layout, tile, j)
            whites = whites.at[j].set(white)

            def add_pair(i: Array, source: Array) -> Array:
                both = white @ whites[i].T * jnp.where(i == j, 0.5, 1.0)
                return source.at[cells[:, None], _cells(layout, tile, i)[None, :]].add(both, mode="drop")

            source = _for_each(j + 1, add_pair, source)
            cross = cross.at[cells].add(white @ tile.light, mode="drop")
            vector = vector.at[cells].add(white @ tile.data, mode="drop")
            if keep:  # what there is no room for is written behind the rest, again and again
                kept = kept.at[jnp.minimum(place, room)].set(white)
            return place + 1, source, cross, vector, whites, kept

        return _for_each(tile.chunks, add_chunk, carry)

    shapes = (n, n), (n, g), (n,), (layout.n_chunks, size, layout.tile**2), (room + keep, size, layout.tile**2)
    begin = jnp.zeros((), jnp.int32), *(jnp.zeros(shape, data.dtype) for shape in shapes)
    _, source, cross, vector, _, kept = _for_each(layout.tiles, add_tile, begin)
    flat = light.reshape(g, data.size)
    curvature = jnp.block([[source + source.T, cross], [cross.T, flat @ flat.T]])
    return NormalEquations(curvature, jnp.concatenate([vector, flat @ data.ravel()])), kept


def _pull_back(
    layout: TileLayout, problem: _Problem, kept: Array, curvature: Array, vector: Array
) -> tuple[Array, Spread, Array, Array]:
    """Cotangents of the blocks' weights, the spread rays, light and data from those of F and D."""
    light, data = problem.light, problem.data
    blur, n, g = _blur(layout, problem), layout.n_cells, light.shape[0]
    square, room = (layout.tile, layout.tile), layout.kept_chunks
    both = curvature + curvature.T
    source, cross = both[:n, :n], both[:n, n:]

    def add_tile(number: Array, carry: Any) -> Any:
        place, *bars = carry
        tile = _tile(layout, problem, number)

        def look_up(j: Array, whites: Array) -> Array:
            white = lax.cond(place + j < room, lambda: kept[place + j], lambda: _white(layout, problem, blur, tile, j))
            return whites.at[j].set(white)

        blurred = jax.ShapeDtypeStruct((layout.chunk_size, blur.shape[1]), blur.dtype)
        transpose = jax.linear_transpose(lambda columns: _whitened(tile.pixels, columns), blurred)
        shape = layout.n_chunks, layout.chunk_size, layout.tile**2
        whites = _for_each(tile.chunks, look_up, jnp.zeros(shape, data.dtype))

        def add_chunk(j: Array, carry: Any) -> Any:
            weights_bar, spread_bar, light_bar, data_bar = carry
            cells, white = _cells(layout, tile, j), whites[j]
            of_cross, of_vector = rows_of(cross, cells), rows_of(vector, cells)

            def add_pair(i: Array, bar: Array) -> Array:
                pair = source.at[cells[:, None], _cells(layout, tile, i)[None, :]]
                return bar + pair.get(mode="fill", fill_value=0.0) @ whites[i]

            bar = of_cross @ tile.light.T + of_vector[:, None] * tile.data[None, :]
            bar = _for_each(tile.chunks, add_pair, bar)
            (blurred_bar,) = transpose(bar.astype(blur.dtype))
            known = layout, tile.samples, problem.spread, tile.columns, j, blur
            weights_bar, spread_bar = pull_back(*known, blurred_bar, (weights_bar, spread_bar))
            return weights_bar, spread_bar, light_bar + white.T @ of_cross, data_bar + of_vector @ white

        weights_bar, spread_bar, light_bar, data_bar = bars
        shapes = tile.columns.of_block.shape, tile.light.shape, tile.data.shape
        begin = tuple(jnp.zeros(shape, data.dtype) for shape in shapes)
        weights, spread_bar, of_light, of_data = _for_each(tile.chunks, add_chunk, (begin[0], spread_bar, *begin[1:]))
        weights = weights.reshape(tile.samples.weights.shape)
        weights_bar = add_slice(weights_bar, weights, layout.window_start(tile.corner))
        light_bar = add_slice(light_bar, of_light.T.reshape(g, *square), tile.corner, 1)
        data_bar = add_slice(data_bar, of_data.reshape(square), tile.corner)
        return place + tile.chunks, weights_bar, spread_bar, light_bar, data_bar

    zeros = jax.tree.map(jnp.zeros_like, (problem.samples.weights, problem.spread, light, data))
    begin = jnp.zeros((), jnp.int32), *zeros
    _, weights_bar, spread_bar, light_bar, data_bar = _for_each(layout.tiles, add_tile, begin)
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
        single: blur and whiten the source in float32.
    """
    weights = pixel_weights(kernel, data.dtype) * pixel_area
    start_y, start_x = (m * frame.sampling - k // 2 for m, k in zip(frame.margin, kernel.shape))
    layout = TileLayout(
        len(frame.tiles),
        frame.n_traced * frame.sampling**2,
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
