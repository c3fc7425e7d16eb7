"""Uniform B-splines: the basis of a source, and the kernel of the mesh transform.

Splines of degree p are centred on the whole numbers. At a position z, p + 1 of them differ from zero. Which ones is a
step function of z and carries no derivative; their weights are C^(p-1) in z, and sum to 1.
"""

import jax.numpy as jnp
from jax.lax import stop_gradient

from lensax._types import Array, Float, Int

__all__ = ["DEGREES", "consecutive", "cubic_integrals", "floor_beside", "spline_weights"]

DEGREES = (1, 2, 3)
"""Degrees that are supported: bilinear, quadratic and cubic in two dimensions."""


def floor_beside(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The whole number below z, a constant of differentiation; z is taken as larger by the root of the rounding.

    Symmetric models put positions exactly on whole numbers. A compiler may compute a position twice with different
    rounding, and there its whole part and its fraction would belong to different cells. Slightly beside the whole
    numbers nothing stands by symmetry, and splines of degree 2 and 3, continued so far beyond their cell, are exact to
    rounding.
    """
    return stop_gradient(jnp.floor(z + float(jnp.finfo(z.dtype).eps) ** 0.5))


def spline_weights(
    z: Float[Array, "*shape"], degree: int
) -> tuple[Int[Array, "*shape"], Float[Array, "*shape splines"]]:
    """The splines that differ from zero at `z`.

    Args:
        z: position in units of the splines' distance.
        degree: 1, 2 or 3.

    Returns:
        the centre of the first of them, and the weights of it and its `degree` followers.

    de Boor (1978), A Practical Guide to Splines.
    """
    if degree == 2:
        middle = floor_beside(z + 0.5)
        t = z - middle
        weights, first = [0.5 * (0.5 - t) ** 2, 0.75 - t * t, 0.5 * (0.5 + t) ** 2], middle - 1
    else:
        middle = floor_beside(z)
        t = z - middle
        if degree == 1:
            weights, first = [1 - t, t], middle
        else:
            s = 1 - t
            inner = (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * s**2 + 3 * s**3) / 6
            weights, first = [s**3 / 6, *inner, t**3 / 6], middle - 1
    return first.astype(jnp.int32), jnp.stack(weights, -1)


def consecutive(first: Int[Array, "*shape"], count: int) -> Int[Array, "*shape count"]:
    """The whole numbers `first`, `first + 1`, ... along a last axis."""
    return jnp.stack([first + i for i in range(count)], -1)


def cubic_integrals(t: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], ...]:
    """Integrals from minus infinity to z of the four cubic splines that differ from zero there, the first one first.

    Args:
        t: the fraction `z - floor(z)`.
    """
    return (
        1 - (1 - t) ** 4 / 24,
        (12 + 16 * t - 8 * t**3 + 3 * t**4) / 24,
        (1 + 4 * t + 6 * t**2 + 4 * t**3 - 3 * t**4) / 24,
        t**4 / 24,
    )
