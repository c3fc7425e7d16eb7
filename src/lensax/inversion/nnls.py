"""Non-negative least squares: an active set with a certificate, and its exact derivative.

`x = argmin x.Q.x / 2 - x.q` with `x_b >= 0` for bounded variables and Q positive definite. Block principal pivoting:
all variables that break a condition change sides at once; after three passes without progress only the last of them
does, which cannot cycle (Portugal, Judice & Vicente 1994, Math. Comput. 63, 625). The result is certified: both
conditions of Karush, Kuhn and Tucker hold to 1e-10 and all numbers are finite. Relaxed interior points differentiate a
smoothed problem instead; their derivative is wrong by the relaxation.

With `P = Q^-1` at hand the variables at zero are found from the other side: `x = P (q + m)` vanishes there with the
multipliers m, a system of as many equations as there are zeros. The passes on it are cheap but as inexact as P; those
on Q that follow decide, and usually only confirm.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import sequential_vmap
from jax.scipy.linalg import cho_solve

from lensax._types import Array, Bool, Float, Int

__all__ = ["NonNegative", "nnls", "nnls_of_unit_diagonal", "solve_free"]

_TOLERANCE = 1e-10
_BUDGET = 300
_CHEAP_BUDGET = 20
_PATIENCE = 3
# From so many variables on, the free ones are gathered into smaller systems.
_LARGE = 100


class NonNegative(NamedTuple):
    """The solution of a non-negative least-squares problem.

    Attributes:
        values: x, differentiable in Q and q.
        free: which variables are not held at zero; a warm start for a problem nearby.
        passes: factorisations of the free part of Q.
        certified: whether both conditions hold and all numbers are finite; do not use the values otherwise.
    """

    values: Float[Array, " n"]
    free: Bool[Array, " n"]
    passes: Int[Array, ""]
    certified: Bool[Array, ""]


def _sizes(n: int) -> tuple[int, ...]:
    """Numbers of free variables for which there is a program."""
    return (n,) if n < _LARGE else tuple(-(-n * eighths // 8) for eighths in (1, 2, 3, 4, 5, 6, 8))


def solve_free(matrix: Float[Array, "n n"], vector: Float[Array, " n"], free: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Solve `Q x = q` for the free variables, all others being zero.

    The free variables are gathered into the smallest of a few sizes that are known when compiling, so that a solution
    with many zeros costs little.
    """
    n = vector.size
    sizes = _sizes(n)
    place = jnp.cumsum(free.astype(jnp.int32))

    def at_size(m: int) -> Array:
        which = jnp.searchsorted(place, jnp.arange(1, m + 1, dtype=jnp.int32)).astype(jnp.int32)
        part = matrix.at[which[:, None], which[None, :]].get(mode="fill", fill_value=0.0)
        part = part + jnp.diag((which == n).astype(matrix.dtype))
        factor = lax.linalg.cholesky(part, symmetrize_input=False)
        solution = cho_solve((factor, True), vector.at[which].get(mode="fill", fill_value=0.0))
        return jnp.zeros_like(vector).at[which].set(solution, mode="drop")

    size = jnp.searchsorted(jnp.asarray(sizes, jnp.int32), place[-1])
    return lax.switch(size, [lambda m=m: at_size(m) for m in sizes])


Judge = Callable[[Array], tuple[Array, Array]]


def _exchange(judge: Judge, free: Array, budget: int) -> tuple[Array, Array, Array, Array]:
    """Free variables, values, variables that break a condition, and passes, when none does or the budget is spent.

    Args:
        judge: values and wrong variables for a set of free ones.
        free: to begin with.
        budget: passes at most.
    """
    n = free.size

    def step(state: tuple) -> tuple:
        free, _, bad, fewest, patience, passes = state
        count = jnp.sum(bad)
        patience = jnp.where(count < fewest, _PATIENCE, patience - 1)
        last = jnp.arange(n) == jnp.max(jnp.where(bad, jnp.arange(n), -1))
        free = free ^ jnp.where(patience >= 0, bad, last)
        return free, *judge(free), jnp.minimum(count, fewest), patience, passes + 1

    def unfinished(state: tuple) -> Array:
        return jnp.any(state[2]) & (state[5] < budget)

    count = jnp.sum(jnp.ones_like(free))
    state = (free, *judge(free), count + 1, jnp.full_like(count, _PATIENCE), jnp.ones_like(count))
    free, x, bad, _, _, passes = lax.while_loop(unfinished, step, state)
    return free, x, bad, passes


def _pivot(matrix: Array, vector: Array, bounded: Array, start: Array, inverse: Array | None) -> NonNegative:
    """The solution of a problem of unit diagonal."""
    largest = jnp.max(jnp.abs(vector))

    def broken(free: Array, x: Array, gradient: Array) -> Array:
        return bounded & jnp.where(free, x < -_TOLERANCE * jnp.max(jnp.abs(x)), gradient < -_TOLERANCE * largest)

    def exact(free: Array) -> tuple[Array, Array]:
        x = solve_free(matrix, vector, free)
        return x, broken(free, x, matrix @ x - vector)

    free = start | ~bounded
    if inverse is not None:
        unbounded_solution = inverse @ vector

        def cheap(free: Array) -> tuple[Array, Array]:
            multipliers = solve_free(inverse, -unbounded_solution, ~free)
            x = unbounded_solution + inverse @ multipliers
            return x, broken(free, x, multipliers)

        free = _exchange(cheap, free, _CHEAP_BUDGET)[0]
    free, x, bad, passes = _exchange(exact, free, _BUDGET)
    # NaN passes every comparison, so it is asked for.
    return NonNegative(x, free, passes, ~jnp.any(bad) & jnp.all(jnp.isfinite(x)))


@jax.custom_vjp
def nnls_of_unit_diagonal(
    matrix: Float[Array, "n n"],
    vector: Float[Array, " n"],
    bounded: Bool[Array, " n"],
    start: Bool[Array, " n"],
    inverse: Float[Array, "n n"] | None,
) -> NonNegative:
    """`nnls` of a matrix that is scaled already, nothing being left out."""
    return sequential_vmap(_pivot)(matrix, vector, bounded, start, inverse)


def _forward(
    matrix: Array, vector: Array, bounded: Array, start: Array, inverse: Array | None
) -> tuple[NonNegative, tuple]:
    solution = nnls_of_unit_diagonal(matrix, vector, bounded, start, inverse)
    return solution, (matrix, solution.values, solution.free)


def _backward(kept: tuple, bar: NonNegative) -> tuple:
    matrix, x, free = kept
    of_vector = sequential_vmap(solve_free)(matrix, jnp.where(free, bar.values, 0.0), free)
    return -0.5 * (of_vector[:, None] * x[None, :] + x[:, None] * of_vector[None, :]), of_vector, None, None, None


nnls_of_unit_diagonal.defvjp(_forward, _backward)


def nnls(
    matrix: Float[Array, "n n"],
    vector: Float[Array, " n"],
    bounded: Bool[Array, " n"] | np.ndarray | None = None,
    start: Bool[Array, " n"] | None = None,
    inverse: Float[Array, "n n"] | None = None,
) -> NonNegative:
    """`argmin x.Q.x / 2 - x.q` with `x >= 0` where bounded.

    Args:
        matrix: Q, symmetric and positive definite.
        vector: q.
        bounded: which variables must not be negative; None means all.
        start: variables that are thought to be free, of an earlier solution (a warm start: the result is the same);
            None starts from all.
        inverse: of Q, if it is known: most of the search is done on smaller systems with it (the result is the same,
            and has no derivative by it).

    Returns:
        the solution with its certificate. In reverse mode the derivative of the values is exact wherever no variable
        changes sides.
    """
    n = vector.size
    every = jnp.ones(n, bool)
    scale = lax.stop_gradient(1 / jnp.sqrt(jnp.diag(matrix)))
    found = nnls_of_unit_diagonal(
        matrix * scale[:, None] * scale[None, :],
        vector * scale,
        every if bounded is None else jnp.asarray(bounded, bool),
        every if start is None else start,
        None if inverse is None else lax.stop_gradient(inverse / scale[:, None] / scale[None, :]),
    )
    return found._replace(values=found.values * scale)
