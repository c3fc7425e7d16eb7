"""Refusing parameters outside their physical range, as far as their values are known."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lensax._types import concrete

__all__ = [
    "at_least_zero",
    "check",
    "check_brightness",
    "check_center",
    "check_ellipticity",
    "check_extent",
    "finite",
    "positive",
    "whole_number",
]


def finite(value: np.ndarray) -> np.ndarray | np.bool_:
    return np.isfinite(value)


def positive(value: np.ndarray) -> np.ndarray | np.bool_:
    return np.isfinite(value) & (value > 0)


def at_least_zero(value: np.ndarray) -> np.ndarray | np.bool_:
    return np.isfinite(value) & (value >= 0)


def check(owner: Any, name: str, valid: Callable[[np.ndarray], np.ndarray | np.bool_], expected: str) -> None:
    """Refuse the parameter `name` of `owner` where it is concrete and not `valid`.

    Raises:
        ValueError: names the object, the parameter, what was expected and the first value that is not.
    """
    value = concrete(getattr(owner, name))
    if value is None:
        return
    good = np.broadcast_to(valid(value), value.shape)
    if not np.all(good):
        raise ValueError(f"{type(owner).__name__}: {name} must be {expected}, got {value[~good].flat[0]}")


def check_ellipticity(owner: Any) -> None:
    """Refuse concrete `e1`, `e2` that no ellipse has.

    Raises:
        ValueError: `sqrt(e1^2 + e2^2)` is not below 1.
    """
    e1, e2 = concrete(owner.e1), concrete(owner.e2)
    if e1 is None or e2 is None:
        return
    size = np.hypot(e1, e2)
    if not np.all(size < 1):
        raise ValueError(
            f"{type(owner).__name__}: the ellipticity sqrt(e1^2 + e2^2) = (1-q)/(1+q) must be below 1, "
            f"got {size[~(size < 1)].flat[0]}"
        )


def check_center(owner: Any) -> None:
    """Refuse a concrete `center_x`, `center_y` that is not finite.

    Raises:
        ValueError: a coordinate is NaN or infinite.
    """
    for name in ("center_x", "center_y"):
        check(owner, name, finite, "a finite angle in arcsec")


def check_extent(owner: str, extent: Sequence[Any]) -> None:
    """Refuse edges of a rectangle that are not (left, right, bottom, top), as far as they are concrete.

    Raises:
        ValueError: not four of them, one that is not a finite number, or a pair that does not increase.
    """
    edges = [concrete(edge) for edge in extent]
    good = len(edges) == 4 and all(edge is None or (np.ndim(edge) == 0 and np.isfinite(edge)) for edge in edges)
    if not good or any(a is not None and b is not None and not a < b for a, b in (edges[:2], edges[2:])):
        raise ValueError(
            f"{owner}: extent must be (left, right, bottom, top) in arcsec, each pair increasing, got {extent!r}"
        )


def check_brightness(owner: str, name: str, image: Any) -> None:
    """Refuse what is no image of a brightness, as far as it is concrete.

    Raises:
        ValueError: not two axes, a pixel that is not finite, or none that is positive.
    """
    expected = f"{owner}: {name} must be a finite image that is positive somewhere"
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"{expected}, got shape {image.shape}")
    values = concrete(image)
    if values is None:
        return
    if not np.all(np.isfinite(values)):
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"{expected}, got {values[row, column]} at row {row}, column {column}")
    if not values.max() > 0:
        raise ValueError(f"{expected}, got at most {values.max():g}")


def whole_number(value: Any, name: str, least: int = 1) -> int:
    """The value as a Python int; those of NumPy count as whole numbers, truth values do not.

    Raises:
        ValueError: it is not a whole number of at least `least`; names it.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, (bool, np.bool_)) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return number
