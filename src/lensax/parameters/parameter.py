"""One number of a model: fixed, free, or derived from others."""

import abc
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax

from lensax._types import Array, Float, Scalar, as_real, real
from lensax.parameters import distribution as distributions
from lensax.parameters import expression
from lensax.parameters.interval import Interval

__all__ = ["Constant", "Expression", "Free", "Parameter"]


class Parameter(eqx.Module):
    """Where one number of a model comes from.

    `known` holds, by name, the free parameters (`theta`) and whatever else has been resolved already.
    """

    @property
    @abc.abstractmethod
    def needs(self) -> tuple[str, ...]:
        """The names that `resolve` looks up."""

    @property
    @abc.abstractmethod
    def kind(self) -> str:
        """ "fixed", "free" or "derived"."""

    @abc.abstractmethod
    def resolve(self, known: Mapping[str, Any]) -> Float[Array, "*shape"]:
        """The value."""

    @abc.abstractmethod
    def bounds(self, known: Mapping[str, Interval], tail: float) -> Interval:
        """An interval that the value leaves with probability `tail` at most on either side, for each prior used."""

    @abc.abstractmethod
    def describe(self) -> str:
        """The right-hand side as one would write it: `0.5`, `Normal(loc=1.2, scale=0.05)`, `= 2 * lens.redshift`."""


@final
class Constant(Parameter):
    """A number that does not change.  It is a leaf of the pytree, so that another value is not another program."""

    value: Scalar = real()

    @property
    def kind(self) -> str:
        return "fixed"

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    def resolve(self, known: Mapping[str, Any]) -> Float[Array, "*shape"]:
        return self.value

    def bounds(self, known: Mapping[str, Interval], tail: float) -> Interval:
        return Interval(float(self.value), float(self.value))

    def describe(self) -> str:
        return f"{float(self.value):.7g}"


@final
class Free(Parameter):
    """A number that `theta` gives, and its prior: a univariate continuous NumPyro distribution."""

    name: str = eqx.field(static=True)
    distribution: Any

    def __init__(self, name: str, distribution: Any):
        distributions.check(distribution, name)
        self.name = name
        self.distribution = jax.tree.map(as_real, distribution)

    @property
    def kind(self) -> str:
        return "free"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.name,)

    def resolve(self, known: Mapping[str, Any]) -> Float[Array, "*shape"]:
        return as_real(known[self.name])

    def bounds(self, known: Mapping[str, Interval], tail: float) -> Interval:
        ends = (distributions.quantile(self.distribution, probability) for probability in (tail, 1 - tail))
        return Interval(*ends)

    def describe(self) -> str:
        return distributions.describe(self.distribution)


@final
class Expression(Parameter):
    """A number computed from others: `Expression("0.5 * parameters.width + 0.1")`; see `expression.parse`."""

    text: str = eqx.field(static=True)

    def __check_init__(self) -> None:
        expression.parse(self.text)

    @property
    def kind(self) -> str:
        return "derived"

    @property
    def needs(self) -> tuple[str, ...]:
        return expression.names(expression.parse(self.text))

    def resolve(self, known: Mapping[str, Any]) -> Float[Array, "*shape"]:
        values = {name: as_real(known[name]) for name in self.needs}
        return as_real(expression.evaluate(expression.parse(self.text), values))

    def bounds(self, known: Mapping[str, Interval], tail: float) -> Interval:
        return expression.bounds(expression.parse(self.text), known)

    def describe(self) -> str:
        return f"= {self.text.strip()}"
