"""From marks to lists: the pairs of every plane, looked up block by block."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array, Bool, Int
from lensax.raytrace.pair_selection import WORD

__all__ = ["PairBlock", "Pairs"]

# Numbers that a step of a search looks at.
_BRANCHES = 32


class PairBlock(eqx.Module):
    """A few (tile, halo) pairs; unused slots come last.

    Attributes:
        tile: index of the tile, (width,).
        halo: row of the halo among the packed ones.
        plane: of the halo, of any one in an unused slot.
        used: whether the slot holds a pair.
    """

    tile: Int[Array, " width"]
    halo: Int[Array, " width"]
    plane: Int[Array, " width"]
    used: Bool[Array, " width"]


class Pairs(eqx.Module):
    """(tile, halo) pairs that receive an exact correction, numbered plane by plane.

    Kept as marks: a pair is found when its block is corrected, so that room for more pairs costs next to nothing.

    Attributes:
        words: a bit for each tile, `n_words` for each halo, (n_halos * n_words,); bit b of word w is tile
            `b n_words + w`.
        running: marks up to and with each word, as a `_Tree`.
        first: number of each plane's first pair, and of all pairs, (n_planes + 1,).
        n_words: words for each halo.
    """

    words: Array
    running: "_Tree"
    first: Int[Array, " planes_and_one"]
    n_words: int = eqx.field(static=True)

    @classmethod
    def from_marks(cls, words: Array, plane: Int[Array, " halo_blocks"], n_planes: int) -> "Pairs":
        """The pairs that are marked.

        Args:
            words: (n_halo_blocks, halos, n_words).
            plane: plane of each halo block, increasing.
            n_planes: number of planes.
        """
        per_block = words.shape[1] * words.shape[2]
        running = jnp.cumsum(lax.population_count(words.reshape(-1)).astype(jnp.int32), dtype=jnp.int32)
        planes = jnp.arange(n_planes + 1, dtype=plane.dtype)
        first_block = jnp.searchsorted(plane, planes, method="compare_all").astype(jnp.int32)
        first = jnp.concatenate([jnp.zeros(1, jnp.int32), running])[first_block * per_block]
        return cls(words.reshape(-1), _Tree.of(running), first, words.shape[2])

    def of_plane(self, plane: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Number of a plane's first pair, and of the first pair after it."""
        return self.first[plane], self.first[plane + 1]

    def per_tile(self, n_tiles: int) -> Int[Array, " tiles"]:
        """Pairs in each tile, all planes."""
        words = self.words.reshape(-1, self.n_words)
        bits = [jnp.sum((words >> np.uint32(bit)) & np.uint32(1), axis=0, dtype=jnp.uint32) for bit in range(WORD)]
        return jnp.concatenate(bits).astype(jnp.int32)[:n_tiles]

    def block(self, first: Int[Array, ""], end: Int[Array, ""], width: int) -> PairBlock:
        """Up to `width` pairs from number `first` to before number `end`: prefix sum and search, no sort."""
        rank = first + jnp.arange(width, dtype=jnp.int32)
        used = rank < end
        at, up_to = self.running.first_above(rank)
        word = self.words[at]
        within = jnp.where(used, rank - (up_to - lax.population_count(word).astype(jnp.int32)), 0)
        tile = _nth_bit(word, within) * self.n_words + at % self.n_words
        plane = jnp.sum(rank[:, None] >= self.first[None, 1:-1], axis=1, dtype=jnp.int32)
        return PairBlock(jnp.where(used, tile, 0), jnp.where(used, at // self.n_words, 0), plane, used)


class _Tree(eqx.Module):
    """Increasing numbers, to be searched: they, then the last ones of every few of them, and so on.

    A binary search is a dozen gathers, one after the other, each a program of its own to the compiler.

    Attributes:
        levels: from the fewest to all, (n / _BRANCHES, _BRANCHES) each, the largest of integers behind the end.
        size: how many numbers there are.
    """

    levels: tuple[Array, ...]
    size: int = eqx.field(static=True)

    @classmethod
    def of(cls, numbers: Int[Array, " n"]) -> "_Tree":
        levels: list[Array] = []
        rest = numbers
        while not levels or levels[0].shape[0] > 1:
            beyond = -rest.shape[0] % _BRANCHES
            rest = jnp.pad(rest, (0, beyond), constant_values=jnp.iinfo(rest.dtype).max)
            levels.insert(0, rest.reshape(-1, _BRANCHES))
            rest = levels[0][:, -1]
        return cls(tuple(levels), numbers.shape[0])

    def first_above(self, value: Int[Array, " queries"]) -> tuple[Int[Array, " queries"], Int[Array, " queries"]]:
        """Place of the first number that is larger than each value, or of the last one, and that number."""
        at = jnp.zeros_like(value)
        for level in self.levels:
            near = level[jnp.minimum(at, level.shape[0] - 1)]
            at = at * _BRANCHES + jnp.sum(near <= value[:, None], axis=1, dtype=jnp.int32)
        at = jnp.minimum(at, self.size - 1)
        return at, self.levels[-1].reshape(-1)[at]


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
