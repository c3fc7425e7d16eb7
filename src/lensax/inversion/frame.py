"""The pixels and rays of an inversion: what of an image is used, from where light blurs into it, and how it is cut up.

    image      the data, (n_y, n_x)
    core       the bounding box of the mask, made of whole tiles
    field      the core and `reach` pixels above, left and right of it, which correlated noise looks at
    window     the field and the half-width of the point spread function on every side, in samples of the PSF

Rays are traced from every pixel from which light reaches a pixel of the mask, also from beyond the image: light outside
of the mask blurs into it. All of this is known when a program is compiled.
"""

import functools
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, concrete
from lensax.instrument import Imaging
from lensax.instrument.kernel import Kernel

__all__ = ["Frame", "frame_of", "kernel_of"]


@final
class Frame(eqx.Module):
    """The pixels and rays of an inversion (parts of the image: see the head of this module).

    Attributes:
        mask: pixels of the core that are used, (rows, columns).
        pixels: row and column in the image of each traced pixel (may lie beyond it), those of the mask first.
        x, y: image positions of the rays in arcsec, (n_traced, rays per pixel); the rays of a pixel are sorted by
            sample, row by row.
        window_index: the traced pixel at each pixel of the window, n_traced where none is.
        tiles: first row and column in the core of each tile that has a pixel of the mask.
        shape: of the image.
        origin: row and column of the image at which the field begins (may be negative).
        core: rows and columns.
        reach: see above.
        tile: rows and columns of a tile.
        margin: pixels (rows, columns) from which light blurs into one.
        sampling: samples of the PSF per pixel and axis.
        over_sample: rays per pixel and axis.
        n_masked: number of pixels that are used.
        pixel_scale: arcsec.
    """

    mask: Any
    pixels: Any
    x: Any
    y: Any
    window_index: Any
    tiles: Any
    shape: tuple[int, int] = eqx.field(static=True)
    origin: tuple[int, int] = eqx.field(static=True)
    core: tuple[int, int] = eqx.field(static=True)
    reach: int = eqx.field(static=True)
    tile: int = eqx.field(static=True)
    margin: tuple[int, int] = eqx.field(static=True)
    sampling: int = eqx.field(static=True)
    over_sample: int = eqx.field(static=True)
    n_masked: int = eqx.field(static=True)
    pixel_scale: float = eqx.field(static=True)

    @property
    def n_traced(self) -> int:
        """Number of pixels whose rays are traced."""
        return self.pixels.shape[0]

    @property
    def field(self) -> tuple[int, int]:
        """Rows and columns of the field."""
        return self.core[0] + self.reach, self.core[1] + 2 * self.reach

    @property
    def pixel_area(self) -> float:
        """arcsec^2."""
        return self.pixel_scale**2

    def masked(self, rays: Float[Array, "traced rays"]) -> Float[Array, "masked rays"]:
        """The rays of the pixels that are used."""
        return rays[: self.n_masked]

    def window(self, rays: Array) -> Array:
        """Values of rays (n_traced, rays, ...) by sample of the window, (rows, columns, rays per sample, ...), or 0."""
        s = self.sampling
        per, rest = rays.shape[1] // s**2, rays.shape[2:]
        filled = jnp.concatenate([rays, jnp.zeros((1, *rays.shape[1:]), rays.dtype)])[self.window_index]
        rows, columns = self.window_index.shape
        split = filled.reshape(rows, columns, s, s, per, *rest)
        return jnp.swapaxes(split, 1, 2).reshape(rows * s, columns * s, per, *rest)

    def samples(self, rays: Float[Array, "traced rays"]) -> Float[Array, "rows columns"]:
        """The mean over the rays of each sample of the window."""
        return self.window(rays).mean(-1)

    def crop(self, image: Array, fill: float = 0.0) -> Array:
        """The field of an image (..., n_y, n_x), `fill` beyond the image."""
        rows, columns = self.field
        ends = tuple(max(0, o + n - size) for o, n, size in zip(self.origin, (rows, columns), self.shape))
        starts = tuple(max(0, -o) for o in self.origin)
        lead = [(0, 0)] * (image.ndim - 2)
        padded = jnp.pad(image, [*lead, *zip(starts, ends)], constant_values=fill)
        top, left = (o + start for o, start in zip(self.origin, starts))
        return padded[..., top : top + rows, left : left + columns]

    def place(self, core: Float[Array, "*lead rows columns"]) -> Float[Array, "*lead n_y n_x"]:
        """An image with the used pixels of the core and 0 everywhere else."""
        used = jnp.where(jnp.broadcast_to(self.mask, core.shape), core, 0.0)
        start = self.origin[0] + self.reach, self.origin[1] + self.reach
        pads = [(max(0, o), max(0, n - o - m)) for o, n, m in zip(start, self.shape, self.core)]
        padded = jnp.pad(used, [(0, 0)] * (core.ndim - 2) + pads)
        top, left = (max(0, -o) for o in start)
        return padded[..., top : top + self.shape[0], left : left + self.shape[1]]

    def inner(self, field: Float[Array, "*lead rows columns"]) -> Float[Array, "*lead core_rows core_columns"]:
        """The core of a field."""
        return field[..., self.reach :, self.reach : self.reach + self.core[1]]


def frame_of(dataset: Imaging, over_sample: int, reach: int = 0, tile: int = 12) -> Frame:
    """The frame of a dataset; made once for each mask.

    Args:
        dataset: the image.
        over_sample: rays per pixel and axis.
        reach: pixels at which the noise is correlated.
        tile: rows and columns of a tile.

    Raises:
        ValueError: a mask that is being traced or leaves no pixel, a PSF larger than the image, or an over-sampling
            that is not a multiple of the PSF's.
    """
    mask = concrete(dataset.mask)
    if mask is None:
        raise ValueError(
            "the dataset's mask decides the shapes of an inversion and must be known when compiling: "
            "close over the dataset instead of passing it to the compiled function"
        )
    kernel = dataset.psf
    size, sampling = ((1, 1), 1) if kernel is None else (kernel.shape, kernel.sampling)
    pixels = tuple(-(-n // sampling) for n in size)
    if any(n > m for n, m in zip(pixels, dataset.shape)):
        raise ValueError(
            f"the PSF covers {pixels[0]} x {pixels[1]} pixels, more than the image's {dataset.shape[0]} x "
            f"{dataset.shape[1]}; cut the PSF, or give a larger image"
        )
    if over_sample % sampling:
        raise ValueError(
            f"over_sample must be a multiple of the PSF's sampling, found over_sample {over_sample} "
            f"and sampling {sampling}"
        )
    if not mask.any():
        raise ValueError("the mask leaves no pixel of the image")
    margin = (0, 0) if kernel is None else kernel.margin
    return _frame(
        np.packbits(mask).tobytes(), mask.shape, dataset.pixel_scale, margin, sampling, over_sample, reach, tile
    )


@functools.lru_cache(maxsize=32)
def _frame(
    packed: bytes,
    shape: tuple[int, int],
    pixel_scale: float,
    margin: tuple[int, int],
    sampling: int,
    over_sample: int,
    reach: int,
    tile: int,
) -> Frame:
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=shape[0] * shape[1])
    mask = bits.reshape(shape).astype(bool)
    used = np.argwhere(mask)
    low, high = used.min(0), used.max(0) + 1
    core = tuple(int(-(-(b - a) // tile) * tile) for a, b in zip(low, high))
    corner = low - (np.array(core) - (high - low)) // 2
    origin = corner - reach
    field = core[0] + reach, core[1] + 2 * reach
    start = origin - np.array(margin)
    window = np.zeros((field[0] + 2 * margin[0], field[1] + 2 * margin[1]), bool)
    at = used - start
    for dy in range(-margin[0], margin[0] + 1):
        columns = np.zeros_like(window)
        columns[at[:, 0] + dy, at[:, 1]] = True
        window |= columns
    rows = window.copy()
    for dx in range(-margin[1], margin[1] + 1):
        window |= np.roll(rows, dx, axis=1)
    is_masked = np.zeros_like(window)
    is_masked[at[:, 0], at[:, 1]] = True
    order = np.concatenate([np.argwhere(is_masked), np.argwhere(window & ~is_masked)])
    index = np.full(window.shape, len(order), np.int32)
    index[order[:, 0], order[:, 1]] = np.arange(len(order))
    pixels = order + start
    x, y = (_rays(pixels[:, axis], shape[axis], pixel_scale, sampling, over_sample, axis) for axis in (1, 0))
    inner = np.zeros(core, bool)
    inside = used - corner
    inner[inside[:, 0], inside[:, 1]] = True
    blocks = inner.reshape(core[0] // tile, tile, core[1] // tile, tile).any((1, 3))
    return Frame(
        mask=inner,
        pixels=pixels.astype(np.int32),
        x=x,
        y=y,
        window_index=index,
        tiles=(np.argwhere(blocks) * tile).astype(np.int32),
        shape=shape,
        origin=(int(origin[0]), int(origin[1])),
        core=(core[0], core[1]),
        reach=reach,
        tile=tile,
        margin=margin,
        sampling=sampling,
        over_sample=over_sample,
        n_masked=len(used),
        pixel_scale=pixel_scale,
    )


def _rays(pixels: np.ndarray, count: int, scale: float, sampling: int, over_sample: int, axis: int) -> np.ndarray:
    """One coordinate of the rays of pixels, (n, over_sample^2), sorted by sample; whole numbers until the last step."""
    part = 2 * (pixels[:, None] * over_sample + np.arange(over_sample)[None, :]) - (count * over_sample - 1)
    line = part * (scale / (2 * over_sample))
    shape = (len(pixels), over_sample, over_sample)
    square = np.broadcast_to(line[:, :, None] if axis == 0 else line[:, None, :], shape)
    rays = over_sample // sampling
    by_sample = square.reshape(-1, sampling, rays, sampling, rays).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(by_sample.reshape(len(pixels), over_sample**2))


def kernel_of(dataset: Imaging) -> Kernel:
    """The dataset's point spread function; without one, a single sample of 1."""
    return Kernel(np.ones((1, 1))) if dataset.psf is None else dataset.psf
