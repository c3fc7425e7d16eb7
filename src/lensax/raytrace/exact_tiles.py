"""The few tiles in which every halo is summed on every ray.

Beside the centre of a cuspy lens rays spread so much, and so unevenly, that no error in front of it is small enough.
A collapsed halo of more than 10^9 solar masses kicks the rays beside its centre so far that they meet the planes behind
it where the tides of the other halos, which are known to first order, no longer tell what they do.
"""

from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Bool, Float, Int
from lensax.mass.plummer import PlummerMixture
from lensax.raytrace.exact import mixture_deflection, trace_exactly
from lensax.raytrace.interpolation_error import LARGEST_DEFLECTION
from lensax.raytrace.packing import HaloBlocks
from lensax.raytrace.pair_selection import TileBoxes
from lensax.raytrace.recursion import Rays

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["ExactTiles", "PackedHalos", "largest_kick", "trace_tiles"]

# A tile is traced exactly if its rays end so many times further apart than they start.
_SPREAD = 2.5
# Or if a halo kicks one of them so far, k, that C k^2 is more than the tolerance: C per arcsec, from the worst rays of
# random scenes with collapsed halos (benchmarks/lattice.py).
_BEYOND_TIDES = 0.003
# Room for tiles with such rays.
_KICKED = 8
# Halos of a scene that are asked how far they kick, the strongest ones.
_STRONGEST = 8
# At so many scale radii the deflection of an NFW halo is half of its largest.
_REACH = 10.0
# Tiles are traced, or skipped, in groups: those chosen for their spread all at once, or in equal parts of about so many
# rays.
_RAYS_TOGETHER = 1536


class PackedHalos(NamedTuple):
    """The halos of all planes in blocks, leaves (n_blocks, width), and their mixtures."""

    blocks: HaloBlocks
    mixture: PlummerMixture


def largest_kick(blocks: HaloBlocks, boxes: TileBoxes) -> Float[Array, " tiles"]:
    """How far a single halo deflects a ray of each tile on its way to a later plane, at most, arcsec.

        k = 1.25 kappa_s r_s / (1 + d / 10 r_s)

    with the distance d from the halo to the tile's box; of the few strongest halos.
    """
    n_planes = boxes.center_x.shape[0]
    width = blocks.halos.kappa_s.shape[1]
    plane = jnp.repeat(blocks.plane, width)
    strength = LARGEST_DEFLECTION * (blocks.halos.kappa_s * blocks.halos.scale_radius).reshape(-1)
    strength, which = lax.top_k(jnp.where(plane < n_planes - 1, strength, 0), min(_STRONGEST, strength.size))
    x, y, scale_radius = (
        leaf.reshape(-1)[which][:, None]
        for leaf in (blocks.halos.center_x, blocks.halos.center_y, blocks.halos.scale_radius)
    )
    distance = jax.tree.map(lambda leaf: leaf[plane[which]], boxes).distance(x, y)
    return jnp.max(strength[:, None] / (1 + distance / (_REACH * scale_radius)), axis=0)


class ExactTiles(eqx.Module):
    """The tiles whose rays spread the most, then those beside halos that kick rays the furthest.

    Attributes:
        tiles: which ones, all different.
        needed: whether each is traced exactly.
        n_wide: how many are chosen for their spread.
    """

    tiles: Int[Array, " exact"]
    needed: Bool[Array, " exact"]
    n_wide: int = eqx.field(static=True)

    @classmethod
    def chosen(
        cls, spread: Float[Array, " tiles"], kick: Float[Array, " tiles"], tolerance: float, count: int
    ) -> "ExactTiles":
        """Up to `count` tiles for their spread, and a few more for their kicks.

        Args:
            spread: how much further apart rays end than they start, at least 1.
            kick: the largest deflection by a single halo, arcsec.
            tolerance: of the source positions, arcsec.
            count: room.
        """
        n_tiles = spread.shape[0]
        widest, first = lax.top_k(spread, count)
        # In a small frame nothing averages out, and exact tiles cost little.
        wide = (widest > _SPREAD) | (n_tiles <= 16 * count)
        furthest, second = lax.top_k(kick.at[first].set(0), min(_KICKED, count, n_tiles - count))
        kicked = _BEYOND_TIDES * furthest**2 > tolerance
        return cls(jnp.concatenate([first, second]).astype(jnp.int32), jnp.concatenate([wide, kicked]), count)

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


@jax.named_scope("exact_tiles")
def trace_tiles(scene: "Scene", halos: PackedHalos, exact: ExactTiles, start: Rays) -> tuple[Array, ...]:
    """Trace the rays of the exact tiles, of which there is one at least; groups that are not needed are skipped.

    Args:
        scene: what deflects.
        halos: the packed halos.
        exact: the tiles.
        start: their rays at the observer, leaves (exact, rays).

    Returns:
        x and y in the source plane and in the lens plane, each (exact, rays), arcsec.
    """
    count, n_rays = start.x.shape
    together = -(-exact.n_wide // max(1, round(exact.n_wide * n_rays / _RAYS_TOGETHER)))
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
