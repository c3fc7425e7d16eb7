"""The reference ray tracer: every halo at every ray."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float
from lensax.mass import Halo
from lensax.mass.plummer import PlummerMixture, mixture_slope
from lensax.raytrace.packing import pack
from lensax.raytrace.recursion import Rays, advance, plane_steps
from lensax.raytrace.tracer import Diagnostics, RayTracer, Trace

if TYPE_CHECKING:
    from lensax.instrument.grid import Grid
    from lensax.scene import Scene

__all__ = ["Direct"]


@final
class Direct(RayTracer):
    """Sums the deflection of every halo at every ray.

    Rays are traced in chunks and halos are summed in blocks, so that no array of size halos x rays exists, in forward
    or in reverse mode; the time grows as halos x rays.  In float32 every halo is a mixture of Plummer discs
    (`PlummerMixture`, relative error of a deflection below 5e-6), in float64 its closed form.

    Args:
        closed_form: use the closed form (True) or the mixture (False) whatever the dtype; None chooses by dtype.
        chunk: rays traced together.
        width: halos summed together.
    """

    closed_form: bool | None = eqx.field(static=True, default=None)
    chunk: int = eqx.field(static=True, default=4096)
    width: int = eqx.field(static=True, default=32)

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
        trace_chunk = self._chunk_tracer(scene, every_plane)
        size = x.size
        chunks = max(1, -(-size // self.chunk))
        rays = [jnp.pad(a.reshape(-1), (0, -size % chunks)).reshape(chunks, -1) for a in (x, y)]
        end, visited = lax.map(lambda start: trace_chunk(*start), tuple(rays))

        def gather(field: Array) -> Array:
            return field.reshape(-1)[:size].reshape(x.shape)

        def gather_planes(field: Array) -> Array:
            return jax.vmap(gather)(jnp.moveaxis(field, 1, 0))

        plane_x, plane_y = (None, None) if visited is None else map(gather_planes, visited)
        return Trace(
            gather(end.x),
            gather(end.y),
            gather(end.lens_x),
            gather(end.lens_y),
            Diagnostics.exact(scene),
            plane_x,
            plane_y,
        )

    def enlarged(self) -> "Direct":
        """Itself: it never runs out of room."""
        return self

    def _chunk_tracer(self, scene: "Scene", every_plane: bool) -> Callable[[Array, Array], tuple[Rays, Any]]:
        """The function that traces one chunk of rays; what it needs of the halos is prepared once, outside of it."""
        steps, halos = plane_steps(scene), scene.halos
        closed_form = scene.dtype == jnp.float64 if self.closed_form is None else self.closed_form
        if halos is None:
            plane = jnp.arange(scene.planes.n_planes, dtype=jnp.int32)
            last, filled, deflectors = jnp.ones_like(plane, bool), jnp.zeros_like(plane, bool), None
        else:
            blocks = pack(halos, self.width)
            plane, last, filled = blocks.plane, blocks.last, blocks.filled
            deflectors = blocks.halos if closed_form else jax.vmap(PlummerMixture.from_halo)(blocks.halos)
        # Checkpointed inside of the branch that calls it: else reverse mode writes out every term of every halo.
        deflect = jax.checkpoint(closed_form_deflection if closed_form else mixture_deflection)
        rows = (deflectors, jax.tree.map(lambda leaf: leaf[plane], steps), plane, last, filled)

        def block(carry: Any, row: Any) -> tuple[Any, None]:
            rays, alpha, visited = carry
            deflector, step, plane, last, filled = row
            if deflector is not None:

                def add(alpha: Any) -> Any:
                    return jax.tree.map(jnp.add, alpha, deflect(deflector, rays.x, rays.y))

                alpha = lax.cond(filled, add, lambda alpha: alpha, alpha)
            if visited is not None:
                visited = (visited[0].at[plane].set(rays.x), visited[1].at[plane].set(rays.y))
            rays = lax.cond(last, lambda rays: advance(rays, step, alpha, scene.macro), lambda rays: rays, rays)
            alpha = jax.tree.map(lambda a: jnp.where(last, jnp.zeros_like(a), a), alpha)
            return (rays, alpha, visited), None

        def trace_chunk(x: Array, y: Array) -> tuple[Rays, Any]:
            zero = jnp.zeros_like(x)
            empty = jnp.zeros((scene.planes.n_planes, *x.shape), x.dtype)
            visited = (empty, empty) if every_plane else None
            carry = (Rays.start(x, y), (zero, zero), visited)
            (rays, _, visited), _ = lax.scan(jax.checkpoint(block), carry, rows)
            return rays, visited

        return jax.checkpoint(trace_chunk)


def mixture_deflection(
    halos: PlummerMixture, x: Float[Array, " rays"], y: Float[Array, " rays"]
) -> tuple[Float[Array, " rays"], Float[Array, " rays"]]:
    """Summed deflection of halos with leaves (n_halos,), by their mixtures of Plummer discs.

    sum s_k (x - x_k) = x sum(s_k) - sum(s_k x_k) is a matrix product of three rows, the only consumer of the slopes s:
    with more, the compiler for CPU writes out the terms of each slope. It costs 1e-8 arcsec of rounding in float32.
    """
    d_x, d_y = x[None, :] - halos.center_x[:, None], y[None, :] - halos.center_y[:, None]
    slope = mixture_slope(
        halos.inverse_square_reach[:, None], halos.n0[..., None], halos.n1[..., None], d_x * d_x + d_y * d_y
    )
    moments = jnp.stack([jnp.ones_like(halos.center_x), halos.center_x, halos.center_y])
    total, total_x, total_y = jnp.matmul(moments, slope, precision=lax.Precision.HIGHEST)
    return x * total - total_x, y * total - total_y


def closed_form_deflection(
    halos: Halo, x: Float[Array, " rays"], y: Float[Array, " rays"]
) -> tuple[Float[Array, " rays"], Float[Array, " rays"]]:
    """Summed deflection of halos with leaves (n_halos,), by their closed forms."""
    alpha_x, alpha_y = jax.vmap(lambda halo: halo.deflection(x, y))(halos)
    return alpha_x.sum(0), alpha_y.sum(0)
