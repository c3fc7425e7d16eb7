"""Parts of a model that is fitted: linear light, meshes, priors of a source, and sources."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from pydantic import Field, model_validator

from lensax import inversion, light
from lensax.config.instrument import several
from lensax.config.section import Linked, Section, choice, either, section_of
from lensax.config.values import Value

__all__ = ["Context", "LinearLight", "Source"]


class Context(NamedTuple):
    """What parts are given when a model is built.

    Args:
        ray_distance: arcsec between rays.
        brightness: the source of the pass before, a `BrightnessMap`; None in the first pass.
        source_light: its image as the telescope sees it.
        box: `box(cell) -> (extent, shape)` of a mesh that holds it, with cells of so many arcsec.
    """

    ray_distance: float
    brightness: Any = None
    source_light: Any = None
    box: Any = None

    def earlier(self, name: str, noun: str) -> Any:
        """Something of the pass before.

        Raises:
            ValueError: this is the first pass.
        """
        found = getattr(self, name)
        if found is None:
            raise ValueError(f"{noun} needs the source of a pass before this one: describe that in the section `first`")
        return found


class LinearProfile(Linked):
    """A light profile whose intensity is solved for."""

    @model_validator(mode="before")
    @classmethod
    def _solved_for(cls, written: Any) -> Any:
        if isinstance(written, dict) and "intensity" in written:
            raise ValueError("a fit solves for the intensity: leave it out")
        return {} if written is None else written

    def link(self, context: Context, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """The amplitude multiplies an intensity of 1."""
        switches["intensity"] = 1.0


class Geometric(Section):
    """`{low: 0.05, high: 2.0, count: 12}`: deviations in geometric steps."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)
    count: int = Field(ge=2, le=60)


class Gaussians(Linked):
    """A multi-Gaussian expansion."""

    sigmas: either(list[float], Geometric, dict)  # type: ignore[valid-type]

    def link(self, context: Context, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """Geometric steps are written out."""
        given = self.sigmas
        if isinstance(given, Geometric):
            switches["sigmas"] = tuple(float(s) for s in np.geomspace(given.low, given.high, given.count))


class Points(Linked):
    """Unresolved objects."""

    center_x: list[Value] = Field(min_length=1)
    center_y: list[Value] = Field(min_length=1)
    width: float | None = Field(default=None, gt=0)

    def link(self, context: Context, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """The light is laid on the rays around each object."""
        if len(self.center_x) != len(self.center_y):
            count = f"{len(self.center_x)} and {len(self.center_y)}"
            raise ValueError(f"center_y and center_x must have the same number of entries, found {count}")
        switches["width"] = self.width or context.ray_distance


LinearLight = choice(
    "linear light",
    {
        "GaussianBasis": section_of(light.GaussianBasis, Value, skip=("sigmas",), base=Gaussians),
        **{
            kind.__name__: section_of(kind, Value, skip=("intensity",), base=LinearProfile)
            for kind in (light.Sersic, light.CoredSersic, light.Gaussian)
        },
        "PointSources": section_of(light.PointSources, float, skip=("center_x", "center_y", "width"), base=Points),
        "Sky": section_of(light.Sky),
    },
)


class RaysMesh(Linked):
    """A mesh that adapts to the rays, or to the source of the pass before."""

    brightness: bool = False

    def link(self, context: Context, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """`brightness: true` weighs rays by the lensed source of the pass before."""
        if switches.pop("brightness", False):
            parts["brightness"] = jnp.asarray(context.earlier("source_light", "brightness"))


class Box(Linked):
    """A uniform mesh in a box around the source of the pass before."""

    cell: float = Field(gt=0)
    degree: int = 2

    def link(self, context: Context, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """Cells of `cell` arcsec in a box that holds the source."""
        box = context.earlier("box", "BoxMesh")
        switches["extent"], switches["shape"] = box(switches.pop("cell"))


Box.target = inversion.UniformMesh

Mesh = choice(
    "mesh",
    {
        "AdaptiveMesh": section_of(
            inversion.AdaptiveMesh, float, skip=("brightness",), base=RaysMesh, shape=several(int, 2)
        ),
        "BoxMesh": Box,
        "UniformMesh": section_of(inversion.UniformMesh, float, shape=several(int, 2), extent=several(float, 4) | None),
    },
)


class Follows(Linked):
    """A prior that is scaled by the source of the pass before."""

    def link(self, context: Context, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """The brightness of that source."""
        parts["brightness"] = context.earlier("brightness", self.target.__name__)


Amplitude = choice(
    "amplitude",
    {
        "BrightnessAmplitude": section_of(inversion.BrightnessAmplitude, Value, skip=("brightness",), base=Follows),
        "MoffatAmplitude": section_of(inversion.MoffatAmplitude, Value),
        "UniformAmplitude": section_of(inversion.UniformAmplitude, Value),
    },
)

Regularization = choice(
    "regularization",
    {
        "Adaptive": section_of(inversion.Adaptive, Value, skip=("brightness",), base=Follows),
        **{
            kind.__name__: section_of(kind, Value)
            for kind in (inversion.Constant, inversion.Curvature, inversion.Zeroth)
        },
        **{
            kind.__name__: section_of(kind, Value, amplitude=Amplitude)
            for kind in (inversion.GaussianKernel, inversion.Matern)
        },
    },
)

_OWN = ("noise", "tile")  # the noise is a section of its own

Source = choice(
    "source",
    {
        "ParametricSource": section_of(
            inversion.ParametricSource,
            float,
            skip=_OWN,
            components=list[LinearLight],  # type: ignore[valid-type]
        ),
        "Pixelization": section_of(
            inversion.Pixelization,
            float,
            skip=_OWN,
            mesh=Mesh,
            regularization=Regularization,
            components=list[LinearLight],  # type: ignore[valid-type]
        ),
    },
)
