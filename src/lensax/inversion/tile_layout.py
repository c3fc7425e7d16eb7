"""The shapes of an assembly tile by tile: what a tile needs of the window, and for how many columns it is compiled."""

from dataclasses import dataclass

from lensax._types import Array

__all__ = ["TileLayout"]

# Sizes of a tile's set of columns: each this much larger than the one before.
_SMALLEST, _GROWTH = 96, 1.45
# Columns that are kept for the way back, for each tile on average, of all coefficients; others are made again.
_KEPT_SHARE = 0.35
# Rows of a tile that are blurred by one matrix product: more rows multiply more zeros, fewer copy more.
_BLUR_ROWS = 6


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
        single: whether to blur in float32.
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

    def inputs(self, outputs: tuple[int, int]) -> tuple[int, int]:
        """Samples that so many blurred pixels need."""
        rows, columns = ((n - 1) * self.sampling + k for n, k in zip(outputs, self.kernel))
        return rows, columns

    def window_start(self, tile: Array) -> list[Array]:
        """First sample of the window that a tile needs."""
        return [tile[i] * self.sampling + self.start[i] for i in (0, 1)]

    @property
    def blur_rows(self) -> int:
        """The largest divisor of the rows of a tile's output that is at most `_BLUR_ROWS`."""
        return max(n for n in range(1, _BLUR_ROWS + 1) if self.output[0] % n == 0)

    @property
    def n_cells(self) -> int:
        """Coefficients of the source."""
        return self.mesh[0] * self.mesh[1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of columns for which there is a program."""
        sizes, size = [], float(_SMALLEST)
        while 1.3 * size < self.n_cells:  # a program for less than that is not worth compiling
            sizes.append(int(size))
            size *= _GROWTH
        return (*sizes, self.n_cells)

    def kept_columns(self, n_tiles: int) -> int:
        """Columns of all tiles together for which there is room."""
        return n_tiles * min(self.n_cells, max(_SMALLEST, int(_KEPT_SHARE * self.n_cells)))
