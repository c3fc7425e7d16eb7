"""From theta to a scene."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Float, PRNGKeyArray
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import PlaneScheme, Population
from lensax.parameters import Parameters
from lensax.raytrace.planes import Planes
from lensax.scene import Scene

__all__ = ["Ingredient", "Recipe"]


@final
class Ingredient(eqx.Module):
    """A part of a model whose arguments are parameters: a profile, a light with linear amplitudes, a source, ...

    Args:
        profile: the class, or any function that makes the part.
        arguments: the name of a parameter for each argument; several names make an array.
        switches: arguments that belong to the program, such as a number of terms.
        parts: arguments that are parts themselves: another ingredient, or an object that is ready.
    """

    profile: Callable[..., Any] = eqx.field(static=True)
    arguments: tuple[tuple[str, str | tuple[str, ...]], ...] = eqx.field(static=True)
    switches: tuple[tuple[str, Any], ...] = eqx.field(static=True)
    parts: dict[str, Any]

    def __init__(
        self,
        profile: Callable[..., Any],
        arguments: Mapping[str, str | tuple[str, ...]],
        switches: Mapping[str, Any] | None = None,
        parts: Mapping[str, Any] | None = None,
    ):
        self.profile = profile
        self.arguments = tuple(arguments.items())
        self.switches = tuple((switches or {}).items())
        self.parts = dict(parts or {})

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter that it needs, those of its parts included."""
        own = tuple(name for _, names in self.arguments for name in _listed(names))
        return own + tuple(name for part in self.parts.values() if isinstance(part, Ingredient) for name in part.names)

    def with_parts(self, **parts: Any) -> "Ingredient":
        """The same with other parts, or with more of them."""
        return Ingredient(self.profile, dict(self.arguments), dict(self.switches), {**self.parts, **parts})

    def make(self, values: Mapping[str, Any]) -> Any:
        """The part, given the value of every parameter."""
        given = {
            argument: values[names] if isinstance(names, str) else jnp.stack([values[name] for name in names])
            for argument, names in self.arguments
        }
        parts = {
            argument: part.make(values) if isinstance(part, Ingredient) else part
            for argument, part in self.parts.items()
        }
        return self.profile(**given, **parts, **dict(self.switches))


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


@final
class Recipe(eqx.Module):
    """`theta, key -> Scene`: pure, so that it can be compiled, batched and differentiated.

    Args:
        parameters: every number of the model by name, among them `lens.redshift` and `source.redshift`.
        mass: the macro model.
        source: the source's light.
        lens_light: the lens's light.
        scheme: how many planes there are and where they stand.
        cosmology: of the distances.
        population: draws the halos; None for a smooth universe.

    Raises:
        ValueError: an argument of a profile, or a redshift, that is not among the parameters.
    """

    parameters: Parameters
    mass: tuple[Ingredient, ...]
    source: tuple[Ingredient, ...]
    lens_light: tuple[Ingredient, ...]
    scheme: PlaneScheme
    cosmology: FlatLambdaCDM
    population: Population | None = None

    def __check_init__(self) -> None:
        for name in ("lens.redshift", "source.redshift", *self._names()):
            self.parameters[name]

    def _names(self) -> tuple[str, ...]:
        ingredients = (*self.mass, *self.source, *self.lens_light)
        return tuple(name for ingredient in ingredients for name in ingredient.names)

    def __call__(self, theta: Mapping[str, Any], key: PRNGKeyArray) -> Scene:
        """The universe that `theta` and `key` make.

        Args:
            theta: the free parameters by name.
            key: of the halos.
        """
        values = self.parameters.resolve(theta)
        planes = self.planes(values)
        return Scene(
            planes=planes,
            macro=tuple(ingredient.make(values) for ingredient in self.mass),
            halos=None if self.population is None else self.population.draw(key, planes, values),
            source=tuple(ingredient.make(values) for ingredient in self.source),
            lens_light=tuple(ingredient.make(values) for ingredient in self.lens_light),
        )

    def enlarged(self) -> "Recipe":
        """The same recipe with twice the slots for halos, which it fills with the same halos; itself without any."""
        if self.population is None:
            return self
        return dataclasses.replace(self, population=self.population.enlarged())

    def planes(self, values: Mapping[str, Float[Array, ""]]) -> Planes:
        """The lens planes, given the value of every parameter."""
        lens, source = values["lens.redshift"], values["source.redshift"]
        redshifts = self.scheme.redshifts(lens, source, self.cosmology)
        return Planes(redshifts, lens, source, self.cosmology, self.scheme.lens_index)
