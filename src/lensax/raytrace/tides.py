"""What the interpolated halos do to a ray that is not where interpolation takes it to be.

A halo that is corrected exactly kicks the rays beside it, and the centre of a cuspy lens parts them: on later planes
they meet the smooth field elsewhere than at the place that it is interpolated for. To first order in that distance the
difference is told by the tidal tensor of the field, one for each tile and plane.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array, Float

__all__ = ["Tensor", "Tides", "tidal_tensor"]

# Where nodes of a tile fall on a line, at a fold, nothing is known across it: widths below this share of the larger one
# are taken as unknown.
_DEGENERATE = 0.05


class Tensor(eqx.Module):
    """Symmetric 2 x 2 tensors."""

    xx: Float[Array, "*shape"]
    xy: Float[Array, "*shape"]
    yy: Float[Array, "*shape"]

    def __matmul__(self, vector: tuple[Array, Array]) -> tuple[Array, Array]:
        x, y = vector
        return self.xx * x + self.xy * y, self.xy * x + self.yy * y

    def __getitem__(self, index: Any) -> "Tensor":
        return Tensor(self.xx[index], self.xy[index], self.yy[index])


def tidal_tensor(x: Float[Array, "*tiles 4"], y: Float[Array, "*tiles 4"], alpha_x: Array, alpha_y: Array) -> Tensor:
    """d alpha / d theta over tiles, from their corners.

        K = dA U^T (U U^T + eps)^-1,    U = (mean step along the columns, along the rows),

    made symmetric, as the deflection of a plane is a gradient.

    Args:
        x, y: positions of the corners on the plane, (lower left, lower right, upper left, upper right), arcsec.
        alpha_x, alpha_y: deflections there, arcsec.
    """

    def steps(values: Array) -> tuple[Array, Array]:
        left_low, right_low, left_high, right_high = (values[..., i] for i in range(4))
        along = 0.5 * (right_low + right_high - left_low - left_high)
        return along, 0.5 * (left_high + right_high - left_low - right_low)

    (x_1, x_2), (y_1, y_2), (a_1, a_2), (b_1, b_2) = (steps(values) for values in (x, y, alpha_x, alpha_y))
    xx, xy, yy = x_1**2 + x_2**2, x_1 * y_1 + x_2 * y_2, y_1**2 + y_2**2
    # Large enough for the square of its inverse, which derivatives have.
    smallest = _DEGENERATE**2 * (xx + yy) + jnp.finfo(x.dtype).tiny ** 0.25
    xx, yy = xx + smallest, yy + smallest
    scale = 1 / (xx * yy - xy * xy)
    a_x, a_y = a_1 * x_1 + a_2 * x_2, a_1 * y_1 + a_2 * y_2
    b_x, b_y = b_1 * x_1 + b_2 * x_2, b_1 * y_1 + b_2 * y_2
    off = 0.5 * ((a_y * xx - a_x * xy) + (b_x * yy - b_y * xy))
    return Tensor(scale * (a_x * yy - a_y * xy), scale * off, scale * (b_y * xx - b_x * xy))


class Tides(eqx.Module):
    """How a kick on each plane of a run, or a displaced start, changes rays, with the tides of the planes after it.

    With `theta_j = a_j theta_0 + b_j v_0` (see `Transfer`), a displacement d on plane j is a kick `-kick_j K_j d`. To
    first order in K a kick dv on plane i does what these changes of the start would do,

        d theta_0 = [-b_i + a_i S_bb - b_i S_ab] dv,    d v_0 = [a_i - a_i S_ab + b_i S_aa] dv,
        S_pq = sum over j > i of kick_j p_j q_j K_j,

    and a displaced start (d_theta, d_v) what these further changes would do,

        S_ab d_theta + S_bb d_v,    -S_aa d_theta - S_ab d_v,    the sums over all planes.

    Attributes:
        theta, v: the brackets for each plane and tile, leaves (n_planes, n_tiles).
        aa, ab, bb: the sums over all planes, leaves (n_tiles,).
    """

    theta: Tensor
    v: Tensor
    aa: Tensor
    ab: Tensor
    bb: Tensor

    @classmethod
    def of(cls, tensor: Tensor, arrival: Float[Array, "planes 2"], kick: Float[Array, " planes"]) -> "Tides":
        """From the tensors of the planes, leaves (n_planes, n_tiles)."""
        a, b, kick = arrival[:, :1], arrival[:, 1:], kick[:, None]
        weight = kick[None] * jnp.stack([a * a, a * b, b * b])
        parts = weight[:, None] * jnp.stack([tensor.xx, tensor.xy, tensor.yy])[None]
        after = jnp.asarray(np.triu(np.ones((parts.shape[2],) * 2), 1), parts.dtype)
        later = jnp.einsum("ij,pcjt->pcit", after, parts, precision=lax.Precision.HIGHEST)
        later_aa, later_ab, later_bb = (Tensor(*later[i]) for i in range(3))
        aa, ab, bb = (Tensor(*parts[i].sum(1)) for i in range(3))

        def combined(unit: Array, p: Array, first: Tensor, q: Array, second: Tensor) -> Tensor:
            return Tensor(
                unit + p * first.xx + q * second.xx, p * first.xy + q * second.xy, unit + p * first.yy + q * second.yy
            )

        return cls(combined(-b, a, later_bb, -b, later_ab), combined(a, -a, later_ab, b, later_aa), aa, ab, bb)

    def displaced(
        self, theta: tuple[Array, Array], v: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """The further changes (theta_x, theta_y), (v_x, v_y) of a displaced start, each (n_tiles, n_rays)."""
        aa, ab, bb = (tensor[:, None] for tensor in (self.aa, self.ab, self.bb))
        by_theta, by_v = zip(ab @ theta, bb @ v), zip(aa @ theta, ab @ v)
        d_x, d_y = (p + q for p, q in by_theta)
        v_x, v_y = (-p - q for p, q in by_v)
        return (d_x, d_y), (v_x, v_y)
