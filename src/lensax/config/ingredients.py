"""From the sections of a configuration to ingredients: classes whose arguments are parameters."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from lensax._types import as_real
from lensax.config.document import KeyPath
from lensax.config.section import Choice, Linked, Made
from lensax.config.values import Value
from lensax.parameters.distribution import N_DRAWS
from lensax.recipe import Ingredient

if TYPE_CHECKING:
    from lensax.config.base import BaseConfiguration

__all__ = ["ingredient", "ingredients", "try_ingredients"]

N_TRIALS = 32  # draws with which the parts are tried, besides the lowest and highest values


def ingredients(
    configuration: "BaseConfiguration", path: KeyPath, entries: list[Any], context: Any = None
) -> dict[KeyPath, Ingredient]:
    """The entries of a list, each a class with its arguments, by their paths."""
    return {
        (*path, index, entry.name): ingredient(configuration, (*path, index, entry.name), entry.section, context)
        for index, entry in enumerate(entries)
    }


def ingredient(configuration: "BaseConfiguration", path: KeyPath, section: Made, context: Any = None) -> Ingredient:
    """The class that a section makes, with the parameters that its keys are.

    Args:
        configuration: knows the names of parameters.
        path: of the section.
        section: keys with values become arguments, with classes parts, all others switches.
        context: what sections that are `Linked` are given; an error of theirs is one of the configuration.

    Raises:
        ConfigError: a section needs what the context does not have.
    """
    arguments: dict[str, str | tuple[str, ...]] = {}
    switches: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for key in type(section).model_fields:
        found, place = getattr(section, key), (*path, key)
        if isinstance(found, Value):
            arguments[key] = configuration.name(place)
        elif isinstance(found, list) and any(isinstance(entry, Value) for entry in found):
            arguments[key] = tuple(configuration.name((*place, index)) for index in range(len(found)))
        elif isinstance(found, Choice):
            parts[key] = _part(configuration, (*place, found.name), found.section, context)
        elif isinstance(found, list) and any(isinstance(entry, Choice) for entry in found):
            made = ingredients(configuration, place, found, context)
            parts[key] = Ingredient(together, {}, parts={str(index): one for index, one in enumerate(made.values())})
        elif key in section.model_fields_set:
            switches[key] = tuple(found) if isinstance(found, list) else found
    if isinstance(section, Linked):
        with configuration.blame(path):
            section.link(context, switches, parts)
    return Ingredient(section.target, arguments, switches, parts)


def _part(configuration: "BaseConfiguration", path: KeyPath, section: Made, context: Any) -> Any:
    """What a section makes: an object where no parameter has a say in it."""
    made = ingredient(configuration, path, section, context)
    if made.names:
        return made
    with configuration.blame(path):
        return made.make({})


def together(**parts: Any) -> tuple[Any, ...]:
    """Several parts as one."""
    return tuple(parts.values())


def try_ingredients(
    configuration: "BaseConfiguration", made: dict[KeyPath, Ingredient], everywhere: bool = True
) -> None:
    """Make every part with values of the prior: what it refuses now would be a NaN later.

    Args:
        configuration: with the prior.
        made: the parts by their paths.
        everywhere: try the prior's extremes and draws; else its middle alone, for a model that may refuse the rest.
    """
    for values in _trials(configuration, everywhere):
        for path, ingredient in made.items():
            names = ingredient.names
            free = [name for name in names if configuration.parameters[name].kind != "fixed"]
            with configuration.blame(path, ", which the priors allow" if free else ""):
                ingredient.make({name: as_real(values[name]) for name in names})


def _trials(configuration: "BaseConfiguration", everywhere: bool) -> Iterator[dict[str, np.ndarray]]:
    """Values of every parameter: the lowest that are drawn of all, the highest, and some draws; or the medians."""
    parameters = configuration.parameters
    prior = parameters.prior
    draws = {name: np.asarray(draw) for name, draw in prior.sample(jax.random.key(0), (N_DRAWS,)).items()}
    if everywhere:
        theta = {name: np.concatenate([[draw.min(), draw.max()], draw[:N_TRIALS]]) for name, draw in draws.items()}
    else:
        theta = {name: np.median(draw)[None] for name, draw in draws.items()}
    resolved = {name: np.asarray(value) for name, value in parameters.resolve(theta).items()}
    for name, value in resolved.items():
        if parameters[name].kind == "derived" and not np.all(np.isfinite(value)):
            reason = f"{parameters[name].describe()} gives {value[~np.isfinite(value)].flat[0]} for values of the prior"
            raise configuration.error(name, reason)
    for index in range(len(next(iter(theta.values()))) if theta else 1):
        yield {name: value if value.ndim == 0 else value[index] for name, value in resolved.items()}
