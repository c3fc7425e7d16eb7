"""The rays of a sample taken together: their splines nearly coincide, and their weights add.

With n x n rays in a pixel, n^2 (degree + 1)^2 weights would be laid on the mesh. Rays that begin within one pixel
mostly see the same few splines: where the first ones differ by no more than `SLACK` along either axis, a block of
(degree + 1 + SLACK)^2 weights holds all of them. The others, about the centre of a lens, are kept ray by ray.
"""

from typing import NamedTuple

import jax.numpy as jnp

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
    first_row, first_column = jnp.min(row, -1), jnp.min(column, -1)
    down, right = row - first_row[..., None], column - first_column[..., None]
    spread = jnp.any((down > SLACK) | (right > SLACK), -1)
    y = _shifted(along_y, down)
    x = _shifted(jnp.where(spread[..., None, None], 0.0, along_x), right)
    weights = jnp.sum(y[..., :, None] * x[..., None, :], 2) * (1 / rays)
    return Blocks(first_row, first_column, weights, spread)


def _shifted(along: Array, offset: Array) -> Array:
    """Weights (..., splines) at their place among `splines + SLACK`."""
    count = along.shape[-1]
    parts = []
    for at in range(count + SLACK):
        terms = [jnp.where(offset == at - j, along[..., j], 0.0) for j in range(count) if 0 <= at - j <= SLACK]
        parts.append(sum(terms[1:], terms[0]))
    return jnp.stack(parts, -1)
