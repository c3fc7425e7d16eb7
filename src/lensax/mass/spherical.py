"""What all spherical halos share: their scaling to the sky, and the refusal of numbers that are no halo."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, concrete
from lensax.mass.base import MassProfile
from lensax.mass.core_deficit import CoredLens

__all__ = ["ROUNDING", "SphericalHalo", "require"]

ROUNDING = 1e-6
"""By which share a core radius may exceed its largest one: both are rounded to float32."""

# Smallest radius in scale radii: closer to the centre the convergence of a cusp is that of this radius, not infinite.
_SMALLEST_RADIUS = 1e-10


def require(profile: str, name: str, value: Any, valid: Callable[[np.ndarray], Any], expected: str) -> None:
    """Refuse a concrete parameter that is not `valid`, naming the first such entry; traced ones cannot be looked at."""
    known = concrete(value)
    if known is not None and not np.all(valid(known)):
        index = np.unravel_index(np.argmin(valid(known)), known.shape)
        where = f" at index {tuple(map(int, index))}" if index else ""
        raise ValueError(f"{profile}: {name} must be {expected}, got {known[index]}{where}")


class SphericalHalo(MassProfile):
    """A halo whose lens depends on the radius in scale radii, on the scale of its core and on its truncation.

    kappa = kappa_s k(x),   alpha = kappa_s r_s a(x),   psi = kappa_s r_s^2 p(x),   x = R/r_s,   psi(0) = 0
    """

    kappa_s: eqx.AbstractVar[Float[Array, "..."]]
    scale_radius: eqx.AbstractVar[Float[Array, "..."]]
    truncation_radius: eqx.AbstractVar[Float[Array, "..."]]
    center_x: eqx.AbstractVar[Float[Array, "..."]]
    center_y: eqx.AbstractVar[Float[Array, "..."]]

    @property
    @abc.abstractmethod
    def lens(self) -> CoredLens:
        """Half of k, m and a quarter of p as functions of radius, core and truncation in scale radii."""

    @property
    @abc.abstractmethod
    def core_fraction(self) -> Float[Array, "..."]:
        """The scale of the core in scale radii."""

    @abc.abstractmethod
    def discs(self) -> tuple[Float[Array, "discs *halos"], Float[Array, "*halos"]]:
        """The halo as Plummer discs (plummer.py): masses over `4 pi rho_s r_s^3`, and their reach in scale radii."""

    @property
    def total_mass(self) -> Float[Array, "..."]:
        """All mass, `4 pi rho_s r_s^3 m(inf)`, as the squared Einstein radius of the point of that mass, arcsec^2."""
        mass = self.lens.total_mass(self.core_fraction, self.truncation_fraction)
        return 4.0 * self.kappa_s * self.scale_radius**2 * mass

    @property
    def truncation_fraction(self) -> Float[Array, "..."]:
        """The truncation radius in scale radii; may be infinite."""
        truncated = self.truncation_radius < jnp.inf
        tau = jnp.where(truncated, self.truncation_radius, self.scale_radius) / self.scale_radius
        return jnp.where(truncated, tau, jnp.inf)

    def _offset(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Offset from the centre in scale radii, and its length."""
        dx, dy = (x - self.center_x) / self.scale_radius, (y - self.center_y) / self.scale_radius
        return dx, dy, jnp.sqrt(jnp.maximum(dx * dx + dy * dy, _SMALLEST_RADIUS**2))

    def deflection(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        dx, dy, radius = self._offset(x, y)
        mass = self.lens.mass(radius, self.core_fraction, self.truncation_fraction)
        slope = 4.0 * self.kappa_s * self.scale_radius * (mass / radius / radius)
        return slope * dx, slope * dy

    def convergence(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        _, _, radius = self._offset(x, y)
        return 2.0 * self.kappa_s * self.lens.density(radius, self.core_fraction, self.truncation_fraction)

    def potential(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        _, _, radius = self._offset(x, y)
        quarter = self.lens.potential(radius, self.core_fraction, self.truncation_fraction)
        return 4.0 * self.kappa_s * self.scale_radius**2 * quarter
