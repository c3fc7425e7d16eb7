"""The section `instrument`: the telescope and its camera."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Strict, model_validator

from lensax.config.document import KeyPath
from lensax.config.files import FilePath
from lensax.config.section import Made, Section, choice, either, section_of
from lensax.instrument import AdaptiveOverSample, Instrument, psf
from lensax.instrument.fits import read_image

__all__ = ["Extension", "InstrumentSection", "MapFile", "NumberOrMap", "PointSpread", "several"]

Extension = either(int | None, str, str)  # number or name of a FITS extension; None: the first image


def several(kind: Any, count: int) -> Any:
    """The type of a list of so many."""
    return Annotated[tuple[(kind,) * count], Strict(False)]


class PSFFile(Section):
    """`FITS: {path: psf.fits, sampling: 4}`, with so many samples per pixel and axis."""

    path: FilePath
    sampling: int = Field(default=1, ge=1)
    hdu: Extension = None

    def read(self, folder: Path) -> psf.PSF:
        """The kernel."""
        return psf.from_fits(self.path.inside(folder), self.sampling, self.hdu)


class MapFile(Section):
    """`exposure_time.fits`, or `{path: exposure_time.fits, hdu: 1}`: one value for each pixel of the frame."""

    path: FilePath
    hdu: Extension = None

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, written: Any) -> Any:
        return {"path": written} if isinstance(written, str) else written

    def read(self, folder: Path) -> Any:
        """The image."""
        return read_image(self.path.inside(folder), self.hdu)[0]


class AnalyticPSF(Made):
    """A point spread function with a formula."""

    def read(self, folder: Path) -> psf.PSF:
        """The point spread function."""
        return self.make()


ANALYTIC = {kind.__name__: section_of(kind, base=AnalyticPSF) for kind in (psf.Gaussian, psf.Moffat, psf.Airy)}
PointSpread = choice("PSF", {**ANALYTIC, "FITS": PSFFile})
NumberOrMap = either(float, MapFile, (str, dict))
Adaptive = section_of(AdaptiveOverSample, radii=list[float], factors=list[int], center=several(float, 2))


class InstrumentSection(Section):
    """The camera: its pixels, its point spread function, its exposure and its noise; arguments of `Instrument`."""

    shape: several(int, 2)  # type: ignore[valid-type]
    pixel_scale: float
    over_sample: either(int, Adaptive, dict) = 1  # type: ignore[valid-type]
    psf: PointSpread | None = None  # type: ignore[valid-type]
    exposure_time: NumberOrMap  # type: ignore[valid-type]
    sky_level: NumberOrMap = 0.0  # type: ignore[valid-type]
    read_noise: NumberOrMap = 0.0  # type: ignore[valid-type]
    background_rms: NumberOrMap = 0.0  # type: ignore[valid-type]

    def make(self, folder: Path, blame: Callable[[KeyPath], contextlib.AbstractContextManager[None]]) -> Instrument:
        """The instrument.

        Args:
            folder: what names of files are relative to.
            blame: `blame(path)` turns an error into one at this path below the section.

        Raises:
            ValueError: a value outside its range, a map of another shape, a file that is no image or no kernel.
        """
        point_spread = None
        if self.psf is not None:
            with blame(("psf", self.psf.name)):
                point_spread = self.psf.section.read(folder)
        maps = {}
        for name in ("exposure_time", "sky_level", "read_noise", "background_rms"):
            value = getattr(self, name)
            with blame((name,)):
                maps[name] = value.read(folder) if isinstance(value, MapFile) else value
        with blame(("over_sample",)):
            over_sample = self.over_sample if isinstance(self.over_sample, int) else self.over_sample.make()
        with blame(()):
            return Instrument(
                shape=self.shape, pixel_scale=self.pixel_scale, psf=point_spread, over_sample=over_sample, **maps
            )
