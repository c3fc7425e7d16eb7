"""A YAML text as plain values, with the line of every one of them.

Numbers and words are those of YAML 1.2: `1e-5` is a number, `yes` and `on` are words, `010` is ten.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import yaml

from lensax.config.errors import ConfigError

__all__ = ["Document", "KeyPath"]

KeyPath = tuple[str | int, ...]  # keys and list positions from the top of the document

MAX_NODES = 20_000  # aliases can make a short text endless
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class Document:
    """The content of a YAML text, and where it stands.

    Args:
        text: the YAML text.
        file: its name, for messages.

    Raises:
        ConfigError: the text is not YAML, not a mapping, has a key twice, or makes objects of its own.
    """

    def __init__(self, text: str, file: str | None = None):
        self.text = text
        self.file = file
        self._lines: dict[KeyPath, int] = {}
        self._containers: dict[KeyPath, Any] = {}  # filled while reading, so that an error half-way can name its key
        self._open: list[yaml.Node] = []
        self._count = 0
        with self._yaml_errors():
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if node is None:
                raise ConfigError("expected the sections of a configuration, found nothing", file)
            if not isinstance(node, yaml.MappingNode):
                raise self.error((), f"expected a mapping of sections, found {_kind(node)}", node)
            self.data: dict[str, Any] = self._read(node, ())

    def line(self, path: KeyPath) -> int | None:
        """The line of a value, or of the closest thing around it that the text has."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None

    def has(self, path: KeyPath) -> bool:
        """Whether the text has something at a path."""
        return path in self._lines

    def at(self, path: KeyPath) -> Any:
        """The value at a path, None where the text has none."""
        if path in self._containers:
            return self._containers[path]
        parent: Any = self._containers.get(path[:-1])
        with contextlib.suppress(KeyError, IndexError, TypeError):
            return parent[path[-1]]
        return None

    def dotted(self, path: KeyPath) -> str:
        """The name of a path: a class stands for its entry of a list, `lens.mass.PowerLaw_2.slope`."""
        name = ""
        for depth, step in enumerate(path):
            before = path[depth - 1] if depth else None
            if isinstance(step, int):
                is_entry = isinstance(self.at(path[: depth + 1]), dict) and depth + 1 < len(path)
                name += "" if is_entry else f"[{step}]"
            elif isinstance(before, int):
                entries = (self.at(path[: depth - 1]) or [])[:before]
                earlier = sum(isinstance(entry, dict) and step in entry for entry in entries)
                name += f".{step}_{earlier + 1}" if earlier else f".{step}"
            else:
                name += f".{step}"
        return name.removeprefix(".")

    def error(self, path: KeyPath, reason: str, node: yaml.Node | None = None) -> ConfigError:
        """The error that a value deserves."""
        line = self.line(path) if node is None else node.start_mark.line + 1
        return ConfigError(reason, self.file, line, self.dotted(path))

    @contextlib.contextmanager
    def _yaml_errors(self) -> Iterator[None]:
        try:
            yield
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reason = ", ".join(part for part in (error.context, error.problem) if part)
            raise ConfigError(f"not YAML: {reason}", self.file, mark.line + 1 if mark else None) from None
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            raise ConfigError(
                f"not YAML: the character {chr(error.character)!a} is not allowed", self.file, line
            ) from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            if isinstance(error, ConfigError):
                raise
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ConfigError(f"not YAML: {reason}", self.file) from None

    def _read(self, node: yaml.Node, path: KeyPath) -> Any:
        """The value of a node; its lines are recorded."""
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._count += 1
        if self._count > MAX_NODES:
            raise self.error(path, f"more than {MAX_NODES} values", node)
        if node in self._open:
            raise self.error(path, "an alias that contains itself", node)
        self._open.append(node)
        try:
            match node:
                case yaml.ScalarNode():
                    return self._scalar(node, path)
                case yaml.SequenceNode():
                    self._check_tag(node, "tag:yaml.org,2002:seq", path)
                    return self._sequence(node, path)
                case yaml.MappingNode():
                    self._check_tag(node, "tag:yaml.org,2002:map", path)
                    return self._mapping(node, path)
            raise TypeError(type(node))  # YAML has no fourth kind
        finally:
            self._open.pop()

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[Any]:
        made: list[Any] = []
        self._containers[path] = made
        for index, entry in enumerate(node.value):
            made.append(None)
            made[index] = self._read(entry, (*path, index))
        return made

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        made: dict[str, Any] = {}
        self._containers[path] = made
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(path, f"expected a word as key, found {_kind(key_node)}", key_node)
            key = self._word(key_node, path)
            if key == "<<":
                raise self.error(path, "the merge key '<<' is not supported: write the keys out", key_node)
            if key in made:
                raise self.error(
                    (*path, key), f"the key stands twice, first in line {self.line((*path, key))}", key_node
                )
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            made[key] = None
            made[key] = self._read(value_node, (*path, key))
        return made

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.style in ("'", '"', "|", ">") or node.tag == "tag:yaml.org,2002:str":
            self._check_tag(node, "tag:yaml.org,2002:str", path)
            if node.style:
                return self._word(node, path)
        elif node.tag not in _RESOLVED:
            raise self.error(path, f"the tag {node.tag} is not supported", node)
        if node.value in _WORDS:
            return _WORDS[node.value]
        if _INTEGER.fullmatch(node.value):
            return int(node.value)
        return float(node.value) if _FLOAT.fullmatch(node.value) else self._word(node, path)

    def _word(self, node: yaml.ScalarNode, path: KeyPath) -> str:
        """The text of a node; escaped halves of a character, as JSON writes those beyond 16 bits, are joined."""
        try:
            return node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self.error(path, "half a character (a surrogate without its other half)", node) from None

    def _check_tag(self, node: yaml.Node, tag: str, path: KeyPath) -> None:
        if node.tag != tag:
            raise self.error(path, f"the tag {node.tag} is not supported", node)


# What YAML 1.1 takes a plain word for; the reader here decides again.
_RESOLVED = {
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "timestamp", "merge", "value", "str")
}


def _kind(node: yaml.Node) -> str:
    match node:
        case yaml.SequenceNode():
            return "a list"
        case yaml.MappingNode():
            return "a mapping"
    return f"'{node.value}'"
