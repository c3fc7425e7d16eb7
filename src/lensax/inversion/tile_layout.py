"""The shapes of an assembly tile by tile: what a tile needs of the window, and how its columns are cut up."""

import math
from dataclasses import dataclass

from lensax._types import Array

__all__ = ["TileLayout"]

# Columns of a tile that are done at once.
_CHUNK = 128
# Columns that are kept for the way back, for each tile on average, of all coefficients; others are made again.
_KEPT_SHARE = 0.5


@dataclass(frozen=True)
class TileLayout:
    """What is known when compiling.

    Attributes:
        tile: rows and columns of a tile.
        reach: pixels at which the noise is correlated.
        sampling: samples of the PSF per pixel and axis.
        start: first sample of the window that the first tile needs.
        kernel: rows and columns of the PSF.
        mesh: cells along y and x.
        degree: of the splines.
        single: whether to blur and whiten in float32.
    """

    tile: int
    reach: int
    sampling: int
    start: tuple[int, int]
    kernel: tuple[int, int]
    mesh: tuple[int, int]
    degree: int
    single: bool

    @property
    def output(self) -> tuple[int, int]:
        """Blurred pixels that a tile needs."""
        return self.tile + self.reach, self.tile + 2 * self.reach

    @property
    def inputs(self) -> tuple[int, int]:
        """Samples, rows and columns, that blur into the pixels of a tile."""
        rows, columns = ((n - 1) * self.sampling + k for n, k in zip(self.output, self.kernel))
        return rows, columns

    @property
    def n_samples(self) -> int:
        """Number of these samples."""
        return self.inputs[0] * self.inputs[1]

    def window_start(self, tile: Array) -> list[Array]:
        """First sample of the window that a tile needs."""
        return [tile[i] * self.sampling + self.start[i] for i in (0, 1)]

    @property
    def n_cells(self) -> int:
        """Coefficients of the source."""
        return self.mesh[0] * self.mesh[1]

    @property
    def chunk_size(self) -> int:
        """Columns of a chunk."""
        return min(_CHUNK, self.n_cells)

    @property
    def n_chunks(self) -> int:
        """Chunks that hold all coefficients."""
        return -(-self.n_cells // self.chunk_size)

    def kept_chunks(self, n_tiles: int) -> int:
        """Chunks of all tiles together for which there is room."""
        return n_tiles * math.ceil(_KEPT_SHARE * self.n_chunks)
