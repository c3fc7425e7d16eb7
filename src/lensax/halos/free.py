"""Fields of a population that `theta` may set, and how a dotted name finds one."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp

from lensax._types import as_real

T = TypeVar("T", bound=eqx.Module)


def free(default: Any = dataclasses.MISSING) -> Any:
    """A scalar that parameters may set: a field that `parameter_names` finds."""
    keywords = {} if default is dataclasses.MISSING else {"default": default}
    return eqx.field(converter=as_real, metadata={"free": True}, **keywords)


def chosen(**keywords: Any) -> Any:
    """A field that holds one of several classes of modules, whose name stands in those of its parameters."""
    return eqx.field(metadata={"chosen": True}, **keywords)


def parameter_paths(module: eqx.Module, prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Dotted name and attribute path of every free scalar in a tree of modules."""
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        name = f"{prefix}{field.name}"
        if field.metadata.get("chosen"):
            name = f"{name}.{type(value).__name__}"
        if value is None:
            continue
        if field.metadata.get("free"):
            yield name, (field.name,)
        elif isinstance(value, eqx.Module):
            for inner, path in parameter_paths(value, f"{name}."):
                yield inner, (field.name, *path)


def replace(module: T, paths: Mapping[str, tuple[str, ...]], values: Mapping[str, Any]) -> T:
    """The module with the scalars of these names set to new values, in the dtype of the old ones."""
    names = [name for name in values if name in paths]
    if not names:
        return module

    def leaves(tree: T) -> list[Any]:
        found = []
        for name in names:
            leaf: Any = tree
            for attribute in paths[name]:
                leaf = getattr(leaf, attribute)
            found.append(leaf)
        return found

    new = [jnp.asarray(as_real(values[name])).astype(old.dtype) for name, old in zip(names, leaves(module))]
    return eqx.tree_at(leaves, module, new)
