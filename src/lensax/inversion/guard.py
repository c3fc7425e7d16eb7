"""A scalar that may fail: minus infinity with a gradient of zero, instead of a NaN that spreads."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Scalar

__all__ = ["guarded", "settle"]


def settle(value: Scalar, good: Array, gradient: Any) -> tuple[Scalar, Any]:
    """The value and its gradient where both are finite and good, otherwise minus infinity and zeros."""
    finite = good & jnp.isfinite(value)
    for leaf in jax.tree.leaves(gradient):
        finite = finite & jnp.all(jnp.isfinite(leaf))
    return jnp.where(finite, value, -jnp.inf), jax.tree.map(lambda g: jnp.where(finite, g, 0.0), gradient)


def guarded(function: Callable[[Any], tuple[Scalar, Array]], arguments: Any) -> Scalar:
    """`function(arguments) -> (value, good)` as a number: minus infinity where it is not good or not finite.

    A NaN inside of a program passes every `where` on its way back: zero times NaN is NaN. Here the gradient is made
    together with the value, looked at, and replaced by zeros where it is of no use.

    Args:
        function: of which only first derivatives in reverse mode are asked for.
        arguments: a pytree, anything in which it may be differentiated.
    """

    @eqx.filter_custom_vjp
    def number(arguments: Any) -> Scalar:
        value, good = function(arguments)
        return jnp.where(good & jnp.isfinite(value), value, -jnp.inf)

    @number.def_fwd
    def forward(perturbed: Any, arguments: Any) -> tuple[Scalar, Any]:
        moving, rest = eqx.partition(arguments, perturbed)
        value, pull, good = jax.vjp(lambda moving: function(eqx.combine(moving, rest)), moving, has_aux=True)
        (gradient,) = pull(jnp.ones_like(value))
        return settle(value, good, gradient)

    @number.def_bwd
    def backward(gradient: Any, bar: Scalar, perturbed: Any, arguments: Any) -> Any:
        return jax.tree.map(lambda g: bar * g, gradient)

    return number(arguments)
