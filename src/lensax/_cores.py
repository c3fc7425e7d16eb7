"""A batch on the cores of a CPU, a part on each.

The threads of XLA share the work of one program, and two of them are hardly faster than one where it has a few
thousand small steps. As many programs as there are cores, each busy with images of its own, take all of them.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["cores", "map_on_cores"]

# What decides how a program is traced; a `with` of JAX sets it in one thread alone.
_SETTINGS = (
    "jax_enable_x64",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_default_matmul_precision",
    "jax_default_device",
    "jax_default_prng_impl",
    "jax_disable_jit",
    "jax_debug_nans",
    "jax_debug_infs",
    "jax_transfer_guard_host_to_device",
)
# Programs that have been compiled: what they are of, hashed.
_COMPILED: set[int] = set()


def cores() -> int:
    """Cores that this process may use; `NPROC`, which XLA obeys too, wins."""
    named = os.environ.get("NPROC", "")
    if named.isdigit() and int(named):
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_on_cores(program: Callable[..., Any], items: Any, count: int, threads: int) -> Any:
    """`program(items)` of `count` items along the leading axis of every array, cut into a part for each thread.

    Args:
        program: pure and compiled; takes a pytree of arrays and returns one, all with the leading axis.
        items: pytree of arrays.
        count: items.
        threads: parts that are computed at a time.
    """
    length = -(-count // threads)
    parts = [_part(items, start, start + length, count) for start in range(0, count, length)]
    done, here = [], _settings()
    signature = _signature(program, parts[0], here)
    if signature not in _COMPILED:  # threads that come to a new program together would each compile it
        done.append(program(parts[0]))
        _COMPILED.add(signature)
    rest = parts[len(done) :]
    if len(rest) > 1:
        with ThreadPoolExecutor(len(rest), thread_name_prefix="lensax") as pool:
            alike = pool.submit(_settings).result() == here
            done += pool.map(lambda part: jax.block_until_ready(program(part)), rest) if alike else map(program, rest)
    else:
        done += map(program, rest)
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:count], *done)


def _settings() -> tuple[Any, ...]:
    """JAX's settings as this thread sees them."""
    return tuple(getattr(jax.config, name) for name in _SETTINGS)


def _signature(program: Any, part: Any, settings: tuple[Any, ...]) -> int:
    leaves, structure = jax.tree.flatten((program, part))
    kinds = tuple((leaf.shape, leaf.dtype) if hasattr(leaf, "dtype") else leaf for leaf in leaves)
    return hash((structure, kinds, settings))


def _part(items: Any, start: int, stop: int, count: int) -> Any:
    """Some of the items; copies of the last where there are no more."""

    def rows(leaf: Any) -> Any:
        part, missing = leaf[start:stop], stop - count
        return np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing > 0 else part

    def of(leaf: Any) -> Any:
        if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return rows(np.asarray(leaf))  # a view
        return jax.random.wrap_key_data(rows(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf))

    return jax.tree.map(of, items)
