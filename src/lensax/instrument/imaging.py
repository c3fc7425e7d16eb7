"""An observed image with what is known about it: the dataset of an inversion, read from and written to FITS."""

import dataclasses
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Bool, Float, as_real, concrete
from lensax.instrument.fits import UNIT, check_unit, read_brightness, read_image, read_number, write_image
from lensax.instrument.grid import Grid
from lensax.instrument.kernel import PSF, Kernel, from_fits
from lensax.instrument.mask import Mask

__all__ = ["Imaging"]

_NUMBERS_OR_MAPS = ("exposure_time", "background_rms")


@final
class Imaging(eqx.Module):
    """An image, its noise, its point spread function and the pixels to use.

    Args:
        data: electrons / s / pixel, (n_y, n_x).
        noise_map: standard deviation of each pixel's noise, in the same unit and shape; positive.
        psf: a point spread function, or None; an analytic one is sampled once per pixel unless it says otherwise.
        pixel_scale: arcsec.
        mask: pixels that are used: a `Mask`, an array of True and False, or None for all.
        exposure_time: s, a number or a map; None if unknown.
        background_rms: standard deviation of the background, electrons / s / pixel, a number or a map; None if unknown.

    Raises:
        ValueError: a value that is not finite or a noise that is not positive in a pixel that is used, another shape
            than the data's, no pixel that is used, or a PSF whose samples do not fit the pixels.
        TypeError: a `psf` that is no point spread function.
    """

    data: Float[Array, "n_y n_x"]
    noise_map: Float[Array, "n_y n_x"]
    psf: Kernel | None
    mask: Bool[Array, "n_y n_x"]
    exposure_time: Float[Array, "*maps"] | None
    background_rms: Float[Array, "*maps"] | None
    pixel_scale: float = eqx.field(static=True)

    def __init__(
        self,
        data: Any,
        noise_map: Any,
        psf: Any,
        pixel_scale: Any,
        mask: Any = None,
        exposure_time: Any = None,
        background_rms: Any = None,
    ) -> None:
        self.data, self.noise_map = as_real(data), as_real(noise_map)
        if self.data.ndim != 2 or self.data.size == 0:
            raise ValueError(f"Imaging: data must be a two-dimensional image, got shape {self.data.shape}")
        grid = Grid(self.shape, pixel_scale)
        self.pixel_scale = grid.pixel_scale
        if psf is not None and not isinstance(psf, PSF):
            raise TypeError(f"Imaging: psf must be a point spread function of lensax.psf or None, got {psf!r}")
        self.psf = None if psf is None else psf.kernel(grid)
        if mask is None:
            self.mask = jnp.ones(grid.shape, bool)
        else:
            self.mask = jnp.asarray((mask if isinstance(mask, Mask) else Mask.from_array(mask)).pixels(grid))
        self.exposure_time = None if exposure_time is None else as_real(exposure_time)
        self.background_rms = None if background_rms is None else as_real(background_rms)

    def __check_init__(self) -> None:
        shape = self.data.shape
        if self.noise_map.shape != shape:
            raise ValueError(f"Imaging: noise_map has shape {self.noise_map.shape}, the data {shape}")
        for name in _NUMBERS_OR_MAPS:
            value = getattr(self, name)
            if value is not None and value.shape not in ((), shape):
                raise ValueError(f"Imaging: {name} has shape {value.shape}, the data {shape}")
        used = concrete(self.mask)
        if used is None:
            return
        if not used.any():
            raise ValueError("Imaging: the mask leaves no pixel of the image")
        _check_pixels("data", self.data, used, positive=False)
        _check_pixels("noise_map", self.noise_map, used, positive=True)
        for name in _NUMBERS_OR_MAPS:
            value = getattr(self, name)
            if value is not None:
                _check_pixels(name, value, used, positive=True)

    @classmethod
    def from_fits(
        cls,
        data: str | Path,
        noise_map: str | Path,
        psf: str | Path | PSF | None = None,
        pixel_scale: float | int | None = None,
        exposure_time: str | Path | float | int | np.ndarray | None = None,
        mask: str | Path | Mask | None = None,
        psf_sampling: int = 1,
        background_rms: str | Path | float | int | np.ndarray | None = None,
        hdu: int | str | None = None,
        noise_map_hdu: int | str | None = None,
    ) -> "Imaging":
        """Read a dataset from FITS files.

        Args:
            data, noise_map: files in electrons / s; the unit is checked where a header has `BUNIT`.
            psf: a file, a point spread function, or None.
            pixel_scale: arcsec; None takes the data's header keyword `PIXSCALE`, which must agree where it is there.
            exposure_time: a file with a map, the map itself, or a number of seconds.
            mask: a file, whose pixels that are not zero are used, or a `Mask`.
            psf_sampling: samples of the PSF file per pixel and axis.
            background_rms: electrons / s / pixel: a file with a map, the map itself, or a number; None takes the data's
                header keyword `BKGRMS`, where it is there.
            hdu, noise_map_hdu: number or name of the extension of data and noise map; None takes the first image.

        Raises:
            FileNotFoundError: a file does not exist.
            ValueError: what `Imaging` refuses, no pixel scale, one that differs from the header's by more than 1 %, or
                a unit that is not electrons / s; names the file.
        """
        values, header = read_image(data, hdu)
        noise, noise_header = read_image(noise_map, noise_map_hdu)
        for path, found in ((data, header), (noise_map, noise_header)):
            check_unit(found, path)
        stated = read_number(header, "PIXSCALE", data)
        if pixel_scale is None:
            pixel_scale = stated
        if pixel_scale is None:
            raise ValueError(f"{data}: no header keyword PIXSCALE; give pixel_scale in arcsec")
        if stated is not None and abs(stated / pixel_scale - 1) > 0.01:
            raise ValueError(
                f"{data}: header keyword PIXSCALE is {stated:g} arcsec, but pixel_scale is {pixel_scale:g}"
            )
        if background_rms is None:
            background_rms = read_number(header, "BKGRMS", data)
        elif isinstance(background_rms, (str, Path)):
            background_rms = read_brightness(background_rms)
        if exposure_time is None:
            exposure_time = read_number(header, "EXPTIME", data)
        kernel = from_fits(psf, psf_sampling) if isinstance(psf, (str, Path)) else psf
        used = Mask.from_fits(mask) if isinstance(mask, (str, Path)) else mask
        time = read_image(exposure_time)[0] if isinstance(exposure_time, (str, Path)) else exposure_time
        try:
            return cls(values, noise, kernel, pixel_scale, used, time, background_rms)
        except ValueError as error:
            raise ValueError(f"{data}: {error}") from None

    def to_fits(self, folder: str | Path, overwrite: bool = False) -> dict[str, Path]:
        """Write `data.fits`, `noise_map.fits`, `mask.fits` and, where known, `psf.fits` and maps of the other fields.

        Headers have the unit, the pixel scale and linear coordinates in arcsec; a single exposure time and a single
        rms of the background are keywords of the data.

        Args:
            folder: made if it does not exist.
            overwrite: replace files of these names.

        Returns:
            the path of each file by its field's name.

        Raises:
            FileExistsError: one of the files exists and `overwrite` is False; nothing is written then.
        """
        folder = Path(folder)
        keywords: dict[str, tuple[Any, str]] = {"BUNIT": (UNIT, "electrons per second and pixel")}
        extra = dict(keywords)
        if self.background_rms is not None and self.background_rms.ndim == 0:
            extra["BKGRMS"] = (float(self.background_rms), "background rms, electron / s")
        if self.exposure_time is not None and self.exposure_time.ndim == 0:
            extra["EXPTIME"] = (float(self.exposure_time), "s")
        files: dict[str, tuple[Any, dict, float | None]] = {
            "data": (self.data, extra, self.pixel_scale),
            "noise_map": (self.noise_map, keywords, self.pixel_scale),
            "mask": (self.mask, {"BUNIT": ("", "1: used, 0: left out")}, self.pixel_scale),
        }
        if self.exposure_time is not None and self.exposure_time.ndim == 2:
            files["exposure_time"] = (self.exposure_time, {"BUNIT": ("s", "")}, self.pixel_scale)
        if self.background_rms is not None and self.background_rms.ndim == 2:
            files["background_rms"] = (self.background_rms, keywords, self.pixel_scale)
        if self.psf is not None:
            scale = self.pixel_scale / self.psf.sampling
            sampling = {
                "PIXSCALE": (scale, "arcsec / sample"),
                "OVERSAMP": (self.psf.sampling, "samples per pixel, axis"),
            }
            files["psf"] = (self.psf.array, sampling, None)
        paths = {name: folder / f"{name}.fits" for name in files}
        taken = [str(path) for path in paths.values() if path.exists()]
        if taken and not overwrite:
            raise FileExistsError(f"{', '.join(taken)} exist; pass overwrite=True to replace them")
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in files.items():
            write_image(paths[name], *file, overwrite)
        return paths

    def with_mask(self, mask: Any) -> "Imaging":
        """The same dataset with other pixels in use.

        Args:
            mask: a `Mask`, or an array (n_y, n_x) of True where a pixel is used; replaces the dataset's.

        Raises:
            ValueError: a mask of another shape, or one that leaves no pixel or admits one without a finite value or a
                positive noise.
        """
        return dataclasses.replace(self, mask=mask)

    def with_noise_map(self, noise_map: Any) -> "Imaging":
        """The same dataset with another noise.

        Args:
            noise_map: standard deviation of each pixel's noise, electrons / s / pixel, (n_y, n_x).

        Raises:
            ValueError: a map of another shape, or one that is not positive and finite in the pixels that are used.
        """
        return dataclasses.replace(self, noise_map=noise_map)

    def with_psf(self, psf: Any) -> "Imaging":
        """The same dataset with another point spread function.

        Args:
            psf: a point spread function, or None.

        Raises:
            ValueError: samples that do not fit the pixels.
            TypeError: what is no point spread function.
        """
        return dataclasses.replace(self, psf=psf)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_y, n_x) pixels."""
        rows, columns = self.data.shape
        return rows, columns

    @property
    def grid(self) -> Grid:
        """The pixels, with one ray each."""
        return Grid(self.shape, self.pixel_scale)

    @property
    def n_pixels(self) -> int:
        """The number of pixels that are used."""
        return int(self.mask.sum())


def _check_pixels(name: str, image: Any, used: np.ndarray, positive: bool) -> None:
    """Refuse values in used pixels that are not finite, or not positive, as far as they are known."""
    values = concrete(image)
    if values is None:
        return
    good = np.isfinite(values) & ((values > 0) | (not positive))
    bad = used & ~good
    if bad.any():
        row, column = np.argwhere(bad)[0]
        found = np.broadcast_to(values, used.shape)[row, column]
        expected = "positive and finite" if positive else "finite"
        if not values.ndim:
            raise ValueError(f"Imaging: {name} must be {expected}, got {found}")
        raise ValueError(
            f"Imaging: {name} must be {expected} in the pixels that are used, got {found} at row {row}, "
            f"column {column}; a mask leaves such pixels out"
        )
