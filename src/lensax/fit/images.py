"""What a fit found, as images: data, model and residual, the source, and where the lens magnifies without bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array
from lensax.instrument import Grid, Imaging
from lensax.inversion.trace import trace_rays
from lensax.mass import MassProfile

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
    curves, folds = _curves((lens,) if isinstance(lens, MassProfile) else lens, dataset)
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
        caustics=folds,
        chi_squared=float(solution.chi_squared),
        log_evidence=float(solution.log_evidence),
        n_effective=float(solution.n_effective),
    )


def _curves(lens: Any, dataset: Imaging) -> tuple[Curves, Curves]:
    """Critical curves and caustics: pieces, each x and y in arcsec."""
    from contourpy import contour_generator

    grid = Grid(dataset.shape, dataset.pixel_scale, CURVES_OVER_SAMPLE)
    axes = [np.asarray(axis, np.float64) for axis in grid.axes(CURVES_OVER_SAMPLE)]
    determinant = np.asarray(_determinant(lens, *(jnp.asarray(axis) for axis in np.meshgrid(*axes))))
    lines: list[Any] = list(contour_generator(axes[0], axes[1], determinant).lines(0.0))
    if not lines:
        return [], []
    points = np.concatenate(lines)
    # Filled up to a round number, so that one compiled program serves most lenses.
    filled = np.concatenate([points, np.zeros((-len(points) % 1024, 2))])
    traced = np.stack([np.asarray(axis) for axis in _source_position(lens, *jnp.asarray(filled.T))], -1)
    ends = np.cumsum([len(line) for line in lines])[:-1]
    pieces = np.split(traced[: len(points)], ends)
    return [(line[:, 0], line[:, 1]) for line in lines], [(piece[:, 0], piece[:, 1]) for piece in pieces]


@eqx.filter_jit
def _source_position(lens: Any, x: Array, y: Array) -> tuple[Array, Array]:
    rays = trace_rays(lens, x, y)
    return rays.source_x, rays.source_y


@eqx.filter_jit
def _determinant(lens: Any, x: Array, y: Array) -> Array:
    """Of the Jacobian of the lens map, by two forward derivatives: the rays do not interact."""
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)

    def position(x: Array, y: Array) -> tuple[Array, Array]:
        rays = trace_rays(lens, x, y)
        return rays.source_x, rays.source_y

    _, (a_xx, a_yx) = jax.jvp(position, (x, y), (one, zero))
    _, (a_xy, a_yy) = jax.jvp(position, (x, y), (zero, one))
    return a_xx * a_yy - a_xy * a_yx


def _square_pixels(extent: Sequence[Any], size: float) -> tuple[tuple[int, int], Extent]:
    """Shape and edges of an image with square pixels that covers an extent."""
    left, right, bottom, top = (float(edge) for edge in extent)
    size = max(size, max(right - left, top - bottom) / MOST_PIXELS)
    columns, rows = (max(1, int(np.ceil(length / size - 1e-9))) for length in (right - left, top - bottom))
    x, y = 0.5 * (left + right), 0.5 * (bottom + top)
    half_x, half_y = 0.5 * columns * size, 0.5 * rows * size
    return (rows, columns), (x - half_x, x + half_x, y - half_y, y + half_y)
