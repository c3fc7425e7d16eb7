"""Tables in redshift and ln(mass): made on the host, read inside compiled code."""

from typing import final

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Float, real


@final
class MassRedshiftTable(eqx.Module):
    """A function of redshift and ln(M / Msun) on a uniform grid.

    Between the nodes it is linear in ln M and the cubic through the four nearest nodes in redshift: planes may move.

    Args:
        redshift_range: first and last redshift of the grid, `(2,)`.
        log_mass_range: first and last ln(M), `(2,)`.
        values: `(n_redshifts, n_masses)`, at least four redshifts.
    """

    redshift_range: Float[Array, " 2"] = real()
    log_mass_range: Float[Array, " 2"] = real()
    values: Float[Array, "redshifts masses"] = real()

    @property
    def log_mass(self) -> Float[Array, " masses"]:
        """The grid of ln(M), `(n_masses,)`."""
        steps = jnp.linspace(0.0, 1.0, self.values.shape[1], dtype=self.values.dtype)
        return self.log_mass_range[0] + steps * (self.log_mass_range[1] - self.log_mass_range[0])

    def rows(self, redshift: Float[Array, " planes"]) -> Float[Array, "planes masses"]:
        """The function of mass at these redshifts; outside the grid, that of its edge."""
        first, weights = _cubic(redshift, self.redshift_range, self.values.shape[0])
        return sum((w[:, None] * self.values[first + i] for i, w in enumerate(weights)), jnp.zeros((), redshift.dtype))

    def at(
        self, redshift: Float[Array, " planes"], log_mass: Float[Array, "planes slots"]
    ) -> Float[Array, "planes slots"]:
        """The function at masses `(n_planes, n_slots)` of halos on planes at these redshifts."""
        rows = self.rows(redshift)
        cell, fraction = _position(log_mass, self.log_mass_range, self.values.shape[1])
        low, high = jnp.take_along_axis(rows, cell, axis=-1), jnp.take_along_axis(rows, cell + 1, axis=-1)
        return low + fraction * (high - low)

    def at_each(
        self, redshift: Float[Array, "planes slots"], log_mass: Float[Array, "planes slots"]
    ) -> Float[Array, "planes slots"]:
        """The function for halos that have a redshift each."""
        first, weights = _cubic(redshift, self.redshift_range, self.values.shape[0])
        cell, fraction = _position(log_mass, self.log_mass_range, self.values.shape[1])
        found = jnp.zeros_like(log_mass)
        for i, w in enumerate(weights):
            low, high = self.values[first + i, cell], self.values[first + i, cell + 1]
            found = found + w * (low + fraction * (high - low))
        return found


def cubic_table(
    value: Float[Array, "*shape"], ends: tuple[float, float], table: Float[Array, " nodes"]
) -> Float[Array, "*shape"]:
    """A function tabulated on a uniform grid between `ends`, by the cubic through the four nearest nodes."""
    first, weights = _cubic(value, jnp.asarray(ends, value.dtype), table.shape[0])
    return sum((w * table[first + i] for i, w in enumerate(weights)), jnp.zeros_like(value))


def _cubic(value: Array, ends: Array, nodes: int) -> tuple[Array, tuple[Array, ...]]:
    """The first of the four nodes, and Lagrange's weights of all four."""
    cell, fraction = _position(value, ends, nodes)
    first = jnp.clip(cell - 1, 0, nodes - 4)
    t = fraction + (cell - first).astype(fraction.dtype)  # 0 to 3 over the four nodes
    a, b, c, d = t, t - 1, t - 2, t - 3
    return first, (-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6)


def _position(value: Array, ends: Array, nodes: int) -> tuple[Array, Array]:
    position = (value - ends[0]) * ((nodes - 1) / (ends[1] - ends[0]))
    cell = jnp.clip(jnp.floor(position), 0, nodes - 2).astype(jnp.int32)
    return cell, jnp.clip(position - cell.astype(position.dtype), 0, 1)
