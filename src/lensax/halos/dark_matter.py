"""What the dark matter is made of, as far as populations of halos can tell."""

import abc
import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Float, Scalar
from lensax.halos.free import free

LN10 = math.log(10)


class DarkMatter(eqx.Module):
    """How dark matter changes the abundance and the structure of halos."""

    @abc.abstractmethod
    def field_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """ln of the field halos' abundance over that in cold dark matter, at ln(M / Msun)."""

    @abc.abstractmethod
    def subhalo_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The same for subhalos, at their mass of infall."""

    @abc.abstractmethod
    def log_concentration_ratio(
        self, log_mass: Float[Array, "*shape"], redshift: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """ln of the median concentration over that in cold dark matter."""


@final
class CDM(DarkMatter):
    """Cold, collisionless dark matter."""

    def field_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def subhalo_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def log_concentration_ratio(
        self, log_mass: Float[Array, "*shape"], redshift: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)


def half_mode_suppression(log_mass: Array, log_half_mode: Array, a: float, b: float, c: float) -> Array:
    """`ln [1 + (a M_hm / M)^b]^c`, written with a softplus that neither over- nor underflows in float32."""
    return c * jax.nn.softplus(b * (math.log(a) + log_half_mode - log_mass))


@final
class WDM(DarkMatter):
    r"""Warm dark matter with half-mode mass M_hm.

        n_WDM / n_CDM = [1 + (a M_hm / M)^b]^c     field (2.3, 0.8, -1.0), subhalos (4.2, 2.5, -0.2): Lovell (2020)
        c_WDM / c_CDM = (1 + 60 M_hm / M)^-0.17 (1 + z)^(0.026 z - 0.04)                 Bose et al. (2016)

    `log10_m_hm = 0` is the cold limit. The redshift factor of the concentrations (0.99 at z = 0.5) does not depend on
    M_hm; `redshift_factor=False` leaves it out, as some codes do, and makes that limit exact.

    Arguments:
        log10_m_hm: log10 of the half-mode mass in Msun.
        redshift_factor: whether concentrations have the factor of redshift.
    """

    log10_m_hm: Scalar = free()
    redshift_factor: bool = eqx.field(static=True, default=True)

    def field_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return half_mode_suppression(log_mass, LN10 * self.log10_m_hm, 2.3, 0.8, -1.0)

    def subhalo_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return half_mode_suppression(log_mass, LN10 * self.log10_m_hm, 4.2, 2.5, -0.2)

    def log_concentration_ratio(
        self, log_mass: Float[Array, "*shape"], redshift: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        ratio = half_mode_suppression(log_mass, LN10 * self.log10_m_hm, 60.0, 1.0, -0.17)
        if self.redshift_factor:
            ratio = ratio + (0.026 * redshift - 0.04) * jnp.log1p(redshift)
        return ratio
