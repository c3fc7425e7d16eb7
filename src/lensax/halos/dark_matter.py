"""What the dark matter is made of, as far as populations of halos can tell."""

import abc
import math
from typing import TYPE_CHECKING, final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Float, Scalar
from lensax.halos.free import free

if TYPE_CHECKING:
    from lensax.halos.rendering import LensPlanes, Structure

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

    @abc.abstractmethod
    def field_structure(
        self, structure: "Structure", uniform: Float[Array, "planes slots"], lenses: "LensPlanes"
    ) -> "Structure":
        """The inner structure of field halos that would be truncated NFW halos if the dark matter did not collide.

        Args:
            structure: of these NFW halos.
            uniform: a uniform number for each halo, for what chance decides.
            lenses: the planes on which they are seen.
        """

    @abc.abstractmethod
    def subhalo_structure(
        self,
        structure: "Structure",
        uniform: Float[Array, "planes slots"],
        lenses: "LensPlanes",
        infall: Float[Array, "planes slots"],
    ) -> "Structure":
        """The same for subhalos, which fell into their host at the redshifts `infall`."""


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

    def field_structure(
        self, structure: "Structure", uniform: Float[Array, "planes slots"], lenses: "LensPlanes"
    ) -> "Structure":
        return structure

    def subhalo_structure(
        self,
        structure: "Structure",
        uniform: Float[Array, "planes slots"],
        lenses: "LensPlanes",
        infall: Float[Array, "planes slots"],
    ) -> "Structure":
        return structure


def half_mode_suppression(log_mass: Array, log_half_mode: Array, a: float, b: float, c: float) -> Array:
    """`ln [1 + (a M_hm / M)^b]^c`, written with a softplus that neither over- nor underflows in float32."""
    return c * jax.nn.softplus(b * (math.log(a) + log_half_mode - log_mass))


def thermal_half_mode_mass(
    thermal_mass: Float[Array, "*shape"], h: float, dark_density: float, matter_density: float
) -> Float[Array, "*shape"]:
    r"""log10 of the half-mode mass in Msun of a thermal relic (Viel et al. 2005; Schneider et al. 2012).

        alpha = 0.049 (m / keV)^-1.11 (Omega_x / 0.25)^0.11 (h / 0.7)^1.22 Mpc / h,
        lambda_hm = 13.9335 alpha,   M_hm = (4 pi / 3) rho_m (lambda_hm / 2)^3

    Args:
        thermal_mass: of the particle, keV.
        h: Hubble constant over 100 km / s / Mpc.
        dark_density: Omega_x, that of matter less that of baryons.
        matter_density: mean comoving density of matter, Msun / Mpc^3.
    """
    scale = 13.9335 * 0.049 * (dark_density / 0.25) ** 0.11 * (h / 0.7) ** 1.22 / h
    at_1_kev = math.log10(4 * math.pi / 3 * matter_density * (scale / 2) ** 3)
    return at_1_kev - 3 * 1.11 * jnp.log10(thermal_mass)


@final
class WDM(DarkMatter):
    r"""Warm dark matter with half-mode mass M_hm.

        n_WDM / n_CDM = [1 + (a M_hm / M)^b]^c     field (2.3, 0.8, -1.0), subhalos (4.2, 2.5, -0.2): Lovell (2020)
        c_WDM / c_CDM = (1 + x)^-0.17 (1 + z)^[(0.026 z - 0.04) x/(1 + x)],  x = 60 M_hm / M        Bose et al. (2016)

    `log10_m_hm = 0` is the cold limit. The redshift factor of the concentrations (0.99 at z = 0.5) is as published for
    halos that feel the cut-off at all; the `x/(1 + x)` lets it go where they do not, so that the limit is continuous.
    `redshift_factor=False` leaves it out, as some codes do.

    Args:
        log10_m_hm: log10 of the half-mode mass in Msun, or None.
        redshift_factor: whether concentrations have the factor of redshift.
        thermal_mass: instead of `log10_m_hm`, the mass of a thermal relic in keV.
        relic: h, Omega_x and mean density of matter in Msun / Mpc^3 (see `thermal_half_mode_mass`) for `thermal_mass`.
    """

    log10_m_hm: Scalar | None = free(None)
    redshift_factor: bool = eqx.field(static=True, default=True)
    thermal_mass: Scalar | None = free(None)
    relic: tuple[float, float, float] | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if (self.log10_m_hm is None) == (self.thermal_mass is None):
            given = "neither" if self.log10_m_hm is None else "both"
            raise ValueError(f"WDM: give either log10_m_hm or thermal_mass, got {given}")
        if self.thermal_mass is not None and self.relic is None:
            raise ValueError("WDM: the thermal mass needs `relic`, the densities of the universe")

    @property
    def log_half_mode_mass(self) -> Scalar:
        """ln(M_hm / Msun)."""
        if self.log10_m_hm is not None:
            return LN10 * self.log10_m_hm
        assert self.thermal_mass is not None and self.relic is not None  # noqa: PT018
        return LN10 * thermal_half_mode_mass(self.thermal_mass, *self.relic)

    def field_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return half_mode_suppression(log_mass, self.log_half_mode_mass, 2.3, 0.8, -1.0)

    def subhalo_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return half_mode_suppression(log_mass, self.log_half_mode_mass, 4.2, 2.5, -0.2)

    def log_concentration_ratio(
        self, log_mass: Float[Array, "*shape"], redshift: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        ratio = half_mode_suppression(log_mass, self.log_half_mode_mass, 60.0, 1.0, -0.17)
        if self.redshift_factor:
            felt = jax.nn.sigmoid(math.log(60.0) + self.log_half_mode_mass - log_mass)
            ratio = ratio + felt * (0.026 * redshift - 0.04) * jnp.log1p(redshift)
        return ratio

    def field_structure(
        self, structure: "Structure", uniform: Float[Array, "planes slots"], lenses: "LensPlanes"
    ) -> "Structure":
        return structure

    def subhalo_structure(
        self,
        structure: "Structure",
        uniform: Float[Array, "planes slots"],
        lenses: "LensPlanes",
        infall: Float[Array, "planes slots"],
    ) -> "Structure":
        return structure
