"""Priors on the coefficients of a source that live on its mesh: differences between neighbouring cells.

Their smoothing is constant in cells, that is, stronger in arcsec where cells are large. H is the inverse of the prior's
covariance, `ln P = -s.H.s / 2 + ln|H| / 2 - n ln(2 pi) / 2`.
"""

import abc
import functools
from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._check import check, positive
from lensax._types import Array, Float, Scalar, real
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


@functools.lru_cache(maxsize=8)
def _differences(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`K (+) K` with K the squared differences of neighbours with free ends, and its eigenvalues.

    K is diagonal in the cosine transform of the second kind: `mu_k = 2 - 2 cos(pi k / n)`.
    """

    def along(n: int) -> np.ndarray:
        return np.diag(np.r_[1.0, np.full(n - 2, 2.0), 1.0]) - np.eye(n, k=1) - np.eye(n, k=-1)

    n_y, n_x = shape
    matrix = np.kron(along(n_y), np.eye(n_x)) + np.kron(np.eye(n_y), along(n_x))
    mu_y, mu_x = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape)
    return matrix, (mu_y[:, None] + mu_x[None, :]).ravel()


def _spectral(mesh: PlacedMesh, strength: Scalar, power: int, floor: float) -> Precision:
    """`strength ((K (+) K)^power + floor)`."""
    matrix, eigenvalues = _differences(mesh.shape)
    base = (matrix if power == 1 else matrix @ matrix) + floor * np.eye(mesh.n_cells)
    log_base = float(np.log(eigenvalues**power + floor).sum())
    return Precision(strength * jnp.asarray(base, strength.dtype), mesh.n_cells * jnp.log(strength) + log_base)


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
        links = -np.triu(_differences(mesh.shape)[0], 1)
        upper = jnp.asarray(links, strength.dtype) * (0.5 * (strength[:, None] + strength[None, :]))
        both = upper + upper.T
        matrix = jnp.diag(jnp.sum(both, axis=1) + self.floor * strength) - both
        return Precision(matrix, log_determinant(matrix))
