"""Whole numbers that settle the shapes of arrays."""

import operator
from typing import Any

import numpy as np

__all__ = ["at_least_one"]


def at_least_one(value: Any, name: str) -> int:
    """The value as a Python int.

    Raises:
        ValueError: it is not a whole number of at least 1; names it.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, (bool, np.bool_)) or number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return number
