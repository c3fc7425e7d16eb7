"""From a configuration to the parts of a forward model."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lensax._batching import micro_batch_size
from lensax._memory import check_memory
from lensax._types import as_real
from lensax.config.document import KeyPath
from lensax.config.population import build_population, plane_scheme
from lensax.config.section import find
from lensax.config.values import Value
from lensax.halos import Population
from lensax.halos.slots import ADVICE, universe_bytes
from lensax.parameters import Prior
from lensax.recipe import Ingredient, Recipe
from lensax.simulate import Simulator

if TYPE_CHECKING:
    from lensax.config.configuration import Configuration

__all__ = ["build"]

N_DRAWS = 1024  # of the prior; the profiles are tried with their lowest and highest values
N_TRIALS = 32  # and with so many of the draws


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
    mass = _ingredients(configuration, ("lens", "mass"), settings.lens.mass)
    lens_light = _ingredients(configuration, ("lens", "light"), settings.lens.light)
    source = _ingredients(configuration, ("source", "light"), settings.source.light)
    _try(configuration, {**mass, **lens_light, **source})
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


def _ingredients(configuration: "Configuration", path: KeyPath, entries: list[Any]) -> dict[KeyPath, Ingredient]:
    """The profiles of a list, each by its path."""
    made = {}
    for index, entry in enumerate(entries):
        place = (*path, index, entry.name)
        section = entry.section
        arguments = {str(key[-1]): configuration.name(key) for key, _ in find(section, Value, place)}
        switches = {key: getattr(section, key) for key in section.model_fields_set if key not in arguments}
        made[place] = Ingredient(section.target, arguments, switches)
    return made


def _try(configuration: "Configuration", ingredients: dict[KeyPath, Ingredient]) -> None:
    """Make every profile with values that the prior allows: what it refuses now would be an image of NaN later."""
    for values in _trials(configuration):
        for path, ingredient in ingredients.items():
            names = [name for _, name in ingredient.arguments]
            free = [name for name in names if configuration.parameters[name].kind != "fixed"]
            with configuration.blame(path, ", which the priors allow" if free else ""):
                ingredient.make({name: as_real(values[name]) for name in names})


def _trials(configuration: "Configuration") -> Iterator[dict[str, np.ndarray]]:
    """Values of every parameter: the lowest that are drawn of all, the highest, and some draws."""
    parameters = configuration.parameters
    prior = parameters.prior
    sample = jax.jit(lambda key: prior.sample(key, (N_DRAWS,)))
    draws = {name: np.asarray(draw) for name, draw in sample(jax.random.key(0)).items()}
    theta = {name: np.concatenate([[draw.min(), draw.max()], draw[:N_TRIALS]]) for name, draw in draws.items()}
    resolved = {name: np.asarray(value) for name, value in parameters.resolve(theta).items()}
    for name, value in resolved.items():
        if parameters[name].kind == "derived" and not np.all(np.isfinite(value)):
            reason = f"{parameters[name].describe()} gives {value[~np.isfinite(value)].flat[0]} for values of the prior"
            raise configuration.error(name, reason)
    for index in range(2 + N_TRIALS if theta else 1):
        yield {name: value if value.ndim == 0 else value[index] for name, value in resolved.items()}
