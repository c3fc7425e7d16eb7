"""The node rays of the lattice: a few rays through all planes, every halo summed exactly."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float
from lensax.mass.plummer import PlummerMixture
from lensax.raytrace.direct import mixture_deflection
from lensax.raytrace.packing import HaloBlocks
from lensax.raytrace.recursion import Rays, advance, plane_steps

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["Visited", "trace_exactly"]


class Visited(eqx.Module):
    """Rays on every plane, leaves (n_planes, *rays).

    Fields:
        x, y: positions, arcsec.
        alpha_x, alpha_y: deflection by the halos of the plane, arcsec.
    """

    x: Float[Array, "*planes_and_rays"]
    y: Float[Array, "*planes_and_rays"]
    alpha_x: Float[Array, "*planes_and_rays"]
    alpha_y: Float[Array, "*planes_and_rays"]


def trace_exactly(
    scene: "Scene",
    blocks: HaloBlocks,
    mixture: PlummerMixture,
    x: Float[Array, " rays"],
    y: Float[Array, " rays"],
    keep: bool = False,
) -> tuple[Rays, Visited | None]:
    """Trace rays with the deflection of every halo summed on every ray.

    Args:
        scene: what deflects.
        blocks: its halos.
        mixture: the same halos as mixtures, leaves (n_blocks, width) and (n_blocks, terms, width).
        x, y: image positions, arcsec.
        keep: also return where the rays met every plane and how its halos deflected them.
    """
    steps = jax.tree.map(lambda leaf: leaf[blocks.plane], plane_steps(scene))
    zero = jnp.zeros_like(x)

    def block(carry: Any, row: Any) -> tuple[Any, Any]:
        rays, alpha = carry
        halos, step, last, filled = row

        def add(alpha: Any) -> Any:
            return jax.tree.map(jnp.add, alpha, mixture_deflection(halos, rays.x, rays.y))

        alpha = lax.cond(filled, add, lambda alpha: alpha, alpha)
        ahead = lax.cond(last, lambda rays: advance(rays, step, alpha, scene.macro), lambda rays: rays, rays)
        rest = jax.tree.map(lambda a: jnp.where(last, jnp.zeros_like(a), a), alpha)
        return (ahead, rest), Visited(rays.x, rays.y, *alpha) if keep else None

    carry = (Rays.start(x, y), (zero, zero))
    (end, _), visited = lax.scan(jax.checkpoint(block), carry, (mixture, steps, blocks.last, blocks.filled))
    if keep:
        n_planes = scene.planes.n_planes
        last_of_plane = (
            jnp.zeros(n_planes, jnp.int32)
            .at[jnp.where(blocks.last, blocks.plane, n_planes)]
            .set(jnp.arange(blocks.plane.shape[0], dtype=jnp.int32), mode="drop")
        )
        visited = jax.tree.map(lambda leaf: leaf[last_of_plane], visited)
    return end, visited
