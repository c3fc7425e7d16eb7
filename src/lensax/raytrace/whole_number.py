"""Whole numbers that settle how a tracer works: known when a program is compiled."""

from typing import Any

import equinox as eqx

from lensax._check import whole_number

__all__ = ["whole_number_field"]


def whole_number_field(name: str, default: int | None, least: int = 1) -> Any:
    """A static field that holds a whole number of at least `least`; None is allowed where it is the default."""

    def convert(value: Any) -> int | None:
        return None if value is None and default is None else whole_number(value, name, least)

    return eqx.field(static=True, converter=convert, default=default)
