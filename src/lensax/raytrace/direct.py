"""The reference ray tracer: every halo at every ray."""

from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array
from lensax.halos import HaloCatalogue
from lensax.mass.plummer import PlummerMixture
from lensax.raytrace.exact import Visited, closed_form_deflection, mixture_deflection, trace_exactly
from lensax.raytrace.packing import pack
from lensax.raytrace.recursion import Rays
from lensax.raytrace.tracer import Diagnostics, RayTracer, Trace
from lensax.raytrace.whole_number import whole_number_field

if TYPE_CHECKING:
    from lensax.instrument.grid import Grid
    from lensax.scene import Scene

__all__ = ["Direct"]


@final
class Direct(RayTracer):
    """Sums the deflection of every halo at every ray.

    Rays are traced in chunks and halos are summed in blocks, so that no array of size halos x rays exists, in forward
    or in reverse mode; the time grows as halos x rays.  In float32 every halo is a mixture of Plummer discs
    (`PlummerMixture`; the deflection of a truncated cored NFW halo is within 5e-6 of its value, that of a parametric
    SIDM halo within 1e-4 and that of an isothermal core within 1e-3 of its largest), in float64 its closed form.

    Args:
        closed_form: use the closed form (True) or the mixture (False) whatever the dtype; None chooses by dtype.
        chunk: rays traced together.
        width: halos summed together.

    Raises:
        ValueError: a `chunk` or `width` that is not a whole number of at least 1.
    """

    closed_form: bool | None = eqx.field(static=True, default=None)
    chunk: int = whole_number_field("chunk", default=4096)
    width: int = whole_number_field("width", default=32)

    def trace(self, scene: "Scene", grid: "Grid") -> Trace:
        """Trace the rays of a pixel grid; arrays as `grid.positions` gives them."""
        return self.trace_at(scene, *grid.positions(scene.dtype))

    def trace_at(self, scene: "Scene", x: Any, y: Any, every_plane: bool = False) -> Trace:
        """Trace rays that start at any image positions.

        Args:
            scene: what deflects.
            x, y: image positions, arcsec, of one shape.
            every_plane: also return the positions in every lens plane.

        Raises:
            ValueError: x and y of different shapes.
        """
        x, y = jnp.asarray(x, scene.dtype), jnp.asarray(y, scene.dtype)
        if x.shape != y.shape:
            raise ValueError(f"positions of rays: x has shape {x.shape}, y has shape {y.shape}; expected the same")
        halos = HaloCatalogue.empty(scene.planes.n_planes) if scene.halos is None else scene.halos
        blocks = pack(halos, self.width)
        closed_form = scene.dtype == jnp.float64 if self.closed_form is None else self.closed_form
        deflectors = blocks.halos if closed_form else jax.vmap(PlummerMixture.from_halo)(blocks.halos)
        deflection: Any = closed_form_deflection if closed_form else mixture_deflection

        @jax.checkpoint
        def trace_chunk(rays: tuple[Array, Array]) -> tuple[Rays, Visited | None]:
            return trace_exactly(scene, blocks, deflectors, deflection, Rays.start(*rays), visit=every_plane)

        size = x.size
        chunks = max(1, -(-size // self.chunk))
        rays = tuple(jnp.pad(a.reshape(-1), (0, -size % chunks)).reshape(chunks, -1) for a in (x, y))
        end, visited = lax.map(trace_chunk, rays)

        def gather(field: Array) -> Array:
            return field.reshape(-1)[:size].reshape(x.shape)

        def gather_planes(field: Array) -> Array:
            return jax.vmap(gather)(jnp.moveaxis(field, 1, 0))

        return Trace(
            gather(end.x),
            gather(end.y),
            gather(end.lens_x),
            gather(end.lens_y),
            Diagnostics.exact(scene),
            None if visited is None else gather_planes(visited.x),
            None if visited is None else gather_planes(visited.y),
        )

    def enlarged(self, times: int = 2) -> "Direct":
        """Itself: it never runs out of room."""
        return self
