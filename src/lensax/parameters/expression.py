"""Arithmetic between parameters, written as text: `0.5 * parameters.width + 0.1`.

The text is read by Python's own grammar and reduced to a tree of numbers, names and the operations listed here;
nothing else in the text is ever evaluated.  One tree serves three kinds of numbers: Python's (constants are folded
while reading), JAX's (values and gradients) and intervals (the bounds that priors imply).
"""

import ast
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from lensax._types import Array
from lensax.parameters import interval

__all__ = ["FUNCTIONS", "Number", "Operation", "Reference", "bounds", "evaluate", "names", "parse"]

MAX_LENGTH = 2000  # characters; also bounds the depth of the tree
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.USub: "negative",
}
_ARGUMENTS = {
    "sqrt": 1,
    "exp": 1,
    "log": 1,
    "log10": 1,
    "sin": 1,
    "cos": 1,
    "abs": 1,
    "minimum": 2,
    "maximum": 2,
}
FUNCTIONS = tuple(_ARGUMENTS)  # what an expression may call

_PYTHON: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": math.pow,  # real or an error, and never an integer of a million digits
    "negative": lambda a: -a,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "abs": abs,
    "minimum": min,
    "maximum": max,
}
_JAX: dict[str, Callable[..., Array]] = {name: getattr(jnp, name) for name in (*_OPERATORS.values(), *FUNCTIONS)}


class Number(NamedTuple):
    """A constant; whole numbers stay `int`, so that `x**2` is defined for negative `x`."""

    value: int | float


class Reference(NamedTuple):
    """The value of another parameter, by its dotted name."""

    name: str


class Operation(NamedTuple):
    """One operation on the results of others."""

    name: str
    arguments: tuple[Any, ...]


Node = Number | Reference | Operation


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Read an expression: `+ - * / **`, parentheses, numbers, dotted names and the calls in `FUNCTIONS`.

    Raises:
        ValueError: one sentence that quotes what is not allowed, and says what is.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression of {len(text)} characters: at most {MAX_LENGTH} are allowed")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"'{text.strip()}' is not an expression: {reason}") from None
    try:
        return _reduce(tree.body)
    except RecursionError:
        raise ValueError("the expression is nested too deeply") from None


def _reduce(node: ast.AST) -> Node:
    """The tree of one node of Python's grammar, or an error that quotes it."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _number(value, node)
        case ast.Name() | ast.Attribute():
            return Reference(_dotted(node))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _reduce(operand)
        case ast.UnaryOp(op=operator, operand=operand) if type(operator) in _OPERATORS:
            return _operation(_OPERATORS[type(operator)], (operand,), node)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _operation(_OPERATORS[type(operator)], (left, right), node)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _ARGUMENTS:
            if len(arguments) != _ARGUMENTS[name]:
                raise ValueError(f"{name} takes {_ARGUMENTS[name]} argument(s), found {len(arguments)}")
            return _operation(name, tuple(arguments), node)
    raise ValueError(
        f"'{_quote(node)}' is not allowed in an expression; allowed are numbers, names of parameters, + - * / **, "
        f"parentheses and {', '.join(FUNCTIONS)}"
    )


def _operation(name: str, arguments: tuple[ast.AST, ...], node: ast.AST) -> Node:
    """The operation, or its value where all its arguments are numbers."""
    reduced = tuple(_reduce(argument) for argument in arguments)
    numbers = [argument.value for argument in reduced if isinstance(argument, Number)]
    if len(numbers) < len(reduced):
        return Operation(name, reduced)
    try:
        return _number(_PYTHON[name](*numbers), node)
    except (ArithmeticError, ValueError):
        raise ValueError(f"'{_quote(node)}' is not a finite number") from None


def _number(value: int | float, node: ast.AST) -> Number:
    if isinstance(value, int) and abs(value) < 2**31:
        return Number(value)
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"'{_quote(node)}' is not a finite number")
    return Number(value)


def _dotted(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
    raise ValueError(f"'{_quote(node)}' is not the name of a parameter")


def _quote(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."


def names(node: Node) -> tuple[str, ...]:
    """The parameters that an expression uses, each once, in the order in which they appear."""

    def walk(node: Node) -> Iterator[str]:
        if isinstance(node, Reference):
            yield node.name
        elif isinstance(node, Operation):
            for argument in node.arguments:
                yield from walk(argument)

    return tuple(dict.fromkeys(walk(node)))


def evaluate(node: Node, known: Mapping[str, Array]) -> Any:
    """The value, given those of the parameters it uses: an array, or a Python number where it uses none."""
    return _fold(node, known, _JAX, lambda value: value)


def bounds(node: Node, known: Mapping[str, interval.Interval]) -> interval.Interval:
    """An interval that contains every value, given those of the parameters it uses."""
    return _fold(node, known, interval.OPERATIONS, lambda value: interval.Interval(float(value), float(value)))


def _fold(node: Node, known: Mapping[str, Any], table: Mapping[str, Any], number: Callable[[float], Any]) -> Any:
    match node:
        case Number(value):
            return number(value)
        case Reference(name):
            return known[name]
        case Operation(name, arguments):
            return table[name](*(_fold(argument, known, table, number) for argument in arguments))
