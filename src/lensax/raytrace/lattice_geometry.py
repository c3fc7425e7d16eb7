"""The lattice of node rays, the tiles of the frame, and the interpolation from one to the other."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array, Float

if TYPE_CHECKING:
    from lensax.instrument.grid import Grid

__all__ = ["MARGIN", "Geometry", "TileLevel"]

# Cubic interpolation: four nodes along each axis, one of them outside of the cell on either side.
ORDER = 3
MARGIN = (ORDER - 1) // 2


class TileLevel(NamedTuple):
    """The tiles that hold pixels of one over-sampling factor.

    Attributes:
        factor: rays per pixel and axis.
        tiles: indices of the tiles, (n_tiles,).
        coverage: share of each tile's pixels that belong to the level, (n_tiles,).
    """

    factor: int
    tiles: np.ndarray
    coverage: np.ndarray


@dataclass(frozen=True)
class Geometry:
    """Static choices of the lattice: square tiles of whole pixels that cover the frame, `cells` node cells along each.

    The first tile starts at the lower left corner of the frame; the last ones may reach beyond the opposite edges.
    """

    grid: "Grid"
    tile_pixels: int
    cells: int

    @property
    def spacing(self) -> float:
        """Distance of neighbouring nodes, arcsec."""
        return self.tile_pixels * self.grid.pixel_scale / self.cells

    @property
    def stencil(self) -> int:
        """Nodes per axis that the rays of a tile are interpolated from."""
        return self.cells + ORDER

    @property
    def tiles(self) -> tuple[int, int]:
        """Tiles along y and x."""
        n_y, n_x = self.grid.shape
        return -(-n_y // self.tile_pixels), -(-n_x // self.tile_pixels)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return math.prod(self.tiles)

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return math.prod(self.grid.shape)

    @property
    def node_shape(self) -> tuple[int, int]:
        """Nodes along y and x, the margin included."""
        t_y, t_x = self.tiles
        return t_y * self.cells + 1 + 2 * MARGIN, t_x * self.cells + 1 + 2 * MARGIN

    def _origin(self, axis: int) -> float:
        return -0.5 * self.grid.shape[axis] * self.grid.pixel_scale

    def nodes(self, dtype: Any) -> tuple[Float[Array, "m_y m_x"], Float[Array, "m_y m_x"]]:
        """x and y of the node rays in the image plane, arcsec."""
        y, x = ((np.arange(n) - MARGIN) * self.spacing + self._origin(axis) for axis, n in enumerate(self.node_shape))
        return (
            jnp.broadcast_to(jnp.asarray(x, dtype)[None, :], self.node_shape),
            jnp.broadcast_to(jnp.asarray(y, dtype)[:, None], self.node_shape),
        )

    def stencils(self, nodes: Float[Array, "m_y m_x"]) -> Float[Array, "tiles n n"]:
        """The node values that each tile interpolates from: strided slices, no gather."""
        t_y, t_x = self.tiles
        n, step = self.stencil, self.cells

        def cut(values: Array, axis: int, count: int) -> Array:
            parts = [lax.slice_in_dim(values, i, i + step * (count - 1) + 1, step, axis) for i in range(n)]
            return jnp.stack(parts, axis + 1)

        return cut(cut(nodes, 0, t_y), 2, t_x).swapaxes(1, 2).reshape(t_y * t_x, n, n)

    def extreme(
        self, larger: Callable[[Array, Array], Array], values: Float[Array, "m_y m_x"], rows: range, columns: range
    ) -> Float[Array, " tiles"]:
        """`larger` (or smaller) of the lattice's values within each tile: strided slices, no gather.

        Args:
            larger: `jnp.maximum` or `jnp.minimum`.
            values: on the nodes, or differences between them.
            rows, columns: which of them count, from the first node of the tile's stencil.
        """
        (t_y, t_x), step = self.tiles, self.cells

        def along(values: Array, axis: int, part: range, count: int) -> Array:
            cuts = [lax.slice_in_dim(values, i, i + step * (count - 1) + 1, step, axis) for i in part]
            return functools.reduce(larger, cuts)

        return along(along(values, 0, rows, t_y), 1, columns, t_x).reshape(-1)

    def boxes(self, nodes: Float[Array, "m_y m_x"]) -> tuple[Float[Array, " tiles"], Float[Array, " tiles"]]:
        """Smallest and largest node value over the tile itself, for every tile."""
        inner = range(MARGIN, MARGIN + self.cells + 1)
        return self.extreme(jnp.minimum, nodes, inner, inner), self.extreme(jnp.maximum, nodes, inner, inner)

    def largest_third_difference(self, nodes: Float[Array, "m_y m_x"]) -> Float[Array, " tiles"]:
        """Sum of the largest third differences along both axes of each tile's stencil, absolute."""
        every, between = range(self.stencil), range(self.stencil - 3)
        along_y, along_x = (jnp.abs(jnp.diff(nodes, 3, axis=axis)) for axis in (0, 1))
        return self.extreme(jnp.maximum, along_y, between, every) + self.extreme(jnp.maximum, along_x, every, between)

    @cached_property
    def levels(self) -> tuple[TileLevel, ...]:
        """The tiles by over-sampling factor; a uniform grid has one level that holds them all."""
        t_x, n_x, p = self.tiles[1], self.grid.shape[1], self.tile_pixels
        found = []
        for factor, pixels, _ in self.grid.levels:
            rows, columns = np.divmod(pixels, n_x)
            tiles, counts = np.unique(rows // p * t_x + columns // p, return_counts=True)
            found.append(TileLevel(factor, tiles, counts / p**2))
        return tuple(found)

    def rays(self, level: TileLevel, dtype: Any) -> tuple[Float[Array, "tiles rays"], Float[Array, "tiles rays"]]:
        """x and y of the rays of a level's tiles in the image plane, arcsec, tile by tile and row by row."""
        side = self.tile_pixels * level.factor
        fine = self.grid.pixel_scale / level.factor
        row, column = np.divmod(level.tiles, self.tiles[1])
        part = np.arange(side)
        # Integers until the last step, as in the grid: the rays are the very same numbers.
        x, y = (
            (2 * (index[:, None] * side + part) - (self.grid.shape[axis] * level.factor - 1)) * (0.5 * fine)
            for axis, index in ((1, column), (0, row))
        )
        shape = (len(level.tiles), side, side)
        along_x, along_y = (jnp.asarray(a, dtype) for a in (x, y))
        return (
            jnp.broadcast_to(along_x[:, None, :], shape).reshape(shape[0], -1),
            jnp.broadcast_to(along_y[:, :, None], shape).reshape(shape[0], -1),
        )

    def weights(self, factor: int) -> np.ndarray:
        """Lagrange weights from the nodes of the stencil to the rays of any tile, (stencil^2, side^2)."""
        side = self.tile_pixels * factor
        at = (np.arange(side) + 0.5) * self.cells / side
        cell = np.minimum(at.astype(int), self.cells - 1)
        weights = np.zeros((side, self.stencil))
        for i in range(ORDER + 1):
            factors = [(at - cell + MARGIN - k) / (i - k) for k in range(ORDER + 1) if k != i]
            weights[np.arange(side), cell + i] = np.prod(factors, axis=0)
        return np.kron(weights, weights).T

    def to_grid(self, parts: list[Float[Array, "_ _"]]) -> Float[Array, "*grid"]:
        """Values of the rays of every level's tiles, in the order and shape of `grid.positions`."""
        if self.grid.uniform:
            (t_y, t_x), side = self.tiles, self.tile_pixels * self.levels[0].factor
            image = parts[0].reshape(t_y, t_x, side, side).swapaxes(1, 2).reshape(t_y * side, t_x * side)
            n_y, n_x = self.grid.ray_shape
            return image[:n_y, :n_x]
        flat = []
        p, t_x, n_x = self.tile_pixels, self.tiles[1], self.grid.shape[1]
        for values, level, pixels in zip(parts, self.levels, self.grid.levels):
            row, column = np.divmod(pixels.pixels, n_x)
            slot = np.searchsorted(level.tiles, row // p * t_x + column // p)
            f = level.factor
            blocks = values.reshape(len(level.tiles), p, f, p, f).transpose(0, 1, 3, 2, 4)
            flat.append(blocks[slot, row % p, column % p].reshape(-1))
        return jnp.concatenate(flat)
