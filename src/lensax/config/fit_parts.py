"""Parts of a model that is fitted: linear light, meshes, priors of a source, and sources."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from lensax import inversion, light
from lensax.config.instrument import MapFile, several
from lensax.config.section import Linked, Section, choice, either, section_of
from lensax.config.values import Value
from lensax.fit import BrightnessMesh, SourceBox
from lensax.instrument.fits import read_extent, read_image

__all__ = ["Context", "LinearLight", "Source"]


class Context(NamedTuple):
    """What parts are given when a model is built.

    Args:
        ray_distance: arcsec between rays.
        folder: what names of files are relative to.
    """

    ray_distance: float
    folder: Path


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


class SourceMap(MapFile):
    """`source.fits`, or `{path: source.fits, hdu: 1, extent: [-0.5, 0.5, -0.4, 0.6]}`: an image of the source.

    Without an `extent` the header has linear coordinates in arcsec, as the `source.fits` of a fit.
    """

    extent: several(float, 4) | None = None  # type: ignore[valid-type]

    def read(self, folder: Path) -> inversion.BrightnessMap:
        """The map."""
        path = self.path.inside(folder)
        image, header = read_image(path, self.hdu)
        extent = read_extent(header, image.shape, path) if self.extent is None else self.extent
        return inversion.BrightnessMap(image, extent)


class ByImage(Linked):
    """A mesh that follows the lensed source of a file, an image of the data's shape."""

    brightness: MapFile | None = None

    def link(self, context: Context, switches: dict[str, Any], parts: dict[str, Any]) -> None:
        """The file is read."""
        switches.pop("brightness", None)
        if self.brightness is not None:
            try:
                parts["brightness"] = self.brightness.read(context.folder)
            except ValueError as error:
                raise ValueError(f"brightness: {error}") from None  # the key, by which its place is found


class BySource(ByImage):
    """A prior that follows the source of a file or, without one, of an earlier pass."""

    brightness: SourceMap | None = None


Mesh = choice(
    "mesh",
    {
        "AdaptiveMesh": section_of(
            inversion.AdaptiveMesh, float, skip=("brightness",), base=ByImage, shape=several(int, 2)
        ),
        "BrightnessMesh": section_of(BrightnessMesh, float, shape=several(int, 2)),
        "SourceBox": section_of(SourceBox, float),
        "UniformMesh": section_of(inversion.UniformMesh, float, shape=several(int, 2), extent=several(float, 4) | None),
    },
)

Amplitude = choice(
    "amplitude",
    {
        "BrightnessAmplitude": section_of(inversion.BrightnessAmplitude, Value, skip=("brightness",), base=BySource),
        "MoffatAmplitude": section_of(inversion.MoffatAmplitude, Value),
        "UniformAmplitude": section_of(inversion.UniformAmplitude, Value),
    },
)

Regularization = choice(
    "regularization",
    {
        "Adaptive": section_of(inversion.Adaptive, Value, skip=("brightness",), base=BySource),
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
