"""From a configuration to the parts of a forward model."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from lensax._batching import micro_batch_size
from lensax._memory import check_memory
from lensax.config.ingredients import ingredients, try_ingredients
from lensax.config.population import build_population, plane_scheme
from lensax.halos import Population
from lensax.halos.slots import ADVICE, universe_bytes
from lensax.parameters import Prior
from lensax.recipe import Recipe
from lensax.simulate import Simulator

if TYPE_CHECKING:
    from lensax.config.configuration import Configuration

__all__ = ["build"]


def build(configuration: "Configuration") -> tuple[Prior, Recipe, Simulator]:
    """The prior, the recipe and the simulator.

    Raises:
        ConfigError: a file that cannot be read, or numbers that the parts of the model refuse.
    """
    settings: Any = configuration.settings
    parameters = configuration.parameters
    with configuration.blame(("cosmology", settings.cosmology.name)):
        cosmology = settings.cosmology.section.make()
    instrument = settings.instrument.make(configuration.folder, lambda path: configuration.blame(("instrument", *path)))
    simulator = Simulator(instrument)
    if settings.tracer is not None:
        with configuration.blame(("tracer", settings.tracer.name)):
            simulator = Simulator(instrument, settings.tracer.section.make())
    mass = ingredients(configuration, ("lens", "mass"), settings.lens.mass)
    lens_light = ingredients(configuration, ("lens", "light"), settings.lens.light)
    source = ingredients(configuration, ("source", "light"), settings.source.light)
    try_ingredients(configuration, {**mass, **lens_light, **source})
    with configuration.blame(("line_of_sight", "planes")):
        scheme = plane_scheme(settings.line_of_sight, parameters)
    with configuration.blame(("line_of_sight",) if settings.line_of_sight else ("subhalos",)):
        population = build_population(
            settings.line_of_sight, settings.subhalos, settings.dark_matter, parameters, cosmology
        )
        _check_memory(population, scheme.n_planes, simulator)
    recipe = Recipe(
        parameters=parameters,
        mass=tuple(mass.values()),
        source=tuple(source.values()),
        lens_light=tuple(lens_light.values()),
        scheme=scheme,
        cosmology=cosmology,
        population=population,
    )
    return parameters.prior, recipe, simulator


def _check_memory(population: Population | None, n_planes: int, simulator: Simulator) -> None:
    """Refuse a population whose images need more memory than there is, before anything is compiled."""
    if population is None:
        return
    rays = simulator._bytes_per_image(jnp.zeros(()).dtype)
    images = micro_batch_size(rays)
    together = "one image" if images == 1 else f"a micro-batch of {images} images"
    slots = population.n_slots
    parts = {
        f"{slots} slots on each of {n_planes} planes": images * universe_bytes(slots, n_planes),
        f"{simulator.instrument.padded_grid.n_rays} rays": images * rays,
    }
    check_memory(parts, together, f"{ADVICE}, or trace fewer rays (shape, over_sample)")
