r"""The elliptical power law (Tessore & Metcalf 2015, A&A 580, A79) for any slope and axis ratio.

In the coordinates `zeta = z - e conj(z)` of `lensax._geometry` (z = x + i y, e = e1 + i e2) that paper's solution is

    alpha_x + i alpha_y = (B / |zeta|)^t zeta G(u),   B = theta_E sqrt(1 - |e|^2),   t = slope - 1,
    G(u) = 2F1(1, t/2; 2 - t/2; u),                   u = -conj(e) zeta / conj(zeta),   |u| = |e| = (1-q)/(1+q),

where the position angle and the square root of the axis ratio have dropped out: all derivatives exist at e = 0.
The Gauss series in u converges like |e|^n, too slowly for a flat lens.  G is analytic outside the cut [1, inf), which

    u = 4w / (1 + w)^2,   w = u / (1 + sqrt(1 - u))^2

maps to the unit circle; in w the series converges like |w|^n with |w| <= 0.17, 0.29, 0.40 for q = 0.3, 0.2, 0.1 (|e| =
0.54, 0.67, 0.82), three times as fast.
"""

from functools import cache, partial
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._check import at_least_zero, check, check_center, check_ellipticity
from lensax._geometry import CORE_RADIUS_SQUARED, core_floor, elliptical_coordinates
from lensax._types import Array, Float, Scalar, real
from lensax.mass.base import MassProfile

__all__ = ["PowerLaw", "angular_function"]

Complex = tuple[Array, Array]  # real and imaginary part: XLA on a CPU does not vectorise complex numbers


def _multiply(a: Complex, b: Complex) -> Complex:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _inverse(a: Complex) -> Complex:
    scale = 1.0 / (a[0] * a[0] + a[1] * a[1])
    return a[0] * scale, -a[1] * scale


@cache
def _coefficient_table(n_terms: int) -> np.ndarray:
    """Taylor coefficients in `d = slope - 2` of the coefficients c_n of `G(4w / (1+w)^2)` in w, (n_terms, 36).

    The hypergeometric equation of 2F1(1, b; 2-b; u), `b = t/2`, has a first integral, which in w reads
    `w (1-w^2) G' + [(1-b)(1+w)^2 - 4bw] G = (1-b)(1+w)^2`; hence `c_0 = 1`, `(2-b) c_1 = 4b`,
    `(3-b) c_2 = (6b-2) c_1` and `(n+1-b) c_n = (6b-2) c_{n-1} + (n-3+b) c_{n-2}`.  The nearest pole of any c_n is at
    d = 3 while |d| < 1, so that 36 terms are exact.  Summing a table keeps the compiled program short.
    """
    order = 36

    def times(series: np.ndarray, constant: float, slope: float) -> np.ndarray:
        return constant * series + slope * np.r_[0.0, series[:-1]]

    def over(series: np.ndarray, constant: float) -> np.ndarray:
        """The series over `constant - d/2`."""
        quotient = series / constant
        for power in range(1, order):
            quotient[power] += 0.5 * quotient[power - 1] / constant
        return quotient

    one = np.r_[1.0, np.zeros(order - 1)]
    rows = [one, over(times(one, 2.0, 2.0), 1.5)]
    rows.append(over(times(rows[1], 1.0, 3.0), 2.5))
    for n in range(3, n_terms):
        rows.append(over(times(rows[-1], 1.0, 3.0) + times(rows[-2], n - 2.5, 0.5), n + 0.5))
    return np.array(rows[:n_terms])


def _series_coefficients(b: Array, n_terms: int) -> Array:
    """Taylor coefficients of `G(4w / (1+w)^2)` in w, (n_terms,)."""
    table = jnp.asarray(_coefficient_table(n_terms), b.dtype)
    powers, square = jnp.ones(1, b.dtype), 2.0 * b - 1.0
    while powers.size < table.shape[1]:  # d^0, d^1, ..., by doubling: `power` has no derivative at d = 0
        powers, square = jnp.concatenate([powers, powers * square]), square * square
    return jnp.sum(table * powers[None, : table.shape[1]], 1)


def _quotient(b: Array, u: Complex, n_terms: int) -> Complex:
    """`(G(u) - 1) / u`, from the series in w without its first term."""
    one_minus_u = (1.0 - u[0], -u[1])
    modulus = jnp.sqrt(one_minus_u[0] * one_minus_u[0] + one_minus_u[1] * one_minus_u[1])
    root_real = jnp.sqrt(0.5 * (modulus + one_minus_u[0]))  # Re(1 - u) > 0: the principal root has no branch here
    root_plus_one = (1.0 + root_real, 0.5 * one_minus_u[1] / root_real)
    w_over_u = _inverse(_multiply(root_plus_one, root_plus_one))
    w = _multiply(u, w_over_u)
    # Goertzel's form of Horner's rule: real coefficients at a complex point cost two multiplications each.
    twice_real, squared_modulus = 2.0 * w[0], w[0] * w[0] + w[1] * w[1]
    c = _series_coefficients(b, n_terms)
    first, second = jnp.full_like(w[0], c[-1]), jnp.zeros_like(w[0])
    for n in range(n_terms - 2, 1, -1):
        first, second = c[n] + twice_real * first - squared_modulus * second, first
    series = (c[1] - squared_modulus * second + first * w[0], first * w[1])
    return _multiply(series, w_over_u)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def angular_function(
    b: Scalar, u_real: Float[Array, "*shape"], u_imag: Float[Array, "*shape"], n_terms: int
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """`G(u) = 2F1(1, b; 2 - b; u)` for `0 < b < 1` and `|u| < 1`, as real and imaginary part.

    Relative error `|w|^n_terms` or rounding, see above.  The derivative along u is exact,
    `(1 - u) G' = b G - (1 - b) (G - 1) / u`, so that a gradient stores two numbers per ray and no series.
    """
    product = _multiply((u_real, u_imag), _quotient(b, (u_real, u_imag), n_terms))
    return 1.0 + product[0], product[1]


@angular_function.defjvp
def _angular_function_jvp(
    n_terms: int, primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Complex, Complex]:
    b, u = primals[0], (primals[1], primals[2])
    quotient, quotient_b = jax.jvp(lambda b: _quotient(b, u, n_terms), (b,), (jnp.ones_like(b),))
    product = _multiply(u, quotient)
    value = (1.0 + product[0], product[1])
    numerator = (b * value[0] - (1.0 - b) * quotient[0], b * value[1] - (1.0 - b) * quotient[1])
    along_u = _multiply(_multiply(numerator, _inverse((1.0 - u[0], -u[1]))), (tangents[1], tangents[2]))
    along_b = _multiply(u, quotient_b)
    return value, (along_u[0] + along_b[0] * tangents[0], along_u[1] + along_b[1] * tangents[0])


@final
class PowerLaw(MassProfile):
    r"""Elliptical power law, `kappa = (3 - slope)/2 (theta_E / R)^(slope - 1)`, `R = sqrt(q X^2 + Y^2 / q)`.

    X and Y are along the major and minor axis.  Values and gradients are finite everywhere: inside 1e-6 arcsec the
    deflection goes linearly to zero.

    Arguments:
        einstein_radius: theta_E in arcsec, on the intermediate axis.
        slope: negative logarithmic slope of the three-dimensional density, between 1 and 3; 2 is isothermal.
        e1, e2: ellipticity `(1-q)/(1+q) (cos 2phi, sin 2phi)`, phi counter-clockwise from +x.
        center_x, center_y: centre in arcsec.
        n_terms: terms of the series.  The default, 20 in float32 and 40 in float64, is exact to rounding down to
            an axis ratio of 0.1; at 0.05 it leaves 4e-5 and 2e-10 for the steepest slopes.

    Raises:
        ValueError: a concrete parameter is outside its range.

    Tessore & Metcalf (2015), A&A 580, A79.
    """

    einstein_radius: Scalar = real()
    slope: Scalar = real(default=2.0)
    e1: Scalar = real(default=0.0)
    e2: Scalar = real(default=0.0)
    center_x: Scalar = real(default=0.0)
    center_y: Scalar = real(default=0.0)
    n_terms: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check(self, "einstein_radius", at_least_zero, "an angle of at least 0 arcsec")
        check(self, "slope", lambda v: (v > 1) & (v < 3), "between 1 and 3 (both excluded)")
        check_ellipticity(self)
        check_center(self)
        if self.n_terms is not None and self.n_terms < 4:
            raise ValueError(f"PowerLaw: n_terms must be a whole number of at least 4, got {self.n_terms}")

    def _amplitude(self, inverse_square: Array) -> Array:
        """`(B / |zeta|)^t` of `|zeta|^-2`; zero, with zero gradient, for a vanishing Einstein radius."""
        squared = self.einstein_radius**2 * (1.0 - self.e1**2 - self.e2**2)
        present = squared != 0
        ratio = jnp.where(present, squared, 1.0) * inverse_square
        # exp(log) and not a power: XLA calls a scalar routine for the power on a CPU.
        return jnp.where(present, jnp.exp(0.5 * (self.slope - 1.0) * jnp.log(ratio)), 0.0)

    def _elliptical(self, x: Array, y: Array) -> tuple[Complex, Array]:
        zeta = elliptical_coordinates(x - self.center_x, y - self.center_y, self.e1, self.e2)
        return zeta, zeta[0] * zeta[0] + zeta[1] * zeta[1]

    def deflection(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Deflection angle `(B / |zeta|)^t zeta 2F1(1, t/2; 2 - t/2; -conj(e) zeta / conj(zeta))` in arcsec."""
        zeta, square = self._elliptical(x, y)
        inverse = 1.0 / core_floor(square)
        phase = ((zeta[0] * zeta[0] - zeta[1] * zeta[1]) * inverse, 2.0 * zeta[0] * zeta[1] * inverse)
        u = _multiply((-self.e1, self.e2), phase)
        n_terms = self.n_terms or (40 if jnp.finfo(x.dtype).bits == 64 else 20)
        direction = _multiply(zeta, angular_function(0.5 * (self.slope - 1.0), *u, n_terms))
        amplitude = self._amplitude(inverse)
        return amplitude * direction[0], amplitude * direction[1]

    def convergence(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Convergence `(3 - slope)/2 (theta_E / R)^(slope - 1)`, finite at the very centre."""
        _, square = self._elliptical(x, y)
        factor = jnp.where(square > CORE_RADIUS_SQUARED, 0.5 * (3.0 - self.slope), 1.0)
        return factor * self._amplitude(1.0 / core_floor(square))

    def potential(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Potential `(theta . alpha) / (3 - slope)` in arcsec^2, theta from the centre, where it vanishes."""
        alpha_x, alpha_y = self.deflection(x, y)
        return ((x - self.center_x) * alpha_x + (y - self.center_y) * alpha_y) / (3.0 - self.slope)
