"""How long the light of an image takes."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float, Scalar
from lensax.raytrace.direct import Direct
from lensax.raytrace.planes import Planes

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["arrival_time", "fermat_potential", "time_delay_distance"]

# (arcsec in radians)^2 x (Mpc / c), in days
_DAYS_PER_MPC_ARCSEC2 = 2419.243461 / 86400.0


def time_delay_distance(planes: Planes) -> Scalar:
    """Time-delay distance of the lens plane in Mpc, `(1 + z_l) D_l D_s / D_ls = chi_l chi_s / (chi_s - chi_l)`."""
    return planes.source_distance * planes.kick[planes.lens_index]


@eqx.filter_jit
def fermat_potential(scene: "Scene", x: Any, y: Any) -> Float[Array, "*shape"]:
    """Fermat potential in arcsec^2 of rays at image positions `x`, `y` (arcsec, one shape).

        phi = 1 / kick_l sum over planes of [ |theta_{j+1} - theta_j|^2 / (2 step_j) - kick_j psi_j(theta_j) ],

    in units of the lens plane's time-delay distance, so that for one plane it is `|theta - beta|^2 / 2 - psi(theta)`.
    Only differences between images of one source are physical.  Differences of large numbers: use float64.

    Args:
        scene: what deflects; the potentials of its halos are their closed forms.
        x, y: image positions, arcsec, of one shape; rays from them are traced exactly.

    Raises:
        ValueError: x and y of different shapes.
    """
    x, y = jnp.asarray(x, scene.dtype), jnp.asarray(y, scene.dtype)
    trace = Direct(closed_form=True).trace_at(scene, x, y, every_plane=True)
    assert trace.plane_x is not None
    assert trace.plane_y is not None
    planes, halos = scene.planes, scene.halos
    along_x = jnp.concatenate([trace.plane_x, trace.source_x[None]])
    along_y = jnp.concatenate([trace.plane_y, trace.source_y[None]])
    potential = jnp.zeros_like(trace.plane_x)
    if halos is not None:

        def add(total: Array, halo: Any) -> tuple[Array, None]:
            return total + jax.vmap(lambda one, x, y: one.potential(x, y))(halo, trace.plane_x, trace.plane_y), None

        slots_first = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), halos.halos)
        potential, _ = lax.scan(add, potential, slots_first)
        sheets = halos.sheets.reshape(-1, *(1,) * x.ndim)
        potential = potential + 0.5 * sheets * (trace.plane_x**2 + trace.plane_y**2)
    macro = jnp.zeros_like(x)
    for profile in scene.macro:
        macro = macro + profile.potential(trace.lens_x, trace.lens_y)
    potential = potential.at[planes.lens_index].add(macro)
    return path_fermat_potential(along_x, along_y, potential, planes)


def path_fermat_potential(
    along_x: Float[Array, "points *shape"],
    along_y: Float[Array, "points *shape"],
    potential: Float[Array, "planes *shape"],
    planes: Planes,
) -> Float[Array, "*shape"]:
    """Fermat potential of paths that visit `along_x`, `along_y` (every plane, then the source) through `potential`."""
    shape = (-1, *(1,) * (potential.ndim - 1))
    kick, step = planes.kick.reshape(shape), planes.step.reshape(shape)
    geometry = (jnp.diff(along_x, axis=0) ** 2 + jnp.diff(along_y, axis=0) ** 2) / (2 * step)
    return jnp.sum(geometry - kick * potential, axis=0) / planes.kick[planes.lens_index]


def arrival_time(scene: "Scene", x: Any, y: Any) -> Float[Array, "*shape"]:
    """Arrival time in days of rays at image positions `x`, `y` (arcsec, one shape), up to a constant.

    `D_dt / c phi` with the Fermat potential `phi` (Schneider, Ehlers & Falco 1992); the time delay of two images of a
    source is the difference of theirs. Differences of large numbers: use float64.

    Args:
        scene: what deflects; the potentials of its halos are their closed forms.
        x, y: image positions, arcsec, of one shape; rays from them are traced exactly.

    Returns:
        days, in the shape of `x`.

    Raises:
        ValueError: x and y of different shapes.
    """
    return _DAYS_PER_MPC_ARCSEC2 * time_delay_distance(scene.planes) * fermat_potential(scene, x, y)
