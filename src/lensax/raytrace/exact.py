"""Rays through all planes with every halo summed on every ray."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float, Int
from lensax.mass import SphericalHalo
from lensax.mass.plummer import PlummerMixture, mixture_slope
from lensax.raytrace.packing import HaloBlocks
from lensax.raytrace.recursion import Rays, advance, plane_steps

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["Visited", "closed_form_deflection", "mixture_deflection", "trace_exactly"]


class Visited(eqx.Module):
    """Rays on every plane, leaves (n_planes, *rays).

    Attributes:
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
    deflectors: Any,
    deflection: Callable[[Any, Array, Array], tuple[Array, Array]],
    rays: Rays,
    first_plane: int | Int[Array, ""] = 0,
    visit: bool = False,
) -> tuple[Rays, Visited | None]:
    """Trace rays, block of halos by block; a plane's kick is applied with its last block.

    Reverse mode keeps the rays at every block and computes the rest again.

    Args:
        scene: what deflects.
        blocks: its halos, packed.
        deflectors: the same halos as `deflection` takes them, leaves (n_blocks, ...).
        deflection: `closed_form_deflection` or `mixture_deflection`.
        rays: where they start, leaves (n_rays,): `Rays.start`, or on the way to `first_plane`.
        first_plane: planes before it are left out.
        visit: also return where the rays met every plane and how its halos deflected them.
    """
    steps = plane_steps(scene)
    # Checkpointed inside of the branch that calls it: else reverse mode writes out every term of every halo.
    deflection = jax.checkpoint(deflection)

    def block(carry: Any, row: Any) -> tuple[Any, Visited | None]:
        rays, alpha = carry
        deflector, plane, last, filled = row

        def add(alpha: Any) -> Any:
            return jax.tree.map(jnp.add, alpha, deflection(deflector, rays.x, rays.y))

        def move_on(rays: Rays, alpha: Any) -> tuple[Rays, Any]:
            step = jax.tree.map(lambda leaf: leaf[plane], steps)
            return advance(rays, step, alpha, scene.macro), jax.tree.map(jnp.zeros_like, alpha)

        alpha = lax.cond(filled, add, lambda alpha: alpha, alpha)
        met = Visited(rays.x, rays.y, *alpha) if visit else None
        return lax.cond(last, move_on, lambda *same: same, rays, alpha), met

    zero = jnp.zeros_like(rays.x)
    counts = blocks.plane >= first_plane
    rows = (deflectors, blocks.plane, blocks.last & counts, blocks.filled & counts)
    (end, _), visited = lax.scan(jax.checkpoint(block), (rays, (zero, zero)), rows)
    if visit:
        n_planes, n_blocks = scene.planes.n_planes, blocks.plane.shape[0]
        last_of_plane = jnp.zeros(n_planes, jnp.int32)
        place = jnp.where(blocks.last, blocks.plane, n_planes)
        last_of_plane = last_of_plane.at[place].set(jnp.arange(n_blocks, dtype=jnp.int32), mode="drop")
        visited = jax.tree.map(lambda leaf: leaf[last_of_plane], visited)
    return end, visited


def mixture_deflection(
    halos: PlummerMixture, x: Float[Array, " rays"], y: Float[Array, " rays"]
) -> tuple[Float[Array, " rays"], Float[Array, " rays"]]:
    """Summed deflection of halos with leaves (n_halos,), by their mixtures of Plummer discs.

    sum s_k (x - x_k) = x sum(s_k) - sum(s_k x_k) is a matrix product of three rows, the only consumer of the slopes s:
    with more, the compiler for CPU writes out the terms of each slope. It costs 1e-8 arcsec of rounding in float32.
    """
    d_x, d_y = x[None, :] - halos.center_x[:, None], y[None, :] - halos.center_y[:, None]
    slope = mixture_slope(halos.inverse_square_reach[:, None], halos.numerators[..., None], d_x * d_x + d_y * d_y)
    moments = jnp.stack([jnp.ones_like(halos.center_x), halos.center_x, halos.center_y])
    total, total_x, total_y = jnp.matmul(moments, slope, precision=lax.Precision.HIGHEST)
    return x * total - total_x, y * total - total_y


def closed_form_deflection(
    halos: SphericalHalo, x: Float[Array, " rays"], y: Float[Array, " rays"]
) -> tuple[Float[Array, " rays"], Float[Array, " rays"]]:
    """Summed deflection of halos with leaves (n_halos,), by their closed forms."""
    alpha_x, alpha_y = jax.vmap(lambda halo: halo.deflection(x, y))(halos)
    return alpha_x.sum(0), alpha_y.sum(0)
