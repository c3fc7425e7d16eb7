"""What self-interactions make of the centre of an NFW halo: the models of its core."""

import abc
import dataclasses
from typing import final

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Float, Scalar
from lensax.halos import scales
from lensax.halos.free import free
from lensax.halos.rendering import Structure
from lensax.mass import gravothermal
from lensax.mass.mixed import ISOTHERMAL_CORE, PARAMETRIC_SIDM

# Of isothermal cores: smaller ones are none.
_SMALLEST_MATCHING = 1e-3


@final
class Interaction(eqx.Module):
    """What halos have gone through.

    Args:
        cross_section: effective sigma / m in cm^2 / g of each halo.
        isolated: time in Gyr in which a halo evolves at its own pace: that of subhalos before infall.
        boosted: time in Gyr in which it evolves faster: that of subhalos since infall, of field halos since formation.
    """

    cross_section: Float[Array, "planes slots"]
    isolated: Float[Array, "planes slots"]
    boosted: Float[Array, "planes slots"]


class CoreModel(eqx.Module):
    """How the centre of a halo that collisionless dark matter would make a truncated NFW halo differs from it."""

    @abc.abstractmethod
    def evolved(self, structure: Structure, density: Array, radius: Array, interaction: Interaction) -> Structure:
        """The halos as they are.

        Args:
            structure: of the NFW halos; tides may have stripped them.
            density, radius: rho_s in Msun / kpc^3 and r_s in kpc of the NFW halos before tides.
            interaction: what they have gone through.
        """


@final
class NFW(CoreModel):
    """No core at all."""

    def evolved(self, structure: Structure, density: Array, radius: Array, interaction: Interaction) -> Structure:
        return structure


@final
class CoredNFW(CoreModel):
    """A core of a fixed fraction of the scale radius, `rho ~ 1/[(y + f)(1 + y)^2]`, whatever the cross-section.

    The mass inside r200 is kept: `rho_s` rises by `mu(c) / mu_c(c, f)`.

    Args:
        core_fraction: r_c / r_s, 0 to 0.8.
    """

    core_fraction: Scalar = free(0.2)

    def evolved(self, structure: Structure, density: Array, radius: Array, interaction: Interaction) -> Structure:
        return recored(structure, self.core_fraction * jnp.ones_like(structure.tau), jnp.ones_like(structure.tau))


@final
class Parametric(CoreModel):
    r"""The parametric gravothermal model (`lensax.mass.ParametricSIDM`): a core that grows and collapses.

        t/t_c = [time before infall + boost * time since] / t_c,   field halos: boost * time since formation

    with the collapse time t_c of the NFW halo before tides. The truncation radius in kpc is kept.

    Args:
        boost: how much faster than in isolation the halo evolves (tides shorten the collapse; 1 is no boost).
    """

    boost: Scalar = free(1.0)

    def evolved(self, structure: Structure, density: Array, radius: Array, interaction: Interaction) -> Structure:
        age = interaction.isolated + self.boost * interaction.boosted
        collapse = gravothermal.collapse_time(interaction.cross_section, density, radius)
        evolution = gravothermal.evolve(age / collapse)
        return dataclasses.replace(
            structure,
            tau=structure.tau / evolution.radius_ratio,
            core_fraction=evolution.core_fraction,
            density_ratio=structure.density_ratio * evolution.density_ratio,
            radius_ratio=structure.radius_ratio * evolution.radius_ratio,
            family=jnp.full(structure.tau.shape, PARAMETRIC_SIDM, jnp.int32),
            present=(*structure.present, PARAMETRIC_SIDM),
        )


@final
class Isothermal(CoreModel):
    """An isothermal core inside the radius where particles have collided (`lensax.mass.IsothermalCore`)."""

    def evolved(self, structure: Structure, density: Array, radius: Array, interaction: Interaction) -> Structure:
        age = interaction.isolated + interaction.boosted
        matching = gravothermal.matching_radius(interaction.cross_section, density, radius, age)
        return dataclasses.replace(
            structure,
            core_fraction=jnp.maximum(matching, _SMALLEST_MATCHING),
            family=jnp.full(structure.tau.shape, ISOTHERMAL_CORE, jnp.int32),
            present=(*structure.present, ISOTHERMAL_CORE),
        )


def recored(
    structure: Structure, core_fraction: Float[Array, "planes slots"], compactness: Float[Array, "planes slots"]
) -> Structure:
    """Cored NFW halos, `compactness` times as concentrated, of the same mass inside r200."""
    c = structure.concentration
    # rho_s r_s^3 mu is the mass, which stays: both r_s and mu change.
    enclosed = scales.cored_enclosed_mass(c * compactness, core_fraction)
    density = compactness**3 * scales.enclosed_mass(c) / enclosed
    return dataclasses.replace(
        structure,
        tau=structure.tau * compactness,
        core_fraction=core_fraction,
        density_ratio=structure.density_ratio * density,
        radius_ratio=structure.radius_ratio / compactness,
    )
