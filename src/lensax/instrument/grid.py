"""The pixel grid of an image, and where its rays start.

Pixel centres stand at `x_j = (j - (n_x - 1) / 2) * pixel_scale`, the same for `y`; row 0 has the smallest `y`.
A pixel that is over-sampled `f` times holds `f x f` rays, at the centres of its `f x f` equal parts.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._check import whole_number
from lensax._types import Array, Float

__all__ = ["AdaptiveOverSample", "Grid", "Level"]


def _shape(value: Any) -> tuple[int, int]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(f"shape must be two whole numbers (n_y, n_x), got {value!r}")
    return whole_number(value[0], "shape[0], the number of rows,"), whole_number(
        value[1], "shape[1], the number of columns,"
    )


def _pixel_scale(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"pixel_scale must be a positive number of arcsec, got {value!r}") from None
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"pixel_scale must be a positive number of arcsec, got {value!r}")
    return number


@final
@dataclass(frozen=True)
class AdaptiveOverSample:
    """More rays in the pixels near a centre, fewer in the outskirts.

    A pixel whose centre lies less than `radii[k]` from `center` (and not less than `radii[k - 1]`) is over-sampled
    `factors[k]` times per axis; the last factor serves all pixels outside of the last radius.

    Args:
        radii: increasing radii in arcsec.
        factors: rays per pixel and axis, one more than there are radii.
        center: (x, y) in arcsec.

    Raises:
        ValueError: radii that do not increase, a factor below 1, or a wrong number of factors.
    """

    radii: Sequence[float | int]
    factors: Sequence[int]
    center: Sequence[float | int] = (0.0, 0.0)

    def __post_init__(self) -> None:
        radii = tuple(float(radius) for radius in self.radii)
        factors = tuple(whole_number(factor, "every factor of AdaptiveOverSample") for factor in self.factors)
        if len(factors) != len(radii) + 1:
            raise ValueError(
                f"AdaptiveOverSample needs one factor more than radii (the last for the outskirts), "
                f"got {len(radii)} radii and {len(factors)} factors"
            )
        if not all(math.isfinite(r) and r > 0 for r in radii) or any(b <= a for a, b in itertools.pairwise(radii)):
            raise ValueError(f"radii of AdaptiveOverSample must be positive, finite and increasing, got {radii}")
        if len(self.center) != 2 or not all(math.isfinite(float(c)) for c in self.center):
            raise ValueError(f"center of AdaptiveOverSample must be two finite numbers (x, y), got {self.center!r}")
        object.__setattr__(self, "radii", radii)
        object.__setattr__(self, "factors", factors)
        object.__setattr__(self, "center", (float(self.center[0]), float(self.center[1])))


class Level(NamedTuple):
    """The pixels of a grid that share one over-sampling factor.

    Attributes:
        factor: rays per pixel and axis.
        pixels: flat indices `row * n_x + column` of the pixels, increasing (a NumPy array: known when compiling).
        start: where the level's rays begin in the flat array of all rays, which holds for each of its pixels
            `factor x factor` rays, row by row.
    """

    factor: int
    pixels: np.ndarray
    start: int


def _centers(count: int, pixel_scale: float, over_sample: int) -> np.ndarray:
    """Ray positions along one axis; integers until the last step, so that they are symmetric and exactly rounded."""
    n = count * over_sample
    return (2 * np.arange(n) - (n - 1)) * (pixel_scale / (2 * over_sample))


def _over_sample(value: Any) -> int | AdaptiveOverSample:
    return value if isinstance(value, AdaptiveOverSample) else whole_number(value, "over_sample")


@functools.lru_cache(maxsize=64)
def _levels(shape: tuple[int, int], pixel_scale: float, over_sample: int | AdaptiveOverSample) -> tuple[Level, ...]:
    n_y, n_x = shape
    if isinstance(over_sample, int):
        return (Level(over_sample, np.arange(n_y * n_x), 0),)
    x = _centers(n_x, pixel_scale, 1) - over_sample.center[0]
    y = _centers(n_y, pixel_scale, 1) - over_sample.center[1]
    zone = np.searchsorted(np.asarray(over_sample.radii), np.hypot(x[None, :], y[:, None]).ravel(), side="right")
    levels, start = [], 0
    for index, factor in enumerate(over_sample.factors):
        pixels = np.flatnonzero(zone == index)
        if pixels.size:
            levels.append(Level(factor, pixels, start))
            start += pixels.size * factor**2
    return tuple(levels)


@functools.lru_cache(maxsize=16)
def _flat_positions(
    shape: tuple[int, int], pixel_scale: float, over_sample: AdaptiveOverSample
) -> tuple[np.ndarray, np.ndarray]:
    x, y = [], []
    for factor, pixels, _ in _levels(shape, pixel_scale, over_sample):
        rows, columns = np.divmod(pixels, shape[1])
        part = np.arange(factor)
        along_x = _centers(shape[1], pixel_scale, factor)[columns[:, None] * factor + part]
        along_y = _centers(shape[0], pixel_scale, factor)[rows[:, None] * factor + part]
        block = (pixels.size, factor, factor)
        x.append(np.broadcast_to(along_x[:, None, :], block).ravel())
        y.append(np.broadcast_to(along_y[:, :, None], block).ravel())
    return np.concatenate(x), np.concatenate(y)


def _resample(blocks: Array, factor: int, sampling: int) -> Array:
    """Blocks of `factor x factor` rays (n, factor, factor) as blocks (n, sampling, sampling) of the same mean."""
    n = blocks.shape[0]
    if factor % sampling == 0:
        rays = factor // sampling
        return blocks.reshape(n, sampling, rays, sampling, rays).mean((2, 4))
    repeats = sampling // factor
    return jnp.repeat(jnp.repeat(blocks, repeats, axis=1), repeats, axis=2)


@final
class Grid(eqx.Module):
    """The pixels of an image and the rays in them.

    All fields are known when a program is compiled; another grid is another program.

    Args:
        shape: (n_y, n_x) pixels.
        pixel_scale: arcsec per pixel.
        over_sample: rays per pixel and axis, one number for all pixels or an `AdaptiveOverSample`.

    Raises:
        ValueError: a count that is not a whole number of at least 1, or a pixel scale that is not positive.
    """

    shape: tuple[int, int] = eqx.field(static=True, converter=_shape)
    pixel_scale: float = eqx.field(static=True, converter=_pixel_scale)
    over_sample: int | AdaptiveOverSample = eqx.field(static=True, converter=_over_sample, default=1)

    @property
    def uniform(self) -> bool:
        """Whether every pixel has the same number of rays, so that the rays form a rectangular array."""
        return not isinstance(self.over_sample, AdaptiveOverSample)

    @property
    def levels(self) -> tuple[Level, ...]:
        """The pixels by over-sampling factor; a uniform grid has one level. Levels without a pixel are left out."""
        return _levels(self.shape, self.pixel_scale, self.over_sample)

    @property
    def ray_shape(self) -> tuple[int, ...]:
        """The shape of the arrays of rays: (n_y * over_sample, n_x * over_sample), or (n_rays,) if adaptive."""
        if isinstance(self.over_sample, AdaptiveOverSample):
            return (sum(level.pixels.size * level.factor**2 for level in self.levels),)
        return self.shape[0] * self.over_sample, self.shape[1] * self.over_sample

    @property
    def n_rays(self) -> int:
        """The number of rays."""
        return math.prod(self.ray_shape)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The outer edges (left, right, bottom, top) in arcsec, as matplotlib's `imshow` takes them."""
        half_y, half_x = (0.5 * n * self.pixel_scale for n in self.shape)
        return -half_x, half_x, -half_y, half_y

    def positions(self, dtype: Any = None) -> tuple[Float[Array, "*rays"], Float[Array, "*rays"]]:
        """Where the rays cross the image plane: x and y in arcsec, each of shape `ray_shape`.

        They are computed in float64 and rounded once to `dtype` (default: JAX's default float).
        A uniform grid's rays are the image with finer pixels; an adaptive grid's rays are a flat array, level by level.
        """
        dtype = float if dtype is None else dtype
        if isinstance(self.over_sample, AdaptiveOverSample):
            x, y = _flat_positions(self.shape, self.pixel_scale, self.over_sample)
            return jnp.asarray(x, dtype), jnp.asarray(y, dtype)
        return self._mesh(self.over_sample, dtype)

    def pixel_centers(self, dtype: Any = None) -> tuple[Float[Array, "n_y n_x"], Float[Array, "n_y n_x"]]:
        """x and y of the pixel centres in arcsec, each (n_y, n_x)."""
        return self._mesh(1, float if dtype is None else dtype)

    def axes(self, over_sample: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """x of the columns and y of the rows in float64 NumPy, for `over_sample` samples per pixel and axis."""
        n_y, n_x = self.shape
        return _centers(n_x, self.pixel_scale, over_sample), _centers(n_y, self.pixel_scale, over_sample)

    def bin(self, fine: Float[Array, "*rays"], sampling: int = 1) -> Float[Array, "rows columns"]:
        """The mean of a quantity over the rays of each pixel, or of each of `sampling x sampling` parts of a pixel.

        Args:
            fine: values at `positions()`, of shape `ray_shape`.
            sampling: samples per pixel and axis of the result.

        Returns:
            image (n_y * sampling, n_x * sampling); where a pixel of an adaptive grid has fewer rays than samples, each
            ray gives its value to all samples that it covers.

        Raises:
            ValueError: `fine` has another shape, or the samples do not divide the rays evenly.
        """
        self.check_sampling(sampling)
        if fine.shape != self.ray_shape:
            raise ValueError(f"expected one value per ray, an array of shape {self.ray_shape}, got {fine.shape}")
        n_y, n_x = self.shape
        if not isinstance(self.over_sample, AdaptiveOverSample):
            rays = self.over_sample // sampling
            return fine.reshape(n_y * sampling, rays, n_x * sampling, rays).mean((1, 3))
        parts = []
        for factor, pixels, start in self.levels:
            blocks = fine[start : start + pixels.size * factor**2].reshape(pixels.size, factor, factor)
            parts.append(_resample(blocks, factor, sampling))
        order = np.argsort(np.concatenate([level.pixels for level in self.levels]))
        blocks = jnp.concatenate(parts)[order].reshape(n_y, n_x, sampling, sampling)
        return blocks.transpose(0, 2, 1, 3).reshape(n_y * sampling, n_x * sampling)

    def check_sampling(self, sampling: int) -> None:
        """Refuse a sampling that the rays cannot be binned to.

        Raises:
            ValueError: an over-sampling factor is not a multiple of `sampling` (or, on an adaptive grid, a divisor).
        """
        sampling = whole_number(sampling, "sampling")
        if not isinstance(self.over_sample, AdaptiveOverSample):
            if self.over_sample % sampling:
                raise ValueError(
                    f"over_sample must be a multiple of the PSF's sampling, found over_sample {self.over_sample} "
                    f"and sampling {sampling}"
                )
            return
        for factor in self.over_sample.factors:
            if factor % sampling and sampling % factor:
                raise ValueError(
                    f"every factor of AdaptiveOverSample must be a multiple or a divisor of the PSF's sampling, found "
                    f"factor {factor} and sampling {sampling}"
                )

    def padded(self, margin: tuple[int, int]) -> "Grid":
        """The same grid with `margin` = (rows, columns) more pixels on either side."""
        n_y, n_x = self.shape
        return Grid((n_y + 2 * margin[0], n_x + 2 * margin[1]), self.pixel_scale, self.over_sample)

    def _mesh(self, over_sample: int, dtype: Any) -> tuple[Array, Array]:
        x, y = (jnp.asarray(axis, dtype) for axis in self.axes(over_sample))
        # Broadcasting inside the program keeps two axes, not two images, among the compiled constants.
        return jnp.broadcast_to(x[None, :], (y.size, x.size)), jnp.broadcast_to(y[:, None], (y.size, x.size))
