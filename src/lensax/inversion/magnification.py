"""How much brighter a lens makes a source."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array, Scalar
from lensax.inversion.system import Observation, System
from lensax.inversion.trace import light_components, trace_rays

__all__ = ["magnification"]

_CELLS = 64  # of the grid in the source plane on which the source is summed, along either axis


def magnification(source: Any, system: System, observation: Observation, lens: Any, coefficients: Array) -> Scalar:
    """The light of the lensed source in all traced pixels over that of the source where they trace to; a constant.

    Args:
        source: a `Source`.
        system: its system behind the lens.
        observation: the dataset made ready.
        lens: mass profiles or a scene.
        coefficients: the solution.
    """
    frame = observation.frame
    lens, system, coefficients, source = lax.stop_gradient((lens, system, coefficients, source))
    rays = trace_rays(lens, jnp.asarray(frame.x, float), jnp.asarray(frame.y, float))
    n, amplitudes = system.n_cells, coefficients[system.n_cells :]
    count = sum(basis.n_components for basis in source.components)

    def brightness(x: Array, y: Array) -> Array:
        parts = light_components(source.components, x, y)
        total = jnp.einsum("c...,c->...", parts, amplitudes[:count])
        return total if system.mesh is None else total + system.mesh.evaluate(coefficients[:n], x, y)

    image = jnp.sum(brightness(rays.source_x, rays.source_y)) * frame.pixel_area / frame.x.shape[1]
    used_x, used_y = frame.masked(rays.source_x), frame.masked(rays.source_y)
    ends = [(jnp.min(values), jnp.max(values)) for values in (used_x, used_y)]
    share = jnp.asarray((np.arange(_CELLS) + 0.5) / _CELLS)
    x, y = (low + (high - low) * share for low, high in ends)
    area = (ends[0][1] - ends[0][0]) * (ends[1][1] - ends[1][0]) / _CELLS**2
    grid = jnp.broadcast_to(x[None, :], (_CELLS, _CELLS)), jnp.broadcast_to(y[:, None], (_CELLS, _CELLS))
    total = jnp.sum(brightness(*grid)) * area
    bright = total > 0
    return jnp.where(bright, image / jnp.where(bright, total, 1.0), jnp.inf)
