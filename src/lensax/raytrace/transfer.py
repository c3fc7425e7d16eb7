"""Ray-transfer matrices: how rays pass planes on which nothing but mass sheets deflects them."""

import equinox as eqx
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float
from lensax.raytrace.recursion import PlaneStep

__all__ = ["Transfer"]


class Transfer(eqx.Module):
    """The state (theta, v) of a ray at every plane of a run, from that at its start: linear, the same for all rays.

        theta_j = a_j theta_0 + b_j v_0,    v_j = c_j theta_0 + d_j v_0,    a_j d_j - b_j c_j = 1

    A kick `dv` on plane j does what a change `(-b_j dv, a_j dv)` of (theta_0, v_0) would do. With all kicks pulled back
    to the start, rays need not be carried from plane to plane: only those that are kicked change.

    Attributes:
        arrival: (a, b) at each plane, before its sheet, (n_planes, 2).
        end: rows (a, b) and (c, d) behind the last plane, (2, 2).
    """

    arrival: Float[Array, "planes 2"]
    end: Float[Array, "2 2"]

    @classmethod
    def through(cls, steps: PlaneStep) -> "Transfer":
        """From planes `v -= kick sheet theta`, `theta += step v`, leaves (n_planes,)."""

        def plane(rows: tuple[Array, Array], step: PlaneStep) -> tuple[tuple[Array, Array], Array]:
            position, direction = rows
            direction = direction - step.kick * step.sheet * position
            return (position + step.step * direction, direction), position

        unit = jnp.eye(2, dtype=jnp.result_type(steps.kick, steps.step, steps.sheet))
        end, arrival = lax.scan(plane, (unit[0], unit[1]), steps)
        return cls(arrival, jnp.stack(end))
