r"""The far field of the truncated cored NFW halo: its total mass, and its lens beyond core, scale and truncation.

Beyond 1.5 times the largest of the three radii the partial fractions of truncated_nfw.py cancel to a small remainder.
There the lens is the point mass `m(inf)` less the matter outside the cylinder. With `t = x/y` and

    g(t) = tau^2 / {[1 + f t/x] [1 + t/x]^2 [1 + (tau t/x)^2]} = tau^2 + O(t/x),

    k/2 = x^-4 int_0^1 g(t) t^3 / sqrt(1 - t^2) dt,
    m   = m(inf) - x^-2 int_0^1 g(t) t sqrt(1 - t^2) dt,
    p/4 = m(inf) ln(x/2) + p_0 + x^-2 int_0^1 g(t) t [arccosh(1/t) - sqrt(1 - t^2)] dt,

integrals of a positive function without a singularity near the interval, which a Gauss rule for each of the three
weights takes exactly: 5 nodes in single and 10 in double precision.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float
from lensax.mass.cored_nfw import by_core, core_radius, square_log
from lensax.mass.nfw import is_double

__all__ = ["truncated_total_mass"]

# A truncation this many scale radii away is none: `tau = inf`. No ray of a lens sees the difference.
_UNTRUNCATED = 1e12
# The far field begins at this multiple of the largest of scale, core and truncation radius.
_REACH = 1.5
_HALF_PI = 0.5 * np.pi


def untruncated(tau: Array) -> tuple[Array, Array]:
    """Whether there is no truncation, and a truncation that is finite either way."""
    infinite = tau > _UNTRUNCATED
    return infinite, jnp.where(infinite, 1.0, tau)


def weights(f: Array, tau: Array) -> tuple[Array, Array, Array]:
    """Weights `w_2, w_1, w_0` of the three partial lenses (see truncated_nfw.py), for a finite truncation."""
    inner, outer = tau**2 / (1.0 + tau**2), 1.0 / (1.0 + tau**2)
    remnant = (1.0 + 2.0 * f - tau**2) / (f**2 + tau**2)
    return inner * (inner + (3.0 - 2.0 * f) * outer), 2.0 * inner * outer, inner * outer * remnant


def truncated_total_mass(core_fraction: Float[Array, "..."], tau: Float[Array, "..."]) -> Float[Array, "..."]:
    """Total mass of a truncated cored NFW halo over `4 pi rho_s r_s^3`: `m(inf)`, infinite for `tau = inf`.

    `tau^2 int_0^inf y^2 dy / [(y + f) (1 + y)^2 (y^2 + tau^2)]`; at f = 0 the
    `tau^2/(tau^2+1)^2 [(tau^2-1) ln tau + pi tau - (tau^2+1)]` of Baltz, Marshall & Oguri (2009), JCAP 01, 015.
    The point mass of the same far field has `theta_E^2 = 4 kappa_s r_s^2 m(inf)`.

    Arguments:
        core_fraction: core radius over scale radius, at least 0.
        tau: truncation radius over scale radius, positive; scalar or of the same shape.
    """
    infinite, tau = untruncated(tau)
    f = core_fraction
    w_2, w_1, w_0 = weights(f, tau)

    def closed(f: Array) -> Array:
        return (1.0 + square_log(f) / (1.0 - f)) / (1.0 - f)

    cored = by_core(f, closed, lambda a, _: 2.0 * jnp.log(a) + 3.0)
    remnant = tau**2 * jnp.log(tau) + square_log(f) + _HALF_PI * f * tau
    return jnp.where(infinite, jnp.inf, w_1 * (1.0 + _HALF_PI * tau) - w_2 * cored - w_0 * remnant)


def _potential_constant(f: Array, tau: Array) -> Array:
    """`p_0`, the limit of `p/4 - m(inf) ln(x/2)` far away, for a finite truncation."""
    w_2, w_1, w_0 = weights(f, tau)
    quarter = 0.5 * _HALF_PI**2

    def core_term(a: Array) -> Array:
        log_a = jnp.log(core_radius(a))
        return a * a * (quarter - log_a + 0.5 * log_a * log_a)

    def closed(f: Array) -> Array:
        return (2.0 * quarter - 1.0 - (quarter - core_term(f)) / (1.0 - f)) / (1.0 - f)

    cored = by_core(f, closed, lambda a, _: 2.0 * quarter - 2.0 + jnp.log(a) + jnp.log(a) ** 2)
    log_tau = jnp.log(tau)
    arm = _HALF_PI * tau * (1.0 - log_tau)
    remnant = tau**2 * (0.5 * log_tau**2 - log_tau) - f * arm + core_term(f)
    return w_2 * cored + w_1 * (arm - 2.0 * quarter + 1.0) + w_0 * remnant


def _gauss_rule(weight: Callable[[np.ndarray, np.ndarray], np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the Gauss rule on [0, 1] for `weight(t, sqrt(1 - t^2))`.

    The Lanczos recurrence on a fine discretisation of the weight gives its Jacobi matrix, whose eigenvalues are the
    nodes (Golub & Welsch 1969, Math. Comp. 23, 221).
    """
    roots, masses = np.polynomial.legendre.leggauss(48)
    # t = sin(angle), with the angle's nodes gathered at 0, where a weight may have a logarithm.
    angle = _HALF_PI * (0.5 + 0.5 * roots) ** 3
    t, cosine = np.sin(angle), np.cos(angle)
    measure = 1.5 * _HALF_PI * masses * (0.5 + 0.5 * roots) ** 2 * cosine * weight(t, cosine)
    diagonal, off_diagonal = [], []
    vector = np.sqrt(measure / measure.sum())
    basis = [vector]
    for _ in range(count):
        following = t * vector
        diagonal.append(vector @ following)
        for known in basis:
            following = following - (known @ following) * known
        off_diagonal.append(np.linalg.norm(following))
        vector = following / off_diagonal[-1]
        basis.append(vector)
    off = np.array(off_diagonal[:-1])
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return nodes, measure.sum() * vectors[0] ** 2


def _rules(weight: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> dict[bool, tuple[np.ndarray, np.ndarray]]:
    """The rules of a weight in single and double precision."""
    return {double: _gauss_rule(weight, 10 if double else 5) for double in (False, True)}


_DENSITY_RULES = _rules(lambda t, cosine: t**3 / cosine)
_MASS_RULES = _rules(lambda t, cosine: t * cosine)
_POTENTIAL_RULES = _rules(lambda t, cosine: t * (np.log((1.0 + cosine) / t) - cosine))


def reach(f: Array, tau: Array) -> Array:
    """The radius at which the far field begins; where that is changes nothing, so it carries no derivative."""
    return jax.lax.stop_gradient(_REACH * jnp.maximum(jnp.maximum(1.0, tau), f))


def _outside(x: Array, f: Array, tau: Array, rules: dict[bool, tuple[np.ndarray, np.ndarray]]) -> Array:
    """`x^-2` times the integral of g over the weight of the rule."""
    nodes, masses = rules[is_double(x)]

    def contribution(node: Array, mass: Array) -> Array:
        t = node / x
        return mass / ((1.0 + f * t) * (1.0 + t) ** 2 * (1.0 + (tau * t) ** 2))

    return (tau / x) ** 2 * jnp.sum(
        jax.vmap(contribution)(jnp.asarray(nodes, x.dtype), jnp.asarray(masses, x.dtype)), 0
    )


def far_density(x: Array, f: Array, tau: Array) -> Array:
    """Half the surface density `k/2`, for x beyond the reach."""
    return _outside(x, f, tau, _DENSITY_RULES) / (x * x)


def far_mass(x: Array, f: Array, tau: Array) -> Array:
    """Projected mass `m`, for x beyond the reach."""
    return truncated_total_mass(f, tau) - _outside(x, f, tau, _MASS_RULES)


def far_potential(x: Array, f: Array, tau: Array) -> Array:
    """A quarter of the potential `p/4`, for x beyond the reach."""
    point = truncated_total_mass(f, tau) * jnp.log(0.5 * x) + _potential_constant(f, tau)
    return point + _outside(x, f, tau, _POTENTIAL_RULES)
