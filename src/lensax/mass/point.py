"""A point mass."""

from typing import final

import jax.numpy as jnp

from lensax._check import at_least_zero, check, check_center
from lensax._geometry import CORE_RADIUS_SQUARED, core_floor
from lensax._types import Array, Float, Scalar, real
from lensax.mass.base import MassProfile

__all__ = ["PointMass"]


@final
class PointMass(MassProfile):
    """A point mass, `alpha = theta_E^2 theta / theta^2`.

    It is a uniform disc of radius 1e-6 arcsec, so that values and gradients are finite at the mass itself.

    Arguments:
        einstein_radius: theta_E in arcsec.
        center_x, center_y: position in arcsec.

    Raises:
        ValueError: a concrete parameter is outside its range.
    """

    einstein_radius: Scalar = real()
    center_x: Scalar = real(default=0.0)
    center_y: Scalar = real(default=0.0)

    def __check_init__(self) -> None:
        check(self, "einstein_radius", at_least_zero, "an angle of at least 0 arcsec")
        check_center(self)

    def _offset(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        x, y = x - self.center_x, y - self.center_y
        return x, y, x * x + y * y

    def deflection(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Deflection angle in arcsec."""
        x, y, square = self._offset(x, y)
        strength = self.einstein_radius**2 / core_floor(square)
        return strength * x, strength * y

    def convergence(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Convergence: zero but for the disc of 1e-6 arcsec that stands for the mass."""
        _, _, square = self._offset(x, y)
        return jnp.where(square > CORE_RADIUS_SQUARED, 0.0, self.einstein_radius**2 / CORE_RADIUS_SQUARED)

    def potential(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Potential `theta_E^2 ln(theta)` in arcsec^2."""
        _, _, square = self._offset(x, y)
        outside = core_floor(square)
        inside = jnp.where(square > CORE_RADIUS_SQUARED, 1.0, square / CORE_RADIUS_SQUARED) - 1.0
        return 0.5 * self.einstein_radius**2 * (jnp.log(outside) + inside)
