"""Whole numbers that settle how a tracer works: known when a program is compiled."""

import numbers
from typing import Any

import equinox as eqx

__all__ = ["at_least", "whole_number"]


def at_least(least: int, name: str, value: Any) -> int:
    """The value as a Python int; those of NumPy count as whole numbers.

    Raises:
        ValueError: it is not a whole number, or below `least`; names it.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, found {value!r}")
    return int(value)


def whole_number(name: str, default: int | None, least: int = 1) -> Any:
    """A static field that holds a whole number of at least `least`; None is allowed where it is the default."""

    def convert(value: Any) -> int | None:
        return None if value is None and default is None else at_least(least, name, value)

    return eqx.field(static=True, converter=convert, default=default)
