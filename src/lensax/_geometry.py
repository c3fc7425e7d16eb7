"""Elliptical coordinates, shared by what bends light and what shines."""

import jax.numpy as jnp

from lensax._types import Array, Float, Scalar

__all__ = ["CORE_RADIUS_SQUARED", "core_floor", "elliptical_coordinates", "elliptical_radius_squared"]

# (1e-6 arcsec)^2: inside this radius a singular centre is made uniform.  Far below what anybody observes; large enough
# that the second derivatives just outside, which go with its fourth and sixth power, are numbers in float32.
CORE_RADIUS_SQUARED = 1e-12


def core_floor(square: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """A squared radius, but that of the core inside it, where its derivatives are zero."""
    return jnp.where(square > CORE_RADIUS_SQUARED, square, CORE_RADIUS_SQUARED)


def elliptical_coordinates(
    x: Float[Array, "*shape"], y: Float[Array, "*shape"], e1: Scalar, e2: Scalar
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    r"""Coordinates in which the ellipses of ellipticity `(e1, e2)` around the origin are circles.

    With `z = x + i y` and `e = e1 + i e2 = (1-q)/(1+q) exp(2 i phi)` they are `zeta = z - e conj(z)`, that is
    `2/(1+q) (q X + i Y) exp(i phi)` for the position (X, Y) along the major and minor axis.  No angle, square root
    or division occurs, so everything built on them is smooth at `e = 0`.

    Returns:
        Real and imaginary part of `zeta` in arcsec.
    """
    return x - (e1 * x + e2 * y), y - (e2 * x - e1 * y)


def elliptical_radius_squared(
    x: Float[Array, "*shape"], y: Float[Array, "*shape"], e1: Scalar, e2: Scalar
) -> Float[Array, "*shape"]:
    """Square of the intermediate-axis radius, `q X^2 + Y^2 / q = |z - e conj(z)|^2 / (1 - |e|^2)`, in arcsec^2."""
    u, v = elliptical_coordinates(x, y, e1, e2)
    return (u * u + v * v) / (1.0 - e1 * e1 - e2 * e2)
