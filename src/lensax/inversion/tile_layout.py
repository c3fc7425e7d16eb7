"""The shapes of an assembly tile by tile: what a tile needs of the window, and how its columns are cut up."""

import math
from dataclasses import dataclass

from lensax._types import Array

__all__ = ["TileLayout"]

# Columns of a tile that are done at once.
_CHUNK = 128
# Columns that are kept for the way back, for each tile on average: a lens shows a window this many times its share of
# the source, and of all coefficients at most half are kept; others are made again.
_FOLDED, _KEPT_SHARE = 4, 0.5


@dataclass(frozen=True)
class TileLayout:
    """What is known when compiling.

    Attributes:
        tiles: number of tiles.
        traced: samples of all pixels that are traced.
        tile: rows and columns of a tile.
        reach: pixels at which the noise is correlated.
        sampling: samples of the PSF per pixel and axis.
        start: first sample of the window that the first tile needs.
        kernel: rows and columns of the PSF.
        mesh: cells along y and x.
        degree: of the splines.
        single: whether to blur and whiten in float32.
    """

    tiles: int
    traced: int
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

    @property
    def kept_chunks(self) -> int:
        """Chunks of all tiles together for which there is room on the way back."""
        share = min(_KEPT_SHARE, _FOLDED * self.n_samples / self.traced)
        return self.tiles * math.ceil(share * self.n_chunks)
