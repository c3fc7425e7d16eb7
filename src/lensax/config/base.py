"""What every kind of configuration shares: it is read, checked, named, compared, and says where it is wrong."""

import abc
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ValidationError

from lensax.config.document import Document, KeyPath
from lensax.config.errors import ConfigError
from lensax.config.explain import explain, shown
from lensax.config.files import FilePath
from lensax.config.section import Section, find
from lensax.config.values import Value
from lensax.parameters import DependencyError, Parameters

__all__ = ["BaseConfiguration", "Row", "read_text"]


class Row(NamedTuple):
    """One line of a configuration's summary; `kind` is "free", "fixed", "derived" or "setting"."""

    name: str
    value: str
    kind: str


class BaseConfiguration(abc.ABC):
    """What a YAML file says, validated by a schema, with the line of everything for messages.

    Two configurations of a kind are equal when they mean the same: comments, order of keys and number formats do not
    count, the content of the files that they name does.

    Args:
        text: the YAML text.
        folder: what names of files are relative to.
        file: the name of the file, for messages.
        sealed: open no file outside of `folder`: the text comes from a stranger.

    Raises:
        ConfigError: with file, line and key.
    """

    schema: ClassVar[type[Section]]

    def __init__(self, text: str, folder: str | Path = ".", file: str | None = None, sealed: bool = False):
        self.sealed = sealed
        self.text = text
        self.folder = Path(folder)
        self.file = file
        self.document = Document(text, file)
        self._check_kind()
        try:
            self.settings = self.schema.model_validate(self.document.data)
        except ValidationError as error:
            raise explain(error, self.schema, self.document) from None
        self._paths = {self.document.dotted(path): path for path, _ in find(self.settings, Value)}
        self.parameters = self._parameters()
        self._check()
        self._files = {path: self._digest(path, name) for path, name in find(self.settings, FilePath)}
        self.digest = self.digest_without()

    @abc.abstractmethod
    def _check_kind(self) -> None:
        """Refuse a file that is a configuration of another kind, before its every key is called unknown."""

    @abc.abstractmethod
    def _check(self) -> None:
        """Refuse what each key allows, but all together do not."""

    def digest_without(self, *sections: str) -> str:
        """A name of what was written, but for these sections: two texts that mean the same have the same."""
        written = self._canonical(self.settings, ())
        canonical = json.dumps({key: value for key, value in written.items() if key not in sections}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def summary(self) -> list[Row]:
        """Every parameter and setting in the order of the file's sections."""
        described = self.parameters.describe()
        rows = []
        for path, found in find(self.settings, object):
            name = self.name(path)
            match found:
                case Value():
                    rows.append(Row(name, described[name], self.parameters[name].kind))
                case Section():  # one without keys: what it chooses is all there is to say
                    rows.append(Row(self.name(path[:-1]), str(path[-1]), "setting"))
                case FilePath():
                    rows.append(Row(name, found.written, "setting"))
                case _:
                    rows.append(Row(name, shown(found), "setting"))
        return [row for row in rows if row.value != "null"]

    def error(self, key: str | KeyPath, reason: str) -> ConfigError:
        """The error of a parameter, by its dotted name, or of anything, by its path."""
        return self.document.error(self._paths[key] if isinstance(key, str) else key, reason)

    @contextlib.contextmanager
    def blame(self, path: KeyPath, more: str = "") -> Iterator[None]:
        """Turn what the parts of a model object to into a `ConfigError`.

        Its place is the section at `path`, or, where the message begins with one of the section's keys or with the
        dotted name of a parameter, that: `PowerLaw: slope must be ...`, `subhalos.slope: expected ...`.
        """
        try:
            yield
        except ConfigError:
            raise
        except (ValueError, TypeError, OSError) as error:
            name, _, reason = str(error).partition(": ")
            if name in self._paths:
                raise self.error(name, reason + more) from error
            first = re.match(r"(?:[A-Z]\w*: )?(\w+)", str(error))
            inside = (*path, first.group(1)) if first else path
            raise self.error(inside if self.document.has(inside) else path, f"{error}{more}") from error

    def name(self, path: KeyPath) -> str:
        """The dotted name of a path."""
        return self.document.dotted(path)

    def _parameters(self) -> Parameters:
        entries = {}
        for path, value in find(self.settings, Value):
            name = self.document.dotted(path)
            entries[name] = value.parameter(name)
        try:
            return Parameters(entries)
        except DependencyError as error:
            raise self.error(error.name, error.reason) from None

    @property
    def files(self) -> dict[str, Path]:
        """The files that the configuration names, by how it names them."""
        return {name.written: name.inside(self.folder) for _, name in find(self.settings, FilePath)}

    def _digest(self, path: KeyPath, name: FilePath) -> str:
        with self.blame(path):
            if self.sealed and not name.inside(self.folder).resolve().is_relative_to(self.folder.resolve()):
                raise ValueError(f"the file '{name.written}' lies outside of {self.folder}")
            return name.digest(self.folder)

    def _canonical(self, found: Any, path: KeyPath) -> Any:
        """What was written, without the freedom that YAML leaves; files stand for their content."""
        match found:
            case BaseModel():
                return {key: self._canonical(getattr(found, key), (*path, key)) for key in found.model_fields_set}
            case Value():
                return _plain(found.written)
            case FilePath():
                return self._files[path]
            case list() | tuple():
                return [self._canonical(entry, (*path, index)) for index, entry in enumerate(found)]
            case Mapping():
                return {key: self._canonical(entry, (*path, key)) for key, entry in found.items()}
        return _plain(found)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.digest == other.digest  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text, self.folder.absolute(), self.file, self.sealed)


def _plain(written: Any) -> Any:
    """Numbers as floats and words without blanks at their ends, at any depth."""
    match written:
        case bool() | None:
            return written
        case int() | float():
            return float(written)
        case str():
            return " ".join(written.split())
        case Mapping():
            return {key: _plain(entry) for key, entry in written.items()}
    return [_plain(entry) for entry in written]


def read_text(path: Path) -> str:
    """The text of a YAML file.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 text: {error.reason} at byte {error.start}", path) from None
