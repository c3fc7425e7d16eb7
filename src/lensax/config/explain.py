"""pydantic's complaints as one line: where, what was found, what is allowed."""

import json
import typing
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from lensax.config.document import Document, KeyPath
from lensax.config.errors import ConfigError
from lensax.config.section import Choice, Section
from lensax.parameters.near import unknown

__all__ = ["explain", "shown"]

# What pydantic calls an error, and what the file should have held instead.
EXPECTED: dict[str, Callable[[dict[str, Any]], str]] = {
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "bool_type": lambda _: "true or false",
    "string_type": lambda _: "a word",
    "list_type": lambda _: "a list",
    "tuple_type": lambda _: "a list",
    "dict_type": lambda _: "a mapping",
    "model_type": lambda _: "a mapping",
    "model_attributes_type": lambda _: "a mapping",
    "literal_error": lambda ctx: f"one of {ctx['expected']}",
    "greater_than": lambda ctx: f"a number greater than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"a number of at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"a number less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"a number of at most {ctx['le']:g}",
    "too_short": lambda _: "at least one entry",
    "too_long": lambda ctx: f"at most {ctx['max_length']} entries",
}


def explain(error: ValidationError, schema: type[Section], document: Document) -> ConfigError:
    """The first problem by line, and how many more there are; a missing key may follow from a misspelt one."""
    problems = [(_problem(found, schema), found["type"] == "missing") for found in error.errors(include_url=False)]
    (path, reason), _ = min(problems, key=lambda problem: (problem[1], document.line(problem[0][0]) or 0))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return document.error(path, reason + more)


def _problem(found: Any, schema: type[Section]) -> tuple[KeyPath, str]:
    kind, context = found["type"], found.get("ctx", {})
    path = tuple(step for step in found["loc"] if not str(step).startswith("("))  # "(...)" marks one form of several
    section = _section_at(schema, path[:-1])
    if kind == "extra_forbidden" and section is not None:
        noun = section.noun if issubclass(section, Choice) else "key"
        return path, unknown(str(path[-1]), section.model_fields, noun)
    if kind == "missing" and section is not None:
        needed = ", ".join(name for name, field in section.model_fields.items() if field.is_required())
        return path, f"is missing; needed here: {needed}"
    if kind == "missing":
        return path[:-1], f"expected {int(path[-1]) + 1} entries or more, found {path[-1]}"
    if kind == "value_error":
        reason = str(context["error"])  # a check of a whole mapping says itself what it found
        return path, reason if isinstance(found["input"], dict) else _with_found(reason, found["input"])
    expected = EXPECTED[kind](context) if kind in EXPECTED else found["msg"]
    return path, _with_found(f"expected {expected}", found["input"])


def _with_found(reason: str, value: Any) -> str:
    return reason if "found" in reason or shown(value) in reason else f"{reason}, found {shown(value)}"


def shown(value: Any) -> str:
    """A value as the file has it, cut where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _section_at(schema: type[Section], path: KeyPath) -> type[Section] | None:
    """The section that stands at a path of the schema."""
    current: Any = schema
    for step in path:
        if isinstance(step, str) and _is_section(current) and step in current.model_fields:
            current = current.model_fields[step].annotation
        elif _is_section(current):
            return None
        else:
            current = next(iter(_inside(current, step)), None)
        current = next((part for part in _parts(current) if _is_section(part) or typing.get_args(part)), None)
    return current if _is_section(current) else None


def _inside(kind: Any, step: str | int) -> Iterator[Any]:
    """The types of the entries of a list, a tuple or a mapping."""
    arguments = typing.get_args(kind)
    if arguments:
        yield arguments[-1] if isinstance(step, str) else arguments[0]


def _parts(kind: Any) -> Iterator[Any]:
    """A type's alternatives, without `Annotated`; lists and mappings stay whole."""
    origin = typing.get_origin(kind)
    if origin in (list, tuple, dict) or not typing.get_args(kind):
        yield kind
        return
    for part in typing.get_args(kind)[: 1 if origin is typing.Annotated else None]:
        yield from _parts(part)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
