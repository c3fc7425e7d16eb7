"""Priors on the coefficients of a source that live on its mesh: differences between neighbouring cells.

Their smoothing is constant in cells, that is, stronger in arcsec where cells are large. H is the inverse of the prior's
covariance, `ln P = -s.H.s / 2 + ln|H| / 2 - n ln(2 pi) / 2`.
"""

import abc
from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._check import check, positive
from lensax._types import Array, Float, Scalar, as_real, real
from lensax.inversion.amplitude import BrightnessMap
from lensax.inversion.evidence import log_determinant
from lensax.inversion.mesh import PlacedMesh

__all__ = ["Adaptive", "Constant", "Curvature", "Precision", "Regularization", "Zeroth"]


class Precision(NamedTuple):
    """The prior of the coefficients.

    Attributes:
        matrix: H, (n_cells, n_cells), in (electrons / s / arcsec^2)^-2.
        log_determinant: ln|H|.
    """

    matrix: Float[Array, "n n"]
    log_determinant: Scalar


class Regularization(eqx.Module):
    """A Gaussian prior on the coefficients of a source."""

    @abc.abstractmethod
    def precision(self, mesh: PlacedMesh) -> Precision:
        """The inverse of the prior's covariance, and its log-determinant."""


def _along(n: int) -> np.ndarray:
    """K: squared differences of neighbours along an axis, with free ends."""
    return np.diag(np.r_[1.0, np.full(n - 2, 2.0), 1.0]) - np.eye(n, k=1) - np.eye(n, k=-1)


def _product(of_y: np.ndarray, of_x: np.ndarray) -> Array:
    """The Kronecker product of a matrix along y and one along x."""
    # Made when the program runs: a constant of the size of H would be copied many times while compiling.
    y, x = lax.optimization_barrier((as_real(of_y), as_real(of_x)))
    return (y[:, None, :, None] * x[None, :, None, :]).reshape(y.shape[0] * x.shape[0], -1)


def _differences(shape: tuple[int, int], power: int = 1) -> Array:
    """`(K (+) K)^power` for a power of 1 or 2."""
    k_y, k_x = (_along(n) for n in shape)
    one_y, one_x = (np.eye(n) for n in shape)
    if power == 1:
        return _product(k_y, one_x) + _product(one_y, k_x)
    return _product(k_y @ k_y, one_x) + _product(one_y, k_x @ k_x) + _product(2 * k_y, k_x)


def _spectral(mesh: PlacedMesh, strength: Scalar, power: int, floor: float) -> Precision:
    """`strength ((K (+) K)^power + floor)`.

    K is diagonal in the cosine transform of the second kind: `mu_k = 2 - 2 cos(pi k / n)`.
    """
    mu_y, mu_x = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in mesh.shape)
    log_base = float(np.log((mu_y[:, None] + mu_x[None, :]) ** power + floor).sum())
    base = _differences(mesh.shape, power) + floor * jnp.eye(mesh.n_cells, dtype=strength.dtype)
    return Precision(strength * base.astype(strength.dtype), mesh.n_cells * jnp.log(strength) + log_base)


def _check_strength(prior: "Zeroth | Constant | Curvature") -> None:
    check(prior, "strength", positive, "a positive number")


def _check_floor(prior: "Constant | Curvature | Adaptive") -> None:
    if not 0 < prior.floor < np.inf:
        raise ValueError(
            f"{type(prior).__name__}: floor must be positive, got {prior.floor!r}: without it the regularization says "
            "nothing about the mean of the source, and the system is singular where no pixel does"
        )


@final
class Zeroth(Regularization):
    """Independent coefficients: `H = strength I`, `ln|H| = n ln(strength)`.

    Args:
        strength: inverse variance of a coefficient.
    """

    strength: Scalar = real()

    def __check_init__(self) -> None:
        _check_strength(self)

    def precision(self, mesh: PlacedMesh) -> Precision:
        """The inverse of the prior's covariance, and its log-determinant."""
        return Precision(
            self.strength * jnp.eye(mesh.n_cells, dtype=self.strength.dtype), mesh.n_cells * jnp.log(self.strength)
        )


@final
class Constant(Regularization):
    """Small gradients: `s.H.s = strength [sum over neighbours (s_i - s_j)^2 + floor sum s_i^2]`.

    `ln|H| = sum_ij ln(mu_i + mu_j + floor) + n ln(strength)` in closed form. The mean of the source is held by the
    floor alone. (PyAutoLens calls this `Constant`, others gradient regularization.)

    Args:
        strength: inverse variance of the difference of neighbours.
        floor: of the coefficients themselves, relative to the strength.

    Suyu et al. (2006), MNRAS 371, 983.
    """

    strength: Scalar = real()
    floor: float = eqx.field(static=True, default=1e-4)

    def __check_init__(self) -> None:
        _check_strength(self)
        _check_floor(self)

    def precision(self, mesh: PlacedMesh) -> Precision:
        """The inverse of the prior's covariance, and its log-determinant."""
        return _spectral(mesh, self.strength, 1, self.floor)


@final
class Curvature(Regularization):
    """Small curvature: `H = strength [(K (+) K)^2 + floor I]`, K the squared differences of neighbours along an axis.

    `ln|H| = sum_ij ln((mu_i + mu_j)^2 + floor) + n ln(strength)` in closed form.

    Args:
        strength: inverse variance of a coefficient's difference from its neighbours.
        floor: of the coefficients themselves, relative to the strength.

    Suyu et al. (2006), MNRAS 371, 983.
    """

    strength: Scalar = real()
    floor: float = eqx.field(static=True, default=1e-4)

    def __check_init__(self) -> None:
        _check_strength(self)
        _check_floor(self)

    def precision(self, mesh: PlacedMesh) -> Precision:
        """The inverse of the prior's covariance, and its log-determinant."""
        return _spectral(mesh, self.strength, 2, self.floor)


@final
class Adaptive(Regularization):
    """Small gradients, weighted by the brightness of an earlier source.

    `s.H.s = sum over neighbours (l_i + l_j) / 2 (s_i - s_j)^2 + floor sum l_i s_i^2`,
    `l_i = outer + (inner - outer) v_i^power`, v from 0 to 1. The log-determinant is that of a Cholesky factor.

    Args:
        inner: strength where the source is brightest.
        outer: strength where it is dark; usually the larger one.
        brightness: v, of an earlier reconstruction.
        power: contrast of the weights, at least 1.
        floor: of the coefficients themselves, relative to the strength.

    Nightingale & Dye (2015), MNRAS 452, 2940; Nightingale, Dye & Massey (2018), MNRAS 478, 4738.
    """

    inner: Scalar = real()
    outer: Scalar = real()
    brightness: BrightnessMap
    power: Scalar = real(default=1.0)
    floor: float = eqx.field(static=True, default=1e-4)

    def __check_init__(self) -> None:
        check(self, "inner", positive, "a positive number")
        check(self, "outer", positive, "a positive number")
        check(self, "power", lambda value: value >= 1, "at least 1")
        _check_floor(self)

    def precision(self, mesh: PlacedMesh) -> Precision:
        """The inverse of the prior's covariance, and its log-determinant."""
        signal = self.brightness(*mesh.centers())
        dark = signal <= 0
        powered = jnp.where(dark, 0.0, jnp.where(dark, 1.0, signal) ** self.power)
        strength = self.outer + (self.inner - self.outer) * powered
        links = -_differences(mesh.shape).astype(strength.dtype) * (1 - jnp.eye(mesh.n_cells, dtype=strength.dtype))
        both = links * (0.5 * (strength[:, None] + strength[None, :]))
        matrix = jnp.diag(jnp.sum(both, axis=1) + self.floor * strength) - both
        return Precision(matrix, log_determinant(matrix))
