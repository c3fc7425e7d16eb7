"""What a first fit tells the next one: the noise, where the source is, and where it is bright."""

import math
from collections.abc import Callable, Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._check import check, check_extent, positive
from lensax._types import Scalar, real
from lensax.instrument import Imaging
from lensax.inversion import BrightnessMap, CorrelatedNoise, Noise, Reconstruction, UniformMesh, model_noise_map

__all__ = ["SourceBox", "brightness_extent", "brightness_of", "noise_of"]

_WIDE = 120  # pixels per side of the picture in which the source is looked for
_SMOOTH = 0.05  # arcsec by which that picture is smoothed
_NOTICED = 1.1  # cells that are so much larger than asked for are worth a remark
_FINE = 2  # pixels of a brightness map along a deviation of its smoothing, at least
_STEP = 128  # sides of brightness maps are multiples of so many pixels: most maps of another extent are one program


@final
class SourceBox(eqx.Module):
    """A uniform mesh to be laid around the source that an earlier fit has found.

    Args:
        cell: size of the cells in arcsec; larger if there would be more than `most`.
        margin: arcsec around the source.
        threshold: share of the peak down to which the source, as far as it hangs together with the peak, is boxed in.
        most: cells; never more than the fit had pixels.
        degree: of the splines.

    Raises:
        ValueError: a value that is not positive.
    """

    cell: Scalar = real(default=0.03)
    margin: Scalar = real(default=0.25)
    threshold: Scalar = real(default=0.2)
    most: int = eqx.field(static=True, default=1200)
    degree: int = eqx.field(static=True, default=2)

    def __check_init__(self) -> None:
        for name in ("cell", "margin", "threshold"):
            check(self, name, positive, "a positive number")
        if self.most < 16:
            raise ValueError(f"SourceBox: most must be at least 16 cells, got {self.most}")

    def mesh(self, found: Reconstruction) -> UniformMesh:
        """The mesh around the source of an earlier fit."""
        from scipy.ndimage import gaussian_filter, label

        left, right, bottom, top = (float(edge) for edge in found.extent)
        image = np.asarray(found.source_image((_WIDE, _WIDE), (left, right, bottom, top)))
        scales = (top - bottom) / _WIDE, (right - left) / _WIDE
        smooth = gaussian_filter(image, [_SMOOTH / scale for scale in scales])
        parts = label(smooth > float(self.threshold) * smooth.max())[0]
        rows, columns = np.nonzero(parts == parts.flat[smooth.argmax()])
        margin = float(self.margin)
        x = left + np.array([columns.min(), columns.max() + 1]) * scales[1] + np.array([-margin, margin])
        y = bottom + np.array([rows.min(), rows.max() + 1]) * scales[0] + np.array([-margin, margin])
        most = min(self.most, found.n_pixels)
        cell = max(float(self.cell), math.sqrt(float(x[1] - x[0]) * float(y[1] - y[0]) / most))
        shape = tuple(max(self.degree + 2, round((b - a) / cell)) for a, b in (y, x))
        if shape[0] * shape[1] > found.n_pixels:
            shape = tuple(max(self.degree + 2, math.floor((b - a) / cell)) for a, b in (y, x))
        return UniformMesh(shape=shape, extent=tuple(float(edge) for edge in (*x, *y)), degree=self.degree)

    def remark(self, mesh: UniformMesh) -> str | None:
        """That a mesh has larger cells than were asked for, in words; None if it has not."""
        assert mesh.extent is not None
        left, right, bottom, top = mesh.extent
        cell = math.sqrt((right - left) * (top - bottom) / (mesh.shape[0] * mesh.shape[1]))
        if cell < _NOTICED * float(self.cell):
            return None
        return (
            f"the cells of the source are {cell:.3f} arcsec, not {float(self.cell):g}: SourceBox lays at most "
            f"{self.most} of them (`most` allows more), and no more than there are pixels"
        )


def brightness_extent(mesh: Any, found: Reconstruction) -> tuple[Any, ...]:
    """Where a source on a mesh may have light, (left, right, bottom, top) in arcsec: the extent of `brightness_of`.

    Args:
        mesh: of the next fit. One that stands still has its own edges; others cover the rays, as the earlier one did.
        found: the earlier fit.
    """
    fixed = mesh.extent if isinstance(mesh, UniformMesh) else None
    return tuple(found.extent if fixed is None else fixed)


def brightness_of(found: Reconstruction, extent: Sequence[Any], smooth: float) -> BrightnessMap:
    """The source of an earlier fit, smoothed, as the map that scales the prior of the next one.

    The smoothing is an angle, not a number of cells: a prior that became sharper with the mesh would be another prior
    on every mesh, and nothing that follows from it would converge with the cells.

    Args:
        found: the earlier fit.
        extent: (left, right, bottom, top) of the map in arcsec: where the next one may have light.
        smooth: deviation of the smoothing in arcsec.

    Raises:
        ValueError: edges that do not increase or are not finite, or a deviation that is not positive.
    """
    if not 0 < smooth < np.inf:
        raise ValueError(f"brightness_of: smooth must be a positive angle in arcsec, got {smooth!r}")
    check_extent("brightness_of", extent)
    return smoothed_map(found.source_image, tuple(float(edge) for edge in extent), smooth)


def smoothed_map(image: Callable[..., Any], extent: tuple[float, ...], smooth: float) -> BrightnessMap:
    """The map of a smoothed image.

    Args:
        image: of a shape and an extent, as `Reconstruction.source_image`.
        extent: (left, right, bottom, top), arcsec.
        smooth: deviation of the smoothing in arcsec.
    """
    from scipy.ndimage import gaussian_filter

    left, right, bottom, top = extent
    shape = [_STEP * math.ceil(_FINE * length / smooth / _STEP) for length in (top - bottom, right - left)]
    deviations = smooth * shape[0] / (top - bottom), smooth * shape[1] / (right - left)
    return BrightnessMap(np.clip(gaussian_filter(np.asarray(image(shape, extent)), deviations), 0.0, None), extent)


def noise_of(dataset: Imaging, found: Reconstruction, correlated: bool = True) -> tuple[Imaging, Noise | None]:
    """The dataset with the noise that a fit implies, and the correlation of its neighbouring pixels.

    The Poisson term follows from the model instead of the noisy data; then the whole map is scaled so that the
    residuals have the size that their number of degrees of freedom allows. A fit that leaves structure in its
    residuals makes too large a noise: look at them.

    Args:
        dataset: with its exposure time and the deviation of its background.
        found: a fit of it.
        correlated: whether to estimate a correlation.

    Raises:
        ValueError: the dataset has no exposure time or no deviation of the background.
    """
    sigma = model_noise_map(dataset, found.model_image)
    residual = np.asarray(jnp.where(dataset.mask, found.residual / sigma, 0.0))
    freedom = found.n_pixels - float(found.n_effective) - found.amplitudes.size
    scale = float(np.sqrt(np.sum(residual**2) / freedom))
    scaled = jnp.where(dataset.mask, scale * sigma, dataset.noise_map)
    noise = CorrelatedNoise.estimate(residual, dataset.mask) if correlated else None
    return dataset.with_noise_map(scaled), noise
