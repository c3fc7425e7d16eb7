"""The telescope: pixels and rays, the point spread function, noise, and the images it takes."""

from lensax.instrument.grid import AdaptiveOverSample, Grid, Level

__all__ = ["AdaptiveOverSample", "Grid", "Level"]
