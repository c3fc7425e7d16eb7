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
    return (n,) if n < _LARGE else tuple(-(-n * eighths // 8) for eighths in (1, 2, 4, 6, 8))


def solve_free(matrix: Float[Array, "n n"], vector: Float[Array, " n"], free: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Solve `Q x = q` for the free variables, all others being zero.

    The free variables are gathered into the smallest of a few sizes that are known when compiling, so that a solution
    with many zeros costs little.
    """
    return _solve_part(lambda use: use(matrix), vector, free)


def _solve_part(with_matrix: Callable[[Callable[[Array], Array]], Array], vector: Array, free: Array) -> Array:
    """`solve_free` of the matrix that `with_matrix` hands to a function."""
    n = vector.size
    sizes = _sizes(n)
    numbers = jnp.nonzero(free, size=n, fill_value=n)[0].astype(jnp.int32)
    right = vector.at[numbers].get(mode="fill", fill_value=0.0)

    def at_size(m: int) -> Array:
        which = numbers[:m]
        part = with_matrix(lambda q: q.at[which[:, None], which[None, :]].get(mode="fill", fill_value=0.0))
        factor = lax.linalg.cholesky(part + jnp.diag((which == n).astype(part.dtype)), symmetrize_input=False)
        return jnp.concatenate([cho_solve((factor, True), right[:m]), jnp.zeros(n - m, vector.dtype)])

    size = jnp.searchsorted(jnp.asarray(sizes, jnp.int32), jnp.sum(free).astype(jnp.int32))
    solution = lax.switch(size, [lambda m=m: at_size(m) for m in sizes])
    return jnp.zeros_like(vector).at[numbers].set(solution, mode="drop")


class _State(NamedTuple):
    """The search between two passes.

    Attributes:
        free: the variables that are thought to be free.
        values, bad: of the last pass, and which variables break a condition there.
        fewest, patience: of the wrong variables so far, and passes that may go by without fewer of them.
        passes: on the matrix itself, and on its inverse.
        exact: whether the next pass is one on the matrix itself.
        fresh: whether the next pass is the first of its kind, before which nothing is exchanged.
    """

    free: Array
    values: Array
    bad: Array
    fewest: Array
    patience: Array
    passes: Array
    cheap: Array
    exact: Array
    fresh: Array


def _exchanged(state: _State) -> Array:
    """The free variables of the next pass."""
    numbers = jnp.arange(state.free.size)
    last = numbers == jnp.max(jnp.where(state.bad, numbers, -1))
    changed = state.free ^ jnp.where(state.patience >= 0, state.bad, last)
    return jnp.where(state.fresh, state.free, changed)


def _pivot(matrix: Array, vector: Array, bounded: Array, start: Array, inverse: Array | None) -> NonNegative:
    """The solution of a problem of unit diagonal.

    Both kinds of passes solve a part of a matrix, of Q or of its inverse. They are one loop with one such solver, as it
    is compiled for several sizes.
    """
    n = vector.size
    largest = jnp.max(jnp.abs(vector))
    free_solution = vector if inverse is None else inverse @ vector

    def judged(free: Array, exact: Array) -> tuple[Array, Array]:
        def with_matrix(use: Callable[[Array], Array]) -> Array:
            if inverse is None:
                return use(matrix)
            return lax.cond(exact, lambda: use(matrix), lambda: use(inverse))  # neither is copied

        solved = _solve_part(with_matrix, jnp.where(exact, vector, -free_solution), free ^ ~exact)
        image = with_matrix(lambda q: q @ solved)
        values = jnp.where(exact, solved, free_solution + image)
        gradient = jnp.where(exact, image - vector, solved)
        wrong = jnp.where(free, values < -_TOLERANCE * jnp.max(jnp.abs(values)), gradient < -_TOLERANCE * largest)
        return values, bounded & wrong

    def step(state: _State) -> _State:
        free = _exchanged(state)
        values, bad = judged(free, state.exact)
        count = jnp.sum(bad)
        fewer = state.fresh | (count < state.fewest)
        passes, cheap = (
            total + kind.astype(total.dtype)
            for total, kind in ((state.passes, state.exact), (state.cheap, ~state.exact))
        )
        decided = ~state.exact & (~jnp.any(bad) | (cheap >= _CHEAP_BUDGET))
        patience = jnp.where(fewer, _PATIENCE, state.patience - 1)
        fewest = jnp.where(fewer, count, state.fewest)
        return _State(free, values, bad, fewest, patience, passes, cheap, state.exact | decided, decided)

    def unfinished(state: _State) -> Array:
        return ~state.exact | state.fresh | (jnp.any(state.bad) & (state.passes < _BUDGET))

    none, zero = jnp.zeros(n, bool), jnp.sum(jnp.zeros(n, bool))
    known, yes = jnp.asarray(inverse is None), jnp.asarray(True)
    state = _State(start | ~bounded, jnp.zeros_like(vector), none, zero, zero, zero, zero, known, yes)
    found = lax.while_loop(unfinished, step, state)
    # NaN passes every comparison, so it is asked for.
    certified = ~jnp.any(found.bad) & jnp.all(jnp.isfinite(found.values))
    return NonNegative(found.values, found.free, found.passes, certified)


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
