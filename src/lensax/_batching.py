"""Batches that fit the memory of a device and spread over all local devices."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lensax._compile import compiled
from lensax._cores import cores, map_on_cores
from lensax._memory import available_memory

__all__ = ["lanes", "map_batch", "micro_batch_size"]

# An accelerator's micro-batch: enough to fill the device, and no more than this share of its memory.
_LARGEST_MICRO_BATCH = 512
_SHARE_OF_MEMORY = 0.25
_MEMORY_WHERE_UNKNOWN = 8 * 2**30


def micro_batch_size(bytes_per_item: int, device: Any = None) -> int:
    """Items that a device computes together: 1 on a CPU, whose caches hold one, else what its memory holds."""
    device = jax.local_devices()[0] if device is None else device
    if device.platform == "cpu":
        return 1
    statistics = device.memory_stats() or {}
    memory = statistics.get("bytes_limit", _MEMORY_WHERE_UNKNOWN)
    return int(np.clip(_SHARE_OF_MEMORY * memory // bytes_per_item, 1, _LARGEST_MICRO_BATCH))


def lanes(bytes_per_item: int = 0) -> int:
    """How many items, or micro-batches, are computed at a time: devices, or the cores of a CPU that is one device.

    Args:
        bytes_per_item: temporaries of one item; no more cores than half of the free memory holds items.
    """
    devices = jax.local_devices()
    if len(devices) > 1 or devices[0].platform != "cpu":
        return len(devices)
    free = available_memory() if bytes_per_item else None
    return cores() if free is None else int(np.clip(free // (2 * bytes_per_item), 1, cores()))


def map_batch(
    function: Callable[..., Any], shared: Any, items: Any, micro_batch: int | None, bytes_per_item: int
) -> Any:
    """`function(shared, *item)` for every item along the leading axis of `items`.

    One compiled program on each device; on a CPU that is one device, one on each of its cores.

    Args:
        function: pure and compiled; all its outputs are arrays.
        shared: pytree that all items have in common.
        items: tuple of pytrees with a common leading axis.
        micro_batch: items computed together by `vmap`; micro-batches follow one another. None sizes them to the device.
        bytes_per_item: temporaries of one item, for that choice.

    Returns:
        the outputs with the leading axis, sharded over the local devices in equal parts.

    Raises:
        ValueError: leading axes that differ, or no item.
    """
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(items)}
    if len(lengths) != 1 or any(leaf.ndim == 0 for leaf in jax.tree.leaves(items)):
        raise ValueError(f"batch: expected one leading axis of the same length on every array, found lengths {lengths}")
    count = lengths.pop()
    if count == 0:
        raise ValueError("batch: expected at least one item, found none")
    if micro_batch is not None and micro_batch < 1:
        raise ValueError(f"micro_batch: expected at least 1, found {micro_batch}")
    together = micro_batch_size(bytes_per_item) if micro_batch is None else micro_batch
    devices = jax.local_devices()
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((shared, items)))
    if not traced and len(devices) == 1 and devices[0].platform == "cpu":
        program = eqx.Partial(_mapped, function, together, shared)
        return map_on_cores(program, items, count, lanes(bytes_per_item))
    if len(devices) == 1 or count < len(devices) or traced:
        return _mapped(function, together, shared, items)
    return _sharded(function, shared, items, together, count, devices)


@compiled
def _mapped(function: Callable[..., Any], together: int, shared: Any, items: Any) -> Any:
    arrays, static = eqx.partition(items, eqx.is_array)
    batch_size = None if together == 1 else together
    return lax.map(lambda item: function(shared, *eqx.combine(item, static)), arrays, batch_size=batch_size)


def _sharded(
    function: Callable[..., Any], shared: Any, items: Any, together: int, count: int, devices: list[Any]
) -> Any:
    padding = -count % len(devices)
    mesh = Mesh(np.asarray(devices), ("devices",))

    def spread(leaf: Any) -> Any:
        padded = jnp.concatenate([leaf, jnp.repeat(leaf[-1:], padding, axis=0)]) if padding else leaf
        return jax.device_put(padded, NamedSharding(mesh, PartitionSpec("devices")))

    arrays, static = eqx.partition(items, eqx.is_array)
    spread_items = eqx.combine(jax.tree.map(spread, arrays), static)
    result = _mapped_on(mesh, function, shared, spread_items, together)
    return jax.tree.map(lambda leaf: leaf[:count], result) if padding else result


@compiled
def _mapped_on(mesh: Mesh, function: Callable[..., Any], shared: Any, items: Any, together: int) -> Any:
    arrays, static = eqx.partition(items, eqx.is_array)
    shared_arrays, shared_static = eqx.partition(shared, eqx.is_array)

    def part(shared_arrays: Any, arrays: Any) -> Any:
        shared = eqx.combine(shared_arrays, shared_static)
        return _mapped(function, together, shared, eqx.combine(arrays, static))

    split = PartitionSpec("devices")
    mapped = jax.shard_map(part, mesh=mesh, in_specs=(PartitionSpec(), split), out_specs=split, check_vma=False)
    return mapped(shared_arrays, arrays)
