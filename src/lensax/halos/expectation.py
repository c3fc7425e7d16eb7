"""What a population is expected to draw, and what it drew: numbers, masses and concentrations."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, PRNGKeyArray, Scalar
from lensax.halos.drawn import DrawnHalos
from lensax.halos.mass_law import MassLaw

if TYPE_CHECKING:
    from lensax.halos.population import Population
    from lensax.raytrace.planes import Planes

LN10 = math.log(10)
_POINTS = 1024  # of the unit square, for the distribution of concentrations at a mass


@final
class Abundance(eqx.Module):
    """Mean numbers of one kind of halo.

    Attributes:
        law: `dN/dlnM` on every plane for an amplitude of 1; of subhalos, on the lens plane alone.
        amplitude: what multiplies it; it may be 0.
    """

    law: MassLaw
    amplitude: Scalar

    def number(self) -> Float[Array, " planes"]:
        """Mean number on each plane."""
        return self.amplitude * self.law.number()

    def between(self, log10_mass: Float[Array, " edges"]) -> Float[Array, "planes bins"]:
        """Mean numbers on each plane in bins of log10(M200 / Msun), of subhalos at infall."""
        edges = jnp.clip(LN10 * log10_mass.astype(self.law.low.dtype), self.law.low, self.law.high)

        def above(low: Scalar) -> Array:
            return MassLaw(self.law.log_mass, self.law.log_rate, low, self.law.high).number()

        return -self.amplitude * jnp.diff(jax.vmap(above, out_axes=1)(edges), axis=1)


def abundances(
    population: "Population", planes: "Planes", values: Mapping[str, Any] | None = None
) -> tuple[Abundance | None, Abundance | None]:
    """Mean numbers of field halos and of subhalos, each None where there are none.

    A population that draws from an envelope (see `lensax.halos.thinning`) is the same in the mean: these are the
    numbers of halos that are kept.

    Args:
        population: of any kind.
        planes: the lens planes.
        values: parameters by name; those left out keep the values that the population holds.
    """
    population, lenses = population._prepared(planes, values)
    los, sub = population.line_of_sight, population.subhalos
    field = subhalos = None
    if los is not None:
        law = los.law(planes, population.cosmology, population.dark_matter)
        field = Abundance(law, los.mass_function.delta_los)
    if sub is not None:
        subhalos = Abundance(sub.law(lenses.at(planes.lens_index), population.dark_matter), sub.amplitude)
    return field, subhalos


def drawn_halos(
    population: "Population", key: PRNGKeyArray, planes: "Planes", values: Mapping[str, Any] | None = None
) -> tuple[DrawnHalos | None, DrawnHalos | None]:
    """Masses, concentrations and places of the halos that `population.draw` makes of the same arguments.

    Args:
        population: with slots.
        key, planes, values: as for `population.draw`.

    Returns:
        the field halos and the subhalos, each None where there are none.
    """
    population, lenses = population._prepared(planes, values)
    key_los, key_sub = jax.random.split(key)
    los, sub = population.line_of_sight, population.subhalos
    cosmology, dark_matter = population.cosmology, population.dark_matter
    field = subhalos = None
    if los is not None:
        field = los.drawn(key_los, planes, lenses, cosmology, dark_matter, population.field_slots)
    if sub is not None:
        slots = min(population.n_slots, population.n_subhalos)
        subhalos = sub.drawn(key_sub, lenses.at(planes.lens_index), cosmology, dark_matter, slots)
    return field, subhalos


def field_concentrations(
    population: "Population",
    planes: "Planes",
    log10_mass: Float[Array, " masses"],
    values: Mapping[str, Any] | None = None,
) -> Float[Array, "planes masses"]:
    """Median concentrations of field halos on every plane; their scatter is `concentration.scatter_dex`.

    Raises:
        ValueError: a population without field halos.
    """
    population, lenses = population._prepared(planes, values)
    los = population.line_of_sight
    if los is None:
        raise ValueError("the population has no field halos")
    log_mass = jnp.broadcast_to(LN10 * log10_mass[None], (planes.n_planes, log10_mass.shape[0]))
    log_mass = log_mass.astype(lenses.redshift.dtype)
    redshift = jnp.broadcast_to(lenses.redshift[:, None], log_mass.shape)
    ratio = population.dark_matter.log_concentration_ratio(log_mass, redshift)
    return los.concentration.scattered(
        los.concentration.log_median(lenses.redshift, log_mass) + ratio, jnp.zeros_like(log_mass)
    )


def subhalo_concentrations(
    population: "Population",
    planes: "Planes",
    log10_mass: Float[Array, " masses"],
    quantiles: Sequence[float] = (0.16, 0.5, 0.84),
    values: Mapping[str, Any] | None = None,
) -> Float[Array, "quantiles masses"]:
    """Quantiles of the concentrations of subhalos at infall: their scatter, and that of their redshifts of infall.

    Raises:
        ValueError: a population without subhalos.
    """
    population, lenses = population._prepared(planes, values)
    sub, lens = population.subhalos, lenses.at(planes.lens_index)
    if sub is None:
        raise ValueError("the population has no subhalos")
    # An additive recurrence in two dimensions fills the square of scatter and infall evenly.
    points = (0.5 + np.arange(1, _POINTS + 1)[:, None] * np.array([0.7548776662466927, 0.5698402909980532])) % 1.0
    dtype = lens.redshift.dtype
    scatter, infall = (jnp.asarray(column, dtype)[None] for column in points.T)
    half = jnp.full_like(scatter, 0.5)

    def at(log_mass: Scalar) -> Array:
        masses = jnp.full_like(scatter, 1.0) * log_mass
        draws = (scatter, infall, half, half, half)
        structure = sub.structure(masses, half, draws, lens, population.cosmology, population.dark_matter)
        return jnp.quantile(structure.concentration[0], jnp.asarray(quantiles, dtype))

    return jax.lax.map(at, LN10 * log10_mass.astype(dtype)).T


def subhalo_radii(
    population: "Population",
    planes: "Planes",
    fractions: Float[Array, " n"],
    values: Mapping[str, Any] | None = None,
) -> Float[Array, " n"]:
    """Distances from the lens in arcsec within which these fractions of all subhalos are expected.

    Raises:
        ValueError: a population without subhalos.
    """
    population, lenses = population._prepared(planes, values)
    sub, lens = population.subhalos, lenses.at(planes.lens_index)
    if sub is None:
        raise ValueError("the population has no subhalos")
    uniform = fractions.astype(lens.redshift.dtype)[None]
    x, y = sub.positions.sample(uniform, jnp.zeros_like(uniform), lens, sub.host)
    return jnp.hypot(x, y)[0]
