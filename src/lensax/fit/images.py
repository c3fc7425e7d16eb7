"""What a fit found, as images: data, model and residual, the source, and where the lens magnifies without bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from lensax.cosmology import Planck15
from lensax.instrument import Grid, Imaging
from lensax.mass import MassProfile
from lensax.raytrace import Planes, caustics, critical_curves
from lensax.scene import Scene

__all__ = ["FitImages", "fit_images"]

Curves = Sequence[tuple[np.ndarray, np.ndarray]]
Extent = tuple[float, float, float, float]

CURVES_OVER_SAMPLE = 2
"""Critical curves are followed on a grid this much finer than the pixels."""

SOURCE_OVER_SAMPLE = 4
"""Pixels of the source's image along a pixel of the data."""

MOST_PIXELS = 600
"""Of the source's image along an axis."""


@dataclass(frozen=True)
class FitImages:
    """A fit in numbers that can be drawn and stored.

    Images are (n_y, n_x) in electrons / s / pixel; those of a model are 0 outside of the mask.

    Args:
        data, noise_map: of the dataset.
        mask: pixels that are used.
        source_light: the lensed source as the telescope sees it.
        lens_light: the linear light.
        normalized_residual: data minus model, white: of unit variance and independent where the model is right.
        extent: left, right, bottom and top edges of the images in arcsec.
        source, source_deviation: the source and its posterior deviation, electrons / s / arcsec^2, on square pixels.
        source_extent: edges of the source's image in arcsec of the source plane.
        critical_curves, caustics: pieces, each x and y in arcsec.
        chi_squared: of the white residual.
        log_evidence: ln E.
        n_effective: coefficients of the source that the data determine.
    """

    data: np.ndarray
    noise_map: np.ndarray
    mask: np.ndarray
    source_light: np.ndarray
    lens_light: np.ndarray
    normalized_residual: np.ndarray
    extent: Extent
    source: np.ndarray
    source_deviation: np.ndarray
    source_extent: Extent
    critical_curves: Curves
    caustics: Curves
    chi_squared: float
    log_evidence: float
    n_effective: float

    @property
    def model(self) -> np.ndarray:
        """Lensed source and lens light."""
        return self.source_light + self.lens_light

    @property
    def residual(self) -> np.ndarray:
        """Data minus model, 0 outside of the mask."""
        return np.where(self.mask, self.data - self.model, 0.0)

    @property
    def pixel_scale(self) -> float:
        """arcsec."""
        return (self.extent[1] - self.extent[0]) / self.data.shape[1]

    @property
    def source_pixel_scale(self) -> float:
        """arcsec."""
        return (self.source_extent[1] - self.source_extent[0]) / self.source.shape[1]

    @property
    def n_pixels(self) -> int:
        """Pixels that are used."""
        return int(self.mask.sum())


def fit_images(dataset: Imaging, lens: Any, solution: Any) -> FitImages:
    """The images of a solution.

    Args:
        dataset: what was fitted.
        lens: mass profiles of one plane, or a `Scene`.
        solution: a `Reconstruction`, or what has its images, its `extent` and its `source_image`.
    """
    scene = lens if isinstance(lens, Scene) else _scene((lens,) if isinstance(lens, MassProfile) else tuple(lens))
    curves = critical_curves(scene, Grid(dataset.shape, dataset.pixel_scale, CURVES_OVER_SAMPLE))
    shape, extent = _square_pixels(solution.extent, dataset.pixel_scale / SOURCE_OVER_SAMPLE)
    mask = np.asarray(dataset.mask)
    left, right, bottom, top = (float(edge) for edge in dataset.grid.extent)
    return FitImages(
        data=np.asarray(dataset.data, np.float64),
        noise_map=np.asarray(dataset.noise_map, np.float64),
        mask=mask,
        source_light=np.asarray(solution.source_light),
        lens_light=np.asarray(solution.light_image),
        normalized_residual=np.asarray(solution.normalized_residual),
        extent=(left, right, bottom, top),
        source=np.asarray(solution.source_image(shape, extent)),
        source_deviation=np.asarray(solution.source_image(shape, extent, deviation=True)),
        source_extent=extent,
        critical_curves=curves,
        caustics=caustics(scene, curves),
        chi_squared=float(solution.chi_squared),
        log_evidence=float(solution.log_evidence),
        n_effective=float(solution.n_effective),
    )


def _scene(lens: tuple[MassProfile, ...]) -> Scene:
    """A scene of one plane; deflections are scaled to the source, so that redshifts do not matter."""
    return Scene(Planes(jnp.asarray([0.5]), 0.5, 1.5, Planck15), lens)


def _square_pixels(extent: Sequence[Any], size: float) -> tuple[tuple[int, int], Extent]:
    """Shape and edges of an image with square pixels that covers an extent."""
    left, right, bottom, top = (float(edge) for edge in extent)
    size = max(size, max(right - left, top - bottom) / MOST_PIXELS)
    columns, rows = (max(1, int(np.ceil(length / size - 1e-9))) for length in (right - left, top - bottom))
    x, y = 0.5 * (left + right), 0.5 * (bottom + top)
    half_x, half_y = 0.5 * columns * size, 0.5 * rows * size
    return (rows, columns), (x - half_x, x + half_x, y - half_y, y + half_y)
