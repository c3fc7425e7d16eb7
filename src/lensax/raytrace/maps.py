"""Maps of a whole scene: magnification, effective convergence and shear, critical curves and caustics.

Derivatives, and points of curves, are asked for at positions of their own, off any grid: these are traced exactly,
every halo at every ray, whatever the tracer.
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array, Float
from lensax.raytrace.direct import Direct
from lensax.raytrace.tracer import RayTracer

if TYPE_CHECKING:
    from lensax.instrument.grid import Grid
    from lensax.scene import Scene

__all__ = ["LensMaps", "caustics", "critical_curves", "halo_convergence", "lens_maps"]


class LensMaps(eqx.Module):
    """The Jacobian `A = d beta / d theta` of the lens map, and what it means.

    Attributes:
        convergence: effective convergence `1 - (A_xx + A_yy) / 2`.
        shear_1, shear_2: effective shear `(A_yy - A_xx) / 2`, `-(A_xy + A_yx) / 2`.
        rotation: `(A_yx - A_xy) / 2`, zero for a single plane.
        magnification: `1 / det A`, negative for images of negative parity, infinite on a critical curve.
    """

    convergence: Float[Array, "*shape"]
    shear_1: Float[Array, "*shape"]
    shear_2: Float[Array, "*shape"]
    rotation: Float[Array, "*shape"]
    magnification: Float[Array, "*shape"]


@eqx.filter_jit
def lens_maps(scene: "Scene", x: Any, y: Any, tracer: RayTracer | None = None) -> LensMaps:
    """Magnification, effective convergence, shear and rotation at image positions `x`, `y` (arcsec, one shape).

    The rays do not interact, so two forward derivatives along x and y give the Jacobian of every ray. Rays that start
    off a grid are traced exactly, by a `Lattice` too.

    Args:
        scene: what deflects.
        x, y: image positions, arcsec, of one shape.
        tracer: its `trace_at` traces the rays; by default `Direct()`.

    Returns:
        maps of the shape of `x` and in the dtype of the scene.

    Raises:
        ValueError: x and y of different shapes.
    """
    tracer = Direct() if tracer is None else tracer
    x, y = jnp.asarray(x, scene.dtype), jnp.asarray(y, scene.dtype)

    def source_position(x: Array, y: Array) -> tuple[Array, Array]:
        trace = tracer.trace_at(scene, x, y)
        return trace.source_x, trace.source_y

    _, (a_xx, a_yx) = jax.jvp(source_position, (x, y), (jnp.ones_like(x), jnp.zeros_like(y)))
    _, (a_xy, a_yy) = jax.jvp(source_position, (x, y), (jnp.zeros_like(x), jnp.ones_like(y)))
    return LensMaps(
        convergence=1 - 0.5 * (a_xx + a_yy),
        shear_1=0.5 * (a_yy - a_xx),
        shear_2=-0.5 * (a_xy + a_yx),
        rotation=0.5 * (a_yx - a_xy),
        magnification=1 / (a_xx * a_yy - a_xy * a_yx),
    )


@eqx.filter_jit
def halo_convergence(scene: "Scene", x: Any, y: Any) -> Float[Array, "planes *shape"]:
    """Convergence of the halos and the sheet of every plane at angles `x`, `y` in that plane (arcsec, one shape).

    Each plane as it is, undeflected and scaled to the source. No ray is traced, and the profiles themselves are
    evaluated.

    Args:
        scene: whose halos and sheets; its macro model does not count.
        x, y: angles in every plane, arcsec, of one shape.

    Returns:
        the convergence, (n_planes, *shape): zero without a catalogue, large but finite in the centre of a cusp.

    Raises:
        ValueError: x and y of different shapes.
    """
    x, y = jnp.asarray(x, scene.dtype), jnp.asarray(y, scene.dtype)
    if x.shape != y.shape:
        raise ValueError(f"angles in the planes: x has shape {x.shape}, y has shape {y.shape}; expected the same")
    n_planes = scene.planes.n_planes
    total = jnp.zeros((n_planes, *x.shape), scene.dtype)
    if scene.halos is None:
        return total

    def add(total: Array, halo: Any) -> tuple[Array, None]:
        return total + jax.vmap(lambda one: one.convergence(x, y))(halo), None

    slots_first = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), scene.halos.halos)
    total, _ = lax.scan(add, total, slots_first)
    return total + scene.halos.sheets.reshape(-1, *(1,) * x.ndim)


def critical_curves(
    scene: "Scene", grid: "Grid", tracer: RayTracer | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The critical curves of a scene in the frame of `grid`, where the magnification changes its sign.

    Args:
        scene: what deflects.
        grid: a uniform grid; its rays sample the determinant of the Jacobian, between which it is linear.
        tracer: its `trace_at` traces the rays, exactly also if it is a `Lattice`; by default `Direct()`.

    Returns:
        for each piece of a curve, x and y of its points in arcsec (NumPy arrays); none where the sign is the same in
        the whole frame.

    Raises:
        ValueError: a grid with adaptive over-sampling.
    """
    from contourpy import contour_generator

    if not isinstance(grid.over_sample, int):
        raise ValueError("critical curves need a uniform grid, found adaptive over-sampling")
    x, y = grid.positions(scene.dtype)
    determinant = 1 / np.asarray(lens_maps(scene, x, y, tracer).magnification)
    axis_x, axis_y = grid.axes(grid.over_sample)
    lines: list[Any] = list(contour_generator(axis_x, axis_y, determinant).lines(0.0))
    return [(line[:, 0], line[:, 1]) for line in lines]


def caustics(
    scene: "Scene", curves: list[tuple[np.ndarray, np.ndarray]], tracer: RayTracer | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Critical curves traced to the source plane.

    Args:
        scene: what deflects.
        curves: for each piece x and y of its points, arcsec, as `critical_curves` returns them.
        tracer: its `trace_at` traces the points, exactly also if it is a `Lattice`; by default `Direct()`.

    Returns:
        for each piece, x and y of its points in the source plane in arcsec (NumPy arrays).

    Raises:
        ValueError: x and y of a piece have different shapes.
    """
    tracer = Direct() if tracer is None else tracer
    traces = [tracer.trace_at(scene, x, y) for x, y in curves]
    return [(np.asarray(trace.source_x), np.asarray(trace.source_y)) for trace in traces]
