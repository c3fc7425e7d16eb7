"""The diffraction pattern of a circular aperture with a central obstruction."""

import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar

__all__ = ["airy_pattern", "enclosing_radius", "jinc"]

# Abramowitz & Stegun 9.4.4: J1(x)/x in powers of (x/3)^2, and 9.4.6: modulus and phase in powers of 3/x.
_SMALL = (0.5, -0.56249985, 0.21093573, -0.03954289, 0.00443319, -0.00031761, 0.00001109)
_MODULUS = (0.79788456, 0.00000156, 0.01659667, 0.00017105, -0.00249511, 0.00113653, -0.00020033)
_PHASE = (-2.35619449, 0.12499612, 0.00005650, -0.00637879, 0.00074348, 0.00079824, -0.00029166)
# Where the table of enclosed energy ends, in v; the pattern's light within it is above 0.998 without obstruction.
_TABLE_END = 400.0


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Array:
    value = jnp.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * t + coefficient
    return value


def jinc(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`2 J1(x) / x` for x >= 0, 1 at x = 0; absolute error below 3e-8.

    Reference: Abramowitz & Stegun, Handbook of Mathematical Functions, 9.4.4 and 9.4.6.
    """
    near = x < 3
    small = _polynomial(_SMALL, (jnp.where(near, x, 3.0) / 3) ** 2)
    far = jnp.where(near, 3.0, x)
    large = _polynomial(_MODULUS, 3 / far) * jnp.cos(far + _polynomial(_PHASE, 3 / far)) / (far * jnp.sqrt(far))
    return 2 * jnp.where(near, small, large)


def airy_pattern(v: Float[Array, "*shape"], obstruction: Scalar) -> Float[Array, "*shape"]:
    """`[jinc(v) - eps^2 jinc(eps v)]^2 / (1 - eps^2)^2`, 1 at v = 0.

    Args:
        v: `pi r diameter / wavelength`, r in radian, not negative.
        obstruction: eps, diameter of the obstruction over that of the aperture, in [0, 1).

    Reference: Born & Wolf, Principles of Optics, 7th edition, section 8.6.2.
    """
    blocked = obstruction**2
    return ((jinc(v) - blocked * jinc(obstruction * v)) / (1 - blocked)) ** 2


def enclosing_radius(share: float, obstruction: float) -> float:
    """The v within which a share of the pattern's light lies.

    The integral of `I(v) v dv` over all v is `2 / (1 - eps^2)` (Parseval: the pattern's light is the aperture's).

    Raises:
        ValueError: the circle is wider than the wings can sensibly be followed.
    """
    from scipy.special import j1

    v = np.linspace(1e-6, _TABLE_END, 40_001)
    amplitude = 2 * j1(v) / v
    if obstruction > 0:
        amplitude = amplitude - obstruction**2 * 2 * j1(obstruction * v) / (obstruction * v)
    light = amplitude**2 / (1 - obstruction**2) ** 2 * v
    steps = 0.5 * (light[1:] + light[:-1]) * np.diff(v)
    enclosed = np.concatenate([[0.0], np.cumsum(steps)]) * (1 - obstruction**2) / 2
    if share >= enclosed[-1]:
        raise ValueError(
            f"Airy: enclosed_energy {share:g} is more than the {enclosed[-1]:.4f} within {_TABLE_END / np.pi:.0f} "
            "wavelengths over diameter, as far as the rings are followed; give a smaller one, or a size"
        )
    return float(np.interp(share, enclosed, v))
