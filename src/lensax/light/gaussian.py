"""An elliptical Gaussian."""

from typing import final

import jax.numpy as jnp

from lensax._check import check, check_center, check_ellipticity, finite, positive
from lensax._geometry import elliptical_radius_squared
from lensax._types import Array, Float, Scalar, real
from lensax.light.base import LightProfile

__all__ = ["Gaussian"]


@final
class Gaussian(LightProfile):
    """An elliptical Gaussian, `I = I_0 exp[-R^2 / (2 sigma^2)]`, `R^2 = q X^2 + Y^2 / q`.

    Arguments:
        intensity: I_0, the surface brightness at the centre, in electrons / s / arcsec^2; the total flux is
            `2 pi sigma^2 I_0` whatever the ellipticity.
        sigma: standard deviation in arcsec along the intermediate axis.
        e1, e2: ellipticity `(1-q)/(1+q) (cos 2phi, sin 2phi)`, phi counter-clockwise from +x.
        center_x, center_y: centre in arcsec.

    Raises:
        ValueError: a concrete parameter is outside its range.
    """

    intensity: Scalar = real()
    sigma: Scalar = real()
    e1: Scalar = real(default=0.0)
    e2: Scalar = real(default=0.0)
    center_x: Scalar = real(default=0.0)
    center_y: Scalar = real(default=0.0)

    def __check_init__(self) -> None:
        check(self, "intensity", finite, "a finite brightness in electrons / s / arcsec^2")
        check(self, "sigma", positive, "a positive angle in arcsec")
        check_ellipticity(self)
        check_center(self)

    def surface_brightness(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Surface brightness in electrons / s / arcsec^2."""
        square = elliptical_radius_squared(x - self.center_x, y - self.center_y, self.e1, self.e2)
        return self.intensity * jnp.exp(-0.5 * square / self.sigma**2)
