"""Which pixels of an image are used."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from lensax.instrument.fits import read_image
from lensax.instrument.grid import Grid

__all__ = ["ArrayMask", "CircularMask", "Mask"]


class Mask(ABC):
    """The pixels of an image that are used: True is used, False is left out.

    Made by `Mask.circular`, `Mask.annulus`, `Mask.from_array` or `Mask.from_fits`.
    """

    @abstractmethod
    def pixels(self, grid: Grid) -> np.ndarray:
        """Whether each pixel of the grid is used, (n_y, n_x) bool."""

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
