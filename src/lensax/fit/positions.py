"""Multiple images of one source: where they are seen, their rays must meet again."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from lensax._check import check, finite, positive
from lensax._types import Array, Float, Scalar, real
from lensax.inversion.trace import trace_rays

__all__ = ["Positions"]

# Over this share of the tolerance the penalty grows to half a nat: a wall, but a smooth one.
_WIDTH = 0.1


@final
class Positions(eqx.Module):
    r"""The prior that images of one source trace back to one place, within a tolerance.

    `ln P = -1/2 sum_i max(0, (r_i - tolerance) / (0.1 tolerance))^2` with r_i the distance of the i-th traced position
    from their mean: zero for a lens that brings them together, and a smooth wall around. A pixelized source explains
    an image by itself if the lens is weak enough; this prior, which says nothing about lenses that work, refuses those.

    Args:
        x, y: image positions in arcsec, (n,), at least two.
        tolerance: arcsec in the source plane; the size of the source, or a tenth of the ring's radius.

    Raises:
        ValueError: fewer than two positions, coordinates of different shapes, or a concrete value that is not finite
            or not positive.
    """

    x: Float[Array, " images"] = real()
    y: Float[Array, " images"] = real()
    tolerance: Scalar = real(default=0.1)

    def __check_init__(self) -> None:
        if self.x.ndim != 1 or self.x.shape != self.y.shape or self.x.size < 2:
            raise ValueError(
                "Positions: x and y must be lists of equal length with at least two images, "
                f"got shapes {self.x.shape} and {self.y.shape}"
            )
        check(self, "x", finite, "finite angles in arcsec")
        check(self, "y", finite, "finite angles in arcsec")
        check(self, "tolerance", positive, "a positive angle in arcsec")

    def separation(self, lens: Any) -> Float[Array, " images"]:
        """Distance of every traced position from their mean in arcsec.

        Args:
            lens: mass profiles of one plane, or a `Scene`.
        """
        rays = trace_rays(lens, self.x, self.y)
        x, y = (beta - jnp.mean(beta) for beta in (rays.source_x, rays.source_y))
        square = x * x + y * y
        apart = square > 0
        return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)

    def log_prob(self, lens: Any) -> Scalar:
        """The logarithm of the prior, 0 at most; it is not normalised.

        Args:
            lens: mass profiles of one plane, or a `Scene`.
        """
        excess = jnp.maximum(self.separation(lens) - self.tolerance, 0.0) / (_WIDTH * self.tolerance)
        return -0.5 * jnp.sum(excess**2)
