"""What every ray tracer takes and returns."""

import abc
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Bool, Float, Int, Scalar

if TYPE_CHECKING:
    from lensax.instrument.grid import Grid
    from lensax.scene import Scene

__all__ = ["Diagnostics", "RayTracer", "Trace"]


class Diagnostics(eqx.Module):
    """How far an image can be trusted.

    Attributes:
        error_estimate: predicted rms error of the source positions, arcsec; 0 for an exact tracer.
        pairs: (tile, halo) pairs that wanted an exact correction, the largest number on any plane; 0 if exact.
        capacity: pairs per plane that there was room for.
        overflow: the image lacks something: pairs beyond the capacity, halos beyond the catalogue's slots, or the right
            corrections, where those of other halos were handed to a `Lattice` inside a JAX transform.
        halos_per_plane: halos on each plane.
    """

    error_estimate: Scalar
    pairs: Int[Array, ""]
    capacity: Int[Array, ""]
    overflow: Bool[Array, ""]
    halos_per_plane: Int[Array, " planes"]

    @classmethod
    def exact(cls, scene: "Scene") -> "Diagnostics":
        """The diagnostics of a tracer that makes no approximation."""
        halos = scene.halos
        none = jnp.zeros((), jnp.int32)
        return cls(
            error_estimate=jnp.zeros((), scene.dtype),
            pairs=none,
            capacity=none,
            overflow=jnp.zeros((), bool) if halos is None else halos.overflow,
            halos_per_plane=jnp.zeros(scene.planes.n_planes, jnp.int32)
            if halos is None
            else halos.counts.astype(jnp.int32),
        )


class Trace(eqx.Module):
    """Where rays end up; every array has the shape of the rays' positions.

    Attributes:
        source_x, source_y: positions in the source plane, arcsec.
        lens_x, lens_y: positions in the lens plane, arcsec: where the lens light is seen.
        diagnostics: how far they can be trusted.
        plane_x, plane_y: positions in every plane with a leading axis (n_planes,), where they were asked for.
    """

    source_x: Float[Array, "*shape"]
    source_y: Float[Array, "*shape"]
    lens_x: Float[Array, "*shape"]
    lens_y: Float[Array, "*shape"]
    diagnostics: Diagnostics
    plane_x: Float[Array, "planes *shape"] | None = None
    plane_y: Float[Array, "planes *shape"] | None = None


class RayTracer(eqx.Module):
    """Traces rays from the image plane through every lens plane to the source."""

    @abc.abstractmethod
    def trace(self, scene: "Scene", grid: "Grid") -> Trace:
        """Trace the rays of a pixel grid; arrays as `grid.positions` gives them."""

    @abc.abstractmethod
    def trace_at(self, scene: "Scene", x: Any, y: Any, every_plane: bool = False) -> Trace:
        """Trace rays that start at any image positions `x`, `y` (arcsec, one shape)."""

    @abc.abstractmethod
    def enlarged(self, times: int = 2) -> "RayTracer":
        """The same tracer with so many times the room where it ran out of room; itself where it cannot."""
