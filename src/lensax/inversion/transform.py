r"""From a source-plane coordinate to a share of the mesh: smooth, strictly increasing functions of one coordinate.

An adaptive mesh puts its cells where the traced points are. The rank of a coordinate among the points does that, but
it is not differentiable where points coincide, and a staircase elsewhere. `KernelCDF` replaces the rank by the
distribution function of the points smoothed with a Gaussian, computed on a fixed number of nodes:

    u_i = (x_i - low) / (high - low)                   low, high: smooth bounds of the points
    c_k = sum_i w_i B3(u_i / d - k)                    deposit on nodes of distance d with cubic B-splines
    c  <- G c                                          Gaussian of variance h^2 - 2/3 d^2, h = bandwidth / cells
    V(x) = sum_k c_k int_{-inf}^{u/d} B3(t - k) dt     read with integrated cubic B-splines
    U(x) = (1 - floor) (V(x) - V(low)) / (V(high) - V(low)) + floor u

Deposit and reading carry d^2 / 3 of variance each, hence the 2/3. Nothing is sorted and nothing is divided by a gap
between points: coincident points add. U is C2 in the points and C3 in the coordinate that is read, and plain automatic
differentiation of it is exact.
"""

import abc
import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jax.scipy.special import logsumexp

from lensax._types import Array, Float, Scalar
from lensax.inversion.bspline import consecutive, cubic_integrals, floor_beside, spline_weights

__all__ = ["KernelCDF", "LinearTransform", "Transform", "soft_bounds"]

# Temperature of the soft bounds in standard deviations of the points, and the least spread, in arcsec, that counts:
# points that all coincide still span an interval.
_TEMPERATURE = 0.01
_LEAST_SPREAD = 1e-6
# The nodes extend beyond the bounds by this many bandwidths, where nothing of a kernel is left.
_PAD_BANDWIDTHS = 6
# Halvings of the interval that invert a transform, in float64.
_HALVINGS = 60


def soft_bounds(x: Float[Array, " points"]) -> tuple[Scalar, Scalar]:
    """A smooth interval that contains all points, `-+ T logsumexp(-+ x / T)` with T a hundredth of their deviation.

    The bounds max(x), min(x) have a kink where another point becomes the outermost; these have none.
    """
    temperature = _TEMPERATURE * jnp.sqrt(jnp.var(x) + _LEAST_SPREAD**2)
    return -temperature * logsumexp(-x / temperature), temperature * logsumexp(x / temperature)


class Transform(eqx.Module):
    """A strictly increasing function from a coordinate in arcsec to the share of the mesh below it, 0 to 1."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The share of the mesh below `x`; below 0 and above 1 outside of it."""

    @abc.abstractmethod
    def inverse(self, share: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The coordinate in arcsec at which `share` of the mesh lies below."""


@final
class LinearTransform(Transform):
    """Cells of one size: `U(x) = (x - low) / (high - low)`.

    Args:
        low, high: where the mesh begins and ends, arcsec.
    """

    low: Scalar
    high: Scalar

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The share of the mesh below `x`."""
        return (x - self.low) / (self.high - self.low)

    def inverse(self, share: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The coordinate at which `share` of the mesh lies below."""
        return self.low + share * (self.high - self.low)


@final
class KernelCDF(Transform):
    """The smoothed distribution function of weighted points (formula at the head of this module).

    Args:
        x: the points, arcsec; any of them may coincide.
        weights: their weights, not negative; normalised here.
        cells: cells of the mesh along this coordinate.
        nodes: number of nodes; with 128 the distance to the sum of Gaussian distribution functions is below 1e-6.
        bandwidth: deviation of the Gaussian in mean cells (`1 / cells` of the bounds).
        floor: share of a uniform mesh that is mixed in: no cell is longer than `(high - low) / (cells floor)`.

    Raises:
        ValueError: nodes too few for the bandwidth.
    """

    low: Scalar
    high: Scalar
    counts: Float[Array, " padded"]
    below: Float[Array, " padded"]
    ends: Float[Array, "2"]
    nodes: int = eqx.field(static=True)
    pad: int = eqx.field(static=True)
    floor: float = eqx.field(static=True)

    def __init__(
        self,
        x: Float[Array, " points"],
        weights: Float[Array, " points"],
        cells: int,
        nodes: int = 128,
        bandwidth: float = 1.0,
        floor: float = 0.05,
    ) -> None:
        spacing, width = 1 / (nodes - 1), bandwidth / cells
        variance = width**2 - 2 / 3 * spacing**2
        if variance <= 0:
            raise ValueError(
                f"KernelCDF: {nodes} nodes are too few for a bandwidth of {bandwidth:g} of {cells} cells; "
                f"expected at least {math.ceil(math.sqrt(2 / 3) / width) + 2}"
            )
        self.nodes, self.floor = nodes, floor
        self.pad = math.ceil(_PAD_BANDWIDTHS * width / spacing) + 4
        self.low, self.high = soft_bounds(x)
        padded = nodes + 2 * self.pad
        first, taps = spline_weights(self._node(x), 3)
        share = weights / jnp.sum(weights)
        deposit = jnp.zeros(padded, x.dtype).at[consecutive(first, 4)].add(share[:, None] * taps)
        offset = np.arange(padded)[:, None] - np.arange(padded)[None, :]
        gaussian = np.exp(-0.5 * (offset * spacing) ** 2 / variance)
        self.counts = jnp.asarray(gaussian / gaussian[padded // 2].sum(), x.dtype) @ deposit
        self.below = jnp.cumsum(self.counts) - self.counts
        self.ends = self._read(self._node(jnp.stack([self.low, self.high])))

    def _node(self, x: Array) -> Array:
        """Position in nodes, those of the padding included."""
        return (x - self.low) / (self.high - self.low) * (self.nodes - 1) + self.pad

    def _read(self, node: Array) -> Array:
        """The distribution function, before it is normalised to the bounds."""
        node = jnp.clip(node, 1, self.nodes + 2 * self.pad - 3)
        floor = jnp.clip(floor_beside(node), 1, self.nodes + 2 * self.pad - 3)
        first = floor.astype(jnp.int32) - 1
        total = self.below.at[first].get(mode="promise_in_bounds")
        # One by one: side by side in an array they would have to be written and read again.
        for place, integral in enumerate(cubic_integrals(node - floor)):
            total = total + self.counts.at[first + place].get(mode="promise_in_bounds") * integral
        return total

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The share of the mesh below `x`."""
        uniform = (x - self.low) / (self.high - self.low)
        adapted = (self._read(self._node(x)) - self.ends[0]) / (self.ends[1] - self.ends[0])
        return (1 - self.floor) * adapted + self.floor * uniform

    def inverse(self, share: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The coordinate at which `share` of the mesh lies below; beyond the ends, mirrored at them.

        Found by bisection; one Newton step outside of it carries the derivative.
        """
        mirrored = jnp.where(share < 0, -share, jnp.where(share > 1, 2 - share, share))
        fixed = jax.tree.map(stop_gradient, self)

        def halve(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
            below, above = bracket
            middle = 0.5 * (below + above)
            left = fixed(middle) < stop_gradient(mirrored)
            return jnp.where(left, middle, below), jnp.where(left, above, middle)

        ends = jnp.full_like(mirrored, fixed.low), jnp.full_like(mirrored, fixed.high)
        below, above = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
        x = stop_gradient(0.5 * (below + above))
        _, slope = jax.jvp(fixed, (x,), (jnp.ones_like(x),))
        inside = x - (self(x) - mirrored) / stop_gradient(slope)
        return jnp.where(share < 0, 2 * self.low - inside, jnp.where(share > 1, 2 * self.high - inside, inside))
