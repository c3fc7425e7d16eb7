"""A point mass."""

from typing import final

import jax.numpy as jnp

from lensax._check import at_least_zero, check, check_center
from lensax._geometry import softening_squared
from lensax._types import Array, Float, Scalar, real
from lensax.mass.base import MassProfile

__all__ = ["PointMass"]


@final
class PointMass(MassProfile):
    """A point mass, `alpha = theta_E^2 theta / (theta^2 + s^2)`.

    The softening length s, 1e-7 arcsec in float32 and 1e-12 arcsec in float64, keeps values and gradients finite at
    the mass itself.

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

    def _softened(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        x, y = x - self.center_x, y - self.center_y
        return x, y, x * x + y * y + softening_squared(x.dtype)

    def deflection(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Deflection angle in arcsec."""
        x, y, square = self._softened(x, y)
        strength = self.einstein_radius**2 / square
        return strength * x, strength * y

    def convergence(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Convergence `theta_E^2 s^2 / (theta^2 + s^2)^2`: zero but at the mass itself."""
        _, _, square = self._softened(x, y)
        return self.einstein_radius**2 / square * (softening_squared(x.dtype) / square)

    def potential(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Potential `theta_E^2 ln(theta^2 + s^2) / 2` in arcsec^2."""
        _, _, square = self._softened(x, y)
        return 0.5 * self.einstein_radius**2 * jnp.log(square)
