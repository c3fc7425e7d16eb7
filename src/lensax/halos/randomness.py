"""Random numbers for the slots of a catalogue.

They are always drawn in float32 and then converted: one key means one universe, in either precision. Each plane has
keys of its own and fills its slots in order, so that more slots change no halo that was there before.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lensax._types import Array, Float, Int, PRNGKeyArray


def uniform(key: PRNGKeyArray, stream: int, shape: tuple[int, int], dtype: Any) -> Float[Array, "planes slots"]:
    """Uniform numbers in [0, 1), `(n_planes, n_slots)`, the stream named by a number."""
    keys = jax.random.split(jax.random.fold_in(key, stream), shape[0])
    return jax.vmap(lambda k: jax.random.uniform(k, shape[1:], jnp.float32))(keys).astype(dtype)


def normal(key: PRNGKeyArray, stream: int, shape: tuple[int, int], dtype: Any) -> Float[Array, "planes slots"]:
    """Standard normal numbers, `(n_planes, n_slots)`."""
    keys = jax.random.split(jax.random.fold_in(key, stream), shape[0])
    return jax.vmap(lambda k: jax.random.normal(k, shape[1:], jnp.float32))(keys).astype(dtype)


def poisson(key: PRNGKeyArray, stream: int, mean: Float[Array, " planes"]) -> Int[Array, " planes"]:
    """Poisson counts; their mean has no gradient."""
    mean = jax.lax.stop_gradient(mean).astype(jnp.float32)
    return jax.random.poisson(jax.random.fold_in(key, stream), mean, mean.shape, jnp.int32)
