"""From theta to a scene."""

import dataclasses
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx

from lensax._types import Array, Float, PRNGKeyArray
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import PlaneScheme, Population
from lensax.light import LightProfile
from lensax.mass import MassProfile
from lensax.parameters import Parameters
from lensax.raytrace.planes import Planes
from lensax.scene import Scene

__all__ = ["Ingredient", "Recipe"]


@final
class Ingredient(eqx.Module):
    """A profile whose arguments are parameters.

    Args:
        profile: a class of mass or light profiles, or any function that makes one.
        arguments: the name of a parameter for each argument.
        switches: arguments that are part of the program, such as a number of terms.
    """

    profile: type[MassProfile] | type[LightProfile] = eqx.field(static=True)
    arguments: tuple[tuple[str, str], ...] = eqx.field(static=True)

    switches: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __init__(
        self,
        profile: type[MassProfile] | type[LightProfile],
        arguments: Mapping[str, str],
        switches: Mapping[str, Any] | None = None,
    ):
        self.profile = profile
        self.arguments = tuple(arguments.items())
        self.switches = tuple((switches or {}).items())

    def make(self, values: Mapping[str, Any]) -> Any:
        """The profile, given the value of every parameter."""
        return self.profile(**{argument: values[name] for argument, name in self.arguments}, **dict(self.switches))


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
        return tuple(name for ingredient in ingredients for _, name in ingredient.arguments)

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
