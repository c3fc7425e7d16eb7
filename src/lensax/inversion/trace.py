"""From a lens model to the source positions of an inversion's rays."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from lensax._types import Array, Float
from lensax.light import LightBasis, LightProfile, ProfileBasis
from lensax.mass import MassProfile
from lensax.raytrace import Direct
from lensax.scene import Scene

__all__ = ["Rays", "light_components", "light_units", "linear_light", "trace_rays"]


class Rays(NamedTuple):
    """Where rays meet the source plane and the lens plane, arcsec."""

    source_x: Array
    source_y: Array
    lens_x: Array
    lens_y: Array


def trace_rays(lens: Any, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Rays:
    """Positions of rays in the source plane and in the lens plane.

    Args:
        lens: mass profiles of one plane, whose deflections add; or a `Scene`, whose halos are summed at every ray.
        x, y: image positions in arcsec.

    Raises:
        TypeError: something that is neither.
    """
    if isinstance(lens, Scene):
        trace = Direct().trace_at(lens, x, y)
        return Rays(trace.source_x, trace.source_y, trace.lens_x, trace.lens_y)
    source_x, source_y = x, y
    for index, profile in enumerate((lens,) if isinstance(lens, MassProfile) else tuple(lens)):
        if not isinstance(profile, MassProfile):
            raise TypeError(f"lens[{index}]: expected a mass profile, found {type(profile).__name__}")
        alpha_x, alpha_y = profile.deflection(x, y)
        source_x, source_y = source_x - alpha_x, source_y - alpha_y
    return Rays(source_x, source_y, x, y)


def linear_light(light: Any) -> tuple[LightBasis, ...]:
    """The linear light of an inversion: None, or one or several of `LightBasis` and `LightProfile`.

    Raises:
        TypeError: something that is neither.
    """
    if light is None:
        return ()
    parts = tuple(light) if isinstance(light, (list, tuple)) else (light,)
    for index, part in enumerate(parts):
        if not isinstance(part, (LightBasis, LightProfile)):
            raise TypeError(f"light[{index}]: expected a LightBasis or a light profile, found {type(part).__name__}")
    return tuple(part if isinstance(part, LightBasis) else ProfileBasis(part) for part in parts)


def light_components(light: tuple[LightBasis, ...], x: Array, y: Array) -> Float[Array, "components *shape"]:
    """The brightness of all components at amplitude 1."""
    if not light:
        return jnp.zeros((0, *x.shape), x.dtype)
    return jnp.concatenate([part.components(x, y) for part in light])


def light_units(light: tuple[LightBasis, ...], pixel_area: float) -> Float[Array, " components"]:
    """The amplitude of each component that gives a pixel a light of the order of 1 electron / s."""
    return jnp.asarray([part.unit(pixel_area) for part in light for _ in range(part.n_components)], float)
