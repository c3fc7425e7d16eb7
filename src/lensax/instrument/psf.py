"""Point spread functions: `Gaussian`, `Moffat` and `Airy` in arcsec; `Kernel` and `from_fits` as samples.

An analytic point spread function is integrated over each sample. The rays of an image are points at the centres of
the samples, and the pixel adds up its samples: together these are the integral over the whole pixel, exactly.
"""

import math
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf

from lensax._check import check, positive, whole_number
from lensax._types import Array, Scalar, concrete, real
from lensax.instrument.airy import airy_pattern, enclosing_radius
from lensax.instrument.grid import AdaptiveOverSample, Grid
from lensax.instrument.kernel import PSF, Kernel, from_fits

__all__ = ["PSF", "Airy", "Gaussian", "Kernel", "Moffat", "from_fits"]

# The light of a Gaussian outside of the square |x|, |y| < 4.06 sigma is 1 - erf(4.06 / sqrt 2)^2 = 9.8e-5.
_GAUSSIAN_HALF_WIDTH = 4.06
# Gauss-Legendre nodes per sample and axis for profiles without a closed integral.
_NODES = 6
# A kernel of more samples than this per axis is a mistake in the units.
_LARGEST = 2001
_RADIAN = math.pi / 180 / 3600


def _static_sampling(value: Any) -> int | None:
    return None if value is None else whole_number(value, "sampling of a PSF")


def _static_size(value: Any) -> int | None:
    if value is not None and whole_number(value, "size of a PSF") % 2 == 0:
        raise ValueError(f"size of a PSF must be odd, so that one sample is its centre, got {value}")
    return value


def _sampling(psf: Any, grid: Grid) -> int:
    """Samples per pixel and axis: the PSF's own, else as many as there are rays (where they are densest)."""
    if psf.sampling is not None:
        return psf.sampling
    return max(grid.over_sample.factors) if isinstance(grid.over_sample, AdaptiveOverSample) else grid.over_sample


def _half(psf: Any, step: float, radius: Callable[[], float | None]) -> int:
    """Samples on either side of the central one, so that they reach `radius()` arcsec unless the size is given."""
    if psf.size is not None:
        return psf.size // 2
    reach = radius()
    name = type(psf).__name__
    if reach is None:
        raise ValueError(
            f"{name}: its parameters are traced, so the size of the kernel must be given: {name}(size=...)"
        )
    half = max(math.ceil(reach / step - 0.5), 1)
    if 2 * half + 1 > _LARGEST:
        raise ValueError(
            f"{name}: {2 * half + 1} samples of {step:.3g} arcsec per axis are more than {_LARGEST}; give a size, a "
            "smaller enclosed_energy, or check its width in arcsec"
        )
    return half


def _integrate(profile: Callable[[Array], Array], half: int, step: float, dtype: Any) -> Array:
    """A circular profile, a function of the squared radius in arcsec^2, integrated over square samples."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    positions = jnp.asarray((np.arange(half + 1)[:, None] + 0.5 * nodes) * step, dtype).reshape(-1)
    quadrant = profile(positions[:, None] ** 2 + positions[None, :] ** 2)
    blocks = quadrant.reshape(half + 1, _NODES, half + 1, _NODES)
    area = jnp.asarray(weights[None, :, None, None] * weights, dtype)
    quarter = (blocks * area).sum((1, 3))
    mirrored = jnp.concatenate([quarter[:0:-1], quarter])
    return jnp.concatenate([mirrored[:, :0:-1], mirrored], axis=1)


@final
class Gaussian(PSF):
    """A circular Gaussian, `exp[-r^2 / (2 sigma^2)]`, `sigma = fwhm / (2 sqrt(2 ln 2))`.

    Args:
        fwhm: full width at half maximum in arcsec.
        sampling: samples per pixel and axis; None takes the instrument's over-sampling.
        size: odd number of samples per axis; None takes what leaves out less than 1e-4 of the light.

    Raises:
        ValueError: a width that is not positive, or an even size.
    """

    fwhm: Scalar = real()
    sampling: int | None = eqx.field(static=True, converter=_static_sampling, default=None)
    size: int | None = eqx.field(static=True, converter=_static_size, default=None)

    def __check_init__(self) -> None:
        check(self, "fwhm", positive, "a positive angle in arcsec")

    def kernel(self, grid: Grid) -> Kernel:
        """Samples of side `pixel_scale / sampling`, each the integral over its area: products of error functions.

        Raises:
            ValueError: the width is traced and no size is given.
        """
        sampling = _sampling(self, grid)
        step = grid.pixel_scale / sampling
        fwhm = concrete(self.fwhm)
        per_fwhm = 1 / math.sqrt(8 * math.log(2))
        half = _half(self, step, lambda: None if fwhm is None else _GAUSSIAN_HALF_WIDTH * per_fwhm * float(fwhm))
        edges = jnp.asarray((np.arange(2 * half + 2) - half - 0.5) * step, self.fwhm.dtype)
        line = jnp.diff(erf(edges / (self.fwhm * (per_fwhm * math.sqrt(2)))))
        return Kernel(line[:, None] * line[None, :], sampling, step)


@final
class Moffat(PSF):
    """A Moffat profile, `(1 + r^2 / alpha^2)^(-beta)`, `alpha = fwhm / (2 sqrt(2^(1/beta) - 1))`.

    The light within r is `1 - (1 + r^2 / alpha^2)^(1 - beta)`: its wings reach far. The kernel holds a circle with the
    share `enclosed_energy` of the light; the rest is left out and the kernel normalised.

    Args:
        fwhm: full width at half maximum in arcsec.
        beta: slope of the wings, above 1.
        sampling: samples per pixel and axis; None takes the instrument's over-sampling.
        size: odd number of samples per axis; None takes what `enclosed_energy` needs.
        enclosed_energy: between 0 and 1.

    Raises:
        ValueError: a width that is not positive, a slope that is not above 1, an even size, an impossible share.

    Paper: Moffat 1969, A&A 3, 455.
    """

    fwhm: Scalar = real()
    beta: Scalar = real()
    sampling: int | None = eqx.field(static=True, converter=_static_sampling, default=None)
    size: int | None = eqx.field(static=True, converter=_static_size, default=None)
    enclosed_energy: float = eqx.field(static=True, default=0.995)

    def __check_init__(self) -> None:
        check(self, "fwhm", positive, "a positive angle in arcsec")
        check(self, "beta", lambda beta: np.isfinite(beta) & (beta > 1), "a number above 1")
        _check_share(self)

    def kernel(self, grid: Grid) -> Kernel:
        """Samples of side `pixel_scale / sampling`, each the integral over its area by Gauss-Legendre quadrature.

        Raises:
            ValueError: a parameter is traced and no size is given.
        """
        sampling = _sampling(self, grid)
        step = grid.pixel_scale / sampling
        alpha_squared = self.fwhm**2 / (4 * (2 ** (1 / self.beta) - 1))

        def radius() -> float | None:
            squared, beta = concrete(alpha_squared), concrete(self.beta)
            if squared is None or beta is None:
                return None
            return math.sqrt(float(squared) * ((1 - self.enclosed_energy) ** (-1 / (float(beta) - 1)) - 1))

        half = _half(self, step, radius)
        profile = _integrate(lambda r2: (1 + r2 / alpha_squared) ** (-self.beta), half, step, alpha_squared.dtype)
        return Kernel(profile, sampling, step)


@final
class Airy(PSF):
    """The diffraction pattern of a circular aperture with a central obstruction.

    `I(v) = [2 J1(v)/v - eps^2 2 J1(eps v)/(eps v)]^2 / (1 - eps^2)^2`, `v = pi r diameter / wavelength`.
    Hubble: `Airy(wavelength=0.814, diameter=2.4, obstruction=0.33)`. The rings decline slowly; the kernel holds a
    circle with the share `enclosed_energy` of the light, the rest is left out and the kernel normalised.

    Args:
        wavelength: micrometres.
        diameter: of the aperture, metres.
        obstruction: diameter of the central obstruction over that of the aperture, in [0, 1).
        sampling: samples per pixel and axis; None takes the instrument's over-sampling.
        size: odd number of samples per axis; None takes what `enclosed_energy` needs.
        enclosed_energy: between 0 and 1.

    Raises:
        ValueError: a parameter outside its range, an even size, an impossible share.

    Reference: Born & Wolf, Principles of Optics, 7th edition, section 8.6.2.
    """

    wavelength: Scalar = real()
    diameter: Scalar = real()
    obstruction: Scalar = real(default=0.0)
    sampling: int | None = eqx.field(static=True, converter=_static_sampling, default=None)
    size: int | None = eqx.field(static=True, converter=_static_size, default=None)
    enclosed_energy: float = eqx.field(static=True, default=0.95)

    def __check_init__(self) -> None:
        check(self, "wavelength", positive, "a positive number of micrometres")
        check(self, "diameter", positive, "a positive number of metres")
        check(self, "obstruction", lambda eps: (eps >= 0) & (eps < 1), "in [0, 1)")
        _check_share(self)

    def kernel(self, grid: Grid) -> Kernel:
        """Samples of side `pixel_scale / sampling`, each the integral over its area by Gauss-Legendre quadrature.

        Raises:
            ValueError: a parameter is traced and no size is given.
        """
        sampling = _sampling(self, grid)
        step = grid.pixel_scale / sampling
        # v per arcsec, with the wavelength's micrometres as metres.
        scale = (math.pi * _RADIAN * 1e6) * self.diameter / self.wavelength

        def radius() -> float | None:
            per_arcsec, obstruction = concrete(scale), concrete(self.obstruction)
            if per_arcsec is None or obstruction is None:
                return None
            return enclosing_radius(self.enclosed_energy, float(obstruction)) / float(per_arcsec)

        half = _half(self, step, radius)
        profile = _integrate(lambda r2: airy_pattern(scale * jnp.sqrt(r2), self.obstruction), half, step, scale.dtype)
        return Kernel(profile, sampling, step)


def _check_share(psf: Any) -> None:
    if not 0 < psf.enclosed_energy < 1:
        raise ValueError(f"{type(psf).__name__}: enclosed_energy must be between 0 and 1, got {psf.enclosed_energy!r}")
