r"""The cores of self-interacting halos: what they lack of the cusp of an NFW halo.

Quartic, of the parametric gravothermal model (Yang, Nadler, Yu & Zhong 2024, JCAP 02, 032, with beta = 4), `q = r/r_c`:

    rho/rho_s = 1 / [(y^4 + f^4)^(1/4) (1 + y)^2],   c(q) = 1 - (1 + q^-4)^(-1/4)

Isothermal (Kaplinghat, Tulin & Yu 2016, PRL 116, 041302), inside the matching radius r_1, `q = r/r_1`, `y_1 = r_1/r_s`:

    rho = rho_0 exp[-W(r/r_0)],   W'' + 2 W'/xi = exp(-W),
    c(q) = 1 - q [(1 + y_1 q)/(1 + y_1)]^2 exp[W(xi_1) - W(xi_1 q)],

with density and enclosed mass those of the NFW halo at r_1, which fixes `xi_1 = r_1/r_0`, the first root of

    mu e^W / xi^3 = [ln(1 + y_1) - y_1/(1 + y_1)] (1 + y_1)^2 / y_1^2,   mu = int xi^2 exp(-W) dxi.

W and `xi_1(y_1)` are universal functions: Chebyshev series, made once from the differential equation.
"""

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float
from lensax.mass.core_deficit import Deficit, cored_lens

__all__ = ["ISOTHERMAL", "LARGEST_MATCHING", "QUARTIC", "isothermal_extent"]

# r_1 / r_s beyond which there is no isothermal core that the NFW halo can hold (the root ceases to exist at 3.1).
LARGEST_MATCHING = 2.5
_LARGEST_EXTENT = 11.0  # xi, above xi_1 of the largest matching radius
_WIDTH = 10.0  # of the variable ln(1 + xi^2 / 10), in which W is smooth: its poles are at xi^2 = -10.7


def _quartic_inside(q: Array, _: Array) -> Array:
    return 1 - q / jnp.sqrt(jnp.sqrt(1 + q**4))


def _quartic_outside(inverse: Array, _: Array) -> Array:
    fourth = inverse**4
    root = jnp.sqrt(jnp.sqrt(1 + fourth))
    return fourth / (root * (root + 1) * (root * root + 1))


def _to_unit(xi: Any, log1p: Any) -> Any:
    top = float(np.log1p(_LARGEST_EXTENT**2 / _WIDTH))
    return 2 / top * log1p(xi * xi / _WIDTH) - 1


@cache
def _series() -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev coefficients of `W / ln(1 + xi^2/10)` and of `xi_1` as a function of `y_1 / (1 + y_1)`."""
    from scipy.integrate import solve_ivp
    from scipy.optimize import brentq

    def slope(xi: float, state: np.ndarray) -> list[float]:
        w, mass = state
        return [mass / xi**2, xi**2 * np.exp(-w)]

    start = 0.01
    first = [start**2 / 6 - start**4 / 120 + start**6 / 1890, start**3 / 3 - start**5 / 30 + start**7 / 315]
    found = solve_ivp(slope, (start, _LARGEST_EXTENT), first, "DOP853", rtol=1e-13, atol=1e-18, dense_output=True).sol

    def solution(xi: float) -> np.ndarray:
        early = np.array([xi**2 / 6 - xi**4 / 120 + xi**6 / 1890, xi**3 / 3 - xi**5 / 30 + xi**7 / 315])
        return np.where(xi < start, early, found(max(xi, start)))

    top = np.log1p(_LARGEST_EXTENT**2 / _WIDTH)

    def shape(node: float) -> float:
        z = 0.5 * top * (node + 1)
        return solution(float(np.sqrt(_WIDTH * np.expm1(z))))[0] / z

    def extent(node: float) -> float:
        y = 0.5 * (node + 1) * LARGEST_MATCHING / (1 + LARGEST_MATCHING)
        y = y / (1 - y)
        # [ln(1 + y) - y/(1 + y)] (1 + y)^2 / y^2, which tends to 1/2.
        target = 0.5 + y / 3 if y < 1e-5 else (np.log1p(y) - y / (1 + y)) * ((1 + y) / y) ** 2

        def excess(xi: float) -> float:
            w, mass = solution(xi)
            return mass * np.exp(w) / xi**3 - target

        return brentq(excess, 1.0, _LARGEST_EXTENT, xtol=1e-13)

    of_shape, of_extent = (np.polynomial.chebyshev.chebinterpolate(np.vectorize(f), 24) for f in (shape, extent))
    return of_shape, of_extent


def _clenshaw(coefficients: np.ndarray, node: Array) -> Array:
    one, two = jnp.zeros_like(node), jnp.zeros_like(node)
    for coefficient in coefficients[:0:-1].tolist():
        one, two = coefficient + 2 * node * one - two, one
    return float(coefficients[0]) + node * one - two


def _isothermal(xi: Array) -> Array:
    """W, the logarithm of the density at the centre over that at xi."""
    square = xi * xi / _WIDTH
    return jnp.log1p(square) * _clenshaw(_series()[0], _to_unit(xi, jnp.log1p))


def isothermal_extent(matching: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`xi_1 = r_1/r_0`, how many King radii fit into the matching radius, of `y_1 = r_1/r_s` up to 2.5."""
    y = matching * ((1 + LARGEST_MATCHING) / LARGEST_MATCHING) / (1 + matching)
    return _clenshaw(_series()[1], 2 * y - 1)


def _isothermal_inside(q: Array, matching: Array) -> Array:
    extent = isothermal_extent(matching)
    q = jnp.minimum(q, 1.0)  # beyond, nothing is missing, and the series does not hold
    cusp = q * ((1 + matching * q) / (1 + matching)) ** 2
    return 1 - cusp * jnp.exp(_isothermal(extent) - _isothermal(extent * q))


QUARTIC = cored_lens(Deficit(_quartic_inside, _quartic_outside))
ISOTHERMAL = cored_lens(Deficit(_isothermal_inside, None))
