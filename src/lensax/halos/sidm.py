"""Self-interacting dark matter inside the one halo family: cores, and collapse by chance."""

from typing import final

import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar
from lensax.halos import scales
from lensax.halos.dark_matter import DarkMatter
from lensax.halos.free import free
from lensax.halos.rendering import Structure

PIVOT = float(np.log(1e8))
LN10 = float(np.log(10))


@final
class SIDM(DarkMatter):
    r"""Self-interacting dark matter: halos have cores, and some have collapsed into compact ones.

    A halo that has not collapsed is a cored NFW halo with `r_c = core_fraction r_s` and its mass inside r200 unchanged:
    `rho_s` rises by `mu(c) / mu_c(c, f)`. A halo has collapsed with a probability that depends on its mass,

        p(M) = probability + slope log10(M / 1e8 Msun), between 0 and 1,

    with values of its own for field halos and for subhalos (tides speed collapse up). A collapsed halo has the same
    mass inside r200, a concentration `compactness` times higher and a small core; its truncation radius in kpc is kept.
    Masses and the choice are drawn at once: the same key makes the same halos collapse as the probability grows.

    Arguments:
        core_fraction: r_c / r_s of halos that have not collapsed, 0 to 0.8.
        field_probability, field_slope: of collapse at 1e8 Msun and its change per dex, for field halos.
        subhalo_probability, subhalo_slope: the same for subhalos.
        compactness: concentration of a collapsed halo over that which it had.
        collapsed_core_fraction: r_c / r_s of a collapsed halo.
    """

    core_fraction: Scalar = free(0.2)
    field_probability: Scalar = free(0.0)
    field_slope: Scalar = free(0.0)
    subhalo_probability: Scalar = free(0.0)
    subhalo_slope: Scalar = free(0.0)
    compactness: Scalar = free(4.0)
    collapsed_core_fraction: Scalar = free(0.05)

    def field_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def subhalo_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def log_concentration_ratio(
        self, log_mass: Float[Array, "*shape"], redshift: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def field_structure(self, structure: Structure, uniform: Float[Array, "planes slots"]) -> Structure:
        return self._evolved(
            structure, uniform < self._probability(structure, self.field_probability, self.field_slope)
        )

    def subhalo_structure(self, structure: Structure, uniform: Float[Array, "planes slots"]) -> Structure:
        chance = self._probability(structure, self.subhalo_probability, self.subhalo_slope)
        return self._evolved(structure, uniform < chance)

    def _probability(self, structure: Structure, probability: Scalar, slope: Scalar) -> Array:
        return jnp.clip(probability + slope * (structure.log_mass - PIVOT) / LN10, 0.0, 1.0)

    def _evolved(self, structure: Structure, collapsed: Array) -> Structure:
        c = structure.concentration
        compactness = jnp.where(collapsed, self.compactness, 1.0)
        core = jnp.where(collapsed, self.collapsed_core_fraction, self.core_fraction)
        # rho_s r_s^3 mu is the mass, which stays: both r_s and mu change.
        enclosed = scales.cored_enclosed_mass(c * compactness, core)
        density = compactness**3 * scales.enclosed_mass(c) / enclosed
        return Structure(
            structure.log_mass,
            c,
            structure.critical_density,
            structure.tau * compactness,
            core,
            structure.density_ratio * density,
            structure.radius_ratio / compactness,
        )
