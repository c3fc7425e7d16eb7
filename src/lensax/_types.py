"""Array types and the conversions that every pytree of lensax shares."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray

__all__ = [
    "Array",
    "ArrayLike",
    "Bool",
    "Float",
    "Int",
    "PRNGKeyArray",
    "Scalar",
    "as_real",
    "cast",
    "concrete",
    "real",
]

T = TypeVar("T")
Scalar = Float[Array, ""]


def as_real(value: Any) -> Any:
    """Numbers, sequences and NumPy arrays become JAX arrays of the default floating dtype; JAX arrays keep theirs.

    A Python number left in a pytree would be a compile-time constant, and each new value a new compilation.
    """
    if isinstance(value, jax.Array):
        return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(float)
    if isinstance(value, (bool, int, float, list, tuple, np.ndarray, np.generic)):
        return jnp.asarray(np.asarray(value, np.float64), float)
    return value


def real(**keywords: Any) -> Any:
    """A dataclass field that holds a real parameter (see `as_real`)."""
    return eqx.field(converter=as_real, **keywords)


def cast(tree: T, dtype: Any) -> T:
    """The same pytree with every floating-point leaf in `dtype`."""

    def convert(leaf: Any) -> Any:
        return leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf

    return jax.tree.map(convert, tree)


def concrete(value: Any) -> np.ndarray | None:
    """The value as a NumPy array, or None while it is being traced and cannot be looked at."""
    return None if isinstance(value, jax.core.Tracer) else np.asarray(value)
