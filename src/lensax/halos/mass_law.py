r"""Sampling masses from a piecewise power law.

Between the nodes of a grid in ln M the logarithm of the rate `dN/dlnM` is linear, so that number, inverse cumulative
distribution and their derivatives are closed forms: 12 nodes per decade hold a mass function to 1e-4. Numbers are
counted from the top of the range, where halos are few: float32 then resolves the most massive ones.
"""

from typing import final

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Float, Scalar

_SMALL = 1e-3


def _mean_exponential(s: Array) -> Array:
    """`(e^s - 1) / s`, the mean of `e^(s t)` over t in [0, 1], safe at s = 0."""
    small = jnp.abs(s) < _SMALL
    safe = jnp.where(small, 1.0, s)
    return jnp.where(small, 1 + s * (0.5 + s / 6), jnp.expm1(safe) / safe)


def _from_top(fraction: Array, s: Array) -> Array:
    """Solve `int_(1-y)^1 e^(s t) dt = fraction int_0^1 e^(s t) dt` for y in [0, 1]."""
    small = jnp.abs(s) < _SMALL
    safe = jnp.where(small, 1.0, s)
    y = -jnp.log1p(fraction * jnp.expm1(-safe)) / safe
    return jnp.where(small, fraction - 0.5 * s * fraction * (1 - fraction), y)


@final
class MassLaw(eqx.Module):
    r"""A rate `dN/dlnM` between two masses, for several planes.

    Args:
        log_mass: uniform grid of ln(M / Msun), `(n_nodes,)`.
        log_rate: ln(dN/dlnM) at the nodes, `(n_planes, n_nodes)`.
        low, high: ln of the lowest and the highest mass, inside the grid.
    """

    log_mass: Float[Array, " nodes"]
    log_rate: Float[Array, "planes nodes"]
    low: Scalar
    high: Scalar

    @property
    def _step(self) -> Array:
        return (self.log_mass[-1] - self.log_mass[0]) / (self.log_mass.shape[0] - 1)

    @property
    def _above(self) -> Array:
        """Number above each node, `(n_planes, n_nodes)`, and 0 above the last."""
        slope = jnp.diff(self.log_rate, axis=-1)
        cells = self._step * jnp.exp(self.log_rate[:, :-1]) * _mean_exponential(slope)
        above = jnp.cumsum(cells[:, ::-1], axis=-1)[:, ::-1]
        return jnp.concatenate([above, jnp.zeros_like(above[:, :1])], axis=-1)

    def log_rate_at(self, log_mass: Float[Array, "..."]) -> Float[Array, "planes ..."]:
        """ln(dN/dlnM) on every plane at masses of any shape."""
        cell, fraction = self._locate(log_mass)
        low, high = self.log_rate[:, cell], self.log_rate[:, cell + 1]
        return low + fraction * (high - low) if log_mass.ndim == 0 else low + fraction[None] * (high - low)

    def log_rate_of(self, log_mass: Float[Array, "planes slots"]) -> Float[Array, "planes slots"]:
        """ln(dN/dlnM) at masses of halos that stand on a plane each."""
        cell, fraction = self._locate(log_mass)
        low = jnp.take_along_axis(self.log_rate, cell, axis=1)
        return low + fraction * (jnp.take_along_axis(self.log_rate, cell + 1, axis=1) - low)

    def _locate(self, log_mass: Array) -> tuple[Array, Array]:
        position = (log_mass - self.log_mass[0]) / self._step
        cell = jnp.clip(jnp.floor(position), 0, self.log_mass.shape[0] - 2).astype(jnp.int32)
        return cell, jnp.clip(position - cell.astype(position.dtype), 0, 1)

    def _number_above(self, above: Array, log_mass: Scalar) -> Float[Array, " planes"]:
        cell, fraction = self._locate(log_mass)
        low = self.log_rate[:, cell]
        slope = self.log_rate[:, cell + 1] - low
        rest = 1 - fraction
        partial = self._step * jnp.exp(low + slope * fraction) * rest * _mean_exponential(slope * rest)
        return above[:, cell + 1] + partial

    def number(self) -> Float[Array, " planes"]:
        """Expected number between `low` and `high` on each plane."""
        above = self._above
        return self._number_above(above, self.low) - self._number_above(above, self.high)

    def sample(self, uniform: Float[Array, "planes slots"]) -> Float[Array, "planes slots"]:
        """ln(M) with the law's distribution, from uniform numbers in [0, 1): 0 is the highest mass.

        Differentiable in everything that shapes the law: the number of halos above a sampled mass stays what it is.
        """
        above = self._above
        top, bottom = self._number_above(above, self.high), self._number_above(above, self.low)
        target = top[:, None] + uniform * (bottom - top)[:, None]
        n_cells = above.shape[-1] - 1
        # above falls with mass: the cell is the last one whose lower node still has `target` above it.
        cell = jnp.sum(above[:, None, 1:-1] >= target[..., None], axis=-1).astype(jnp.int32)
        cell = jnp.clip(cell, 0, n_cells - 1)
        upper = jnp.take_along_axis(above, cell + 1, axis=-1)
        content = jnp.take_along_axis(above, cell, axis=-1) - upper
        slope = jnp.take_along_axis(jnp.diff(self.log_rate, axis=-1), cell, axis=-1)
        filled = content > 0
        fraction = jnp.where(filled, (target - upper) / jnp.where(filled, content, 1.0), 0.0)
        y = _from_top(jnp.clip(fraction, 0.0, 1.0), slope)
        log_mass = self.log_mass[0] + self._step * (cell.astype(y.dtype) + 1 - y)
        return jnp.clip(log_mass, self.low, self.high)
