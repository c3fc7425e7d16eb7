r"""Priors on the coefficients of a source that live in the sky: a covariance that depends on distance in arcsec.

`C_ij = a_i a_j [k(r_ij) + nugget delta_ij]`, r in arcsec between the splines' centres, a the deviation at their place;
`H = C^-1`. With `x = sqrt(2 nu) r / length` the Matern kernels are `exp(-x)`, `(1 + x) exp(-x)` and
`(1 + x + x^2 / 3) exp(-x)` for nu = 1/2, 3/2, 5/2 (Rasmussen & Williams 2006, Gaussian Processes for Machine Learning,
section 4.2; for sources: Vernardos & Koopmans 2022, MNRAS 516, 1347); the Gaussian is their limit,
`exp(-r^2 / (2 length^2))`.
"""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._check import check, positive
from lensax._types import Array, Float, Scalar, real
from lensax.inversion.amplitude import Amplitude, UniformAmplitude
from lensax.inversion.cholesky import factorize, product
from lensax.inversion.mesh import PlacedMesh
from lensax.inversion.regularization import Precision, Regularization

__all__ = ["GaussianKernel", "Matern", "matern"]

_ORDERS = (0.5, 1.5, 2.5)


def matern(r: Float[Array, "*shape"], length: Scalar, nu: float) -> Float[Array, "*shape"]:
    """The Matern correlation at a distance r, 1 at r = 0.

    Args:
        r: arcsec.
        length: arcsec.
        nu: 1/2, 3/2 or 5/2.
    """
    x = (2 * nu) ** 0.5 * r / length
    factor = {0.5: 1.0, 1.5: 1 + x, 2.5: 1 + x + x * x / 3}[nu]
    return factor * jnp.exp(-x)


def _distance_squared(mesh: PlacedMesh) -> Array:
    x, y = mesh.centers()
    return (x[:, None] - x[None, :]) ** 2 + (y[:, None] - y[None, :]) ** 2


def _distance(mesh: PlacedMesh) -> Array:
    square = _distance_squared(mesh)
    apart = square > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)


@jax.custom_vjp
def _inverse(matrix: Array) -> tuple[Array, Array]:
    """Inverse and log-determinant of a positive definite matrix, by one Cholesky factorisation."""
    return _inverse_forward(matrix)[0]


def _inverse_forward(matrix: Array) -> tuple[tuple[Array, Array], Array]:
    parts = factorize(matrix)
    return (parts.inverse, parts.log_determinant), parts.inverse


def _inverse_backward(inverse: Array, bar: tuple[Array, Array]) -> tuple[Array]:
    return (bar[1] * inverse - product(product(inverse, bar[0]), inverse),)


_inverse.defvjp(_inverse_forward, _inverse_backward)


def _precision(correlation: Array, nugget: float, amplitude: Amplitude, mesh: PlacedMesh) -> Precision:
    deviation = amplitude(*mesh.centers())
    inverse, log_det = _inverse(correlation + nugget * jnp.eye(mesh.n_cells, dtype=correlation.dtype))
    scaled = inverse / deviation[:, None] / deviation[None, :]
    return Precision(scaled, -log_det - 2 * jnp.sum(jnp.log(deviation)))


def _amplitude(value: Any) -> Amplitude:
    return value if isinstance(value, Amplitude) else UniformAmplitude(value)


@final
class Matern(Regularization):
    """A Matern covariance in arcsec.

    Args:
        length: arcsec.
        amplitude: deviation of the coefficients in electrons / s / arcsec^2: a number, or an `Amplitude` that
            depends on the place.
        nu: 1/2, 3/2 or 5/2; the larger, the smoother the source.
        nugget: independent variance of each coefficient, relative to the kernel's; keeps the inverse well defined.

    Raises:
        ValueError: a concrete parameter is outside its range.
    """

    length: Scalar = real()
    amplitude: Amplitude = eqx.field(converter=_amplitude)
    nu: float = eqx.field(static=True, default=0.5)
    nugget: float = eqx.field(static=True, default=1e-6)

    def __check_init__(self) -> None:
        check(self, "length", positive, "a positive angle in arcsec")
        if self.nu not in _ORDERS:
            raise ValueError(f"Matern: nu must be 0.5, 1.5 or 2.5, got {self.nu!r}")
        _check_nugget(self)

    def precision(self, mesh: PlacedMesh) -> Precision:
        """The inverse of the prior's covariance, and its log-determinant."""
        return _precision(matern(_distance(mesh), self.length, self.nu), self.nugget, self.amplitude, mesh)


@final
class GaussianKernel(Regularization):
    """A Gaussian covariance in arcsec, `exp(-r^2 / (2 length^2))`.

    Args:
        length: arcsec.
        amplitude: deviation of the coefficients in electrons / s / arcsec^2: a number, or an `Amplitude` that
            depends on the place.
        nugget: independent variance of each coefficient, relative to the kernel's; the kernel itself has no inverse in
            finite precision.

    Raises:
        ValueError: a concrete parameter is outside its range.
    """

    length: Scalar = real()
    amplitude: Amplitude = eqx.field(converter=_amplitude)
    nugget: float = eqx.field(static=True, default=1e-4)

    def __check_init__(self) -> None:
        check(self, "length", positive, "a positive angle in arcsec")
        _check_nugget(self)

    def precision(self, mesh: PlacedMesh) -> Precision:
        """The inverse of the prior's covariance, and its log-determinant."""
        return _precision(jnp.exp(-0.5 * _distance_squared(mesh) / self.length**2), self.nugget, self.amplitude, mesh)


def _check_nugget(prior: Matern | GaussianKernel) -> None:
    if not 0 < prior.nugget < 1:
        raise ValueError(f"{type(prior).__name__}: nugget must be between 0 and 1, got {prior.nugget!r}")
