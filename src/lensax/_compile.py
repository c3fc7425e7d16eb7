"""Programs compiled for all that the processor at hand can do."""

import functools
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import lax

__all__ = ["WIDEST", "compiled"]

_WIDTH = "xla_cpu_prefer_vector_width"
WIDEST: dict[str, Any] = {_WIDTH: 512}
"""Options of the compiler that `compiled` asks for."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`eqx.filter_jit(function)`, and outside of every JAX transform one for this processor's widest vectors.

    XLA prefers vectors of 256 bits also where a processor has 512: this takes a fifth more time for the kernels of
    halos.  Inside of a transform the options of the outermost program hold.  An `XLA_FLAGS` that names the width wins.
    """
    plain = eqx.filter_jit(function)
    options: Any = {"compiler_options": WIDEST}
    wide = eqx.filter_jit(function, **options)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return (wide if _prefers_wide() and not _transformed(arguments) else plain)(*arguments)

    return call


@functools.cache
def _prefers_wide() -> bool:
    return jax.default_backend() == "cpu" and _WIDTH not in os.environ.get("XLA_FLAGS", "")


def _transformed(arguments: Any) -> bool:
    """Whether a transform is tracing: one of the arguments, or whatever is computed now."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments)):
        return True
    return isinstance(lax.neg(np.float32(0)), jax.core.Tracer)
