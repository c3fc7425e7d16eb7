"""All the numbers of a model, by name, and the order in which they follow from each other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

import equinox as eqx

from lensax._types import Array, Float
from lensax.parameters.interval import Interval
from lensax.parameters.near import check_theta, unknown
from lensax.parameters.parameter import Constant, Free, Parameter
from lensax.parameters.prior import Prior

__all__ = ["DependencyError", "Parameters"]


class DependencyError(ValueError):
    """A parameter that follows from itself, or from one that does not exist.

    Args:
        name: the parameter.
        reason: what is wrong with it.
    """

    def __init__(self, name: str, reason: str):
        self.name = name
        self.reason = reason
        super().__init__(f"{name}: {reason}")


@final
class Parameters(eqx.Module):
    """Named parameters: fixed, free and derived ones.

    Args:
        entries: mapping of names to `Parameter`; a free parameter stands under its own name.

    Raises:
        DependencyError: an expression uses a name that does not exist, or follows from itself.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    order: tuple[int, ...] = eqx.field(static=True)  # each after those that it needs
    entries: tuple[Parameter, ...]

    def __init__(self, entries: Mapping[str, Parameter]):
        self.names = tuple(entries)
        self.entries = tuple(entries.values())
        for name, entry in entries.items():
            if isinstance(entry, Free) and entry.name != name:
                raise ValueError(f"the free parameter '{entry.name}' cannot stand under the name '{name}'")
        self.order = tuple(self.names.index(name) for name in _sorted(entries))

    def __getitem__(self, name: str) -> Parameter:
        if name not in self.names:
            raise ValueError(unknown(name, self.names, "parameter"))
        return self.entries[self.names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @property
    def prior(self) -> Prior:
        """The prior of the free ones, in the order in which they were given."""
        return Prior({entry.name: entry.distribution for entry in self.entries if isinstance(entry, Free)})

    def only(self, names: Iterable[str], held: Mapping[str, Any] | None = None) -> "Parameters":
        """These parameters and all that they follow from.

        Args:
            names: what is wanted.
            held: values at which free parameters are fixed, by name.

        Raises:
            ValueError: a name that is not one, or a held parameter that is not free.
        """
        held, wanted = dict(held or {}), list(dict.fromkeys(names))
        for name in held:
            if not isinstance(self[name], Free):
                raise ValueError(f"{name}: only a free parameter can be held, this one is {self[name].describe()}")
        for name in wanted:  # grows by what each one needs
            wanted += [need for need in self[name].needs if need not in wanted]
        kept = {name: entry for name, entry in zip(self.names, self.entries) if name in wanted}
        return Parameters({name: Constant(held[name]) if name in held else entry for name, entry in kept.items()})

    def resolve(self, theta: Mapping[str, Any]) -> dict[str, Float[Array, "..."]]:
        """The value of every parameter, given the free ones.

        Raises:
            ValueError: `theta` lacks a free parameter or has a name that is not one.
        """
        for name in theta:
            if name in self.names and not isinstance(self[name], Free):
                raise ValueError(f"theta: '{name}' is not free, it is {self[name].describe()}")
        check_theta(theta, [entry.name for entry in self.entries if isinstance(entry, Free)])
        known: dict[str, Any] = dict(theta)
        for index in self.order:
            known[self.names[index]] = self.entries[index].resolve(known)
        return {name: known[name] for name in self.names}

    def bounds(self, name: str, tail: float = 1e-9) -> Interval:
        """The range of a parameter: each prior is cut where `tail` of its probability is left on either side."""
        wanted = [name]
        for used in wanted:  # grows by what each one needs
            wanted += [need for need in self[used].needs if need not in wanted]
        known: dict[str, Interval] = {}
        for index in self.order:
            if self.names[index] in wanted:
                known[self.names[index]] = self.entries[index].bounds(known, tail)
        return known[name]

    def upper(self, name: str, tail: float = 1e-9) -> float:
        """Upper end of `bounds`: what array sizes must be made for."""
        return self.bounds(name, tail).high

    def lower(self, name: str, tail: float = 1e-9) -> float:
        """Lower end of `bounds`."""
        return self.bounds(name, tail).low

    def describe(self) -> dict[str, str]:
        """Every parameter as one would write it, by name."""
        return {name: entry.describe() for name, entry in zip(self.names, self.entries)}


def _sorted(entries: Mapping[str, Parameter]) -> list[str]:
    """The names, each after those that it needs; depth first without recursion, chains may be long."""
    done: dict[str, None] = {}
    for start in entries:
        path: list[tuple[str, Iterator[str]]] = [(start, iter(_needs(start, entries)))] if start not in done else []
        while path:
            name, needs = path[-1]
            following = next((need for need in needs if need not in done), None)
            if following is None:
                done[name] = None
                path.pop()
                continue
            chain = [step for step, _ in path]
            if following in chain:
                cycle = [*chain[chain.index(following) :], following]
                raise DependencyError(following, f"follows from itself: {' -> '.join(cycle)}")
            path.append((following, iter(_needs(following, entries))))
    return list(done)


def _needs(name: str, entries: Mapping[str, Parameter]) -> tuple[str, ...]:
    entry = entries[name]
    if isinstance(entry, Free):
        return ()
    for need in entry.needs:
        if need not in entries:
            raise DependencyError(name, unknown(need, entries, "parameter"))
    return entry.needs
