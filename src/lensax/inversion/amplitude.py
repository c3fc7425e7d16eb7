"""How bright a source may be, place by place: the deviation that a kernel prior gives its coefficients.

A prior of one deviation everywhere fits noise where the source is dark. Letting the deviation follow the brightness
takes the streaks and the pedestal away and halves the number of effective parameters at equal chi-squared. Two forms:
the brightness of an earlier reconstruction, which uses the data twice (its evidence is optimistic), and a parametric
envelope, which is a proper prior.
"""

import abc
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from lensax._check import (
    at_least_zero,
    check,
    check_brightness,
    check_center,
    check_ellipticity,
    check_extent,
    positive,
)
from lensax._geometry import elliptical_radius_squared
from lensax._types import Array, Float, Scalar, as_real, real
from lensax.inversion.bspline import consecutive, spline_weights

__all__ = ["Amplitude", "BrightnessAmplitude", "BrightnessMap", "MoffatAmplitude", "UniformAmplitude"]


@final
class BrightnessMap(eqx.Module):
    """An image of a source, from 0 to 1, as a smooth function of position (quadratic B-splines); 0 beyond it.

    Args:
        image: (n_y, n_x) of the source plane; negative pixels count as 0, the brightest as 1.
        extent: (left, right, bottom, top) of its outer edges in arcsec.

    Raises:
        ValueError: no finite image, one that is positive nowhere, or edges that do not increase.
    """

    image: Float[Array, "n_y n_x"]
    extent: Float[Array, " 4"]

    def __init__(self, image: Any, extent: Any) -> None:
        image = as_real(image)
        check_brightness("BrightnessMap", "image", image)
        check_extent("BrightnessMap", extent)
        self.extent = jnp.stack([as_real(edge) for edge in extent])
        clipped = jnp.maximum(image, 0.0)
        self.image = clipped / jnp.max(clipped)

    def __call__(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The brightness at positions in arcsec."""
        rows, columns = self.image.shape
        left, right, bottom, top = self.extent.astype(x.dtype)
        row, along_y = _three((y - bottom) / (top - bottom) * rows - 0.5, rows)
        column, along_x = _three((x - left) / (right - left) * columns - 0.5, columns)
        padded = jnp.pad(self.image, 3)
        values = padded[consecutive(row, 3)[..., :, None], consecutive(column, 3)[..., None, :]]
        return jnp.sum(values * along_y[..., :, None] * along_x[..., None, :], (-2, -1))


def _three(z: Array, count: int) -> tuple[Array, Array]:
    first, weights = spline_weights(jnp.clip(z, -1.5, count + 0.5), 2)
    return first + 3, weights


class Amplitude(eqx.Module):
    """The prior deviation of a coefficient as a function of its place."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Deviation in electrons / s / arcsec^2 at positions in arcsec."""


@final
class UniformAmplitude(Amplitude):
    """One deviation everywhere.

    Args:
        deviation: electrons / s / arcsec^2.
    """

    deviation: Scalar = real()

    def __check_init__(self) -> None:
        check(self, "deviation", positive, "a positive brightness")

    def __call__(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The deviation."""
        return jnp.broadcast_to(self.deviation, x.shape)


@final
class BrightnessAmplitude(Amplitude):
    """A deviation that follows an earlier source, `deviation (v(x / size, y / size) + dark)` with v from 0 to 1.

    Args:
        deviation: at the brightest place, electrons / s / arcsec^2.
        brightness: v, of an earlier reconstruction.
        dark: what is left where v = 0.
        size: by which the earlier source is enlarged about the origin. The source behind a steeper lens is larger, in
            proportion to its slope less 1: leave it free where the slope is.

    The evidence is optimistic, as v has seen the data; see `MoffatAmplitude` for a prior that has not.
    """

    deviation: Scalar = real()
    brightness: BrightnessMap
    dark: Scalar = real(default=0.01)
    size: Scalar = real(default=1.0)

    def __check_init__(self) -> None:
        check(self, "deviation", positive, "a positive brightness")
        check(self, "dark", positive, "a positive share")
        check(self, "size", positive, "a positive factor")

    def __call__(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The deviation at positions in arcsec."""
        return self.deviation * (self.brightness(x / self.size, y / self.size) + self.dark)


@final
class MoffatAmplitude(Amplitude):
    """A deviation that falls off like an elliptical Moffat profile, `deviation [(1 + R^2 / r^2)^-power + dark]`.

    Args:
        deviation: at the centre, electrons / s / arcsec^2.
        radius: r in arcsec along the intermediate axis.
        power: positive.
        e1, e2: ellipticity.
        center_x, center_y: centre in arcsec.
        dark: what is left far outside.
    """

    deviation: Scalar = real()
    radius: Scalar = real()
    power: Scalar = real(default=1.5)
    e1: Scalar = real(default=0.0)
    e2: Scalar = real(default=0.0)
    center_x: Scalar = real(default=0.0)
    center_y: Scalar = real(default=0.0)
    dark: Scalar = real(default=0.0)

    def __check_init__(self) -> None:
        check(self, "deviation", positive, "a positive brightness")
        check(self, "radius", positive, "a positive angle in arcsec")
        check(self, "power", positive, "a positive number")
        check(self, "dark", at_least_zero, "a share of at least 0")
        check_ellipticity(self)
        check_center(self)

    def __call__(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The deviation at positions in arcsec."""
        square = elliptical_radius_squared(x - self.center_x, y - self.center_y, self.e1, self.e2)
        return self.deviation * ((1 + square / self.radius**2) ** (-self.power) + self.dark)
