"""Parts of a model that is fitted: linear light, meshes, priors of a source, and sources."""

from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from lensax import inversion, light
from lensax.config.instrument import several
from lensax.config.section import Linked, Section, choice, either, section_of
from lensax.config.values import Value
from lensax.fit import BrightnessMesh, SourceBox

__all__ = ["Context", "LinearLight", "Source"]


class Context(NamedTuple):
    """What parts are given when a model is built.

    Args:
        ray_distance: arcsec between rays.
    """

    ray_distance: float


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


Mesh = choice(
    "mesh",
    {
        "AdaptiveMesh": section_of(inversion.AdaptiveMesh, float, skip=("brightness",), shape=several(int, 2)),
        "BrightnessMesh": section_of(BrightnessMesh, float, shape=several(int, 2)),
        "SourceBox": section_of(SourceBox, float),
        "UniformMesh": section_of(inversion.UniformMesh, float, shape=several(int, 2), extent=several(float, 4) | None),
    },
)

Amplitude = choice(
    "amplitude",
    {
        "BrightnessAmplitude": section_of(inversion.BrightnessAmplitude, Value, skip=("brightness",)),
        "MoffatAmplitude": section_of(inversion.MoffatAmplitude, Value),
        "UniformAmplitude": section_of(inversion.UniformAmplitude, Value),
    },
)

Regularization = choice(
    "regularization",
    {
        "Adaptive": section_of(inversion.Adaptive, Value, skip=("brightness",)),
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
