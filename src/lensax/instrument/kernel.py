"""A point spread function as an array of samples, and the interface of all point spread functions."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._check import whole_number
from lensax._types import Array, Float, as_real, concrete
from lensax.instrument.fits import read_image, read_number
from lensax.instrument.grid import Grid

__all__ = ["PSF", "Kernel", "from_fits"]

# A kernel may claim a sample scale that differs by this much from that of the pixels it is used with.
_SCALE_TOLERANCE = 0.01


class PSF(eqx.Module):
    """How an instrument spreads the light of a point; abstract."""

    @abstractmethod
    def kernel(self, grid: Grid) -> "Kernel":
        """The samples of this point spread function for the pixels of `grid`."""


def _checked(array: Any, label: str) -> None:
    """Refuse what is no kernel, as far as it is known."""
    if array.ndim != 2:
        raise ValueError(f"{label} must be a two-dimensional array, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{label} must not be empty, got shape {array.shape}")
    if array.shape[0] % 2 == 0 or array.shape[1] % 2 == 0:
        raise ValueError(f"{label} must have odd sizes, so that one sample is its centre, got shape {array.shape}")
    values = concrete(array)
    if values is None:
        return
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(f"{label} must be finite, got {values[row, column]} at row {row}, column {column}")
    if values.min() < 0:
        row, column = np.unravel_index(values.argmin(), values.shape)
        raise ValueError(f"{label} must not be negative, got {values[row, column]} at row {row}, column {column}")
    if not values.sum() > 0:
        raise ValueError(f"{label} must have a positive sum, got {values.sum()}")


@final
class Kernel(PSF):
    """A point spread function given by its samples, normalised to a sum of 1 on entry.

    The samples are what the light of a point gives per sample, before the instrument's pixels add up
    `sampling x sampling` of them. With `sampling=1`, as for a kernel measured from stars in the image itself, the light
    is averaged over each pixel first and then blurred.

    Args:
        array: (odd, odd) samples, row 0 at the smallest y; not negative.
        sampling: samples per pixel and axis.
        sample_scale: arcsec per sample, if known: then the instrument refuses another scale.

    Raises:
        ValueError: an array that is not two-dimensional, is empty or even-sized, or is negative or not finite
            somewhere (checked while its values are known).
    """

    array: Float[Array, "rows columns"]
    sampling: int = eqx.field(static=True)
    sample_scale: float | None = eqx.field(static=True)

    def __init__(self, array: Any, sampling: int = 1, sample_scale: float | None = None) -> None:
        array = as_real(array)
        if isinstance(array, Array) and jnp.issubdtype(array.dtype, jnp.floating):
            _checked(array, "a PSF kernel")
        else:
            raise ValueError(f"a PSF kernel must be an array of numbers, got {type(array).__name__}")
        if sample_scale is not None and not 0 < sample_scale < np.inf:
            raise ValueError(f"sample_scale of a PSF kernel must be a positive number of arcsec, got {sample_scale!r}")
        self.array = array / array.sum()
        self.sampling = whole_number(sampling, "sampling of a PSF")
        self.sample_scale = None if sample_scale is None else float(sample_scale)

    @property
    def shape(self) -> tuple[int, int]:
        """Samples along y and x."""
        rows, columns = self.array.shape
        return rows, columns

    @property
    def margin(self) -> tuple[int, int]:
        """Whole pixels (rows, columns) beyond a frame from which light blurs into it."""
        rows, columns = (-(-(size // 2) // self.sampling) for size in self.shape)
        return rows, columns

    def kernel(self, grid: Grid) -> "Kernel":
        """This kernel, if it fits the grid.

        Raises:
            ValueError: its samples are known to have another size than `pixel_scale / sampling`, by more than 1 %.
        """
        expected = grid.pixel_scale / self.sampling
        if self.sample_scale is not None and abs(self.sample_scale / expected - 1) > _SCALE_TOLERANCE:
            raise ValueError(
                f"the PSF has samples of {self.sample_scale:.6g} arcsec, but the instrument's pixel_scale "
                f"{grid.pixel_scale:.6g} arcsec with {self.sampling} samples per pixel asks for {expected:.6g} arcsec"
            )
        return self


def from_fits(path: str | Path, sampling: int = 1, hdu: int | str | None = None) -> Kernel:
    """The kernel in a FITS file.

    Header keywords, where present, are held against what the caller says: `OVERSAMP` (samples per pixel and axis)
    must be `sampling`, and `PIXSCALE` (arcsec per sample) must later agree with the instrument.

    Args:
        path: the file.
        sampling: samples per pixel and axis.
        hdu: number or name of the extension; None takes the first image.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no image in it, an image that is no kernel (see `Kernel`), or another `OVERSAMP`; names the file.
    """
    sampling = whole_number(sampling, "sampling of a PSF")
    values, header = read_image(path, hdu)
    _checked(values, f"{path}: a PSF kernel")
    stated = read_number(header, "OVERSAMP", path)
    if stated is not None and stated != sampling:
        raise ValueError(
            f"{path}: header keyword OVERSAMP says {stated:g} samples per pixel, but sampling is {sampling}"
        )
    return Kernel(values, sampling, read_number(header, "PIXSCALE", path))
