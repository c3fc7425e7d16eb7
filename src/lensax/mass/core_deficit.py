r"""The lens of the matter that a core lacks: quadratures for halos whose centre has no closed form.

A truncated NFW halo whose inside has been replaced by a core has the density

    rho/rho_s = [1 - c(q)] tau^2 / (tau^2 + y^2) / [y (1 + y)^2],   y = r/r_s,   q = y/f,

with a deficit c that is 1 at the centre and vanishes outside, on the scale f of the core. What it takes from the closed
form of the truncated NFW halo is a sum over spheres of radius y, which a line of sight at the projected radius x meets
at the depth l, `y^2 = x^2 + l^2`; with the weight `g = y c / [(1 + y)^2 (1 + y^2/tau^2)]` of a sphere and `u = x/y`,

    half the surface density      int_0^inf g / y^2 dl
    mass in a cylinder            int_0^x g dy + int_0^inf g (1 - l/y) l / y dl
    quarter of the potential      int_0^x g [1 - ln 2 + ln(x/y)] dy + int_0^inf g v(u) l / y dl,
                                  v = 1 - s + ln[(1 + s)/2],   s = sqrt(1 - u^2) = l/y
    total mass                    int_0^inf g dy

Each is cut where the core ends, q = 1, and at the ray; on every piece a Gauss-Legendre rule in a variable that spreads
it converges to 1e-9 in double precision. Nodes stay where they are in derivatives, which are those of the integrand.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array
from lensax.mass.far_field import truncated_total_mass
from lensax.mass.nfw import is_double
from lensax.mass.truncated_nfw import projected_density, projected_mass, projected_potential, with_radial_slope

__all__ = ["CoredLens", "Deficit", "cored_lens"]

_NO_TRUNCATION = 1e12
_SMALLEST_RADIUS = 1e-6  # in units of the core
_FAR = 1e6  # in units of the core, beyond which nothing is missing


class Deficit(NamedTuple):
    """What a core lacks.

    Attributes:
        inside: c(q) for q <= 1; takes q and the core's scale f.
        outside: c(q) for q >= 1, from 1/q and f; None where the core ends.
    """

    inside: Callable[[Array, Array], Array]
    outside: Callable[[Array, Array], Array] | None


def _integral(x: Array, single: int, double: int, integrand: Callable[[Array], Array]) -> Array:
    """The integral over [0, 1] of a function of one node, by Gauss and Legendre; shape and precision are those of x."""
    roots, masses = np.polynomial.legendre.leggauss(double if is_double(x) else single)
    nodes, weights = (jnp.asarray(0.5 * a, x.dtype) for a in (1 + roots, masses))
    return jnp.sum(jax.vmap(lambda node, weight: weight * integrand(node))(nodes, weights), axis=0)


def _sphere(y: Array, deficit: Array, tau: Array) -> Array:
    """`g` of the module's formulas."""
    return y * deficit / ((1 + y) ** 2 * (1 + (y / tau) ** 2))


def _in_spheres(f: Array, tau: Array, deficit: Deficit, kernel: Callable[[Array], Array], limit: Array) -> Array:
    """`int_0^limit g kernel(y) dy`; f and tau are scalars or of the shape of the limit."""
    scale, top = jax.lax.stop_gradient((f, limit / f))
    inner = jnp.minimum(top, 1.0)

    def inside(v: Array) -> Array:
        # q = v^2 X from 0 to X or 1: the potential has a logarithm at 0.
        y = inner * v * v * scale
        return 2 * inner * v * scale * _sphere(y, deficit.inside(y / f, f), tau) * kernel(y)

    total = _integral(limit, 16, 24, inside)
    if deficit.outside is None:
        return total
    beyond, low = deficit.outside, jax.lax.rsqrt(jnp.maximum(top, 1.0))

    def outside(node: Array) -> Array:
        # q = 1 / v^2 from 1 to X.
        v = low + (1 - low) * node
        y = scale / (v * v)
        return 2 * (1 - low) * y / v * _sphere(y, beyond(f / y, f), tau) * kernel(y)

    return total + _integral(limit, 16, 24, outside)


def _along_ray(x: Array, f: Array, tau: Array, deficit: Deficit, kernel: Callable[[Array, Array], Array]) -> Array:
    """`int_0^inf g kernel(y, l) dl`; f and tau are scalars or of the shape of x."""
    scale, start = jax.lax.stop_gradient((f, x / f))
    edge = jnp.sqrt(jnp.maximum((1 - start) * (1 + start), 0.0))
    decades = jnp.arcsinh(edge / start)

    def at(depth: Array, core: Callable[[Array], Array]) -> Array:
        y = jnp.sqrt(x * x + depth * depth)
        return _sphere(y, core(y), tau) * kernel(y, depth)

    def inside(node: Array) -> Array:
        # l = X sinh(t) spreads the decades between the ray and the edge of the core.
        t = decades * node
        depth = start * jnp.sinh(t) * scale
        return decades * start * jnp.cosh(t) * scale * at(depth, lambda y: deficit.inside(y / f, f))

    total = _integral(x, 20, 28, inside)
    if deficit.outside is None:
        return total
    beyond, reach = deficit.outside, jnp.maximum(start, 1.0)

    def outside(v: Array) -> Array:
        # l = edge + D (1 / v^2 - 1) from the edge to infinity.
        depth = (edge + reach * (1 / (v * v) - 1)) * scale
        return 2 * reach * scale / (v * v * v) * at(depth, lambda y: beyond(f / y, f))

    return total + _integral(x, 20, 28, outside)


def _finite(tau: Array) -> Array:
    """A truncation whose square does not overflow."""
    return jnp.minimum(tau, _NO_TRUNCATION)


def _missing_density(x: Array, f: Array, tau: Array, deficit: Deficit) -> Array:
    return _along_ray(x, f, _finite(tau), deficit, lambda y, _: (1 / y) ** 2)


def _missing_mass(x: Array, f: Array, tau: Array, deficit: Deficit) -> Array:
    tau = _finite(tau)
    spheres = _in_spheres(f, tau, deficit, jnp.ones_like, x)
    # 1 - l/y without cancellation, and in ratios: squares of small radii underflow.
    return spheres + _along_ray(x, f, tau, deficit, lambda y, depth: (x / y) ** 2 * (depth / (y + depth)))


def _missing_potential(x: Array, f: Array, tau: Array, deficit: Deficit) -> Array:
    tau = _finite(tau)

    def within(y: Array) -> Array:
        return 1 - float(np.log(2)) + jnp.log(x / y)

    def beyond(y: Array, depth: Array) -> Array:
        rest = (x / y) * (x / (y + depth))  # 1 - l/y
        return (rest + jnp.log1p(-0.5 * rest)) * (depth / y)

    return _in_spheres(f, tau, deficit, within, x) + _along_ray(x, f, tau, deficit, beyond)


class CoredLens(NamedTuple):
    """The lens of halos with one shape of core: functions of x = R/r_s, f and tau, as in truncated_nfw.py.

    f and tau are scalars or of the shape of x.

    Attributes:
        density: half the surface density, `k/2`.
        mass: in a cylinder over `4 pi rho_s r_s^3`, `m`; the deflection is `4 kappa_s r_s m/x`.
        potential: a quarter of it, `p/4`, zero at the centre.
        total_mass: `m(inf)` of f and tau alone, infinite without truncation.
    """

    density: Callable[[Array, Array, Array], Array]
    mass: Callable[[Array, Array, Array], Array]
    potential: Callable[[Array, Array, Array], Array]
    total_mass: Callable[[Array, Array], Array]


def _outside_centre(x: Array, f: Array) -> tuple[Array, Array]:
    """x, but not within 1e-6 cores of the centre (the density is constant there), and the squared ratio of both."""
    limit = jnp.maximum(x, _SMALLEST_RADIUS * f)
    return limit, (x / limit) ** 2


def cored_lens(deficit: Deficit) -> CoredLens:
    """The truncated NFW lens less what its core lacks."""

    @jax.jit
    def density(x: Array, f: Array, tau: Array) -> Array:
        x, _ = _outside_centre(x, f)
        return projected_density(x, jnp.zeros((), x.dtype), tau) - _missing_density(x, f, tau, deficit)

    @jax.jit
    @with_radial_slope(lambda x, f, tau: x * density(x, f, tau))
    def mass(x: Array, f: Array, tau: Array) -> Array:
        x, ratio = _outside_centre(x, f)
        return ratio * (projected_mass(x, jnp.zeros((), x.dtype), tau) - _missing_mass(x, f, tau, deficit))

    @jax.jit
    @with_radial_slope(lambda x, f, tau: mass(x, f, tau) / x)
    def potential(x: Array, f: Array, tau: Array) -> Array:
        x, ratio = _outside_centre(x, f)
        return ratio * (projected_potential(x, jnp.zeros((), x.dtype), tau) - _missing_potential(x, f, tau, deficit))

    @jax.jit
    def total_mass(f: Array, tau: Array) -> Array:
        missing = _in_spheres(f, _finite(tau), deficit, jnp.ones_like, _FAR * f)
        return truncated_total_mass(jnp.zeros((), tau.dtype), tau) - missing

    return CoredLens(density, mass, potential, total_mass)
