"""Random numbers for the slots of a catalogue.

They are always drawn in float32 and then converted: one key means one universe, in either precision. Each plane has
keys of its own and fills its slots in order, so that more slots change no halo that was there before.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from lensax._types import Array, Float, Int, PRNGKeyArray

_HALF_STEP = 2.0**-24  # uniform numbers are multiples of 2^-23; half a step keeps their normal numbers finite


def uniforms(
    key: PRNGKeyArray, count: int, n_planes: int, n_slots: int, dtype: Any
) -> tuple[Float[Array, "planes slots"], ...]:
    """`count` sets of uniform numbers in [0, 1), each `(n_planes, n_slots)`."""
    keys = jax.random.split(key, n_planes)
    # In a row: the numbers are the same, and those of a table take several times as long to compile.
    numbers = jax.vmap(lambda k: jax.random.uniform(k, (n_slots * count,), jnp.float32))(keys)
    return tuple(numbers[:, index::count].astype(dtype) for index in range(count))


def normal(uniform: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Standard normal numbers from uniform ones."""
    return math.sqrt(2) * jax.lax.erf_inv(2 * (uniform + _HALF_STEP) - 1)


def poisson(key: PRNGKeyArray, mean: Float[Array, " planes"]) -> Int[Array, " planes"]:
    """Poisson counts; their mean has no gradient."""
    mean = jax.lax.stop_gradient(mean).astype(jnp.float32)
    return jax.random.poisson(key, mean, mean.shape, jnp.int32)
