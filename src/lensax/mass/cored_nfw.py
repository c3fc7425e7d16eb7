r"""The cored NFW lens, `rho = rho_s / [(y + f) (1 + y)^2]` with `y = r/r_s` and the core fraction `f = r_c/r_s`.

The function `1/(y + a)` of `a` has the second divided difference `1/[(y + f) (1 + y)^2]` over the nodes `f, 1, 1`. The
lens of the halo is therefore the same divided difference of the lens of `1/(y + a)`. With `Q(x; a)` the lens of
`-1/(y + a)` (surface density `F(x/a)`, mass `a^2 H(x/a)`, potential `a^2 P(x/a)`, `P = H - g/2`; see nfw.py),

    -Q[f, 1, 1] = { [Q(1) - Q(f)]/(1 - f) - Q'(1) } / (1 - f)                       (f < 0.35: closed form)
                = int_0^1 (1 - s) C(a_s) ds,    a_s = 1 + s (f - 1),    C = -Q''    (f >= 0.35, through f = 1)

The closed form divides rounding errors by `(1 - f)^2`. Where that costs digits, the average of `C`, the lens of
`2/(y + a)^3`, is taken over Gauss-Legendre nodes in `ln a`, in which it is so smooth that 5 (single precision) or 8
(double) nodes are exact. Where two terms of the closed form are large and cancel (logarithms inside the core, powers of
x far outside) they are written as one. Slopes are analytic: `x` times the density for the mass, and divided differences
in which the node `f` is repeated for the derivative in `f`.

Functions take the projected radius `x = R/r_s` and `f` (a scalar or an array of the shape of x).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, ArrayLike, Float
from lensax.mass.nfw import (
    cube_density,
    cube_density_slope,
    cube_mass,
    cube_potential,
    depth,
    disc,
    horner,
    is_double,
    linear_density,
    linear_mass,
    projected_nfw_mass,
    projected_nfw_potential,
    square_density,
    square_mass,
    square_potential,
    total_derivative,
)

__all__ = ["cored_nfw_mass", "projected_cored_nfw_density", "projected_cored_nfw_mass", "projected_cored_nfw_potential"]

# Core fraction from which the average over nodes replaces the closed form.
_SWITCH = 0.35
# Below this core fraction a halo has none; derivatives there are the one-sided limits at zero.
SMALLEST_CORE = 1e-9
_HALF_PI = 0.5 * np.pi


def _sinhc(z: Array) -> Array:
    """`sinh(z)/z` for `|z|` up to about 1.5."""
    coefficients = [1.0]
    for k in range(1, 11 if is_double(z) else 6):
        coefficients.append(coefficients[-1] / (2 * k * (2 * k + 1)))
    return horner(coefficients, z * z)


def node_average(term: Callable[[Array, Array], Array], f: Array) -> Array:
    """`int_0^1 (1 - s) term(a_s, s) ds` with `a_s = 1 + s (f - 1)`, for f >= 0.35.

    With `l = ln f` and `a = exp[l (1 - sigma)]` every factor is an exponential times `sinh(z)/z`, smooth at f = 1.
    """
    roots, weights = np.polynomial.legendre.leggauss(8 if is_double(f) else 5)
    shape = (-1, *(1,) * f.ndim)
    sigma, weight = (jnp.asarray(rule, f.dtype).reshape(shape) for rule in (0.5 + 0.5 * roots, 0.5 * weights))
    log_f = jnp.log(jnp.maximum(f, _SWITCH))[None]
    norm = _sinhc(0.5 * log_f)
    part = _sinhc(0.5 * sigma * log_f)
    rest = part[::-1]  # that of 1 - sigma: the nodes are symmetric
    a = jnp.exp((1.0 - sigma) * log_f)
    tilt = jnp.exp(-0.5 * sigma * log_f) / norm
    factor = weight * sigma * a * tilt * part / norm
    terms = jax.vmap(lambda factor, a, s: factor * term(a, s))(factor, a, (1.0 - sigma) * tilt * rest)
    return jnp.sum(terms, 0)


def by_core(f: Array, closed: Callable[[Array], Array], average: Callable[[Array, Array], Array]) -> Array:
    """A second divided difference: `closed(f)` for small f, the average of `average(a, s)` over nodes for large f."""
    return jnp.where(f < _SWITCH, closed(jnp.minimum(f, _SWITCH)), node_average(average, f))


def _by_core_at_rays(f: Array, closed: Callable[[Array], Array], average: Callable[[Array, Array], Array]) -> Array:
    """`by_core` for functions of many rays: a single halo evaluates only the form it needs."""
    f = without_traces(f)
    if f.ndim:
        return by_core(f, closed, average)
    return jax.lax.cond(f < _SWITCH, lambda f: closed(jnp.minimum(f, _SWITCH)), partial(node_average, average), f)


def without_traces(f: Array) -> Array:
    """f, in which cores too small to matter are zero; the derivative with respect to f passes unchanged."""
    return f - jax.lax.stop_gradient(jnp.where(f > SMALLEST_CORE, 0.0, f))


def core_radius(f: Array) -> Array:
    """f, kept away from zero for radii in units of it."""
    return jnp.maximum(f, SMALLEST_CORE)


def split(x: Array, f: Array) -> tuple[Array, Array, Array, Array]:
    """Whether x lies inside the core; x and f inside it; x outside it. Each is harmless where it does not apply."""
    inside = (x < f) & (f > SMALLEST_CORE)
    return inside, jnp.where(inside, x, 0.5), jnp.where(inside, f, 1.0), jnp.where(inside, 2.0 * f + 1.0, x)


def arcs(x: Array, f: Array) -> tuple[Array, Array, Array]:
    """`p = sqrt(x^2 - f^2)`, `arccos(f/x)` and `arcsin(f/x)`, the two arcs to full relative accuracy; x >= f."""
    p = jnp.sqrt((x - f) * (x + f))
    small = jnp.arctan(jnp.minimum(p, f) / jnp.maximum(p, f))
    return p, jnp.where(p < f, small, _HALF_PI - small), jnp.where(p < f, _HALF_PI - small, small)


def log_inside(x: Array, f: Array) -> tuple[Array, Array, Array]:
    """`q = sqrt(f^2 - x^2)`, `ln[(f + q)/x]` and `ln[(f + q)/(2f)]`; x <= f."""
    q = jnp.sqrt((f - x) * (f + x))
    return q, jnp.log((f + q) / x), jnp.log1p(-x * x / (2.0 * f * (f + q)))


def scaled(function: Callable[[Array], Array], x: Array, f: Array, power: int, limit: ArrayLike = 0.0) -> Array:
    """`f^power function(x/f)`, and its `limit` for small f without a core."""
    core = core_radius(f)
    return jnp.where(f > SMALLEST_CORE, core**power * function(x / core), limit)


def square_log(f: Array) -> Array:
    """`f^2 ln f`, zero at f = 0."""
    return f * f * jnp.log(core_radius(f))


def _closed_mass(x: Array, f: Array) -> Array:
    inside, x_in, f_in, x_out = split(x, f)
    one = 1.0 - f
    # x < f: the logarithms of Q(1) and Q(f) differ by that of a ratio.
    q_1, log_depth = depth(x_in)
    q_f, log_f, log_depth_f = log_inside(x_in, f_in)
    x2 = x_in * x_in
    secant = x2 / (1.0 + q_1) * jnp.log((1.0 + q_1) / (f_in + q_f)) - log_depth + f_in * f_in * log_depth_f
    secant = secant - x2 * x2 * one * (1.0 + f_in) * log_f / ((1.0 + q_1) * (f_in + q_f) * (q_f + f_in * q_1))
    # f < x < 2: as it stands.
    p_f, cosine_f, sine_f = arcs(x_out, f)
    core_mass = f * p_f * cosine_f - f * f * jnp.log(x_out / (2.0 * core_radius(f)))
    secant = jnp.where(inside, secant, linear_mass(x) - core_mass) / one
    near = (secant - square_mass(x)) / one
    # x > 2: the terms that grow with x cancel, and are left out.
    x_far = jnp.where(x > 2.0, x, 2.0)
    p_1, _, sine_1 = arcs(x_far, jnp.ones_like(f))
    p_f, _, sine_f = arcs(x_far, f)
    far = _HALF_PI * (1.0 / p_1 - f * (1.0 + f) / (p_1 + p_f)) - (p_1 * sine_1 - f * p_f * sine_f + square_log(f)) / one
    far = (far + (x_far * x_far - 2.0) * sine_1 / p_1) / one + jnp.log(0.5 * x_far)
    return jnp.where(x > 2.0, far, near)


def _closed_density(x: Array, f: Array) -> Array:
    one = 1.0 - f
    # x < 0.7 f: the logarithms of F(x) and F(x/f) differ by that of a ratio.
    deep = (x < 0.7 * f) & (f > SMALLEST_CORE)
    x_in, f_in = jnp.where(deep, x, 0.5), jnp.where(deep, f, 1.0)
    q_1, _ = depth(x_in)
    q_f, log_f, _ = log_inside(x_in, f_in)
    inside = jnp.log((1.0 + q_1) / (f_in + q_f)) / q_1
    inside = inside - x_in * x_in * one * (1.0 + f_in) * log_f / (q_1 * q_f * (q_f + f_in * q_1))
    outside = linear_density(x) - scaled(linear_density, x, f, 0)
    near = (jnp.where(deep, inside, outside) / one - square_density(x)) / one
    x_far = jnp.where(x > 2.0, x, 2.0)
    p_1, _, sine_1 = arcs(x_far, jnp.ones_like(f))
    p_f, _, sine_f = arcs(x_far, f)
    x2 = x_far * x_far
    far = -_HALF_PI * x2 * one * (1.0 + f) * (p_1 + p_f + f * p_1)
    far = far / ((p_1 + p_f) * p_1**3 * p_f * (p_f + f * p_1)) + x2 * sine_1 / p_1**3 + 1.0 / p_1**2
    far = (far - (sine_1 / p_1 - f * sine_f / p_f) / one) / one
    return jnp.where(x > 2.0, far, near)


def _closed_potential(x: Array, f: Array) -> Array:
    # With P = H - g/2, all that grows like x is the mass; the rest are squares of logarithms.
    g = projected_nfw_potential(x)
    secant = (g - scaled(projected_nfw_potential, x, f, 2)) / (1.0 - f)
    return _closed_mass(x, f) + (g - projected_nfw_mass(x) - 0.5 * secant) / (1.0 - f)


@jax.custom_jvp
def projected_cored_nfw_density(x: Float[Array, "..."], core_fraction: Float[Array, "..."]) -> Float[Array, "..."]:
    """Surface density of a cored NFW halo over `2 rho_s r_s`: half of `k`, with `kappa = kappa_s k`.

    `{[F(x) - F(x/f)]/(1 - f) - (F - G)(x)} / (1 - f)`; at f = 0 the NFW `G(x)`.

    Arguments:
        x: projected radius over the scale radius, positive.
        core_fraction: core radius over scale radius, at least 0.
    """
    return _by_core_at_rays(core_fraction, lambda f: _closed_density(x, f), lambda a, _: cube_density(x / a) / a**2)


@partial(projected_cored_nfw_density.defjvp, symbolic_zeros=True)
def _density_rule(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    (x, f), (dx, df) = primals, tangents
    density = projected_cored_nfw_density(x, f)

    def closed_radial(f: Array) -> Array:
        # x d/dx of F is minus `square_density` = 1 - v^2 G: inside the scale radius the ones cancel and are left out.
        inner = x < 1.0
        x2g, square = x * x * disc(x, 3), square_density(x)
        secant = x2g - scaled(lambda u: u * u * disc(u, 3), x, f, 0, 1.0 - _HALF_PI * f / x)
        secant = jnp.where(inner, secant, scaled(square_density, x, f, 0, _HALF_PI * f / x) - square) / (1.0 - f)
        tangent = jnp.where(inner, 3.0 * x * x * disc(x, 5) - x2g, square - cube_density(x))
        return (secant + tangent) / (1.0 - f)

    def closed_core(f: Array) -> Array:
        tangents = square_density(x) - scaled(square_density, x, f, -1, _HALF_PI / x)
        return (2.0 * density + tangents / (1.0 - f)) / (1.0 - f)

    def radial() -> Array:
        return _by_core_at_rays(f, closed_radial, lambda a, _: cube_density_slope(x / a) / a**2) / x

    def core() -> Array:
        return _by_core_at_rays(
            f, closed_core, lambda a, s: -s * (2.0 * cube_density(x / a) + cube_density_slope(x / a)) / a**3
        )

    return density, total_derivative(density, (radial, dx), (core, df))


@jax.custom_jvp
def projected_cored_nfw_mass(x: Float[Array, "..."], core_fraction: Float[Array, "..."]) -> Float[Array, "..."]:
    """Mass of a cored NFW halo inside a cylinder over `4 pi rho_s r_s^3`: `m`, with `alpha = 4 kappa_s r_s m/x`.

    `{[H(x) - f^2 H(x/f)]/(1 - f) - (H - h)(x)} / (1 - f)`; at f = 0 the NFW `h(x)`.

    Arguments:
        x: projected radius over the scale radius, positive.
        core_fraction: core radius over scale radius, at least 0.
    """
    return _by_core_at_rays(core_fraction, lambda f: _closed_mass(x, f), lambda a, _: cube_mass(x / a))


@partial(projected_cored_nfw_mass.defjvp, symbolic_zeros=True)
def _mass_rule(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    (x, f), (dx, df) = primals, tangents
    mass = projected_cored_nfw_mass(x, f)

    def closed_core(f: Array) -> Array:
        tangents = square_mass(x) - scaled(square_mass, x, f, 1, _HALF_PI * x)
        return (2.0 * mass + tangents / (1.0 - f)) / (1.0 - f)

    def radial() -> Array:
        return x * projected_cored_nfw_density(x, f)

    def core() -> Array:
        return _by_core_at_rays(f, closed_core, lambda a, s: -s * (x / a) ** 2 * cube_density(x / a) / a)

    return mass, total_derivative(mass, (radial, dx), (core, df))


@jax.custom_jvp
def projected_cored_nfw_potential(x: Float[Array, "..."], core_fraction: Float[Array, "..."]) -> Float[Array, "..."]:
    """A quarter of the potential `p` of a cored NFW halo, with `psi = kappa_s r_s^2 p`: `int_0^x m dt/t`.

    `{[P(x) - f^2 P(x/f)]/(1 - f) - (H - g)(x)} / (1 - f)` with `P = H - g/2`; at f = 0 the NFW `g(x)/2`.

    Arguments:
        x: projected radius over the scale radius, positive.
        core_fraction: core radius over scale radius, at least 0.
    """
    return _by_core_at_rays(core_fraction, lambda f: _closed_potential(x, f), lambda a, _: cube_potential(x / a))


@partial(projected_cored_nfw_potential.defjvp, symbolic_zeros=True)
def _potential_rule(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    (x, f), (dx, df) = primals, tangents
    potential = projected_cored_nfw_potential(x, f)

    def closed_core(f: Array) -> Array:
        tangents = square_potential(x) - scaled(square_potential, x, f, 1, _HALF_PI * x)
        return (2.0 * potential + tangents / (1.0 - f)) / (1.0 - f)

    def radial() -> Array:
        return projected_cored_nfw_mass(x, f) / x

    def core() -> Array:
        return _by_core_at_rays(f, closed_core, lambda a, s: -s * cube_mass(x / a) / a)

    return potential, total_derivative(potential, (radial, dx), (core, df))


def cored_nfw_mass(concentration: Float[Array, "..."], core_fraction: Float[Array, "..."]) -> Float[Array, "..."]:
    """Mass of a cored NFW halo inside `c` scale radii over `4 pi rho_s r_s^3`.

    `mu_c(c, f) = [f^2 ln(1 + c/f) + (1 - 2f) ln(1 + c)]/(1 - f)^2 - c/[(1 + c) (1 - f)]`, regular at f = 1 and equal to
    the NFW `mu(c)` at f = 0. It is what turns M200 into a density, `rho_s = M200 / (4 pi r_s^3 mu_c)`.

    Arguments:
        concentration: radius of the sphere over the scale radius.
        core_fraction: core radius over scale radius, at least 0.
    """
    c = concentration

    def closed(f: Array) -> Array:
        core = f * f * (jnp.log(f + c) - jnp.log(core_radius(f)))
        return ((core + (1.0 - 2.0 * f) * jnp.log1p(c)) / (1.0 - f) - c / (1.0 + c)) / (1.0 - f)

    def cube(a: Array, _: Array) -> Array:
        z = c / a
        return 2.0 * jnp.log1p(z) - z * (3.0 * z + 2.0) / (1.0 + z) ** 2

    return by_core(core_fraction, closed, cube)
