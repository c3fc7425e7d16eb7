"""Interval arithmetic: the range of a derived parameter from the ranges of the parameters it uses.

Every result contains the true range; it may be wider where a parameter appears twice (`x - x`).
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["OPERATIONS", "Interval"]


class Interval(NamedTuple):
    """All numbers from `low` to `high`."""

    low: float
    high: float


EVERYTHING = Interval(-math.inf, math.inf)


def _hull(*values: float) -> Interval:
    return EVERYTHING if any(math.isnan(value) for value in values) else Interval(min(values), max(values))


def _corners(function: Callable[[float, float], float]) -> Callable[[Interval, Interval], Interval]:
    """For a function that is monotonic in each argument: its extremes are at the corners."""

    def apply(a: Interval, b: Interval) -> Interval:
        return _hull(*(function(left, right) for left, right in itertools.product(a, b)))

    return apply


def _multiply(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b  # 0 * inf: an endpoint at infinity stands for numbers, not for itself


def _divide(a: Interval, b: Interval) -> Interval:
    if b.low <= 0 <= b.high:
        return EVERYTHING
    return _corners(lambda left, right: _multiply(left, 1 / right))(a, b)


def _power(a: Interval, b: Interval) -> Interval:
    if b.low == b.high and float(b.low).is_integer():
        if a.low <= 0 <= a.high and b.low < 0:
            return EVERYTHING
        turns = a.low < 0 < a.high and b.low % 2 == 0  # an even power has its minimum at 0
        return _hull(_pow(a.low, b.low), _pow(a.high, b.low), *([0.0**b.low] if turns else []))
    if a.low < 0 or (a.low == 0 and b.low < 0):
        return EVERYTHING
    return _corners(_pow)(a, b)


def _pow(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return math.inf if a > 0 or b % 2 == 0 else -math.inf


def _increasing(function: Callable[[float], float], domain: float = -math.inf) -> Callable[[Interval], Interval]:
    """For a function that only grows, defined above `domain`."""

    def guarded(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return math.inf
        except ValueError:  # the logarithm at 0
            return -math.inf

    def apply(a: Interval) -> Interval:
        return _hull(*(guarded(max(value, domain)) for value in a))

    return apply


def _absolute(a: Interval) -> Interval:
    ends = _hull(abs(a.low), abs(a.high))
    return Interval(0.0, ends.high) if a.low <= 0 <= a.high else ends


def _periodic(function: Callable[[float], float]) -> Callable[[Interval], Interval]:
    def apply(a: Interval) -> Interval:
        return _hull(function(a.low)) if a.low == a.high and math.isfinite(a.low) else Interval(-1.0, 1.0)

    return apply


OPERATIONS: dict[str, Callable[..., Interval]] = {
    "add": lambda a, b: _hull(a.low + b.low, a.high + b.high),
    "subtract": lambda a, b: _hull(a.low - b.high, a.high - b.low),
    "multiply": _corners(_multiply),
    "divide": _divide,
    "power": _power,
    "negative": lambda a: Interval(-a.high, -a.low),
    "sqrt": _increasing(math.sqrt, 0.0),
    "exp": _increasing(math.exp),
    "log": _increasing(math.log, 0.0),
    "log10": _increasing(math.log10, 0.0),
    "sin": _periodic(math.sin),
    "cos": _periodic(math.cos),
    "abs": _absolute,
    "minimum": lambda a, b: Interval(min(a.low, b.low), min(a.high, b.high)),
    "maximum": lambda a, b: Interval(max(a.low, b.low), max(a.high, b.high)),
}
