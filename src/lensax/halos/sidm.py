"""Self-interacting dark matter: cores, gravothermal evolution, and collapse by chance."""

import dataclasses
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar
from lensax.halos import scales
from lensax.halos.cores import CoreModel, Interaction, Parametric, recored
from lensax.halos.dark_matter import DarkMatter
from lensax.halos.free import chosen, free
from lensax.halos.rendering import LensPlanes, Structure
from lensax.mass import gravothermal
from lensax.mass.mixed import CORED_NFW

PIVOT = float(np.log(1e8))
LN10 = float(np.log(10))


@final
class Collapse(eqx.Module):
    r"""Halos that have collapsed into compact ones, by chance.

        p(M) = probability + slope log10(M / 1e8 Msun), between 0 and 1,

    with values of its own for field halos and for subhalos (tides speed collapse up). A collapsed halo is a cored NFW
    halo of the same mass inside r200, with a higher concentration and a small core; its truncation radius in kpc is
    kept. Masses and the choice are drawn at once: the same key makes the same halos collapse as the probability grows.

    Args:
        field_probability, field_slope: of collapse at 1e8 Msun and its change per dex, for field halos.
        subhalo_probability, subhalo_slope: the same for subhalos.
        compactness: concentration of a collapsed halo over that which it had.
        core_fraction: r_c / r_s of a collapsed halo.
    """

    field_probability: Scalar = free(0.0)
    field_slope: Scalar = free(0.0)
    subhalo_probability: Scalar = free(0.0)
    subhalo_slope: Scalar = free(0.0)
    compactness: Scalar = free(4.0)
    core_fraction: Scalar = free(0.05)

    def applied(
        self,
        nfw: Structure,
        evolved: Structure,
        uniform: Float[Array, "planes slots"],
        probability: Scalar,
        slope: Scalar,
    ) -> Structure:
        """The halos, of which those have collapsed whose uniform number is below the probability."""
        chance = jnp.clip(probability + slope * (nfw.log_mass - PIVOT) / LN10, 0.0, 1.0)
        collapsed = uniform < chance
        full = jnp.ones_like(nfw.tau)
        compact = recored(nfw, self.core_fraction * full, self.compactness * full)
        family = None if evolved.family is None else jnp.where(collapsed, CORED_NFW, evolved.family)
        return dataclasses.replace(
            evolved,
            tau=jnp.where(collapsed, compact.tau, evolved.tau),
            core_fraction=jnp.where(collapsed, compact.core_fraction, evolved.core_fraction),
            density_ratio=jnp.where(collapsed, compact.density_ratio, evolved.density_ratio),
            radius_ratio=jnp.where(collapsed, compact.radius_ratio, evolved.radius_ratio),
            family=family,
        )


@final
class SIDM(DarkMatter):
    r"""Self-interacting dark matter with a cross-section that falls with speed,

        sigma / m = cross_section (v / speed)^-power,

    averaged over each halo as `gravothermal.effective_cross_section` says. Abundances and concentrations are those of
    cold dark matter. All numbers may be traced, and halos follow them smoothly, but for the choice which have collapsed
    by chance.

    Args:
        field: what field halos have at their centres: `Parametric`, `Isothermal`, `CoredNFW` or `NFW`.
        subhalos: the same for subhalos.
        cross_section: sigma_0 / m in cm^2 / g.
        speed: v_0 in km / s.
        power: of the speed, 0 to below 8.
        formation_redshift: when halos were NFW halos and began to evolve; those that fell in before, at their infall.
        collapse: of some halos into compact ones, on top of what the models of the centres say.
    """

    field: CoreModel = chosen(default_factory=Parametric)
    subhalos: CoreModel = chosen(default_factory=Parametric)
    cross_section: Scalar = free(10.0)
    speed: Scalar = free(100.0)
    power: Scalar = free(0.0)
    formation_redshift: Scalar = free(10.0)
    collapse: Collapse = eqx.field(default_factory=Collapse)

    def field_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def subhalo_log_suppression(self, log_mass: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def log_concentration_ratio(
        self, log_mass: Float[Array, "*shape"], redshift: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return jnp.zeros_like(log_mass)

    def field_structure(
        self, structure: Structure, uniform: Float[Array, "planes slots"], lenses: LensPlanes
    ) -> Structure:
        now, formation = lenses.cosmology.age(lenses.redshift)[:, None], self._formation(lenses)
        age = jnp.maximum(now - formation, 0.0) * jnp.ones_like(structure.tau)
        evolved = self._evolved(self.field, structure, jnp.zeros_like(age), age)
        chance = self.collapse.field_probability, self.collapse.field_slope
        return self.collapse.applied(structure, evolved, uniform, *chance)

    def subhalo_structure(
        self,
        structure: Structure,
        uniform: Float[Array, "planes slots"],
        lenses: LensPlanes,
        infall: Float[Array, "planes slots"],
    ) -> Structure:
        now, formation = lenses.cosmology.age(lenses.redshift)[:, None], self._formation(lenses)
        fell = jnp.minimum(lenses.cosmology.age(infall), now)
        isolated = jnp.maximum(fell - formation, 0.0)
        boosted = jnp.maximum(now - jnp.maximum(fell, formation), 0.0)
        evolved = self._evolved(self.subhalos, structure, isolated, boosted)
        chance = self.collapse.subhalo_probability, self.collapse.subhalo_slope
        return self.collapse.applied(structure, evolved, uniform, *chance)

    def _formation(self, lenses: LensPlanes) -> Array:
        """Age of the universe in Gyr when halos formed."""
        return lenses.cosmology.age(self.formation_redshift)

    def _evolved(self, model: CoreModel, structure: Structure, isolated: Array, boosted: Array) -> Structure:
        density = jnp.exp(scales.log_characteristic_density(structure.concentration, structure.critical_density))
        radius = structure.scale_radius()
        fastest = gravothermal.peak_speed(density, radius)
        effective = gravothermal.effective_cross_section(self.cross_section, fastest, self.speed, self.power)
        return model.evolved(structure, density, radius, Interaction(effective, isolated, boosted))
