"""Which pixels of an image are used."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from lensax.instrument.fits import read_image
from lensax.instrument.grid import Grid

__all__ = ["ArrayMask", "CircularMask", "CommonMask", "InvertedMask", "Mask", "ThresholdMask"]


class Mask(ABC):
    """The pixels of an image that are used: True is used, False is left out.

    Made by `Mask.circular`, `Mask.annulus`, `Mask.threshold`, `Mask.from_array` or `Mask.from_fits`; `one & other` are
    the pixels of both, `~one` all others: `annulus & ~Mask.circular(0.3, (1.0, -0.5))` leaves out a companion.
    """

    @abstractmethod
    def pixels(self, grid: Grid) -> np.ndarray:
        """Whether each pixel of the grid is used, (n_y, n_x) bool."""

    def __and__(self, other: Any) -> Any:
        return CommonMask((self, other)) if isinstance(other, Mask) else NotImplemented

    def __invert__(self) -> "InvertedMask":
        return InvertedMask(self)

    @staticmethod
    def circular(radius: float | int, center: Sequence[float | int] = (0.0, 0.0)) -> "CircularMask":
        """Pixels whose centre lies within `radius` arcsec of `center` = (x, y).

        Raises:
            ValueError: a radius that is not positive.
        """
        return CircularMask(0.0, radius, center)

    @staticmethod
    def annulus(inner: float | int, outer: float | int, center: Sequence[float | int] = (0.0, 0.0)) -> "CircularMask":
        """Pixels whose centre lies from `inner` to `outer` arcsec from `center` = (x, y).

        Raises:
            ValueError: radii that are not `0 <= inner < outer`.
        """
        return CircularMask(inner, outer, center)

    @staticmethod
    def threshold(
        data: Any,
        noise_map: Any,
        level: float | int = 3.0,
        smoothing: float | int = 1.0,
        grow: float | int = 2.0,
        smallest: int = 1,
    ) -> "ThresholdMask":
        """Pixels around which an image is brighter than its noise.

        Signal and noise are those of the image smoothed by a Gaussian: `level` is in standard deviations of the
        smoothed noise, which is taken as independent from pixel to pixel. Pixels without a finite value and a positive
        noise count nothing and are never used.

        Args:
            data: (n_y, n_x).
            noise_map: standard deviation of each pixel's noise, in the same unit and shape.
            level: smoothed signal over smoothed noise that a pixel must exceed.
            smoothing: deviation of the Gaussian in pixels; 0 takes the pixels as they are.
            grow: pixels within so many pixels of one above the level are used as well.
            smallest: islands above the level with fewer pixels are taken for noise; corners do not connect.

        Raises:
            ValueError: images of different shapes, a negative number, or no pixel above the level.
        """
        return ThresholdMask(data, noise_map, level, smoothing, grow, smallest)

    @staticmethod
    def from_array(array: Any) -> "ArrayMask":
        """Pixels that are True, or not zero, in an array (n_y, n_x).

        Raises:
            ValueError: an array that is not two-dimensional, or holds NaN.
        """
        return ArrayMask(array)

    @staticmethod
    def from_fits(path: str | Path, hdu: int | str | None = None) -> "ArrayMask":
        """Pixels that are not zero in a FITS image.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds no two-dimensional image, or NaN.
        """
        return ArrayMask(read_image(path, hdu)[0])


@final
@dataclass(frozen=True)
class CircularMask(Mask):
    """Pixels whose centre lies from `inner` to `outer` arcsec from `center`, both included."""

    inner: float | int
    outer: float | int
    center: Sequence[float | int] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not 0 <= self.inner < self.outer:
            raise ValueError(
                f"a mask needs radii 0 <= inner < outer, got inner {self.inner!r} and outer {self.outer!r}"
            )
        if len(self.center) != 2 or not np.all(np.isfinite(self.center)):
            raise ValueError(f"center of a mask must be two finite numbers (x, y), got {self.center!r}")

    def pixels(self, grid: Grid) -> np.ndarray:
        x, y = grid.axes()
        # A pixel centre on a radius is inside whatever the rounding.
        radius = np.hypot(x[None, :] - self.center[0], y[:, None] - self.center[1])
        slack = 1e-9 * grid.pixel_scale
        return (radius >= self.inner - slack) & (radius <= self.outer + slack)


@final
@dataclass(frozen=True, eq=False)
class ArrayMask(Mask):
    """Pixels that are True, or not zero, in an array."""

    array: Any

    def __post_init__(self) -> None:
        values = np.asarray(self.array)
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            raise ValueError(
                f"a mask must be a two-dimensional array of True and False, got {values.dtype} of shape {values.shape}"
            )
        if values.dtype.kind == "f" and np.isnan(values).any():
            row, column = np.argwhere(np.isnan(values))[0]
            raise ValueError(f"a mask must hold True and False, got nan at row {row}, column {column}")
        object.__setattr__(self, "array", values.astype(bool))

    def pixels(self, grid: Grid) -> np.ndarray:
        if self.array.shape != grid.shape:
            raise ValueError(f"a mask of shape {self.array.shape} does not fit an image of shape {grid.shape}")
        return self.array


@final
@dataclass(frozen=True, eq=False)
class ThresholdMask(Mask):
    """Pixels around which an image is brighter than its noise (`Mask.threshold`)."""

    data: Any
    noise_map: Any
    level: float | int = 3.0
    smoothing: float | int = 1.0
    grow: float | int = 2.0
    smallest: int = 1

    def __post_init__(self) -> None:
        for name in ("data", "noise_map"):
            values = np.asarray(getattr(self, name), np.float64)
            if values.ndim != 2 or values.size == 0:
                raise ValueError(f"{name} of a threshold mask must be a two-dimensional image, got {values.shape}")
            object.__setattr__(self, name, values)
        if self.data.shape != self.noise_map.shape:
            raise ValueError(f"a threshold mask has data {self.data.shape} and a noise map {self.noise_map.shape}")
        for name in ("level", "smoothing", "grow", "smallest"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} of a threshold mask must be at least 0, got {getattr(self, name)!r}")

    def signal_to_noise(self) -> np.ndarray:
        """The smoothed image over its noise, 0 where no pixel is known, (n_y, n_x)."""
        from scipy.ndimage import convolve1d

        known = self._known()
        signal, variance = np.where(known, self.data, 0.0), np.where(known, self.noise_map, 0.0) ** 2
        if self.smoothing > 0:
            offset = np.arange(-int(np.ceil(4 * self.smoothing)), int(np.ceil(4 * self.smoothing)) + 1)
            weights = np.exp(-0.5 * (offset / self.smoothing) ** 2)
            for axis in (0, 1):
                signal = convolve1d(signal, weights, axis, mode="constant")
                variance = convolve1d(variance, weights**2, axis, mode="constant")
        return np.where(known & (variance > 0), signal / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)

    def pixels(self, grid: Grid) -> np.ndarray:
        from scipy.ndimage import distance_transform_edt, label

        if self.data.shape != grid.shape:
            raise ValueError(f"a mask of shape {self.data.shape} does not fit an image of shape {grid.shape}")
        signal = self.signal_to_noise()
        islands, count = label(signal > self.level)
        sizes = np.bincount(islands.ravel(), minlength=count + 1)
        above = (islands > 0) & (sizes[islands] >= self.smallest)
        if not above.any():
            raise ValueError(
                f"the mask leaves no pixel of the image: no {self.smallest} together exceed the level {self.level:g}, "
                f"the brightest pixel has {signal.max():.3g}"
            )
        return self._known() & (distance_transform_edt(~above) <= self.grow)

    def _known(self) -> np.ndarray:
        return np.isfinite(self.data) & np.isfinite(self.noise_map) & (self.noise_map > 0)


@final
@dataclass(frozen=True)
class CommonMask(Mask):
    """Pixels that several masks have in common."""

    masks: tuple[Mask, ...]

    def pixels(self, grid: Grid) -> np.ndarray:
        return np.logical_and.reduce([mask.pixels(grid) for mask in self.masks])


@final
@dataclass(frozen=True)
class InvertedMask(Mask):
    """Pixels that a mask leaves out."""

    mask: Mask

    def pixels(self, grid: Grid) -> np.ndarray:
        return ~self.mask.pixels(grid)
