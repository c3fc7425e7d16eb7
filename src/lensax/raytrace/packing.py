"""Halos of all planes in equal blocks, so that empty slots cost nothing."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Bool, Int
from lensax.halos import HaloCatalogue
from lensax.halos.catalogue import EMPTY_SLOT
from lensax.mass import Halo, MixedHalos

__all__ = ["HaloBlocks", "blocks_for", "pack"]


class HaloBlocks(eqx.Module):
    """The filled slots of a catalogue, plane after plane, every plane in whole blocks (at least one each).

    Attributes:
        halos: leaves (n_blocks, width).
        plane: plane of each block, (n_blocks,); blocks behind the last plane's belong to it and are empty.
        last: the block ends its plane, (n_blocks,).
        filled: the block holds a halo, (n_blocks,).
        missing: halos that found no block, 0 unless `blocks` was too small.
    """

    halos: Halo | MixedHalos
    plane: Int[Array, " blocks"]
    last: Bool[Array, " blocks"]
    filled: Bool[Array, " blocks"]
    missing: Int[Array, ""]


def blocks_for(n_planes: int, n_slots: int, room: int, width: int) -> int:
    """Blocks of `width` for up to `n_slots` halos on each plane and `room` together; one on each plane is not full."""
    return min(n_planes * -(-n_slots // width), n_planes + room // width)


def pack(catalogue: HaloCatalogue, width: int, blocks: int | None = None) -> HaloBlocks:
    """Pack the filled slots, leaves (n_planes, n_slots), into blocks of `width`.

    Args:
        catalogue: the halos.
        width: slots per block.
        blocks: number of blocks; by default enough for any population of the catalogue's shape.
    """
    halos, n_planes = catalogue.halos, catalogue.n_planes
    filled = halos.kappa_s != 0
    if blocks is None:
        blocks = blocks_for(n_planes, catalogue.n_slots, catalogue.room, width)
    size = blocks * width
    rank = jnp.cumsum(filled, axis=1, dtype=jnp.int32)
    needed = jnp.maximum(-(-rank[:, -1] // width), 1)
    end = jnp.cumsum(needed, dtype=jnp.int32)
    place = jnp.where(filled, (end - needed)[:, None] * width + rank - 1, size)
    slots = jnp.arange(filled.size, dtype=jnp.int32)
    slot = jnp.full(size, filled.size, jnp.int32).at[place.reshape(-1)].set(slots, mode="drop")

    def gather(name: str) -> Array:
        leaf = getattr(halos, name).reshape(-1)
        return jnp.append(leaf, jnp.asarray(EMPTY_SLOT[name], leaf.dtype))[slot].reshape(blocks, width)

    block = jnp.arange(blocks, dtype=jnp.int32)
    plane = jnp.searchsorted(end, block, side="right", method="compare_all").astype(jnp.int32)
    plane = jnp.minimum(plane, n_planes - 1)
    packed = type(halos)(**{field.name: gather(field.name) for field in dataclasses.fields(halos)})
    occupied = packed.kappa_s != 0
    return HaloBlocks(
        halos=packed,
        plane=plane,
        last=block == jnp.minimum(end - 1, blocks - 1)[plane],
        filled=occupied.any(1),
        missing=rank[:, -1].sum(dtype=jnp.int32) - occupied.sum(dtype=jnp.int32),
    )
