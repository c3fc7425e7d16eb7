"""The few tiles in which every halo is summed on every ray.

Beside the centre of a cuspy lens rays spread so much, and so unevenly, that no error in front of it is small enough.
"""

from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Bool, Float, Int
from lensax.mass.plummer import PlummerMixture
from lensax.raytrace.exact import mixture_deflection, trace_exactly
from lensax.raytrace.packing import HaloBlocks
from lensax.raytrace.recursion import Rays

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["ExactTiles", "PackedHalos", "trace_tiles"]

# A tile is traced exactly if its rays end so many times further apart than they start.
_SPREAD = 2.5
# Tiles are traced, or skipped, together, so many that they have about this number of rays.
_RAYS_TOGETHER = 1024


class PackedHalos(NamedTuple):
    """The halos of all planes in blocks, leaves (n_blocks, width), and their mixtures."""

    blocks: HaloBlocks
    mixture: PlummerMixture


class ExactTiles(eqx.Module):
    """The tiles whose rays spread the most, in this order.

    Attributes:
        tiles: which ones.
        needed: whether each is traced exactly.
    """

    tiles: Int[Array, " exact"]
    needed: Bool[Array, " exact"]

    @classmethod
    def widest(cls, spread: Float[Array, " tiles"], count: int) -> "ExactTiles":
        """Up to `count` tiles.

        Args:
            spread: how much further apart rays end than they start, at least 1.
            count: room.
        """
        widest, tiles = lax.top_k(spread, count)
        # In a small frame nothing averages out, and exact tiles cost little.
        return cls(tiles.astype(jnp.int32), (widest > _SPREAD) | (spread.shape[0] <= 16 * count))

    def others(self, n_tiles: int) -> Bool[Array, " tiles"]:
        """Which of all tiles are interpolated."""
        return jnp.ones(n_tiles, bool).at[self.tiles].set(~self.needed)

    def replace(self, some: tuple[Array, ...], everything: tuple[Array, ...]) -> tuple[Array, ...]:
        """The fields (tiles, rays) with those of the exact tiles (exact, rays) in their places, if needed."""
        needed = self.needed[:, None]
        return tuple(
            field.at[self.tiles].set(jnp.where(needed, part, field[self.tiles]))
            for part, field in zip(some, everything)
        )


def trace_tiles(scene: "Scene", halos: PackedHalos, exact: ExactTiles, start: Rays) -> tuple[Array, ...]:
    """Trace the rays of the exact tiles; groups of tiles that are not needed are skipped.

    Args:
        scene: what deflects.
        halos: the packed halos.
        exact: the tiles.
        start: their rays at the observer, leaves (exact, rays).

    Returns:
        x and y in the source plane and in the lens plane, each (exact, rays), arcsec.
    """
    count, n_rays = start.x.shape
    together = min(max(1, _RAYS_TOGETHER // n_rays), count)
    groups = -(-count // together)

    def grouped(leaf: Array) -> Array:
        short = ((0, groups * together - count), *((0, 0),) * (leaf.ndim - 1))
        return jnp.pad(leaf, short).reshape(groups, together, *leaf.shape[1:])

    def fields(rays: Rays) -> tuple[Array, ...]:
        return rays.x, rays.y, rays.lens_x, rays.lens_y

    def trace(rays: Rays) -> tuple[Array, ...]:
        end, _ = trace_exactly(scene, *halos, mixture_deflection, jax.tree.map(lambda leaf: leaf.reshape(-1), rays))
        return tuple(field.reshape(rays.x.shape) for field in fields(end))

    def group(row: tuple[Rays, Array]) -> tuple[Array, ...]:
        rays, needed = row
        return lax.cond(jnp.any(needed), trace, fields, rays)

    found = lax.map(jax.checkpoint(group), (jax.tree.map(grouped, start), grouped(exact.needed)))
    return tuple(field.reshape(-1, n_rays)[:count] for field in found)
