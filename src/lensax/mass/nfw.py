r"""Functions of one radius from which every NFW-like lens is built, accurate through `v = 1`, differentiable anywhere.

A density profile with poles at `y = -1` projects to combinations of the functions

    S_n(v) = int_0^1 t^(n-1) dt / [1 - (1 - v^2) t^2] = sum_k (1 - v^2)^k / (2k + n),    v dS_n/dv = -n (S_n - S_(n+2)),

of the projected radius `v` in units of the scale radius, for which `1/[1 - (1 - v^2) t^2]` generates Chebyshev
polynomials of the second kind, so that near v = 1 a dozen terms hold all digits:

    S_n(v) = 4/(1+v)^2 sum_k c_nk z^k,   z = (1-v)/(1+v),   c_3k = (k+1)/[(2k+1)(2k+3)],
    c_(n+2)k = [c_n(k-1) + 2 c_nk + c_n(k+1)]/4.

The first, `S_1`, is the `F(v)` of every NFW paper, `S_3` is
half the NFW surface density `G(v)`. The derivative of each is the next, never a quotient by `v - 1`: gradients of any
order stay finite and accurate at the scale radius.

For each of the densities below there are functions: half its surface density `k/2`, its mass inside the projected
radius, `m(v) = int_0^v v' k/2 dv'`, and its potential `int_0^v m/v' dv'`.

    nfw     1 / [y (1+y)^2]     G, h, g/2
    linear  -1 / (1+y)          F, H, H - g/2     (up to the infinite constant that its surface density contains)
    square  1 / (1+y)^2         F - G, H - h, H - g
    cube    2 / (1+y)^3         -v G', 2h - v^2 G, g - h

Arguments are positive arrays of any shape; results have that shape and dtype.

Papers: Navarro, Frenk & White (1997), ApJ 490, 493; Bartelmann (1996), A&A 313, 697 (surface density and mass);
Baltz, Marshall & Oguri (2009), JCAP 01, 015 (potential).
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from lensax._types import Array, Float

__all__ = ["nfw_mass", "projected_nfw_density", "projected_nfw_mass", "projected_nfw_potential"]

# |1 - v^2| below which a power series replaces the closed forms.
_SERIES_WIDTH = 0.2


def is_double(x: Array) -> bool:
    """Whether an array is in double precision, and so asks for longer series."""
    return bool(jnp.finfo(x.dtype).eps < 1e-10)


def horner(coefficients: list[Any], z: Array) -> Array:
    """The polynomial `sum_k coefficients[k] z^k`."""
    total = jnp.ones_like(z) * coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * z + coefficient
    return total


def with_derivative(derivative: Callable[[Array], Array]) -> Callable[[Callable[[Array], Array]], Any]:
    """Give a function of one array its derivative: piecewise values are accurate, but kinked at their seams."""

    def decorate(function: Callable[[Array], Array]) -> Any:
        wrapped = jax.custom_jvp(function)

        @wrapped.defjvp
        def rule(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
            (v,), (tangent,) = primals, tangents
            return wrapped(v), derivative(v) * tangent

        return jax.jit(wrapped)

    return decorate


def total_derivative(value: Array, *terms: tuple[Callable[[], Array], Any]) -> Array:
    """The sum of `slope() * tangent`, in which only the slopes along which something moves are evaluated."""
    moving = [slope() * tangent for slope, tangent in terms if not isinstance(tangent, SymbolicZero)]
    return sum(moving[1:], start=moving[0]) if moving else jnp.zeros_like(value)


@cache
def _series(order: int, count: int) -> list[float]:
    """The first coefficients `c_nk` at the top of this file, for an odd order from 3."""
    if order == 3:
        return [(k + 1) / ((2 * k + 1) * (2 * k + 3)) for k in range(count)]
    lower = [0.0, *_series(order - 2, count + 1)]
    return [(lower[k] + 2.0 * lower[k + 1] + lower[k + 2]) / 4.0 for k in range(count)]


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _disc(v: Float[Array, "..."], order: int) -> Float[Array, "..."]:
    """The function `S_order(v)` at the top of this file; `order` is odd."""
    w = (1.0 - v) * (1.0 + v)
    inner, outer = w >= _SERIES_WIDTH, w <= -_SERIES_WIDTH
    near = ~(inner | outer)
    # Away from v = 1: the elementary function S_1, then upwards by S_(n+2) = (S_n - 1/n) / w.
    v_inner = jnp.where(inner, v, 0.5)
    q = jnp.sqrt((1.0 - v_inner) * (1.0 + v_inner))
    v_outer = jnp.where(outer, v, 2.0)
    p = jnp.sqrt((v_outer - 1.0) * (v_outer + 1.0))
    value = jnp.where(inner, jnp.log((1.0 + q) / v_inner) / q, jnp.arctan(p) / p)
    divisor = jnp.where(near, 1.0, w)
    for n in range(1, order, 2):
        value = (value - 1.0 / n) / divisor
    # Near v = 1: the series of the highest order, then downwards by S_n = 1/n + w S_(n+2), which loses no digits.
    w_near, v_near = jnp.where(near, w, 0.0), jnp.where(near, v, 1.0)
    top = max(order, 5)
    scale = 1.0 / (1.0 + v_near)
    series = horner(_series(top, 12 if is_double(v) else 6), (1.0 - v_near) * scale) * (2.0 * scale) ** 2
    for n in range(top - 2, order - 2, -2):
        series = 1.0 / n + w_near * series
    return jnp.where(near, series, value)


@_disc.defjvp
def _disc_rule(order: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (v,), (tangent,) = primals, tangents
    value = disc(v, order)
    return value, -order * (value - disc(v, order + 2)) / v * tangent


# Traced once for all places where it stands.
disc = jax.jit(_disc, static_argnums=1)


def depth(v: Array) -> tuple[Array, Array]:
    """`q = sqrt(1 - v^2)` and `ln[(1 + q)/2]` without cancellation at small v; for v >= 1 only finite."""
    v = jnp.where(v < 1.0, v, 0.5)
    q = jnp.sqrt((1.0 - v) * (1.0 + v))
    return q, jnp.log1p(-v * v / (2.0 * (1.0 + q)))


def _log_half(v: Array) -> Array:
    """`ln(v/2)` for v >= 1; for v < 1 only finite."""
    return jnp.log(jnp.where(v < 1.0, 2.0, v) / 2.0)


def projected_nfw_density(v: Float[Array, "..."]) -> Float[Array, "..."]:
    """NFW surface density over `2 rho_s r_s`: `G(v) = (1 - F)/(v^2 - 1)`, with `G(1) = 1/3`.

    Arguments:
        v: projected radius over the scale radius.

    Bartelmann (1996), A&A 313, 697.
    """
    return disc(v, 3)


@with_derivative(lambda v: v * disc(v, 3))
def projected_nfw_mass(v: Float[Array, "..."]) -> Float[Array, "..."]:
    """NFW mass inside a cylinder over `4 pi rho_s r_s^3`: `h(v) = ln(v/2) + F(v)`.

    Arguments:
        v: projected radius over the scale radius.

    Bartelmann (1996), A&A 313, 697.
    """
    q, log_depth = depth(v)
    f = disc(v, 1)
    return jnp.where(v < 1.0, log_depth + v * v / (1.0 + q) * f, _log_half(v) + f)


@with_derivative(lambda v: 2.0 * projected_nfw_mass(v) / v)
def projected_nfw_potential(v: Float[Array, "..."]) -> Float[Array, "..."]:
    """NFW potential, `g(v) = 2 int_0^v h dt/t = ln^2(v/2) - arccosh^2(1/v)`; the lens has `psi = 2 kappa_s r_s^2 g`.

    Arguments:
        v: projected radius over the scale radius.

    Baltz, Marshall & Oguri (2009), JCAP 01, 015.
    """
    w = (1.0 - v) * (1.0 + v)
    inner = w >= _SERIES_WIDTH
    q, log_depth = depth(v)
    f = disc(v, 1)
    # Inside, the difference of two squares of large logarithms is written as a product.
    half_log = jnp.log(jnp.where(inner, 2.0, v) / 2.0)
    return jnp.where(inner, -log_depth * (2.0 * q * f - log_depth), half_log * half_log - w * f * f)


def linear_density(v: Array) -> Array:
    """`F(v) = arccosh(1/v)/sqrt(1 - v^2)`, continued through v = 1 as `arccos(1/v)/sqrt(v^2 - 1)`."""
    return disc(v, 1)


@with_derivative(lambda v: v * disc(v, 1))
def linear_mass(v: Array) -> Array:
    """`H(v) = v^2 F - h`."""
    q, log_depth = depth(v)
    f = disc(v, 1)
    return jnp.where(v < 1.0, v * v * q / (1.0 + q) * f - log_depth, (v - 1.0) * (v + 1.0) * f - _log_half(v))


def _square_density_slope(v: Array) -> Array:
    return (cube_density(v) - square_density(v)) / v


@with_derivative(_square_density_slope)
def square_density(v: Array) -> Array:
    """`F - G = 1 - v^2 G`."""
    return jnp.where(v < 1.0, 1.0 - v * v * disc(v, 3), disc(v, 1) - disc(v, 3))


@with_derivative(lambda v: v * square_density(v))
def square_mass(v: Array) -> Array:
    """`H - h = 2H - v^2 F`."""
    q, log_depth = depth(v)
    f = disc(v, 1)
    inside = -((v * v / (1.0 + q)) ** 2) * f - 2.0 * log_depth
    return jnp.where(v < 1.0, inside, (v * v - 2.0) * f - 2.0 * _log_half(v))


@with_derivative(lambda v: square_mass(v) / v)
def square_potential(v: Array) -> Array:
    """`H - g`."""
    return linear_mass(v) - projected_nfw_potential(v)


def cube_density_slope(v: Array) -> Array:
    """`v d/dv` of `cube_density`."""
    near, far = 9.0 * disc(v, 5) - 15.0 * disc(v, 7), -9.0 * disc(v, 3) + 24.0 * disc(v, 5) - 15.0 * disc(v, 7)
    return jnp.where(v < 1.0, v * v * near, far)


@with_derivative(lambda v: cube_density_slope(v) / v)
def cube_density(v: Array) -> Array:
    """`-v G' = 3 (G - S_5) = 1 - 3 v^2 S_5`."""
    return jnp.where(v < 1.0, 1.0 - 3.0 * v * v * disc(v, 5), 3.0 * (disc(v, 3) - disc(v, 5)))


@with_derivative(lambda v: v * cube_density(v))
def cube_mass(v: Array) -> Array:
    """`2h - v^2 G`."""
    inner = v < 0.9
    v_inner = jnp.where(inner, v, 0.5)
    q, log_depth = depth(v_inner)
    w, v2 = q * q, v_inner * v_inner
    inside = 2.0 * log_depth + v2 / w - v2 * v2 * (2.0 * q + 1.0) * disc(v_inner, 1) / (w * (1.0 + q) ** 2)
    return jnp.where(inner, inside, 2.0 * projected_nfw_mass(v) - v * v * disc(v, 3))


@with_derivative(lambda v: cube_mass(v) / v)
def cube_potential(v: Array) -> Array:
    """`g - h`."""
    return projected_nfw_potential(v) - projected_nfw_mass(v)


def nfw_mass(concentration: Float[Array, "..."]) -> Float[Array, "..."]:
    """Mass of an NFW halo inside `c` scale radii over `4 pi rho_s r_s^3`: `mu(c) = ln(1 + c) - c/(1 + c)`.

    Arguments:
        concentration: radius of the sphere over the scale radius.

    Navarro, Frenk & White (1997), ApJ 490, 493.
    """
    return jnp.log1p(concentration) - concentration / (1.0 + concentration)
