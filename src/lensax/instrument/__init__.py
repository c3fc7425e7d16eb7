"""The telescope: pixels and rays, the point spread function, noise, and the images it takes."""

from lensax.instrument import psf
from lensax.instrument.grid import AdaptiveOverSample, Grid, Level
from lensax.instrument.imaging import Imaging
from lensax.instrument.instrument import Instrument
from lensax.instrument.kernel import PSF, Kernel
from lensax.instrument.mask import Mask

__all__ = ["PSF", "AdaptiveOverSample", "Grid", "Imaging", "Instrument", "Kernel", "Level", "Mask", "psf"]
