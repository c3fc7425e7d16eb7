"""Which coefficients of a source a ray sees, and with which weights."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Int
from lensax.inversion.bspline import spline_weights

__all__ = ["Taps"]


@final
class Taps(eqx.Module):
    """The splines that each of some rays sees: `degree + 1` along either axis, their weights being a product.

    Rows and columns count in the mesh with a border of `degree + 1` cells around it, so that rays beyond the mesh see
    splines of the border, which have no coefficient: there the source ends, as smoothly as its splines.

    Attributes:
        row, column: first spline of each ray along y and x, counted with the border.
        along_y, along_x: the weights.
    """

    row: Int[Array, "*rays"]
    column: Int[Array, "*rays"]
    along_y: Float[Array, "*rays splines"]
    along_x: Float[Array, "*rays splines"]
    shape: tuple[int, int] = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    @classmethod
    def at(cls, z_x: Array, z_y: Array, shape: tuple[int, int], degree: int) -> "Taps":
        """The taps at positions in units of cells, spline (0, 0) at the origin."""
        border, reach = degree + 1, (degree + 1) / 2

        def along(z: Array, cells: int) -> tuple[Array, Array]:
            first, weights = spline_weights(jnp.clip(z, -reach, cells - 1 + reach), degree)
            return first + border, weights

        row, along_y = along(z_y, shape[0])
        column, along_x = along(z_x, shape[1])
        return cls(row, column, along_y, along_x, shape, degree)

    @property
    def border(self) -> int:
        """Cells around the mesh that have no coefficient."""
        return self.degree + 1

    @property
    def bordered(self) -> tuple[int, int]:
        """Rows and columns of the mesh with its border."""
        rows, columns = (n + 2 * self.border for n in self.shape)
        return rows, columns

    def bordered_index(self) -> Int[Array, "*rays taps"]:
        """Flat index of each tap in the mesh with its border, row by row."""
        first, part = self.row * self.bordered[1] + self.column, range(self.degree + 1)
        return jnp.stack([first + (i * self.bordered[1] + j) for i in part for j in part], -1)

    def index(self) -> Int[Array, "*rays taps"]:
        """Flat index of each tap among the coefficients; the number of coefficients where it has none."""
        n_y, n_x = self.shape
        numbers = np.pad(np.arange(n_y * n_x).reshape(n_y, n_x), self.border, constant_values=n_y * n_x)
        return jnp.asarray(numbers.ravel(), jnp.int32)[self.bordered_index()]

    def weights(self) -> Float[Array, "*rays taps"]:
        """Weight of each tap."""
        product = self.along_y[..., :, None] * self.along_x[..., None, :]
        return product.reshape(*product.shape[:-2], -1)

    def evaluate(self, coefficients: Float[Array, " cells"]) -> Float[Array, "*rays"]:
        """The source at each ray."""
        bordered = jnp.pad(coefficients.reshape(self.shape), self.border).ravel()
        return jnp.sum(bordered[self.bordered_index()] * self.weights(), -1)
