r"""From mass and concentration to a halo on the sky.

    r200 = [3 M / (800 pi rho_c)]^(1/3),   r_s = r200 / c,   rho_s = rho_c (200/3) c^3 / mu(c),
    mu(c) = int_0^c y^2 dy / [(y + f)(1 + y)^2],   kappa_s = rho_s r_s / Sigma_cr,

with `f = r_c / r_s` the core fraction; `mu = ln(1+c) - c/(1+c)` for f = 0. The normalisation is that of the untruncated
profile. Masses enter as logarithms: float32 holds ln M, not M.
"""

import math

import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float

OVERDENSITY = 200.0
_NEWTON_STEPS = 8


def enclosed_mass(radius: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Mass of an NFW halo inside `radius` (in scale radii) over `4 pi rho_s r_s^3`: `ln(1+y) - y/(1+y)`."""
    return jnp.log1p(radius) - radius / (1 + radius)


def cored_enclosed_mass(
    radius: Float[Array, "*shape"], core_fraction: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Mass inside `radius` (in scale radii) of the cored halo `1 / [(y + f)(1 + y)^2]`, over `4 pi rho_s r_s^3`.

    `[f^2 ln(1 + c/f) + (1 - 2f) ln(1 + c)] / (1-f)^2 - c / [(1+c)(1-f)]`, written so that f = 0 is an ordinary point;
    core fractions are meant to stay below 0.8, where the closed form loses its digits.
    """
    c, f = radius, core_fraction
    positive = f > 0
    safe = jnp.where(positive, f, 1.0)
    core = jnp.where(positive, safe**2 * jnp.log1p(c / safe), 0.0)
    rest = 1 - f
    return (core + (1 - 2 * f) * jnp.log1p(c)) / rest**2 - c / ((1 + c) * rest)


def log_virial_radius(
    log_mass: Float[Array, "*#shape"], critical_density: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """ln of r200 in kpc, for ln(M200 / Msun) and the critical density in Msun / kpc^3."""
    return (log_mass - jnp.log(4 / 3 * np.pi * OVERDENSITY * critical_density)) / 3


def log_characteristic_density(
    concentration: Float[Array, "*#shape"], critical_density: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """ln of rho_s of an NFW halo in Msun / kpc^3."""
    ratio = OVERDENSITY / 3 * critical_density / enclosed_mass(concentration)
    return jnp.log(ratio) + 3 * jnp.log(concentration)


def mean_density_truncation(concentration: np.ndarray, overdensity: float) -> np.ndarray:
    """`tau = r / r_s` inside which an NFW halo's mean density is `overdensity` times the critical one, on the host.

    Solves `tau^3 / mu(tau) = (200 / N) c^3 / mu(c)` by Newton's method in ln tau.
    """

    def log_density(log_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = np.exp(log_y)
        mass = np.log1p(y) - y / (1 + y)
        return 3 * log_y - np.log(mass), 3 - (y / (1 + y)) ** 2 / mass

    target = math.log(OVERDENSITY / overdensity) + log_density(np.log(concentration))[0]
    log_tau = np.log(concentration) + math.log(OVERDENSITY / overdensity) / 2.55
    for _ in range(_NEWTON_STEPS):
        value, slope = log_density(log_tau)
        log_tau = log_tau - (value - target) / slope
    return np.exp(log_tau)
