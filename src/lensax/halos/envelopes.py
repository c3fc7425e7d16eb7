"""The envelopes of a population for common random numbers, from the bounds of its parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp

from lensax.halos.rendering import LensPlanes
from lensax.halos.thinning import envelope

if TYPE_CHECKING:
    from lensax.halos.population import Population
    from lensax.raytrace.planes import Planes


def enveloped(
    population: "Population",
    planes: "Planes | Callable[[Mapping[str, Any]], Planes]",
    bounds: Mapping[str, Sequence[float]],
    sections: Sequence[str],
    relaxation: float,
) -> "Population":
    """The population with envelopes that hold every parameter within the bounds."""
    shared = ("dark_matter.", "lens.redshift", "source.redshift")
    present = population.values

    def limits(prefix: str) -> tuple[float, float]:
        names = (f"{prefix}log10_mass_min", f"{prefix}log10_mass_max")
        ends = [bounds.get(name, (float(present[name]),) * 2) for name in names]
        return float(ends[0][0]), float(ends[1][1])

    def varied(section: str, left_out: tuple[str, ...]) -> dict[str, Sequence[float]]:
        return {
            name: ends
            for name, ends in bounds.items()
            if name.startswith((section, *shared)) and not name.endswith(left_out)
        }

    def prepared(values: dict[str, Any]) -> tuple[Any, Any, LensPlanes]:
        at: Any = planes(values) if callable(planes) else planes
        return population.with_values(values), at, LensPlanes.of(at, population.cosmology)

    los, sub = population.line_of_sight, population.subhalos
    if los is not None and "line_of_sight" in sections:

        def field_rate(values: dict[str, Any]) -> Any:
            changed, at, _ = prepared(values)
            law = changed.line_of_sight.law(at, population.cosmology, changed.dark_matter)
            return law.log_rate + jnp.log(changed.line_of_sight.mass_function.delta_los)

        box = varied("line_of_sight.", ("log10_mass_min", "log10_mass_max", "scatter_dex", "source_x", "source_y"))
        grid = los.mass_function.table.log_mass
        top = envelope(field_rate, grid, limits("line_of_sight.mass_function."), box, relaxation)
        population = eqx.tree_at(lambda p: p.line_of_sight.envelope, population, top, is_leaf=lambda x: x is None)
    if sub is not None and "subhalos" in sections:

        def subhalo_rate(values: dict[str, Any]) -> Any:
            changed, at, lenses = prepared(values)
            law = changed.subhalos.law(lenses.at(at.lens_index), changed.dark_matter)
            return law.log_rate + jnp.log(changed.subhalos.amplitude)

        left_out: tuple[str, ...] = ("scatter_dex", "host.concentration", "host.core_fraction")
        if sub.sigma_sub is not None:  # a mean number is one between the limits, an amplitude is not
            left_out = (*left_out, "log10_mass_min", "log10_mass_max")
        box = varied("subhalos.", left_out)
        top = envelope(subhalo_rate, sub.log_mass_grid, limits("subhalos."), box, relaxation)
        population = eqx.tree_at(lambda p: p.subhalos.envelope, population, top, is_leaf=lambda x: x is None)
    return population
