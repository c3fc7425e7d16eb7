"""The rays of a sample taken together: their splines nearly coincide, and their weights add.

With n x n rays in a pixel, n^2 (degree + 1)^2 weights would be laid on the mesh. Rays that begin within one pixel
mostly see the same few splines: where the first ones differ by no more than `SLACK` along either axis, a block of
(degree + 1 + SLACK)^2 weights holds all of them. The others, about the centre of a lens, are kept ray by ray.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array
from lensax.inversion.taps import Taps

__all__ = ["SLACK", "Blocks", "merge"]

SLACK = 1
"""Cells by which the rays of a block may differ."""


class Blocks(NamedTuple):
    """The splines that each sample sees.

    Attributes:
        row, column: first spline of each block along y and x, counted as in `Taps`, (n, samples).
        weights: mean over the rays, (n, samples, splines, splines); 0 where the sample is spread.
        spread: whether the rays of a sample lie too far apart for a block; None where each has one ray.
    """

    row: Array
    column: Array
    weights: Array
    spread: Array | None


def merge(taps: Taps, samples: int) -> Blocks:
    """The blocks of rays (n, samples x rays per sample), which are sorted by sample."""
    row, column, along_y, along_x = (
        a.reshape(a.shape[0], samples, a.shape[1] // samples, *a.shape[2:])
        for a in (taps.row, taps.column, taps.along_y, taps.along_x)
    )
    rays = row.shape[2]
    if rays == 1:
        weights = along_y[:, :, 0, :, None] * along_x[:, :, 0, None, :]
        return Blocks(row[..., 0], column[..., 0], weights, None)
    # Each ray once: merged into the sums below, the splines would be computed again for each of them.
    row, column, along_y, along_x = lax.optimization_barrier((row, column, along_y, along_x))
    first_row, first_column = jnp.min(row, -1), jnp.min(column, -1)
    down, right = row - first_row[..., None], column - first_column[..., None]
    spread = jnp.any((down > SLACK) | (right > SLACK), -1)
    weights = _sum_over_rays(along_y, along_x, down, right, spread)
    return Blocks(first_row, first_column, weights, spread)


@jax.custom_vjp
def _sum_over_rays(along_y: Array, along_x: Array, down: Array, right: Array, spread: Array) -> Array:
    """Mean over the rays of the products of their weights, each at its place in the block.

    The derivative is that of the formula; written down, it takes a quarter of the time and of the memory.
    """
    y, x = _shifted(along_y, down), _shifted(along_x, right)
    both = jnp.stack([jnp.stack([jnp.sum(one * other, -1) for other in x], -1) for one in y], -2)
    return jnp.where(spread[..., None, None], 0.0, both * (1 / down.shape[-1]))


def _sum_forward(*arguments: Array) -> tuple[Array, tuple[Array, ...]]:
    return _sum_over_rays(*arguments), arguments


def _sum_backward(arguments: tuple[Array, ...], bar: Array) -> tuple[Array, Array, None, None, None]:
    along_y, along_x, down, right, spread = arguments
    share = jnp.where(spread[..., None, None], 0.0, bar * (1 / down.shape[-1]))
    y, x = _shifted(along_y, down), _shifted(along_x, right)
    at, whole = range(len(y)), [[share[..., i, j, None] for j in range(len(x))] for i in range(len(y))]
    y_bar = [_total([whole[i][j] * x[j] for j in at]) for i in at]
    x_bar = [_total([whole[i][j] * y[i] for i in at]) for j in at]
    return _shifted_back(y_bar, down), _shifted_back(x_bar, right), None, None, None


_sum_over_rays.defvjp(_sum_forward, _sum_backward)


def _total(terms: list[Array]) -> Array:
    return sum(terms[1:], terms[0])


def _shifted(along: Array, offset: Array) -> list[Array]:
    """Weights (..., splines), each at its place among `splines + SLACK`."""
    count = along.shape[-1]
    places = [[j for j in range(count) if 0 <= at - j <= SLACK] for at in range(count + SLACK)]
    return [_total([jnp.where(offset == at - j, along[..., j], 0.0) for j in near]) for at, near in enumerate(places)]


def _shifted_back(bar: list[Array], offset: Array) -> Array:
    """The transpose of `_shifted`."""
    near = range(SLACK + 1)
    splines = range(len(bar) - SLACK)
    return jnp.stack([_total([jnp.where(offset == s, bar[j + s], 0.0) for s in near]) for j in splines], -1)
