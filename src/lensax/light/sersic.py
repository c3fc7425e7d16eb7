"""The Sersic profile and its version with a core."""

from functools import cache
from typing import final

import jax.numpy as jnp
import numpy as np

from lensax._check import check, check_center, check_ellipticity, finite, positive
from lensax._geometry import core_floor, elliptical_radius_squared
from lensax._types import Array, Float, Scalar, real
from lensax.light.base import LightProfile

__all__ = ["CoredSersic", "Sersic", "cored_sersic_law", "half_light_constant", "sersic_law"]

_SHIFT = 0.2  # b_n / n is smooth in 1 / (n + 0.2): from there to n = infinity a polynomial of degree 16 leaves 4e-13
_SMALLEST_INDEX, _LARGEST_INDEX = 0.2, 50.0


@cache
def _half_light_polynomial() -> tuple[float, ...]:
    """Chebyshev coefficients of `b_n / (2n)` in `1 / (n + 0.2)`, mapped to [-1, 1]."""
    from scipy.special import gammaincinv

    def ratio(s: np.ndarray) -> np.ndarray:
        index = 1.0 / s - _SHIFT
        return gammaincinv(2.0 * index, 0.5) / (2.0 * index)

    domain = [1.0 / (_LARGEST_INDEX + _SHIFT), 1.0 / (_SMALLEST_INDEX + _SHIFT)]
    return tuple(np.polynomial.Chebyshev.interpolate(ratio, 16, domain=domain).coef.tolist())


def half_light_constant(sersic_index: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`b_n`, the root of `Gamma(2n) = 2 gamma(2n, b_n)`: half of the light lies inside the effective radius.

    Relative error 1e-12 in float64 for `0.2 <= n <= 50`, differentiable in n.  (The asymptotic series of Ciotti &
    Bertin 1999, A&A 352, 447 is wrong by 4e-4 at n = 0.5 already.)
    """
    low, high = 1.0 / (_LARGEST_INDEX + _SHIFT), 1.0 / (_SMALLEST_INDEX + _SHIFT)
    t = (2.0 / (sersic_index + _SHIFT) - (low + high)) / (high - low)
    first, second = jnp.zeros_like(t), jnp.zeros_like(t)
    coefficients = _half_light_polynomial()
    for coefficient in reversed(coefficients[1:]):  # Clenshaw's rule
        first, second = coefficient + 2.0 * t * first - second, first
    return 2.0 * sersic_index * (coefficients[0] + t * first - second)


def sersic_law(
    radius_squared: Float[Array, "*shape"], effective_radius: Scalar, sersic_index: Scalar, b: Scalar
) -> Float[Array, "*shape"]:
    """`exp{-b [(r/r_e)^(1/n) - 1]}` of the squared radius; exact, with zero gradient, at the centre."""
    ratio = radius_squared / effective_radius**2
    information = jnp.finfo(ratio.dtype)
    away = ratio > float(information.tiny / information.eps)
    power = jnp.exp(jnp.log(jnp.where(away, ratio, 1.0)) * (0.5 / sersic_index))
    return jnp.exp(-b * (jnp.where(away, power, 0.0) - 1.0))


def cored_sersic_law(
    radius_squared: Float[Array, "*shape"],
    effective_radius: Scalar,
    sersic_index: Scalar,
    b: Scalar,
    break_radius: Scalar,
    inner_slope: Scalar,
    sharpness: Scalar,
) -> Float[Array, "*shape"]:
    """Brightness of the cored profile over that at the break radius, of the squared radius.

    With `c = (r^a + r_b^a)^(1/a)`, a smooth maximum of radius and break radius,
    `(c / (2^(1/a) r))^g exp{-b [(c/r_e)^(1/n) - (2^(1/a) r_b/r_e)^(1/n)]}`; in logarithms, so that no power of the
    sharpness a leaves the range of float32.
    """
    log_radius = 0.5 * jnp.log(core_floor(radius_squared))
    log_break, log_effective = jnp.log(break_radius), jnp.log(effective_radius)
    log_core = jnp.logaddexp(sharpness * log_radius, sharpness * log_break) / sharpness
    log_core_at_break = log_break + float(np.log(2.0)) / sharpness
    outer = jnp.exp((log_core - log_effective) / sersic_index)
    outer_at_break = jnp.exp((log_core_at_break - log_effective) / sersic_index)
    inner = log_core - log_radius - float(np.log(2.0)) / sharpness
    return jnp.exp(inner_slope * inner - b * (outer - outer_at_break))


def _check_sersic(profile: "Sersic | CoredSersic") -> None:
    check(profile, "intensity", finite, "a finite brightness in electrons / s / arcsec^2")
    check(profile, "effective_radius", positive, "a positive angle in arcsec")
    check(
        profile,
        "sersic_index",
        lambda v: (v >= _SMALLEST_INDEX) & (v <= _LARGEST_INDEX),
        f"between {_SMALLEST_INDEX} and {_LARGEST_INDEX:.0f}",
    )
    check_ellipticity(profile)
    check_center(profile)


@final
class Sersic(LightProfile):
    r"""The Sersic profile, `I = I_e exp{-b_n [(R / R_e)^(1/n) - 1]}`, `R = sqrt(q X^2 + Y^2 / q)`.

    Arguments:
        intensity: I_e, the surface brightness at the effective radius, in electrons / s / arcsec^2.
        effective_radius: R_e in arcsec along the intermediate axis; half of the light lies inside.
        sersic_index: n, between 0.2 and 50; 1 is an exponential disc, 4 de Vaucouleurs' law.
        e1, e2: ellipticity `(1-q)/(1+q) (cos 2phi, sin 2phi)`, phi counter-clockwise from +x.
        center_x, center_y: centre in arcsec.

    Raises:
        ValueError: a concrete parameter is outside its range.

    Sersic (1968); Graham & Driver (2005), PASA 22, 118.
    """

    intensity: Scalar = real()
    effective_radius: Scalar = real()
    sersic_index: Scalar = real()
    e1: Scalar = real(default=0.0)
    e2: Scalar = real(default=0.0)
    center_x: Scalar = real(default=0.0)
    center_y: Scalar = real(default=0.0)

    def __check_init__(self) -> None:
        _check_sersic(self)

    def surface_brightness(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Surface brightness in electrons / s / arcsec^2."""
        square = elliptical_radius_squared(x - self.center_x, y - self.center_y, self.e1, self.e2)
        b = half_light_constant(self.sersic_index)
        return self.intensity * sersic_law(square, self.effective_radius, self.sersic_index, b)


@final
class CoredSersic(LightProfile):
    r"""A Sersic profile whose centre is replaced by a shallow power law, `I ~ R^-inner_slope` inside the break radius.

    `I = I' [1 + (R_b/R)^a]^(g/a) exp{-b_n [(R^a + R_b^a) / R_e^a]^(1/(a n))}` with
    `I' = I_b 2^(-g/a) exp{b_n (2^(1/a) R_b / R_e)^(1/n)}`, `R = sqrt(q X^2 + Y^2 / q)`, a = sharpness, g = inner slope.
    Without a core a steep source peaks inside a fraction of a pixel and an image depends on the over-sampling.  The
    defaults, R_b = 0.025 arcsec, g = 0.25 and a = 3, are those of PyAutoLens: a core of half a Hubble pixel that
    leaves the profile outside untouched.

    Arguments:
        intensity: I_b, the surface brightness at the break radius, `I(R_b) = I_b`, in electrons / s / arcsec^2.
        effective_radius: R_e in arcsec along the intermediate axis, of the profile without a core.
        sersic_index: n, between 0.2 and 50.
        e1, e2: ellipticity `(1-q)/(1+q) (cos 2phi, sin 2phi)`, phi counter-clockwise from +x.
        center_x, center_y: centre in arcsec.
        break_radius: R_b in arcsec along the intermediate axis, positive.
        inner_slope: g, from 0 (flat) to below 2; the cusp ends 1e-6 arcsec from the centre.
        sharpness: a, positive; how suddenly the inner slope turns into the Sersic profile.

    Raises:
        ValueError: a concrete parameter is outside its range.

    Graham et al. (2003), AJ 125, 2951; Trujillo et al. (2004), AJ 127, 1917.
    """

    intensity: Scalar = real()
    effective_radius: Scalar = real()
    sersic_index: Scalar = real()
    e1: Scalar = real(default=0.0)
    e2: Scalar = real(default=0.0)
    center_x: Scalar = real(default=0.0)
    center_y: Scalar = real(default=0.0)
    break_radius: Scalar = real(default=0.025)
    inner_slope: Scalar = real(default=0.25)
    sharpness: Scalar = real(default=3.0)

    def __check_init__(self) -> None:
        _check_sersic(self)
        check(self, "break_radius", positive, "a positive angle in arcsec")
        check(self, "inner_slope", lambda v: (v >= 0) & (v < 2), "at least 0 and below 2")
        check(self, "sharpness", positive, "a positive number")

    def surface_brightness(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Surface brightness in electrons / s / arcsec^2."""
        square = elliptical_radius_squared(x - self.center_x, y - self.center_y, self.e1, self.e2)
        return self.intensity * cored_sersic_law(
            square,
            self.effective_radius,
            self.sersic_index,
            half_light_constant(self.sersic_index),
            self.break_radius,
            self.inner_slope,
            self.sharpness,
        )
