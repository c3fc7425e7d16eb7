"""The telescope and its camera: from surface brightness to pixels, and from pixels to a noisy image."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._check import at_least_zero, check, positive
from lensax._types import Array, Float, PRNGKeyArray, as_real, concrete
from lensax.instrument import noise
from lensax.instrument.convolution import blur
from lensax.instrument.grid import AdaptiveOverSample, Grid
from lensax.instrument.imaging import Imaging
from lensax.instrument.kernel import PSF, Kernel

__all__ = ["Instrument"]


@final
class Instrument(eqx.Module):
    """A camera: its pixels, its point spread function, its exposure and its noise.

    The background's noise is told in one of two ways. From the physics: `sky_level` and `read_noise`; a pixel counts
    `Poisson((image + sky_level) * exposure_time)` electrons and the detector adds `Normal(read_noise)` of them. Or from
    an image whose background has been measured, as for combined (drizzled) exposures: `background_rms` stands for sky
    and detector together, and only the light itself is Poisson.

    The point spread function is sampled when the instrument is made and held as a `Kernel`; to differentiate by its
    parameters, make the instrument inside the function. Kernels of one shape, and all numbers and maps, may be replaced
    without a new compilation.

    Args:
        shape: (n_y, n_x) pixels.
        pixel_scale: arcsec.
        psf: a point spread function of `lensax.psf`, or None for a perfect one.
        exposure_time: s; this and the noise's arguments are each a number or a map (n_y, n_x).
        sky_level: electrons / s / pixel.
        over_sample: rays per pixel and axis, a multiple of the PSF's sampling, or an `AdaptiveOverSample`.
        read_noise: electrons per pixel, of the whole exposure (of n reads: sqrt(n) times that of one).
        background_rms: electrons / s / pixel; instead of `sky_level` and `read_noise`.

    Raises:
        ValueError: a value outside its range, a map of another shape, samples of the PSF that fit neither the pixels
            nor the rays, or a background told in both ways.
        TypeError: a `psf` that is no point spread function.
    """

    grid: Grid
    psf: Kernel | None
    exposure_time: Float[Array, "*maps"]
    sky_level: Float[Array, "*maps"]
    read_noise: Float[Array, "*maps"]
    background_rms: Float[Array, "*maps"]

    def __init__(
        self,
        shape: Any,
        pixel_scale: Any,
        psf: Any,
        exposure_time: Any,
        sky_level: Any = 0.0,
        over_sample: Any = 1,
        read_noise: Any = 0.0,
        background_rms: Any = 0.0,
    ) -> None:
        self.grid = Grid(shape, pixel_scale, over_sample)
        if psf is not None and not isinstance(psf, PSF):
            raise TypeError(f"Instrument: psf must be a point spread function of lensax.psf or None, got {psf!r}")
        self.psf = None if psf is None else psf.kernel(self.grid)
        self.exposure_time = as_real(exposure_time)
        self.sky_level = as_real(sky_level)
        self.read_noise = as_real(read_noise)
        self.background_rms = as_real(background_rms)

    def __check_init__(self) -> None:
        self.grid.check_sampling(self._sampling)
        for name in ("exposure_time", "sky_level", "read_noise", "background_rms"):
            value = getattr(self, name)
            if value.shape not in ((), self.grid.shape):
                raise ValueError(
                    f"Instrument: {name} must be a number or a map of shape {self.grid.shape}, got shape {value.shape}"
                )
        check(self, "exposure_time", positive, "a positive number of seconds")
        check(self, "sky_level", at_least_zero, "a number of electrons / s / pixel of at least 0")
        check(self, "read_noise", at_least_zero, "a number of electrons of at least 0")
        check(self, "background_rms", at_least_zero, "a number of electrons / s / pixel of at least 0")
        rms, others = concrete(self.background_rms), (concrete(self.sky_level), concrete(self.read_noise))
        if rms is not None and np.any(rms > 0) and any(other is not None and np.any(other > 0) for other in others):
            raise ValueError(
                "Instrument: background_rms stands for the noise of sky and detector together; give it, or sky_level "
                "and read_noise, not both"
            )

    @classmethod
    def from_imaging(
        cls, dataset: Imaging, over_sample: int | AdaptiveOverSample = 1, background_rms: Any = None
    ) -> "Instrument":
        """The instrument that took an image: its pixels, its PSF, its exposure and its background.

        Images that it simulates look like the dataset: Poisson noise of the light in the dataset's exposure time, and
        the dataset's background as Gaussian noise.

        Args:
            dataset: with an exposure time.
            over_sample: rays per pixel and axis, or an `AdaptiveOverSample`.
            background_rms: electrons / s / pixel; None takes the dataset's.

        Raises:
            ValueError: the dataset has no exposure time, or neither it nor the caller has a background.
        """
        if dataset.exposure_time is None:
            raise ValueError("Instrument.from_imaging: the dataset has no exposure_time; read it with one")
        rms = dataset.background_rms if background_rms is None else background_rms
        if rms is None:
            raise ValueError(
                "Instrument.from_imaging: the dataset has no background_rms (header keyword BKGRMS); give one"
            )
        return cls(
            dataset.shape,
            dataset.pixel_scale,
            dataset.psf,
            dataset.exposure_time,
            over_sample=over_sample,
            background_rms=rms,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n_y, n_x) pixels."""
        return self.grid.shape

    @property
    def pixel_scale(self) -> float:
        """arcsec."""
        return self.grid.pixel_scale

    @property
    def padded_grid(self) -> Grid:
        """The frame and the margin from which light blurs into it: where the simulator traces rays."""
        return self.grid if self.psf is None else self.grid.padded(self.psf.margin)

    @property
    def _sampling(self) -> int:
        return 1 if self.psf is None else self.psf.sampling

    @jax.named_scope("pixels")
    def observe(self, surface_brightness: Float[Array, "*rays"]) -> Float[Array, "n_y n_x"]:
        """The expected image: binned to the PSF's samples, blurred, added up to pixels, the frame cut out.

        Args:
            surface_brightness: electrons / s / arcsec^2 at `padded_grid.positions()`.

        Returns:
            electrons / s / pixel, in the dtype of the surface brightness.

        Raises:
            ValueError: another shape than the padded grid's.
        """
        samples = self.padded_grid.bin(surface_brightness, self._sampling)
        return (samples if self.psf is None else _blur(samples, self.psf)) * self.pixel_scale**2

    @jax.named_scope("noise")
    def add_noise(self, image: Float[Array, "n_y n_x"], key: PRNGKeyArray) -> Float[Array, "n_y n_x"]:
        """One noisy exposure of an expected image, the sky's mean subtracted (see `lensax.instrument.noise.add_noise`).

        Args:
            image: electrons / s / pixel, without sky.
            key: random key.

        Raises:
            ValueError: `image + sky_level` is negative or not finite somewhere and known (beyond the rounding of a
                Fourier transform); inside a compiled function such pixels are NaN.
        """
        noisy = _add_noise(image, key, self.exposure_time, self.sky_level, self.read_noise, self.background_rms)
        found, values = concrete(noisy), concrete(image)
        if found is not None and values is not None and np.isnan(found).any():
            row, column = np.argwhere(np.isnan(found))[0]
            raise ValueError(
                f"image + sky_level must not be negative and must be finite to have Poisson noise, got an image of "
                f"{values[row, column]} electrons / s at row {row}, column {column}"
            )
        return noisy

    def noise_map(self, image: Float[Array, "n_y n_x"]) -> Float[Array, "n_y n_x"]:
        """The standard deviation of the noise of an expected image, electrons / s / pixel."""
        return noise.noise_map(image, self.exposure_time, self.sky_level, self.read_noise, self.background_rms)

    def imaging(self, data: Any, noiseless: Any) -> Imaging:
        """A simulated image as a dataset, with this instrument's PSF, exposure time and (median) background rms.

        Args:
            data: a noisy image, electrons / s / pixel.
            noiseless: the expected image, from which the noise map is made.

        Raises:
            ValueError: what `Imaging` refuses, above all a noise map with a zero.
        """
        background = float(jnp.median(self.noise_map(jnp.zeros(self.shape))))
        return Imaging(
            data=data,
            noise_map=self.noise_map(jnp.asarray(noiseless)),
            psf=self.psf,
            pixel_scale=self.pixel_scale,
            exposure_time=self.exposure_time,
            background_rms=background if background > 0 else None,
        )


# Compiled, so that a call from Python is one program and not hundreds of operations; inside another they dissolve.
_blur = eqx.filter_jit(blur)
_add_noise = eqx.filter_jit(noise.add_noise)
