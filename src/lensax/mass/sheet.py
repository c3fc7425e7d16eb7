"""A uniform sheet of mass."""

from typing import final

import jax.numpy as jnp

from lensax._check import check, finite
from lensax._types import Array, Float, Scalar, real
from lensax.mass.base import MassProfile

__all__ = ["MassSheet"]


@final
class MassSheet(MassProfile):
    """Uniform convergence, `alpha = kappa (x, y)` about the origin; negative for a compensating sheet.

    Arguments:
        kappa: convergence of the sheet.

    Raises:
        ValueError: a concrete convergence is not finite.
    """

    kappa: Scalar = real()

    def __check_init__(self) -> None:
        check(self, "kappa", finite, "a finite number")

    def deflection(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Deflection angle in arcsec."""
        return self.kappa * x, self.kappa * y

    def convergence(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Convergence, the same everywhere."""
        return self.kappa * jnp.ones_like(x)

    def potential(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Potential `kappa (x^2 + y^2) / 2` in arcsec^2."""
        return 0.5 * self.kappa * (x * x + y * y)
