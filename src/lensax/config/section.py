"""Sections of a configuration: pydantic models, and those that follow from the classes which they make."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, create_model, model_validator

from lensax.config.values import Value

__all__ = ["Choice", "Made", "Section", "choice", "section_of"]


class Section(BaseModel):
    """A mapping of known keys.  Nothing is converted silently: a number in quotes is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, written: Any) -> Any:
        return {} if written is None else written  # `CDM:` with nothing behind it is `CDM: {}`


class Made(Section):
    """A section whose keys are the arguments of a class (`section_of`)."""

    target: ClassVar[type]

    def make(self, **more: Any) -> Any:
        """An object of the class; keys that are left out take the class's defaults."""
        return self.target(**{key: getattr(self, key) for key in self.model_fields_set}, **more)


class Choice(Section):
    """A mapping with one key, which chooses what stands behind it: `{Gaussian: {fwhm: 0.08}}` (`choice`)."""

    noun: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, written: Any) -> Any:
        if isinstance(written, str):  # `Planck15` is `{Planck15: {}}`
            written = {written: {}}
        if not isinstance(written, Mapping):
            raise ValueError(f"expected one {cls.noun} of {', '.join(cls.model_fields)}")
        if len(written) != 1:
            found = ", ".join(map(str, written)) or "none"
            raise ValueError(f"expected exactly one {cls.noun} of {', '.join(cls.model_fields)}; found {found}")
        return {key: {} if value is None else value for key, value in written.items()}

    @property
    def name(self) -> str:
        """The key."""
        return next(iter(self.model_fields_set))

    @property
    def section(self) -> Any:
        """What stands behind it."""
        return getattr(self, self.name)


def choice(noun: str, options: Mapping[str, type]) -> type[Choice]:
    """The model of a mapping with one of these keys; `noun` says in messages what they are."""
    fields: dict[str, Any] = {name: (option | None, None) for name, option in options.items()}
    made = create_model(noun.title().replace(" ", ""), __base__=Choice, **fields)
    made.noun = noun
    return made


def section_of(target: type, number: Any = float, skip: tuple[str, ...] = (), **types: Any) -> type[Made]:
    """The model whose keys are the fields of a dataclass: required where the class has no default.

    Args:
        target: a dataclass or an equinox Module.
        number: the type of its array fields: `Value` where they may be free, else `float`.
        skip: fields that the file does not give.
        types: the types of single fields, where they differ.
    """
    hints = typing.get_type_hints(target, include_extras=True)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(target):
        if not field.init or field.name in skip:
            continue
        kind = types.get(field.name) or (hints[field.name] if _plain(hints[field.name]) else number)
        fields[field.name] = (kind, _default(field, kind))
    made = create_model(target.__name__, __base__=Made, **fields)
    made.target = target
    return made


def _plain(hint: Any) -> bool:
    """Whether a type is one that a file can hold as it stands."""
    parts = typing.get_args(hint)
    if parts:
        return all(part is Ellipsis or _plain(part) for part in parts)
    return hint in (bool, int, float, str, type(None))


def _default(field: dataclasses.Field, kind: Any) -> Any:
    """The default of a field as its section has it; `...` where there is none."""
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return ...
    if kind is Value:
        return Value.of(float(default))
    return default


def values(model: BaseModel, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Value]]:
    """Every parameter below a section, with its path, in the order of the fields."""
    for key in type(model).model_fields:
        yield from _values(getattr(model, key), (*path, key))


def _values(found: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Value]]:
    match found:
        case Value():
            yield path, found
        case BaseModel():
            yield from values(found, path)
        case list() | tuple():
            for index, entry in enumerate(found):
                yield from _values(entry, (*path, index))
        case Mapping():
            for key, entry in found.items():
                yield from _values(entry, (*path, key))
