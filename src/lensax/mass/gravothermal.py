r"""The parametric gravothermal model of self-interacting halos: Yang, Nadler, Yu & Zhong (2024), JCAP 02, 032.

A halo that was NFW with `rho_s0` and `r_s0` is, after a share `t` of its collapse time,

    rho = rho_s / [(y^4 + f^4)^(1/4) (1 + y)^2],   y = r / r_s,   f = r_c / r_s,

with all three parameters polynomials of t. The cross-section enters through the collapse time alone.
"""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from lensax._types import Array, Float
from lensax.cosmology import GRAVITATIONAL_CONSTANT
from lensax.mass.core_shapes import LARGEST_MATCHING
from lensax.mass.nfw import horner

EARLIEST, LATEST = 1e-6, 1.1  # of t: the core's growth has infinite slope at 0; the fit ends at 1.1
CALIBRATION = 0.75  # C of the collapse time
SPEED_AT_PEAK = 1.64  # V_max of an NFW halo over sqrt(G rho_s r_s^2)
DISPERSION = 0.64  # effective one-dimensional dispersion over V_max
CROSS_SECTION = 2.08836e-10  # 1 cm^2 / g in kpc^2 / Msun
MYR_PER_KPC_SPEED = 977.7922216807892  # 1 kpc / (km / s) in Myr
SMALLEST_RATE = 1e-3  # collisions at r_s: an isothermal core of less than 1e-6 r_s is none
_NEWTON_STEPS = 6


@final
class Evolution(eqx.Module):
    """Parameters of an evolved halo over those of the NFW halo that it was.

    Args:
        density_ratio: rho_s / rho_s0.
        radius_ratio: r_s / r_s0.
        core_ratio: r_c / r_s0.
    """

    density_ratio: Float[Array, "..."]
    radius_ratio: Float[Array, "..."]
    core_ratio: Float[Array, "..."]

    @property
    def core_fraction(self) -> Float[Array, "..."]:
        """`f = r_c / r_s`."""
        return self.core_ratio / self.radius_ratio


def evolve(time: Float[Array, "*shape"]) -> Evolution:
    """The halo at `t = time / collapse time`, which is cut to 1e-6 <= t <= 1.1."""
    t = jnp.clip(time, EARLIEST, LATEST)
    early = jnp.log(t + 0.001) / math.log(0.001)
    t2, t3 = t * t, t * t * t
    t5, t7 = t2 * t3, t2 * t2 * t3
    density = 2.033 + 0.7381 * t + 7.264 * t5 - 12.73 * t7 + 9.915 * t7 * t2 + (1 - 2.033) * early
    radius = 0.7178 - 0.1026 * t + 0.2474 * t2 - 0.4079 * t3 + (1 - 0.7178) * early
    core = 2.555 * jnp.sqrt(t) - 3.632 * t + 2.131 * t2 - 1.415 * t3 + 0.4683 * t2 * t2
    return Evolution(density, radius, core)


def peak_speed(density: Float[Array, "*shape"], radius: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """V_max in km / s of an NFW halo of rho_s in Msun / kpc^3 and r_s in kpc."""
    return SPEED_AT_PEAK * radius * jnp.sqrt(GRAVITATIONAL_CONSTANT * density)


def effective_cross_section(
    cross_section: Float[Array, "*#shape"],
    speed: Float[Array, "*#shape"],
    pivot: Float[Array, "*#shape"],
    power: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    r"""Viscosity cross-section per mass, averaged over a halo, of `sigma = sigma_0 (v / v_0)^-a` with a < 8.

    `(sigma_0 / m) (v_0 / 2 nu)^a Gamma(4 - a/2) / 6` with `nu = 0.64 V_max`.

    Args:
        cross_section: sigma_0 / m in cm^2 / g.
        speed: V_max in km / s.
        pivot: v_0 in km / s.
        power: a.
    """
    ratio = pivot / (2 * DISPERSION * speed)
    return cross_section * jnp.exp(power * jnp.log(ratio) + gammaln(4 - power / 2)) / 6


def collapse_time(
    cross_section: Float[Array, "*shape"], density: Float[Array, "*shape"], radius: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    r"""Time in Gyr until the core collapses, `(150 / C) / [(sigma_eff / m) rho_s r_s sqrt(4 pi G rho_s)]`.

    Args:
        cross_section: effective sigma / m in cm^2 / g.
        density, radius: rho_s in Msun / kpc^3 and r_s in kpc of the NFW halo.
    """
    depth = CROSS_SECTION * cross_section * density * radius
    rate = jnp.sqrt(4 * math.pi * GRAVITATIONAL_CONSTANT * density)  # km / s / kpc
    return 150 / CALIBRATION / (depth * rate) * (MYR_PER_KPC_SPEED / 1000)


def matching_radius(
    cross_section: Float[Array, "*shape"],
    density: Float[Array, "*shape"],
    radius: Float[Array, "*shape"],
    age: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""Radius over r_s of an NFW halo inside which particles have collided once: the edge of an isothermal core.

    `(sigma / m) rho(r_1) v(r_1) age = 1` with v the circular velocity: Kaplinghat, Tulin & Yu (2016), PRL 116, 041302.
    It is cut at the largest radius that has an isothermal core.

    Args:
        cross_section: effective sigma / m in cm^2 / g.
        density, radius: rho_s in Msun / kpc^3 and r_s in kpc of the NFW halo.
        age: for which the halo has been there, Gyr.
    """
    speed = radius * jnp.sqrt(4 * math.pi * GRAVITATIONAL_CONSTANT * density)
    time = age * (1000 / MYR_PER_KPC_SPEED)  # kpc / (km / s)
    rate = jnp.maximum(CROSS_SECTION * cross_section * density * speed * time, SMALLEST_RATE)
    log_rate = jnp.log(rate)

    def excess(log_y: Array) -> tuple[Array, Array]:
        """ln of the number of collisions, a concave function of ln y, and its slope."""
        y = jnp.exp(log_y)
        # [ln(1 + y) - y/(1 + y)] / y^2, whose terms cancel for small y.
        small = y < 0.1
        far = jnp.where(small, 1.0, y)
        series = horner([(-1) ** k * (k + 1) / (k + 2) for k in range(14)], jnp.where(small, y, 0.0))
        mass = jnp.where(small, series, (jnp.log1p(far) - far / (1 + far)) / far**2)
        slope = 0.5 * (1 / ((1 + y) ** 2 * mass) - 1) - 1 - 2 * y / (1 + y)
        return log_rate + 0.5 * (jnp.log(mass) - log_y) - 2 * jnp.log1p(y), slope

    log_y = jax.lax.stop_gradient(jnp.minimum(2 * log_rate, 2 / 7 * log_rate) + 1)
    for _ in range(_NEWTON_STEPS):
        value, slope = jax.lax.stop_gradient(excess(log_y))
        log_y = log_y - value / slope
    # One more step, of the root's derivative: the slope with respect to the rate is one.
    value, slope = excess(log_y)
    return jnp.minimum(jnp.exp(log_y - value / jax.lax.stop_gradient(slope)), LARGEST_MATCHING)
