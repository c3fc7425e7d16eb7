"""The few tiles over which the map behind the lens is torn: there every halo is summed on every ray.

Behind all of them, and in front of the most torn ones too: beside the centre of a cuspy lens rays spread so much that
no error in front of it is small enough.
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

__all__ = ["PackedHalos", "TornTiles", "trace_torn"]

# The most torn tiles are traced from the observer on.
_FROM_THE_OBSERVER = 4
# Tiles that are traced, or skipped, together: two, and twice as many of few rays.
_FEW_RAYS = 256
# A tile is traced exactly if the rms error there exceeds the tolerance by that factor, or as long as the tiles after it
# would spend more than this share of the allowed mean square.
_TORN, _SHARE = 1.5, 0.1
# Errors in front of the lens, in units of the tolerance, that grow as rays spread: more so at the rays next to its
# centre than the nodes of the tile tell.
_CUSP = 0.4


class PackedHalos(NamedTuple):
    """The halos of all planes in blocks, and their mixtures, leaves (n_blocks, width) and (n_blocks, terms, width)."""

    blocks: HaloBlocks
    mixture: PlummerMixture


class TornTiles(eqx.Module):
    """The tiles that are torn the most, in this order.

    Attributes:
        tiles: which ones.
        needed: whether each is torn enough to be traced exactly.
    """

    tiles: Int[Array, " torn"]
    needed: Bool[Array, " torn"]

    @classmethod
    def worst(
        cls,
        error: Float[Array, " tiles"],
        spread: Float[Array, " tiles"],
        share: Float[Array, " tiles"],
        tolerance: float,
        count: int,
    ) -> "TornTiles":
        """Up to `count` tiles.

        Args:
            error: rms error of each tile by the tear, arcsec.
            spread: how much further apart rays end than they start, at least 1.
            share: of each tile in the mean over the frame.
            tolerance: rms error over the frame that is allowed, arcsec.
            count: room.
        """
        worst, tiles = lax.top_k(jnp.hypot(error, _CUSP * tolerance * (spread - 1)), count)
        square = share[tiles] * error[tiles] ** 2
        left = jnp.sum(share * error**2) - jnp.cumsum(square) + square
        needed = (worst > _TORN * tolerance) | (left > _SHARE * jnp.sum(share) * tolerance**2)
        # In a frame that is hardly larger nothing averages out.
        return cls(tiles.astype(jnp.int32), needed | (error.shape[0] <= 2 * count))

    def mask(self, n_tiles: int, lens: int, n_planes: int) -> Bool[Array, "planes tiles"]:
        """On which planes which of all tiles are traced exactly."""
        first = jnp.where(jnp.arange(self.tiles.shape[0]) < _FROM_THE_OBSERVER, 0, lens + 1)
        first = jnp.full(n_tiles, n_planes).at[self.tiles].set(jnp.where(self.needed, first, n_planes))
        return jnp.arange(n_planes)[:, None] >= first[None]

    def replace(self, some: tuple[Array, ...], everything: tuple[Array, ...]) -> tuple[Array, ...]:
        """The fields (tiles, rays) with those of the torn tiles (torn, rays) in their places, if needed."""
        needed = self.needed[:, None]
        return tuple(
            field.at[self.tiles].set(jnp.where(needed, part, field[self.tiles]))
            for part, field in zip(some, everything)
        )


def trace_torn(scene: "Scene", halos: PackedHalos, torn: TornTiles, start: Rays, behind: Rays) -> tuple[Array, ...]:
    """Trace the rays of the torn tiles, every halo summed on every ray; groups not needed are skipped.

    Args:
        scene: what deflects.
        halos: the packed halos.
        torn: the tiles.
        start: their rays at the observer, leaves (torn, rays).
        behind: the same on the way to the first plane behind the lens.

    Returns:
        x and y in the source plane and in the lens plane, each (torn, rays), arcsec.
    """
    count, n_rays = start.x.shape
    together = 4 if n_rays < _FEW_RAYS else 2
    groups = -(-count // together)
    first_plane = jnp.where(jnp.arange(groups) * together < _FROM_THE_OBSERVER, 0, scene.planes.lens_index + 1)

    def grouped(leaf: Array) -> Array:
        short = ((0, groups * together - count), *((0, 0),) * (leaf.ndim - 1))
        return jnp.pad(leaf, short).reshape(groups, together, *leaf.shape[1:])

    def fields(rays: Rays) -> tuple[Array, ...]:
        return rays.x, rays.y, rays.lens_x, rays.lens_y

    def trace(rays: Rays, first_plane: Array) -> tuple[Array, ...]:
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1), rays)
        end, _ = trace_exactly(scene, *halos, mixture_deflection, flat, first_plane)
        return tuple(field.reshape(rays.x.shape) for field in fields(end))

    def group(row: tuple[Rays, Array, Array]) -> tuple[Array, ...]:
        rays, needed, first_plane = row
        return lax.cond(jnp.any(needed), trace, lambda rays, _: fields(rays), rays, first_plane)

    rays = jax.tree.map(lambda a, b: jnp.concatenate([a[:_FROM_THE_OBSERVER], b[_FROM_THE_OBSERVER:]]), start, behind)
    found = lax.map(jax.checkpoint(group), (jax.tree.map(grouped, rays), grouped(torn.needed), first_plane))
    return tuple(field.reshape(-1, n_rays)[:count] for field in found)
