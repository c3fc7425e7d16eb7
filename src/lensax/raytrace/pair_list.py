"""From marks to a list: the pairs of every plane, in blocks of fixed size."""

import equinox as eqx
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Bool, Int
from lensax.raytrace.pair_selection import WORD

__all__ = ["Pairs", "list_pairs"]


class Pairs(eqx.Module):
    """(tile, halo) pairs that receive an exact correction, plane by plane; unused slots come last on each plane.

    Attributes:
        tile: index of the tile, (n_planes, n_blocks, width).
        halo: row of the halo among the packed ones.
        used: whether the slot holds a pair.
    """

    tile: Int[Array, "planes blocks width"]
    halo: Int[Array, "planes blocks width"]
    used: Bool[Array, "planes blocks width"]


def list_pairs(words: Array, plane: Int[Array, " halo_blocks"], n_planes: int, n_blocks: int, width: int) -> Pairs:
    """The marked pairs as a list: population count, prefix sum, binary search; no sort.

    Args:
        words: a bit for each tile, a row for each halo, (n_halo_blocks, halos, n_words).
        plane: plane of each halo block, increasing.
        n_planes: number of planes.
        n_blocks, width: room on each plane; pairs beyond it are left out.
    """
    n_words = words.shape[2]
    words_per_block = words.shape[1] * n_words
    words = words.reshape(-1)
    population = lax.population_count(words).astype(jnp.int32)
    running = jnp.cumsum(population, dtype=jnp.int32)
    first_block = jnp.searchsorted(plane, jnp.arange(n_planes + 1, dtype=plane.dtype)).astype(jnp.int32)
    before = jnp.concatenate([jnp.zeros(1, jnp.int32), running])[first_block * words_per_block]
    rank = before[:-1, None] + jnp.arange(n_blocks * width, dtype=jnp.int32)[None]
    used = rank < before[1:, None]
    at = jnp.minimum(jnp.searchsorted(running, rank + 1).astype(jnp.int32), running.size - 1)
    within = jnp.where(used, rank - (running[at] - population[at]), 0)
    tile = at % n_words * WORD + _nth_bit(words[at], within)
    shape = (n_planes, n_blocks, width)
    return Pairs(
        tile=jnp.where(used, tile, 0).reshape(shape),
        halo=jnp.where(used, at // n_words, 0).reshape(shape),
        used=used.reshape(shape),
    )


def _nth_bit(word: Array, n: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Position of the n-th set bit (from 0) of words: a binary search by the population of their lower halves."""
    position = jnp.zeros_like(n)
    for width in (16, 8, 4, 2, 1):
        lower = (word >> position.astype(jnp.uint32)) & jnp.asarray(2**width - 1, jnp.uint32)
        count = lax.population_count(lower).astype(n.dtype)
        beyond = n >= count
        n = jnp.where(beyond, n - count, n)
        position = jnp.where(beyond, position + width, position)
    return position
