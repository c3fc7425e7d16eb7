"""Pairs, block by block: which halos they are, and what these do at some points of the pairs' tiles."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float, Int
from lensax.mass.plummer import PlummerMixture, mixture_slope
from lensax.raytrace.lattice_layout import Layout
from lensax.raytrace.pair_list import PairBlock, Pairs

__all__ = ["HaloRows", "over_blocks"]

# Blocks of pairs that are skipped together.
_SKIPPED_TOGETHER = 8

State = TypeVar("State")


class HaloRows(eqx.Module):
    """Halos one by one, as pairs gather them: leaves (n_halos,), numerators (n_halos, coefficients)."""

    center_x: Float[Array, " halos"]
    center_y: Float[Array, " halos"]
    inverse_square_reach: Float[Array, " halos"]
    numerators: Float[Array, "halos coefficients"]

    @classmethod
    def of(cls, mixture: PlummerMixture) -> "HaloRows":
        """From a mixture in blocks, leaves (n_blocks, width) and (n_blocks, coefficients, width)."""
        numerators = jnp.moveaxis(mixture.numerators, 1, 2)
        return cls(
            mixture.center_x.reshape(-1),
            mixture.center_y.reshape(-1),
            mixture.inverse_square_reach.reshape(-1),
            numerators.reshape(-1, numerators.shape[2]),
        )

    def offsets(
        self, pairs: PairBlock, x: Float[Array, "pairs points"], y: Float[Array, "pairs points"]
    ) -> tuple[Float[Array, "pairs points"], Float[Array, "pairs points"]]:
        """Of points from the halos of their pairs, arcsec."""
        return x - self.center_x[pairs.halo][:, None], y - self.center_y[pairs.halo][:, None]

    def slopes(
        self, pairs: PairBlock, d_x: Float[Array, "pairs points"], d_y: Float[Array, "pairs points"]
    ) -> Float[Array, "pairs points"]:
        """Deflection over distance of a block of pairs, given the offsets; zero in unused slots.

        As the result of a branch it has one consumer (see `mixture_slope`), and empty blocks cost nothing; it is
        checkpointed inside of the branch, else reverse mode would write out every term.
        """

        @jax.checkpoint
        def evaluate(square_distance: Array) -> Array:
            numerators = jnp.where(pairs.used[:, None], self.numerators[pairs.halo], 0).T[..., None]
            return mixture_slope(self.inverse_square_reach[pairs.halo][:, None], numerators, square_distance)

        return lax.cond(jnp.any(pairs.used), evaluate, jnp.zeros_like, d_x * d_x + d_y * d_y)


@jax.named_scope("pairs")
def over_blocks(
    layout: Layout,
    pairs: Pairs,
    first: Int[Array, ""],
    end: Int[Array, ""],
    room: int,
    width: int,
    function: Callable[[State, PairBlock], State],
    state: State,
) -> State:
    """`state = function(state, block)` for all blocks of some pairs; empty ones are skipped if the layout says so.

    Reverse mode keeps the state at every block and computes the rest again.

    Args:
        layout: the lattice.
        pairs: all pairs.
        first, end: numbers of those that are meant.
        room: how many they can be.
        width: pairs in a block.
        function: what is done with a block.
        state: what it is done to.
    """
    blocks = -(-room // width)
    groups = -(-blocks // _SKIPPED_TOGETHER)
    together = -(-blocks // groups)

    def where_filled(index: Array, size: int, function: Callable[[State, Array], State], state: State) -> State:
        if not layout.skip_empty:
            return function(state, index)
        return lax.cond(first + index * size < end, function, lambda state, _: state, state, index)

    def block(state: State, index: Array) -> tuple[State, None]:
        found = lambda state, index: function(state, pairs.block(first + index * width, end, width))  # noqa: E731
        return where_filled(index, width, found, state), None

    def several(state: State, group: Array) -> tuple[State, None]:
        def each(state: State, group: Array) -> State:
            part = group * together + jnp.arange(together, dtype=jnp.int32)
            return lax.scan(jax.checkpoint(block), state, part)[0]

        return where_filled(group, width * together, each, state), None

    return lax.scan(jax.checkpoint(several), state, jnp.arange(groups, dtype=jnp.int32))[0]
