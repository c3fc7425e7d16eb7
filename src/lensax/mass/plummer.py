"""Every halo as a mixture of Plummer discs: the kernel of the fast ray tracers.

With `x = R / r_s` the projected mass of the truncated cored NFW family is a Stieltjes function of `x^2`,

    m(x) / x^2 = integral of rho(b) / (x^2 + b^2) over ln b,

with an algebraic, non-negative density `rho`.  A generalised Gauss rule of 40 nodes at fixed fractions of the
truncation radius, fitted once to the whole family, replaces the integral.  The deflection of a halo is then 10 rational
terms in `R^2`, four discs each: no branch, no transcendental function, no pole, and the same program for cuspy, cored,
truncated and collapsed halos.  Divisions are what it costs, and for the discs of a common profile all coefficients are
positive, so that nothing cancels.  That is the single-precision kernel of the ray tracers; `Halo` holds the closed
forms, its oracle.

Halos with other cores are mixtures of the same discs, some of which are negative (core_mixture.py).
"""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float

if TYPE_CHECKING:
    from lensax.mass.spherical import SphericalHalo

__all__ = ["NODES", "PlummerMixture", "cored_nfw_discs", "mixture_density", "mixture_slope"]

# Nodes (fractions of the truncation radius) and weights of the quadrature in ln b.  Its error of m is below 2e-6 for
# core fractions 0 to 0.9, truncations 0.1 to 300 scale radii and radii 1e-5 to 1e3 scale radii.
NODES = np.array([
    2.0541361e-08, 5.815616e-08, 1.2733687e-07, 2.6426608e-07, 5.4117048e-07, 1.1055365e-06, 2.2534598e-06,
    4.5597174e-06, 9.128027e-06, 1.806221e-05, 3.530789e-05, 6.8385091e-05, 0.00013131897, 0.00024946543, 0.00046742,
    0.00085819531, 0.0015423275, 0.0027149195, 0.0046974986, 0.0080597026, 0.013794601, 0.023594661, 0.040361219,
    0.069023082, 0.1176947, 0.19909769, 0.3309265, 0.52823844, 0.76875728, 0.95110988, 1.0110905, 1.1547952,
    1.5736386, 2.4480742, 4.086093, 7.1037238, 12.936349, 25.464051, 56.77353, 165.6656])  # fmt: skip
_WEIGHTS = np.array([
    1.4168014, 0.84574802, 0.74537953, 0.72031656, 0.71486652, 0.71382641, 0.70942425, 0.69960348, 0.68851283,
    0.67618413, 0.66506815, 0.65712821, 0.64735278, 0.63571248, 0.61868864, 0.59654703, 0.57590378, 0.55556337,
    0.54263264, 0.53807193, 0.53693914, 0.53669015, 0.53696691, 0.53573195, 0.53076702, 0.51915161, 0.4935685,
    0.43311826, 0.30398879, 0.11978335, 0.053772425, 0.2223372, 0.38737039, 0.4852994, 0.53440913, 0.57271592,
    0.63175221, 0.72948774, 0.89372167, 1.3327083])  # fmt: skip
# Discs of a term: the smallest two with the largest two, and so on. Neighbours would give denominators that underflow.
_GROUPS = [(k, k + 1, len(NODES) - 2 - k, len(NODES) - 1 - k) for k in range(0, len(NODES) // 2, 2)]
# Beyond this squared distance, in units of the reach, a halo is a point: denominators grow as its fourth power.
_FAR = 1e7


def _term(poles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One term as polynomials of u, lowest power first: `sum m_i / (u + a_i) = (N m)(u) / D(u)`, N a matrix (4, 4)."""
    others = [np.delete(poles, i) for i in range(len(poles))]
    numerator = np.stack([np.polynomial.polynomial.polyfromroots(-rest) for rest in others], axis=1)
    return numerator, np.polynomial.polynomial.polyfromroots(-poles)


_TERMS = [_term(NODES[list(group)] ** 2) for group in _GROUPS]
# Beyond this truncation the nodes are laid at fixed multiples of the scale radius instead: with a truncation that far
# out, or none, the density is smooth where it matters and the same rule holds (error of m below 4e-6 for x < 1e3).
_LARGEST_SCALED_TRUNCATION = 3000.0
_UNTRUNCATED_REACH = 300.0
_INFINITE_TRUNCATION = 1e6


def mixture_density(
    b: Float[Array, "*shape"], core: Float[Array, "*shape"], tau: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    r"""Density `rho(b)` of the Plummer mixture of the truncated cored NFW profile.

        m(x) = int rho(b) x^2 / (x^2 + b^2) dln b   for   rho_3d ~ tau^2 / (tau^2 + y^2) / ((y + core) (1 + y)^2)

    It is the jump of `m(x) / x^2` across `x = i b`, written without cancellation and without a pole at `core = 1`.

    Args:
        b: disc radii in units of the scale radius.
        core: core radius over scale radius, at least 0.
        tau: truncation radius over scale radius, finite.

    Returns:
        the density, non-negative.
    """
    b2, t2 = b * b, tau * tau
    scale_root, core_root = jnp.sqrt(1 + b2), jnp.sqrt(core * core + b2)
    inside = b < tau
    inner_root = jnp.sqrt(jnp.where(inside, (tau - b) * (tau + b), 1.0))
    outer_root = jnp.sqrt(jnp.where(inside, 1.0, (b - tau) * (b + tau)))
    p, q = b2 / (core_root + core * scale_root), b2 / (core_root + core)
    inner = p * q * (1 + core) / (scale_root + 1) * ((1 + t2) * (1 + core / (scale_root + core_root)) / scale_root + 2)
    inner = inner + (1 + 2 * core - t2) * q * b2 / ((tau * core_root + core * inner_root) * (tau + inner_root))
    outer = (1 + core) / (scale_root + core_root)
    outer = outer * (outer_root + b2 / scale_root + p * (scale_root + outer_root) / scale_root)
    outer = outer / ((scale_root + outer_root) ** 2 * (core_root + outer_root))
    return t2 * jnp.where(inside, inner / (1 + t2) ** 2, outer)


def cored_nfw_discs(
    core: Float[Array, "*halos"], tau: Float[Array, "*halos"]
) -> tuple[Float[Array, "discs *halos"], Float[Array, "*halos"]]:
    """The discs of truncated cored NFW halos: their masses over `4 pi rho_s r_s^3`, and the reach in scale radii.

    Args:
        core: core radius over scale radius.
        tau: truncation radius over scale radius, may be infinite.
    """
    tau = jnp.minimum(tau, _INFINITE_TRUNCATION)
    reach = jnp.where(tau <= _LARGEST_SCALED_TRUNCATION, tau, _UNTRUNCATED_REACH)
    shape = (-1, *(1,) * tau.ndim)
    nodes = jnp.asarray(NODES, tau.dtype).reshape(shape) * reach[None]
    weights = jnp.asarray(_WEIGHTS, tau.dtype).reshape(shape)
    return weights * mixture_density(nodes, *(jnp.broadcast_to(a[None], nodes.shape) for a in (core, tau))), reach


class PlummerMixture(eqx.Module):
    """Halos as the ray tracers use them: deflection = (dx, dy) * slope(dx^2 + dy^2).

    slope(r^2) = sum over terms of (n_0 + n_1 u + n_2 u^2 + n_3 u^3) / D(u),  u = r^2 inverse_square_reach, the terms
    having denominators in common for all halos.  Leaves have the shape of the halos', the numerators one more axis in
    front: n_0 to n_3 of the first term, then those of the next.
    """

    center_x: Float[Array, "*halos"]
    center_y: Float[Array, "*halos"]
    inverse_square_reach: Float[Array, "*halos"]
    numerators: Float[Array, "coefficients *halos"]

    @classmethod
    def from_halo(cls, halo: "SphericalHalo") -> "PlummerMixture":
        """The mixture of every halo in `halo`, whose leaves share any one shape."""
        masses, reach = halo.discs()
        strength = (4 * halo.kappa_s / reach**2)[None] * masses
        # Products and sums one by one, all at once: a matrix product would round small coefficients off.
        discs = strength[np.array(_GROUPS)]
        weights = jnp.asarray(np.stack([numerator for numerator, _ in _TERMS]), strength.dtype)
        weights = weights.reshape(*weights.shape, *(1,) * (strength.ndim - 1))
        rows = jnp.sum(weights * discs[:, None], axis=2)
        return cls(
            center_x=halo.center_x,
            center_y=halo.center_y,
            inverse_square_reach=1 / (halo.scale_radius * reach) ** 2,
            numerators=rows.reshape(-1, *strength.shape[1:]),
        )


@jax.custom_jvp
def _ratio(numerator: Array, denominator: Array) -> Array:
    """A quotient whose derivative does not square the denominator, which may be as small as 1e-22."""
    return numerator / denominator


@_ratio.defjvp
def _ratio_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (_, denominator), (by_numerator, by_denominator) = primals, tangents
    ratio = _ratio(*primals)
    return ratio, _ratio(by_numerator - ratio * by_denominator, denominator)


def mixture_slope(
    inverse_square_reach: Float[Array, "*halos"],
    numerators: Float[Array, "coefficients *halos"],
    square_distance: Float[Array, "*rays"],
) -> Float[Array, "*rays"]:
    """Deflection over distance, dimensionless, at squared distances in arcsec^2 from halos that broadcast against them.

    Give the result one consumer: with several, the compiler for CPU writes out the terms of the sum one by one.
    """
    distance = square_distance * inverse_square_reach
    u = jnp.minimum(distance, _FAR)
    total = jnp.zeros_like(u)
    for index, (_, denominator) in enumerate(_TERMS):
        discs = len(denominator) - 1
        n = numerators[discs * index : discs * (index + 1)]
        above, below = n[-1], jnp.ones_like(u)
        for coefficient in n[-2::-1]:
            above = above * u + coefficient
        for constant in denominator[-2::-1].tolist():
            below = below * u + constant
        total = total + _ratio(above, below)
    return total * (_FAR / jnp.maximum(distance, _FAR))
