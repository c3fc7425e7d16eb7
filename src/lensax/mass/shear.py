"""External shear."""

from typing import final

import jax.numpy as jnp

from lensax._check import check, finite
from lensax._types import Array, Float, Scalar, real
from lensax.mass.base import MassProfile

__all__ = ["ExternalShear"]


@final
class ExternalShear(MassProfile):
    """The tide of distant masses, `alpha = (gamma_1 x + gamma_2 y, gamma_2 x - gamma_1 y)`, about the origin.

    Arguments:
        gamma_1, gamma_2: components of the shear; images are stretched along +x for `gamma_1 > 0`.

    Raises:
        ValueError: a concrete component is not finite.
    """

    gamma_1: Scalar = real()
    gamma_2: Scalar = real()

    def __check_init__(self) -> None:
        for name in ("gamma_1", "gamma_2"):
            check(self, name, finite, "a finite number")

    def deflection(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Deflection angle in arcsec."""
        return self.gamma_1 * x + self.gamma_2 * y, self.gamma_2 * x - self.gamma_1 * y

    def convergence(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Zero: a tide has no mass where it acts."""
        return jnp.zeros_like(x)

    def potential(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Potential `gamma_1 (x^2 - y^2) / 2 + gamma_2 x y` in arcsec^2."""
        return 0.5 * self.gamma_1 * ((x - y) * (x + y)) + self.gamma_2 * x * y
