"""One universe to look at."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax.halos import HaloCatalogue
from lensax.light import LightProfile
from lensax.mass import MassProfile
from lensax.raytrace.planes import Planes

__all__ = ["Scene"]


@final
class Scene(eqx.Module):
    """Everything from the observer to the source, a pytree: it can be batched and differentiated.

    Args:
        planes: where the light is deflected.
        macro: mass profiles of the lens plane, evaluated exactly on every ray; their deflections add.
        halos: subhalos and line-of-sight halos of every plane with their mass sheets, or None.
        source: light profiles of the source plane; their brightnesses add.
        lens_light: light profiles of the lens plane, seen through the foreground.

    Raises:
        TypeError: a profile that is not one.
        ValueError: halos on another number of planes than `planes` has, or profiles that are themselves batched.
    """

    planes: Planes
    macro: tuple[MassProfile, ...]
    halos: HaloCatalogue | None
    source: tuple[LightProfile, ...]
    lens_light: tuple[LightProfile, ...]

    def __init__(
        self,
        planes: Planes,
        macro: Any = (),
        halos: HaloCatalogue | None = None,
        source: Any = (),
        lens_light: Any = (),
    ) -> None:
        self.planes = planes
        self.macro = _profiles("macro", macro, MassProfile)
        self.source = _profiles("source", source, LightProfile)
        self.lens_light = _profiles("lens_light", lens_light, LightProfile)
        if halos is not None and halos.n_planes != planes.n_planes:
            raise ValueError(f"halos: the catalogue has {halos.n_planes} planes, planes has {planes.n_planes}")
        self.halos = halos

    @property
    def dtype(self) -> Any:
        """The floating dtype of the scene's parameters, which is that of its images."""
        leaves = [leaf for leaf in jax.tree.leaves(self) if eqx.is_inexact_array(leaf)]
        return jnp.result_type(*{leaf.dtype for leaf in leaves}) if leaves else jnp.zeros(()).dtype

    def without_halos(self) -> "Scene":
        """The same scene as the macro model alone makes it: no halos, no sheets."""
        return Scene(self.planes, self.macro, None, self.source, self.lens_light)


def _profiles(name: str, profiles: Any, kind: type) -> tuple:
    profiles = tuple(profiles) if isinstance(profiles, (tuple, list)) else (profiles,)
    for index, profile in enumerate(profiles):
        if not isinstance(profile, kind):
            raise TypeError(f"{name}[{index}]: expected a {kind.__name__}, found {type(profile).__name__}")
    return profiles
