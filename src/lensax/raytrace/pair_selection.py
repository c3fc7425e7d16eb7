"""Which halos need an exact correction in which tiles."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array, Bool, Float, Int, Scalar
from lensax.mass import Halo, MixedHalos
from lensax.raytrace.interpolation_error import predicted_error, predicted_peak
from lensax.raytrace.packing import HaloBlocks

__all__ = ["WORD", "Marked", "TileBoxes", "mark_pairs", "pair_threshold"]

# Tiles are marked by the bits of words.
WORD = 32
# The threshold is sought on a sample of the tiles, by bisection between the largest and this share of it.
_SAMPLE = 48
# What a peak counts: the worst ray may err by this much more than the rms over a tile.
_SHARE_OF_PEAK = 1 / 7
_SMALLEST_SHARE = 1 / 256
_BISECTIONS = 8


class TileBoxes(eqx.Module):
    """The box around each tile's nodes on every plane: leaves (n_planes, n_tiles), angles in arcsec.

    Attributes:
        center_x, center_y, half_x, half_y: of the box.
        spacing: of the nodes, see `effective_spacing`.
        gain: what an error on the plane is multiplied by on the way to the source, at least 1.
    """

    center_x: Float[Array, "*planes tiles"]
    center_y: Float[Array, "*planes tiles"]
    half_x: Float[Array, "*planes tiles"]
    half_y: Float[Array, "*planes tiles"]
    spacing: Float[Array, "*planes tiles"]
    gain: Float[Array, "*planes tiles"]

    def tiles(self, index: np.ndarray) -> "TileBoxes":
        """The boxes of some of the tiles."""
        return jax.tree.map(lambda leaf: leaf[:, index], self)

    def distance(self, x: Float[Array, "halos 1"], y: Float[Array, "halos 1"]) -> Float[Array, "halos tiles"]:
        """From halos to the nearest point of each box, arcsec; leaves are (n_tiles,), or (n_halos, n_tiles)."""
        center_x, center_y, half_x, half_y = (
            jnp.broadcast_to(leaf, (x.shape[0], leaf.shape[-1]))
            for leaf in (self.center_x, self.center_y, self.half_x, self.half_y)
        )
        gap_x = jnp.maximum(jnp.abs(center_x - x) - half_x, 0)
        gap_y = jnp.maximum(jnp.abs(center_y - y) - half_y, 0)
        return jnp.sqrt(gap_x * gap_x + gap_y * gap_y)


class Marked(eqx.Module):
    """Pairs whose predicted error exceeds a threshold.

    Attributes:
        words: a bit for each tile, a row for each halo, (n_blocks, width, n_words), in the order of `Pairs`.
        wanted: pairs on each plane, (n_planes,), before the threshold was raised until they fitted the capacity.
        rest: sum over the unmarked halos of their squared rms errors where they are active, each tile, arcsec^2.
    """

    words: Array
    wanted: Int[Array, " planes"]
    rest: Float[Array, " tiles"]


def block_errors(
    halos: Halo | MixedHalos, boxes: TileBoxes
) -> tuple[Float[Array, "halos tiles"], Float[Array, "halos tiles"]]:
    """Predicted errors in the source of every halo of a block, leaves (width,), in every tile of its plane, (n_tiles,).

    Returns:
        the rms over the tile, and the number that is held against the threshold: no less, and a share of the peak.
    """
    distance = boxes.distance(halos.center_x[:, None], halos.center_y[:, None])
    spacing = boxes.spacing[None]
    kappa_s, scale_radius, core_radius = (
        leaf[:, None] for leaf in (halos.kappa_s, halos.scale_radius, halos.core_radius)
    )
    rms = predicted_error(kappa_s, scale_radius, core_radius, distance, spacing)
    peak = predicted_peak(kappa_s, scale_radius, distance, spacing)
    gain = boxes.gain[None]
    return gain * rms, gain * jnp.maximum(rms, _SHARE_OF_PEAK * peak)


def pair_threshold(
    blocks: HaloBlocks,
    boxes: TileBoxes,
    active: Bool[Array, " tiles"],
    weights: np.ndarray,
    largest: float,
    budget: Scalar,
) -> Scalar:
    """The largest threshold that leaves a mean square error within the budget, from a sample of the tiles, arcsec.

    Args:
        blocks: the halos.
        boxes: the tiles.
        active: where pairs count.
        weights: share of each tile in the mean.
        largest: the threshold is no larger than that, arcsec.
        budget: mean square error over the frame that pairs below the threshold may cause together, arcsec^2.
    """
    n_tiles, dtype = len(weights), boxes.spacing.dtype
    sample = np.sort(np.random.default_rng(0).permutation(n_tiles)[:_SAMPLE])
    sampled = boxes.tiles(sample)
    rows = jax.tree.map(lambda leaf: leaf[blocks.plane], sampled)
    errors, seen = jax.vmap(block_errors)(blocks.halos, rows)
    share = weights[sample] * (np.sum(weights) / np.sum(weights[sample]))
    weighted = jnp.where(active[sample][None, None], errors * errors * jnp.asarray(share, dtype)[None, None], 0)

    def left(threshold: Array) -> Array:
        return jnp.sum(jnp.where(seen > threshold, 0, weighted))

    def bisect(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = jnp.sqrt(low * high)
        fits = left(middle) <= budget
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle)

    top = jnp.asarray(largest, dtype)
    low, _ = lax.fori_loop(0, _BISECTIONS, bisect, (top * _SMALLEST_SHARE, top))
    return jnp.where(left(top) <= budget, top, low)


def mark_pairs(
    blocks: HaloBlocks, boxes: TileBoxes, active: Bool[Array, " tiles"], threshold: Scalar, capacity: int
) -> Marked:
    """Mark the pairs above the threshold; on planes with more than `capacity` of them it is doubled until they fit.

    Args:
        blocks: the halos.
        boxes: the tiles.
        active: where pairs count.
        threshold: predicted error, arcsec.
        capacity: room for pairs on each plane.
    """
    n_planes, n_tiles = boxes.spacing.shape
    width = blocks.halos.kappa_s.shape[1]
    n_words = -(-n_tiles // WORD)
    beyond = ((0, 0), (0, n_words * WORD - n_tiles))
    # Tiles beyond the last fill the words; they are inactive, and far from being degenerate.
    boxes = jax.tree.map(lambda leaf: jnp.pad(leaf, beyond, constant_values=1), boxes)
    active = jnp.pad(active, beyond[1])
    places = jnp.arange(WORD, dtype=jnp.uint32)[None, :, None]

    def mark(level: Array) -> tuple[Array, Array, Array]:
        def block(rest: Array, row: tuple) -> tuple[Array, Array]:
            halos, plane, filled = row

            def evaluate() -> Array:
                # One array holds both results, the squared error or the mark: what has one consumer is computed once.
                error, seen = block_errors(halos, jax.tree.map(lambda leaf: leaf[plane], boxes))
                unmarked = jnp.where(seen > threshold * level[plane], -1, error * error)
                return jnp.where(active[None], unmarked, 0)

            def gather(square: Array, rest: Array) -> tuple[Array, Array]:
                marks = (square < 0).astype(jnp.uint32).reshape(width, WORD, n_words)
                words = jnp.sum(marks << places, axis=1, dtype=jnp.uint32)
                return rest + jnp.sum(jnp.maximum(square, 0), axis=0), words

            def skip(square: Array, rest: Array) -> tuple[Array, Array]:
                return rest, jnp.zeros((width, n_words), jnp.uint32)

            # Two branches: in one, the errors would be computed again for each of the two sums.
            square = lax.cond(filled, evaluate, lambda: jnp.zeros((width, n_words * WORD), rest.dtype))
            return lax.cond(filled, gather, skip, square, rest)

        start = jnp.zeros(n_words * WORD, boxes.spacing.dtype)
        rest, words = lax.scan(block, start, (blocks.halos, blocks.plane, blocks.filled))
        numbers = jnp.sum(lax.population_count(words), axis=(1, 2), dtype=jnp.uint32).astype(jnp.int32)
        return words, jnp.zeros(n_planes, jnp.int32).at[blocks.plane].add(numbers), rest

    def again(state: tuple) -> tuple:
        level, _, counts, _, wanted, first = state
        level = jnp.where(counts > capacity, jnp.where(first, level, 2 * level), level)
        words, counts, rest = mark(level)
        return level, words, counts, rest, jnp.where(first, counts, wanted), jnp.zeros((), bool)

    # The first pass is one of the loop's, so that it is compiled once: it starts as if nothing had fitted.
    unit = jnp.ones(n_planes, boxes.spacing.dtype)
    unmarked = jnp.zeros((*blocks.halos.kappa_s.shape, n_words), jnp.uint32)
    too_many = jnp.full(n_planes, capacity + 1, jnp.int32)
    state = (unit, unmarked, too_many, jnp.zeros(n_words * WORD, unit.dtype), too_many, jnp.ones((), bool))
    _, words, _, rest, wanted, _ = lax.while_loop(lambda state: jnp.any(state[2] > capacity), again, state)
    return Marked(words, wanted, rest[:n_tiles])
