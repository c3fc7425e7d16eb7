"""The halos' mean deflection, which needs no interpolation."""

import jax.numpy as jnp

from lensax._types import Array, Float
from lensax.raytrace.exact import Visited

__all__ = ["typical_convergence", "without_sheets"]

# Nodes along each axis that the median is taken of.
_SAMPLE = 12


def typical_convergence(visited: Visited) -> Float[Array, " planes"]:
    """Median convergence of the halos of every plane, away from the dense ones.

    From differences between neighbouring nodes, `K = dA (d theta)^-1` and `kappa = tr K / 2`, with the differences
    along both axes of the image as columns; over a sample of the nodes, a median being a sort.

    Args:
        visited: nodes on every plane, leaves (n_planes, m_y, m_x).
    """

    _, m_y, m_x = visited.x.shape
    sample = slice(None), slice(None, None, -(-m_y // _SAMPLE)), slice(None, None, -(-m_x // _SAMPLE))

    def steps(values: Array) -> tuple[Array, Array]:
        return jnp.diff(values, axis=2)[:, 1:][sample], jnp.diff(values, axis=1)[:, :, 1:][sample]

    (x_1, x_2), (y_1, y_2) = steps(visited.x), steps(visited.y)
    (a_1, a_2), (b_1, b_2) = steps(visited.alpha_x), steps(visited.alpha_y)
    determinant = x_1 * y_2 - x_2 * y_1
    twice = (a_1 * y_2 - a_2 * y_1) + (b_2 * x_1 - b_1 * x_2)
    regular = determinant != 0
    convergence = jnp.where(regular, 0.5 * twice / jnp.where(regular, determinant, 1), 0)
    return jnp.median(convergence.reshape(convergence.shape[0], -1), axis=1)


def without_sheets(visited: Visited, convergence: Float[Array, " planes"]) -> Visited:
    """The same nodes with the deflection of a uniform sheet on every plane taken off.

    That of the sheet is exact on every ray, however torn the map to its plane is; only the rest must be interpolated.
    """
    sheet = convergence[:, None, None]
    rest_x, rest_y = visited.alpha_x - sheet * visited.x, visited.alpha_y - sheet * visited.y
    return Visited(visited.x, visited.y, rest_x, rest_y)
