r"""The truncated cored NFW lens, `rho = rho_s tau^2 / (tau^2 + y^2) / [(y + f) (1 + y)^2]`, `y = r/r_s`.

`f = r_c/r_s` is the core fraction and `tau = r_t/r_s` the truncation; f = 0 is the profile of Baltz, Marshall & Oguri
(2009), JCAP 01, 015, and `tau = inf` the cored NFW. Partial fractions separate three lenses, each free of cancellation,

    q = w_2 q_c + w_1 b + w_0 n,    e = (1 + 2f - tau^2) / (f^2 + tau^2),
    w_2 = tau^2 (3 - 2f + tau^2) / (1 + tau^2)^2,    w_1 = 2 tau^2 / (1 + tau^2)^2,    w_0 = tau^2 e / (1 + tau^2)^2

where q stands for half the surface density, the mass or a quarter of the potential, and

    q_c ("cored")      belongs to  1 / [(y + f) (1 + y)^2]             (cored_nfw.py)
    b   ("bridge")                 1/(1 + y)^2 - 1/(tau^2 + y^2)
    n   ("remnant")                1/(y + f) + (f - y)/(tau^2 + y^2)

Beyond `1.5 max(1, tau, f)` the three cancel to a small remainder, and the far field takes over (far_field.py).

Functions take `x = R/r_s`, `f` and `tau` (scalars, or arrays of the shape of x). The slopes of the pieces are given
analytically: branches of the values have infinite slopes at x = f, which cancel only in exact arithmetic.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from lensax._types import Array, Float
from lensax.mass.cored_nfw import (
    SMALLEST_CORE,
    arcs,
    core_radius,
    log_inside,
    projected_cored_nfw_density,
    projected_cored_nfw_mass,
    projected_cored_nfw_potential,
    scaled,
    split,
    without_traces,
)
from lensax.mass.far_field import far_density, far_mass, far_potential, reach, untruncated, weights
from lensax.mass.nfw import (
    disc,
    linear_density,
    projected_nfw_mass,
    projected_nfw_potential,
    square_density,
    square_mass,
    square_potential,
    total_derivative,
)

__all__ = ["projected_density", "projected_mass", "projected_potential"]

# Radius from which the mass of the bridge is written without its terms that grow with x.
_BRIDGE_SWITCH = 1.25
_HALF_PI = 0.5 * np.pi


def _soft(x: Array, tau: Array) -> tuple[Array, Array, Array, Array]:
    """`s`, `s - tau`, `arcsinh(tau/x)` and `ln[(s + tau)/(2 tau)]`, without cancellation."""
    s = jnp.sqrt(x * x + tau * tau)
    difference = x * x / (s + tau)
    return s, difference, jnp.log1p((tau + tau * tau / (x + s)) / x), jnp.log1p(difference / (2.0 * tau))


def _log_ratio(difference: Array, tau: Array) -> Array:
    """`ln[(s - tau)/(2 tau)]`, finite where the ratio underflows (and nothing depends on it)."""
    return jnp.log(jnp.maximum(0.5 * difference / tau, jnp.finfo(difference.dtype).tiny))


def _bridge_density(x: Array, tau: Array) -> Array:
    return square_density(x) - _HALF_PI / jnp.sqrt(x * x + tau * tau)


@jax.custom_jvp
def _bridge_mass(x: Array, tau: Array) -> Array:
    near = square_mass(x) - _HALF_PI * _soft(x, tau)[1]
    outer = x > _BRIDGE_SWITCH
    x = jnp.where(outer, x, 2.0)
    s = jnp.sqrt(x * x + tau * tau)
    p, _, sine = arcs(x, jnp.ones_like(x))
    far = _HALF_PI * ((1.0 + tau * tau) / (s + p) - tau + 1.0 / p) + (x * x - 2.0) * sine / p + 2.0 * jnp.log(0.5 * x)
    return jnp.where(outer, -far, near)


@partial(_bridge_mass.defjvp, symbolic_zeros=True)
def _bridge_mass_rule(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    (x, tau), (dx, dtau) = primals, tangents
    s, difference, _, _ = _soft(x, tau)
    value = _bridge_mass(x, tau)
    return value, total_derivative(
        value,
        (lambda: x * _bridge_density(x, tau), dx),
        (lambda: _HALF_PI * difference / s, dtau),
    )


@jax.custom_jvp
def _bridge_potential(x: Array, tau: Array) -> Array:
    # As for the cored NFW, all that grows like x is the mass.
    logarithms = _HALF_PI * tau * _soft(x, tau)[3] + projected_nfw_mass(x) - projected_nfw_potential(x)
    return _bridge_mass(x, tau) + logarithms


@partial(_bridge_potential.defjvp, symbolic_zeros=True)
def _bridge_potential_rule(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    (x, tau), (dx, dtau) = primals, tangents
    value = _bridge_potential(x, tau)
    return value, total_derivative(
        value,
        (lambda: _bridge_mass(x, tau) / x, dx),
        (lambda: _HALF_PI * _soft(x, tau)[3], dtau),
    )


@jax.custom_jvp
def _remnant_density(x: Array, f: Array, tau: Array) -> Array:
    s, _, arc, _ = _soft(x, tau)
    outside = tau / s * arc - scaled(linear_density, x, f, 0)
    # Deep inside the core the logarithms of arcsinh(tau/x) and F(x/f) differ by that of a ratio.
    deep = (x < 0.7 * f) & (f > SMALLEST_CORE)
    x_in, f_in = jnp.where(deep, x, 0.5), jnp.where(deep, f, 1.0)
    s_in = jnp.sqrt(x_in * x_in + tau * tau)
    q, log_f, _ = log_inside(x_in, f_in)
    inside = tau / s_in * jnp.log((tau + s_in) / (f_in + q))
    inside = inside - x_in * x_in * (tau * tau + f_in * f_in) * log_f / (s_in * q * (tau * q + f_in * s_in))
    return jnp.where(deep, inside, outside) + _HALF_PI * f / s


@partial(_remnant_density.defjvp, symbolic_zeros=True)
def _remnant_density_rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    (x, f, tau), (dx, df, dtau) = primals, tangents
    s, _, arc, _ = _soft(x, tau)
    value = _remnant_density(x, f, tau)

    def radial() -> Array:
        # The 1/x in the slopes of the two logarithms cancels and is left out.
        core = scaled(lambda u: u * u * disc(u, 3), x, f, 0, 1.0 - _HALF_PI * f / x)
        return x / s**2 - core / x - (tau * arc + _HALF_PI * f) * x / s**3

    return value, total_derivative(
        value,
        (radial, dx),
        (lambda: _HALF_PI / s - scaled(square_density, x, f, -1, _HALF_PI / x), df),
        (lambda: arc * x * x / s**3 + tau / s**2 - _HALF_PI * f * tau / s**3, dtau),
    )


@jax.custom_jvp
def _remnant_mass(x: Array, f: Array, tau: Array) -> Array:
    inside, x_in, f_in, x_out = split(x, f)
    # x < f: again one logarithm of a ratio.
    s, difference, _, log_soft = _soft(x_in, tau)
    q, log_f, log_depth = log_inside(x_in, f_in)
    within = tau * difference * jnp.log((tau + s) / (f_in + q)) + tau * tau * log_soft + f_in * f_in * log_depth
    cross = x_in**4 * (tau * tau + f_in * f_in) * log_f
    within = within - cross / ((s + tau) * (f_in + q) * (tau * q + f_in * s)) + _HALF_PI * f_in * difference
    # x > f: the terms that grow with x are combined.
    s, difference, arc, log_soft = _soft(x_out, tau)
    p, _, sine = arcs(x_out, f)
    grown = jnp.where(x_out < tau, difference - p, (tau * tau + f * f) / (s + p) - tau)
    beyond = tau * difference * arc + tau * tau * log_soft + f * (_HALF_PI * grown + p * sine)
    beyond = beyond + f * f * jnp.log(0.5 * x_out / core_radius(f))
    return jnp.where(inside, within, beyond)


@partial(_remnant_mass.defjvp, symbolic_zeros=True)
def _remnant_mass_rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    (x, f, tau), (dx, df, dtau) = primals, tangents
    s, difference, arc, log_soft = _soft(x, tau)
    value = _remnant_mass(x, f, tau)
    return value, total_derivative(
        value,
        (lambda: x * _remnant_density(x, f, tau), dx),
        (lambda: _HALF_PI * difference - scaled(square_mass, x, f, 1, _HALF_PI * x), df),
        (lambda: difference * (difference * arc - _HALF_PI * f) / s + 2.0 * tau * log_soft, dtau),
    )


@jax.custom_jvp
def _remnant_potential(x: Array, f: Array, tau: Array) -> Array:
    _, difference, _, log_soft = _soft(x, tau)
    logarithms = tau * log_soft * (0.5 * tau * _log_ratio(difference, tau) - _HALF_PI * f)
    return _remnant_mass(x, f, tau) + logarithms + 0.5 * scaled(projected_nfw_potential, x, f, 2)


@partial(_remnant_potential.defjvp, symbolic_zeros=True)
def _remnant_potential_rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    (x, f, tau), (dx, df, dtau) = primals, tangents
    s, difference, arc, log_soft = _soft(x, tau)
    value = _remnant_potential(x, f, tau)

    def truncation() -> Array:
        log_ratio = _log_ratio(difference, tau)
        slope = (difference * arc - 0.5 * tau * log_ratio) * difference / s - _HALF_PI * f * log_soft
        return slope + tau * log_soft * (1.5 + log_ratio - 0.5 * tau / s)

    def core() -> Array:
        return _HALF_PI * (difference - tau * log_soft) - scaled(square_potential, x, f, 1, _HALF_PI * x)

    return value, total_derivative(
        value,
        (lambda: _remnant_mass(x, f, tau) / x, dx),
        (core, df),
        (truncation, dtau),
    )


def _assemble(
    x: Array,
    f: Array,
    tau: Array,
    cored: Callable[[Array, Array], Array],
    bridge: Callable[[Array, Array], Array],
    remnant: Callable[[Array, Array, Array], Array],
    far: Callable[[Array, Array, Array], Array],
) -> Array:
    """The weighted sum of the three lenses; far away the far field; without truncation the first lens alone."""
    f = without_traces(f)
    infinite, tau = untruncated(tau)
    start = reach(f, tau)
    distant = ~infinite & (x > start)
    w_2, w_1, w_0 = weights(f, tau)
    w_2, w_1, w_0 = jnp.where(infinite, 1.0, w_2), jnp.where(infinite, 0.0, w_1), jnp.where(infinite, 0.0, w_0)
    near = jnp.where(distant, start, x)
    total = w_2 * cored(near, f) + w_1 * bridge(near, tau) + w_0 * remnant(near, f, tau)
    return jnp.where(distant, far(jnp.where(distant, x, start), f, tau), total)


def with_radial_slope(slope: Callable[[Array, Array, Array], Array]) -> Callable[[Callable[..., Array]], Callable]:
    """Give a function of (x, f, tau) its slope in x, which is simpler than the sum of the slopes of its pieces."""

    def decorate(function: Callable[..., Array]) -> Callable[..., Array]:
        wrapped = jax.custom_jvp(function)

        @partial(wrapped.defjvp, symbolic_zeros=True)
        def rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
            value = wrapped(*primals)
            tangent = total_derivative(value, (lambda: slope(*primals), tangents[0]))
            moving = [i for i in (1, 2) if not isinstance(tangents[i], SymbolicZero)]
            if moving:

                def along(*parameters: Array) -> Array:
                    moved = dict(zip(moving, parameters))
                    return function(*(moved.get(i, primal) for i, primal in enumerate(primals)))

                start, direction = tuple(primals[i] for i in moving), tuple(tangents[i] for i in moving)
                tangent = tangent + jax.jvp(along, start, direction)[1]
            return value, tangent

        return wrapped

    return decorate


@jax.jit
def projected_density(
    x: Float[Array, "..."], core_fraction: Float[Array, "..."], tau: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Half the dimensionless surface density of a truncated cored NFW halo, `k/2`, with `kappa = kappa_s k(x)`.

    Arguments:
        x: projected radius over the scale radius, positive.
        core_fraction: core radius over scale radius, at least 0.
        tau: truncation radius over scale radius, positive, may be infinite.
    """
    return _assemble(x, core_fraction, tau, projected_cored_nfw_density, _bridge_density, _remnant_density, far_density)


@jax.jit
@with_radial_slope(lambda x, f, tau: x * projected_density(x, f, tau))
def projected_mass(
    x: Float[Array, "..."], core_fraction: Float[Array, "..."], tau: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Mass of a truncated cored NFW halo inside a cylinder over `4 pi rho_s r_s^3`: `m(x) = int_0^x t k/2 dt`.

    The deflection is `alpha = 4 kappa_s r_s m(x)/x`.

    Arguments:
        x: projected radius over the scale radius, positive.
        core_fraction: core radius over scale radius, at least 0.
        tau: truncation radius over scale radius, positive, may be infinite.
    """
    return _assemble(x, core_fraction, tau, projected_cored_nfw_mass, _bridge_mass, _remnant_mass, far_mass)


@jax.jit
@with_radial_slope(lambda x, f, tau: projected_mass(x, f, tau) / x)
def projected_potential(
    x: Float[Array, "..."], core_fraction: Float[Array, "..."], tau: Float[Array, "..."]
) -> Float[Array, "..."]:
    """A quarter of the dimensionless potential, `p/4 = int_0^x m dt/t`, with `psi = kappa_s r_s^2 p(x)`, `psi(0) = 0`.

    Arguments:
        x: projected radius over the scale radius, positive.
        core_fraction: core radius over scale radius, at least 0.
        tau: truncation radius over scale radius, positive, may be infinite.
    """
    return _assemble(
        x, core_fraction, tau, projected_cored_nfw_potential, _bridge_potential, _remnant_potential, far_potential
    )
