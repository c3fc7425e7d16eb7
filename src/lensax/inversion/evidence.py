r"""The Bayesian evidence of a linear source (Suyu et al. 2006, MNRAS 371, 983).

    ln E = -1/2 [ |d - A s|^2 + s.H.s + ln|F + H| - ln|H| + sum ln 2 pi sigma^2 ],   F = A^T A,   D = A^T d

at the source s that minimises `s.(F + H).s / 2 - s.D`, with or without `s >= 0`. Without, it is the exact marginal
likelihood. At the minimum the derivative of s drops out (the envelope theorem, also under bounds):

    dE/dD = s,   dE/dF = -1/2 [s s^T + (F + H)^-1],   dE/dH = -1/2 [s s^T + (F + H)^-1 - H^-1].

Every matrix is scaled to a unit diagonal before it is factorised.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve

from lensax._types import Array, Bool, Float, Int, Scalar
from lensax.inversion.cholesky import Factorized, factorize, product
from lensax.inversion.nnls import nnls_of_unit_diagonal

__all__ = ["Evidence", "evidence_of", "log_determinant"]


@final
class Evidence(eqx.Module):
    """The terms of the log evidence and the solution at which they stand.

    `log_evidence` has the derivative of the envelope theorem. `coefficients` and the first two terms have that of the
    implicit function theorem.

    Attributes:
        log_evidence: ln E.
        chi_squared: `|d - A s|^2` of the white data.
        regularization: `s.H.s`.
        log_det_curvature: `ln|F + H|`.
        log_det_regularization: `ln|H|`.
        log_normalization: `sum ln 2 pi sigma^2`, with the variance that is left where noise is correlated.
        coefficients: s; amplitudes of linear light follow those of the source.
        free: coefficients that are not held at zero.
        passes: of the non-negative solution; 0 where it was not asked for.
        certified: whether the solution is one (see `NonNegative`).
        covariance: of the coefficients without the bounds, `(F + H)^-1`.
    """

    log_evidence: Scalar
    chi_squared: Scalar
    regularization: Scalar
    log_det_curvature: Scalar
    log_det_regularization: Scalar
    log_normalization: Scalar
    coefficients: Float[Array, " n"]
    free: Bool[Array, " n"]
    passes: Int[Array, ""]
    certified: Bool[Array, ""]
    covariance: Float[Array, "n n"]


@jax.custom_vjp
def _factorize(matrix: Array) -> Factorized:
    """Cholesky factor, inverse and log-determinant, of which the last alone has a derivative."""
    return factorize(matrix)


def _factorize_forward(matrix: Array) -> tuple[Factorized, Array]:
    out = factorize(matrix)
    return out, out.inverse


def _factorize_backward(inverse: Array, bar: Factorized) -> tuple[Array]:
    return (bar.log_determinant * inverse,)


_factorize.defvjp(_factorize_forward, _factorize_backward)


@jax.custom_vjp
def _covariance(matrix: Array, inverse: Array) -> Array:
    """The inverse of a symmetric matrix, known already, with its derivative."""
    return inverse


def _covariance_forward(matrix: Array, inverse: Array) -> tuple[Array, Array]:
    return inverse, inverse


def _covariance_backward(inverse: Array, bar: Array) -> tuple[Array, None]:
    return -product(product(inverse, bar), inverse), None


_covariance.defvjp(_covariance_forward, _covariance_backward)


def _unit_diagonal(matrix: Array) -> tuple[Array, Array]:
    """The matrix with a diagonal of 1, and what its rows and columns were multiplied by."""
    scale = lax.stop_gradient(1 / jnp.sqrt(jnp.diag(matrix)))
    return matrix * scale[:, None] * scale[None, :], scale


def log_determinant(matrix: Float[Array, "n n"]) -> Scalar:
    """ln|M| of a positive definite matrix; NaN of any other. Its derivative is the inverse."""
    scaled, scale = _unit_diagonal(matrix)
    return _factorize(scaled).log_determinant - 2 * jnp.sum(jnp.log(scale))


def evidence_of(
    curvature: Float[Array, "n n"],
    data_vector: Float[Array, " n"],
    prior: Float[Array, "n n"],
    log_det_prior: Scalar,
    data_squared: Scalar,
    log_normalization: Scalar,
    positive: bool = True,
    start: Bool[Array, " n"] | None = None,
) -> Evidence:
    """The evidence of a linear model.

    Args:
        curvature: F.
        data_vector: D.
        prior: H.
        log_det_prior: ln|H|.
        data_squared: |d|^2 of the white data.
        log_normalization: `sum ln 2 pi sigma^2`.
        positive: whether no coefficient may be negative.
        start: coefficients that are free in a solution nearby (does not change the result); none, if none is.
    """
    total = curvature + prior
    scaled, scale = _unit_diagonal(total)
    parts = _factorize(scaled)
    factor, inverse = lax.stop_gradient((parts.factor, parts.inverse))
    log_det = parts.log_determinant - 2 * jnp.sum(jnp.log(scale))
    if positive:
        guess = cho_solve((factor, True), lax.stop_gradient(data_vector * scale)) >= 0
        start = guess if start is None else jnp.where(jnp.any(start), start, guess)
        found = nnls_of_unit_diagonal(scaled, data_vector * scale, jnp.ones(start.shape, bool), start, inverse)
        s, free, passes, certified = found._replace(values=found.values * scale)
    else:
        s = _solve(scaled, factor, data_vector * scale) * scale
        free, passes, certified = jnp.ones(s.shape, bool), jnp.zeros((), int), jnp.all(jnp.isfinite(s))
    fixed = lax.stop_gradient(s)
    quadratic = data_squared - 2 * fixed @ data_vector + fixed @ (total @ fixed)
    return Evidence(
        log_evidence=-0.5 * (quadratic + log_det - log_det_prior + log_normalization),
        chi_squared=data_squared - 2 * s @ data_vector + s @ (curvature @ s),
        regularization=s @ (prior @ s),
        log_det_curvature=log_det,
        log_det_regularization=log_det_prior,
        log_normalization=log_normalization,
        coefficients=s,
        free=free,
        passes=passes,
        certified=certified,
        covariance=_covariance(scaled, inverse) * scale[:, None] * scale[None, :],
    )


@jax.custom_vjp
def _solve(matrix: Array, factor: Array, vector: Array) -> Array:
    return cho_solve((factor, True), vector)


def _solve_forward(matrix: Array, factor: Array, vector: Array) -> tuple[Array, tuple[Array, Array]]:
    x = cho_solve((factor, True), vector)
    return x, (factor, x)


def _solve_backward(kept: tuple[Array, Array], bar: Array) -> tuple[Array, Array, Array]:
    factor, x = kept
    v = cho_solve((factor, True), bar)
    return -0.5 * (v[:, None] * x[None, :] + x[:, None] * v[None, :]), jnp.zeros_like(factor), v


_solve.defvjp(_solve_forward, _solve_backward)
