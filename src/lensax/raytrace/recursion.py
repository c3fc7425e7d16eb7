"""The two-field multi-plane recursion: one ray bundle, one plane at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Bool, Float
from lensax.mass import MassProfile

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["PlaneStep", "Rays", "advance", "plane_steps"]


class Rays(eqx.Module):
    """Rays on their way to the source: position, carried field, and where they met the lens plane (arcsec)."""

    x: Float[Array, "*shape"]
    y: Float[Array, "*shape"]
    v_x: Float[Array, "*shape"]
    v_y: Float[Array, "*shape"]
    lens_x: Float[Array, "*shape"]
    lens_y: Float[Array, "*shape"]

    @classmethod
    def start(cls, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> "Rays":
        """Rays that leave the observer towards image positions `x`, `y`."""
        zero = jnp.zeros_like(x)
        return cls(x, y, zero, zero, x, y)


class PlaneStep(eqx.Module):
    """What the recursion needs of a plane; leaves of shape (n_planes,) are scanned over."""

    kick: Float[Array, "*planes"]
    step: Float[Array, "*planes"]
    sheet: Float[Array, "*planes"]
    is_lens: Bool[Array, "*planes"]


def plane_steps(scene: "Scene") -> PlaneStep:
    """The steps of all planes of a scene, leaves of shape (n_planes,)."""
    planes = scene.planes
    sheets = jnp.zeros_like(planes.distances) if scene.halos is None else scene.halos.sheets
    return PlaneStep(planes.kick, planes.step, sheets, jnp.asarray(planes.is_lens))


@jax.named_scope("macro")
def macro_deflection(
    macro: Sequence[MassProfile], x: Float[Array, "*shape"], y: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Sum of the deflections of the macro model."""
    total_x, total_y = jnp.zeros_like(x), jnp.zeros_like(y)
    for profile in macro:
        alpha_x, alpha_y = profile.deflection(x, y)
        total_x, total_y = total_x + alpha_x, total_y + alpha_y
    return total_x, total_y


def advance(
    rays: Rays,
    plane: PlaneStep,
    halo_alpha: tuple[Float[Array, "*shape"], Float[Array, "*shape"]],
    macro: Sequence[MassProfile],
) -> Rays:
    """Deflect rays on one plane and carry them to the next: `v -= kick alpha(theta)`, `theta += step v`.

    Args:
        rays: rays on the plane.
        plane: scalars of the plane.
        halo_alpha: deflection by the halos of the plane.
        macro: profiles that act if it is the lens plane.
    """

    def at_lens(rays: Rays) -> tuple[Array, Array, Array, Array]:
        return (*macro_deflection(macro, rays.x, rays.y), rays.x, rays.y)

    def elsewhere(rays: Rays) -> tuple[Array, Array, Array, Array]:
        zero = jnp.zeros_like(rays.x)
        return zero, zero, rays.lens_x, rays.lens_y

    macro_x, macro_y, lens_x, lens_y = lax.cond(plane.is_lens, at_lens, elsewhere, rays)
    v_x = rays.v_x - plane.kick * (halo_alpha[0] + macro_x + plane.sheet * rays.x)
    v_y = rays.v_y - plane.kick * (halo_alpha[1] + macro_y + plane.sheet * rays.y)
    return Rays(rays.x + plane.step * v_x, rays.y + plane.step * v_y, v_x, v_y, lens_x, lens_y)
