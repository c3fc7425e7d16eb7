"""From parameters to a lens, its light and a source: what is fitted to an image."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, final

import equinox as eqx

from lensax._types import Array, Float
from lensax.inversion import Source
from lensax.inversion.trace import linear_light
from lensax.light import LightBasis
from lensax.mass import MassProfile
from lensax.parameters import Free, Parameters, Prior
from lensax.recipe import Ingredient

__all__ = ["FitModel", "Parts"]


class Parts(NamedTuple):
    """What a model is made of, for one value of every parameter.

    Attributes:
        lens: mass profiles, whose deflections add.
        light: linear light of the lens.
        source: what is lensed.
    """

    lens: tuple[MassProfile, ...]
    light: tuple[LightBasis, ...]
    source: Source


@final
class FitModel(eqx.Module):
    """`theta -> lens, light, source`: pure, so that it can be compiled and differentiated.

    Args:
        parameters: every number of the model by name.
        mass: the lens.
        source: makes a `Pixelization` or a `ParametricSource`, its regularization and its mesh as parts.
        light: light with linear amplitudes in the lens plane, seen as it is.

    Raises:
        ValueError: an argument of a part that is not among the parameters.
    """

    parameters: Parameters
    mass: tuple[Ingredient, ...]
    source: Ingredient
    light: tuple[Ingredient, ...] = ()

    def __check_init__(self) -> None:
        for ingredient in (*self.mass, *self.light, self.source):
            for name in ingredient.names:
                self.parameters[name]

    @property
    def prior(self) -> Prior:
        """The prior of the free parameters, in the order in which they were given."""
        return self.parameters.prior

    def resolve(self, theta: Mapping[str, Any]) -> dict[str, Float[Array, "..."]]:
        """The value of every parameter, given the free ones."""
        return self.parameters.resolve(theta)

    def __call__(self, theta: Mapping[str, Any]) -> Parts:
        """The parts that `theta` makes.

        Args:
            theta: the free parameters by name.
        """
        values = self.parameters.resolve(theta)
        return Parts(
            lens=tuple(ingredient.make(values) for ingredient in self.mass),
            light=linear_light(tuple(ingredient.make(values) for ingredient in self.light)),
            source=self.source.make(values),
        )

    @property
    def regularization_names(self) -> tuple[str, ...]:
        """The free parameters that nothing but the source's regularization needs: they leave the system as it is."""
        regularization = self.source.parts.get("regularization")
        if not isinstance(regularization, Ingredient):
            return ()
        parts = {name: part for name, part in self.source.parts.items() if name != "regularization"}
        rest = Ingredient(self.source.profile, dict(self.source.arguments), parts=parts)
        found = self._only(regularization, (*self.mass, *self.light, rest))
        return tuple(name for name in self.prior.names if name in found)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The parameters that nothing but the source needs."""
        found = self._only(self.source, (*self.mass, *self.light))
        return tuple(name for name in self.parameters if name in found)

    def _only(self, part: Ingredient, others: tuple[Ingredient, ...]) -> set[str]:
        return self._needed(part.names) - self._needed(name for other in others for name in other.names)

    def _needed(self, names: Iterable[str]) -> set[str]:
        """These parameters and all that they follow from."""
        found, left = set(), list(names)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                entry = self.parameters[name]
                left += () if isinstance(entry, Free) else entry.needs
        return found
