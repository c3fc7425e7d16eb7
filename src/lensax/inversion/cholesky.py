"""Inverse and determinant of a positive definite matrix from its Cholesky factor, by matrix products.

A library's solver takes one core and `2 n^3` steps for `(L L^T)^-1`, without a look at the zeros of L. Halving the
triangle again and again, all but its smallest parts are products, which run on every core:

    [A 0; B C]^-1 = [A^-1 0; -C^-1 B A^-1 C^-1],    M^T M = [A^T A + B^T B, B^T C; C^T B, C^T C]  for M = [A 0; B C].
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float, Scalar

__all__ = ["Factorized", "factorize", "product"]

# Rows of a triangle that is not halved any more.
_SMALL = 200


class Factorized(NamedTuple):
    """A positive definite matrix in parts; NaN of any other.

    Attributes:
        factor: its lower Cholesky factor L.
        inverse: `(L L^T)^-1`.
        log_determinant: `ln|L L^T|`.
    """

    factor: Float[Array, "n n"]
    inverse: Float[Array, "n n"]
    log_determinant: Scalar


def factorize(matrix: Float[Array, "n n"]) -> Factorized:
    """The parts of a positive definite matrix; what is not used is not computed."""
    factor = lax.linalg.cholesky(matrix, symmetrize_input=False)
    return Factorized(factor, _gram(_inverse(factor)), 2 * jnp.sum(jnp.log(jnp.diag(factor))))


def product(a: Float[Array, "n m"], b: Float[Array, "m k"]) -> Float[Array, "n k"]:
    """`a b`, of arrays that lie in memory as they are multiplied.

    Left to itself, XLA merges transpositions and sums into a product, which then takes two to ten times as long.
    """
    return lax.optimization_barrier(jnp.matmul(*lax.optimization_barrier((a, b))))


def _parts(triangle: Array) -> tuple[Array, Array, Array]:
    half = triangle.shape[0] // 2
    return triangle[:half, :half], triangle[half:, :half], triangle[half:, half:]


def _inverse(triangle: Array) -> Array:
    """The inverse of a lower triangle."""
    n = triangle.shape[0]
    if n <= _SMALL:
        return lax.linalg.triangular_solve(triangle, jnp.eye(n, dtype=triangle.dtype), left_side=True, lower=True)
    first, cross, last = _parts(triangle)
    a, c = _inverse(first), _inverse(last)
    return jnp.block([[a, jnp.zeros(cross.T.shape, a.dtype)], [-product(c, product(cross, a)), c]])


def _gram(triangle: Array) -> Array:
    """`M^T M` of a lower triangle M."""
    if triangle.shape[0] <= _SMALL:
        return product(triangle.T, triangle)
    a, b, c = _parts(triangle)
    corner = product(c.T, b)
    return jnp.block([[_gram(a) + product(b.T, b), corner.T], [corner, _gram(c)]])
