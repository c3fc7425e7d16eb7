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
from lensax.inversion.frame import Frame
from lensax.inversion.noise import Whitener, whiten, whitening_matrix
from lensax.inversion.taps import Taps
from lensax.inversion.tile_layout import TileLayout

__all__ = ["NormalEquations", "normal_equations"]


class NormalEquations(NamedTuple):
    """`F s = D` without the prior: the source's coefficients first, then the amplitudes of the linear light.

    Attributes:
        curvature: F, (n, n).
        data_vector: D, (n,).
    """

    curvature: Array
    data_vector: Array


class _Rays(NamedTuple):
    """Taps in the layout of the window: (rows, columns, rays[, degree + 1])."""

    row: Array
    column: Array
    along_y: Array
    along_x: Array


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


def _slice(array: Array, start: Any, size: tuple[int, int], lead: int = 0) -> Array:
    """Rows and columns `start` to `start + size` of an array whose rows are axis `lead`."""
    rest = array.ndim - lead - 2
    zero = jnp.zeros((), jnp.int32)
    sizes = (*array.shape[:lead], *size, *array.shape[lead + 2 :])
    return lax.dynamic_slice(array, [zero] * lead + list(start) + [zero] * rest, sizes)


def _add_slice(array: Array, part: Array, start: Any, lead: int = 0) -> Array:
    size = part.shape[lead], part.shape[lead + 1]
    zero = jnp.zeros((), jnp.int32)
    where = [zero] * lead + list(start) + [zero] * (array.ndim - lead - 2)
    return lax.dynamic_update_slice(array, _slice(array, start, size, lead) + part, where)


class _Problem(NamedTuple):
    """All arrays of a problem; `light` and `data` are white and have the core's shape."""

    rays: _Rays
    light: Array
    data: Array
    weights: Array
    pixels: _Pixels
    tiles: Array


def _window_start(layout: TileLayout, tile: Array) -> list[Array]:
    """First sample of the window that a tile needs."""
    return [tile[i] * layout.sampling + layout.start[i] for i in (0, 1)]


def _tile_slice(layout: TileLayout, samples: Array, tile: Array) -> Array:
    """The samples of the window that a tile needs."""
    return _slice(samples, _window_start(layout, tile), layout.inputs(layout.output))


def _tile_rays(layout: TileLayout, rays: _Rays, tile: Array) -> _Rays:
    return _Rays(*(_tile_slice(layout, samples, tile) for samples in rays))


def _tile_pixels(layout: TileLayout, pixels: _Pixels, tile: Array) -> _Pixels:
    square = layout.tile, layout.tile
    b = pixels.coefficients
    return _Pixels(
        _slice(pixels.inverse, tile, layout.output),
        _slice(pixels.last, tile, square),
        None if b is None else _slice(b, tile, square, 1),
    )


def _columns_seen(layout: TileLayout, rays: _Rays, tiles: Array) -> Array:
    """Which coefficients each tile sees, (n_tiles, n_cells)."""
    border = layout.degree + 1
    shape = layout.mesh[0] + 2 * border, layout.mesh[1] + 2 * border

    def seen(tile: Array) -> Array:
        row, column = (_tile_slice(layout, index, tile) for index in (rays.row, rays.column))
        first = jnp.zeros(shape, bool).at[row, column].set(True, mode="promise_in_bounds")
        rows = first
        for i in range(1, layout.degree + 1):
            rows = rows | jnp.roll(first, i, 0)
        both = rows
        for i in range(1, layout.degree + 1):
            both = both | jnp.roll(rows, i, 1)
        return both[border:-border, border:-border].ravel()

    return lax.map(seen, tiles)


class _Columns(NamedTuple):
    """A tile's columns: their coefficients (k,), and where each tap lies in (k + 1, samples)."""

    cells: Array
    target: Array


def _columns(layout: TileLayout, seen: Array, rays: _Rays, k: int) -> _Columns:
    """Columns of the coefficients that a tile sees; taps without a coefficient go to row k."""
    border, n_x = layout.degree + 1, layout.mesh[1] + 2 * (layout.degree + 1)
    place = jnp.cumsum(seen.astype(jnp.int32))
    cells = jnp.searchsorted(place, jnp.arange(1, k + 1, dtype=jnp.int32)).astype(jnp.int32)
    position = jnp.pad(jnp.where(seen, place - 1, k).reshape(layout.mesh), border, constant_values=k).ravel()
    first, part = rays.row * n_x + rays.column, range(layout.degree + 1)
    taps = jnp.stack([jnp.stack([first + (i * n_x + j) for j in part], -1) for i in part], -2)
    samples = rays.row.shape[0] * rays.row.shape[1]
    sample = np.arange(samples, dtype=np.int32).reshape(*rays.row.shape[:2], 1, 1, 1)
    return _Columns(cells, position.at[taps].get(mode="promise_in_bounds") * samples + jnp.asarray(sample))


def _mapping(layout: TileLayout, rays: _Rays, columns: _Columns, k: int) -> Array:
    """The tile's part of the mapping, (k, rows, columns) of samples."""
    rows, width, per = rays.row.shape
    weights = rays.along_y[..., :, None] * (rays.along_x * (1 / per))[..., None, :]
    flat = jnp.zeros((k + 1) * rows * width, weights.dtype)
    flat = flat.at[columns.target.ravel()].add(weights.ravel(), mode="promise_in_bounds")
    return flat.reshape(k + 1, rows, width)[:k]


def _at(array: Array, rows: Array) -> Array:
    """Rows of an array, zero for those beyond its last."""
    return array.at[rows].get(mode="fill", fill_value=0.0)


def _for_each_size(layout: TileLayout, seen: Array, body: Callable[[int, Any, Any], Any], carry: Any) -> Any:
    """Fold `body(k, tile, carry)` over all tiles, k being the smallest size that holds the tile's columns."""
    counts = jnp.sum(seen, axis=1)
    order = jnp.argsort(counts)
    start = jnp.zeros((), jnp.int32)
    for k in layout.sizes:
        stop = jnp.sum(counts <= k).astype(jnp.int32)
        carry = lax.fori_loop(start, stop, lambda i, c, k=k: body(k, order[i], c), carry)
        start = stop
    return carry


def _assemble(layout: TileLayout, problem: _Problem, keep: bool = False) -> tuple[NormalEquations, Array]:
    """F and D; and the white columns of every tile, (n_tiles, n_cells, tile^2), or none of them."""
    rays, light, data = problem.rays, problem.light, problem.data
    blur = _blur_matrix(layout, problem.weights)
    seen = _columns_seen(layout, rays, problem.tiles)
    n, g = layout.n_cells, light.shape[0]
    square = layout.tile, layout.tile

    def add(k: int, index: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        source, cross, vector, kept = carry
        tile = problem.tiles[index]
        part = _tile_rays(layout, rays, tile)
        columns = _columns(layout, seen[index], part, k)
        white = _observe(layout, _mapping(layout, part, columns, k), blur, _tile_pixels(layout, problem.pixels, tile))
        cells = columns.cells
        source = source.at[cells[:, None], cells[None, :]].add(white @ white.T, mode="drop")
        cross = cross.at[cells].add(white @ _slice(light, tile, square, 1).reshape(g, layout.tile**2).T, mode="drop")
        vector = vector.at[cells].add(white @ _slice(data, tile, square).ravel(), mode="drop")
        if keep:
            kept = lax.dynamic_update_slice(kept, white[None], [index, *[jnp.zeros((), index.dtype)] * 2])
        return source, cross, vector, kept

    n_kept = len(problem.tiles) if keep else 0
    zeros = (jnp.zeros(shape, data.dtype) for shape in ((n, n), (n, g), (n,), (n_kept, n, layout.tile**2)))
    source, cross, vector, kept = _for_each_size(layout, seen, add, tuple(zeros))
    flat = light.reshape(g, data.size)
    curvature = jnp.block([[source, cross], [cross.T, flat @ flat.T]])
    return NormalEquations(curvature, jnp.concatenate([vector, flat @ data.ravel()])), kept


def _pull_back(
    layout: TileLayout, problem: _Problem, kept: Array, curvature: Array, vector: Array
) -> tuple[Array, Array, Array, Array]:
    """Cotangents of along_y, along_x, light and data from those of F and D."""
    rays, light, data = problem.rays, problem.light, problem.data
    blur = _blur_matrix(layout, problem.weights)
    seen = _columns_seen(layout, rays, problem.tiles)
    n, g = layout.n_cells, light.shape[0]
    square = layout.tile, layout.tile
    both = curvature + curvature.T
    source, cross = both[:n, :n], both[:n, n:]

    def add(k: int, index: Array, carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        along_y, along_x, light_bar, data_bar = carry
        tile = problem.tiles[index]
        part = _tile_rays(layout, rays, tile)
        columns = _columns(layout, seen[index], part, k)
        pixels = _tile_pixels(layout, problem.pixels, tile)
        shape = k, part.row.shape[0], part.row.shape[1]
        transpose = jax.linear_transpose(
            lambda m: _observe(layout, m, blur, pixels), jax.ShapeDtypeStruct(shape, data.dtype)
        )
        white = lax.dynamic_slice(kept, [index, *[jnp.zeros((), index.dtype)] * 2], (1, k, layout.tile**2))[0]
        cells = columns.cells
        of_cross, of_vector = _at(cross, cells), _at(vector, cells)
        of_source = _at(_at(source, cells).T, cells).T
        light_tile, data_tile = (
            _slice(light, tile, square, 1).reshape(g, layout.tile**2),
            _slice(data, tile, square).ravel(),
        )
        bar = of_source @ white + of_cross @ light_tile + of_vector[:, None] * data_tile[None, :]
        (mapping_bar,) = transpose(bar)
        flat = jnp.concatenate([mapping_bar.reshape(-1), jnp.zeros(mapping_bar[0].size, bar.dtype)])
        taps_bar = flat.at[columns.target].get(mode="promise_in_bounds") * (1 / part.row.shape[2])
        start = _window_start(layout, tile)
        along_y = _add_slice(along_y, jnp.sum(taps_bar * part.along_x[..., None, :], -1), start)
        along_x = _add_slice(along_x, jnp.sum(taps_bar * part.along_y[..., :, None], -2), start)
        light_bar = _add_slice(light_bar, (of_cross.T @ white).reshape(g, *square), tile, 1)
        data_bar = _add_slice(data_bar, (of_vector @ white).reshape(square), tile)
        return along_y, along_x, light_bar, data_bar

    zeros = tuple(jnp.zeros_like(a) for a in (rays.along_y, rays.along_x, light, data))
    along_y, along_x, light_bar, data_bar = _for_each_size(layout, seen, add, zeros)
    flat = light.reshape(g, data.size)
    light_bar = light_bar + (both[n:, n:] @ flat + vector[n:, None] * data.ravel()[None, :]).reshape(light.shape)
    return along_y, along_x, light_bar, data_bar + (vector[n:] @ flat).reshape(data.shape)


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
    window = frame.window_taps(taps)
    pixels = _Pixels(whitener.inverse, whitener.last, whitener.coefficients)
    constants = _constant((weights, pixels))
    assemble = sequential_vmap(lambda problem: _assemble(layout, problem)[0])
    assemble_and_keep = sequential_vmap(lambda problem: _assemble(layout, problem, keep=True))
    pull_back = sequential_vmap(lambda problem, kept, f, d: _pull_back(layout, problem, kept, f, d))

    @jax.custom_vjp
    def equations(along_y: Array, along_x: Array, light: Array, data: Array, rest: Any) -> NormalEquations:
        return assemble(posed(along_y, along_x, light, data, rest))

    def posed(along_y: Array, along_x: Array, light: Array, data: Array, rest: Any) -> _Problem:
        row, column, weights, pixels, tiles = rest
        return _Problem(_Rays(row, column, along_y, along_x), light, data, weights, pixels, tiles)

    def forward(along_y: Array, along_x: Array, light: Array, data: Array, rest: Any) -> Any:
        problem = posed(along_y, along_x, light, data, rest)
        found, kept = assemble_and_keep(problem)
        return found, (problem, kept)

    def backward(residual: tuple[_Problem, Array], bar: NormalEquations) -> Any:
        problem, kept = residual
        return *pull_back(problem, kept, bar.curvature, bar.data_vector), None

    equations.defvjp(forward, backward)
    rest = (window.row, window.column, *constants, jnp.asarray(frame.tiles))
    return equations(window.along_y, window.along_x, light, data, rest)


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
