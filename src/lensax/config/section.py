"""Sections of a configuration: pydantic models, and those that follow from the classes which they make."""

import abc
import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, create_model, model_validator

from lensax.config.document import KeyPath
from lensax.config.values import Value

__all__ = ["Choice", "Linked", "Made", "Section", "choice", "either", "find", "fixed", "section_of"]

T = TypeVar("T")


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


class Linked(Made):
    """A section that makes its object of its keys and of what is found only when the model is built."""

    @abc.abstractmethod
    def link(self, context: Any, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """Add arguments to those that follow from the keys.

        Args:
            context: what was found.
            switches, parts: arguments of the class, as an `Ingredient` takes them.

        Raises:
            ValueError: the context lacks what the section needs.
        """


class Fixed(Section):
    """A section without keys: its name says all about what it makes (`fixed`)."""

    target: ClassVar[Any]

    def make(self) -> Any:
        """The object."""
        return self.target


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


def fixed(target: Any) -> type[Fixed]:
    """The model of a section that always makes the same object."""
    made = create_model("Fixed", __base__=Fixed)
    made.target = target
    return made


def either(number: Any, other: Any, form: type | tuple[type, ...]) -> Any:
    """The type of a key that holds a number, or something else where a value of type `form` is found."""

    def tag(written: Any) -> str:
        return "(other)" if isinstance(written, form) else "(number)"

    return Annotated[Annotated[number, Tag("(number)")] | Annotated[other, Tag("(other)")], Discriminator(tag)]


def section_of(
    target: type, number: Any = float, skip: tuple[str, ...] = (), base: type[Made] = Made, **types: Any
) -> type[Made]:
    """The model whose keys are the fields of a dataclass: required where the class has no default.

    Args:
        target: a dataclass or an equinox Module.
        number: the type of its array fields: `Value` where they may be free, else `float`.
        skip: fields that the file does not give.
        base: the model to extend.
        types: the types of single fields, where they differ.
    """
    hints = typing.get_type_hints(target, include_extras=True)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(target):
        if not field.init or field.name in skip:
            continue
        kind = types.get(field.name) or (hints[field.name] if _plain(hints[field.name]) else number)
        fields[field.name] = (kind, _default(field, kind))
    made = create_model(target.__name__, __base__=base, **fields)
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


def find(found: Any, kind: type[T], path: KeyPath = ()) -> Iterator[tuple[KeyPath, T]]:
    """Everything of a type below a section, with its path, in the order of the fields.

    `object` finds every value; sections, lists and mappings are only passed through.
    """
    match found:
        case BaseModel():
            shown = type(found).model_fields if not isinstance(found, Choice) else found.model_fields_set
            entries: Iterable[tuple[str | int, Any]] = [(key, getattr(found, key)) for key in shown]
            if not entries and isinstance(found, kind):
                yield path, found
        case Mapping():
            entries = found.items()
        case list() | tuple() if any(isinstance(entry, (BaseModel, Mapping, Value)) for entry in found):
            entries = enumerate(found)
        case _:
            if isinstance(found, kind):
                yield path, found
            return
    for key, entry in entries:
        yield from find(entry, kind, (*path, key))
