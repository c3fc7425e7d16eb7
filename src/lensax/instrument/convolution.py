"""Blurring a finely sampled image and adding the samples up to pixels, in one step.

A pixel is the mean over its `s x s` samples of the blurred image. Both together are one correlation of the samples with
`w = flipped kernel * box of s x s`, evaluated at every `s`-th sample only. Two ways give the same pixels:

- direct: a sum over the taps of `w` of strided slices of the image, the taps of a row by a matrix product;
- Fourier: `s x s` interleaved images (phases), each the size of the padded frame in pixels, are multiplied by the
  transforms of the taps that fall on them and summed, and one small inverse transform gives the pixels. That is cheaper
  than one transform of the fine image, and nothing is computed between the pixels.

Neither has edge effects: the image carries a margin as wide as half the kernel, and only pixels whose every tap lies in
the image are kept.
"""

import math
from typing import Literal

import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float
from lensax.instrument.kernel import Kernel

__all__ = ["blur", "is_direct", "pixel_weights"]

# Up to this many taps the direct sum is the faster way. On two CPU cores, 100 x 100 pixels from 4 x 4 rays each, it
# took 0.1 to 0.3 ms where Fourier transforms took 0.2 to 0.8 ms (in reverse mode 0.4 to 1.2 against 0.3 to 2.5 ms). At
# 49 taps they are equal; its cost grows with the taps, theirs does not.
_DIRECT_TAPS = 49


def _taps(kernel: Kernel) -> tuple[int, int]:
    """Rows and columns of `w`."""
    rows, columns = (size + kernel.sampling - 1 for size in kernel.shape)
    return rows, columns


def is_direct(kernel: Kernel) -> bool:
    """Whether `blur` sums over the kernel's taps, rather than using Fourier transforms."""
    return math.prod(_taps(kernel)) <= _DIRECT_TAPS


def pixel_weights(kernel: Kernel, dtype: jnp.dtype) -> Array:
    """`w`: the kernel convolved with a normalised box of `sampling x sampling`, flipped."""
    s = kernel.sampling
    flipped = kernel.array.astype(dtype)[::-1, ::-1]
    for axis in (0, 1):
        padded = jnp.pad(flipped, [(s - 1, s - 1) if a == axis else (0, 0) for a in (0, 1)])
        length = padded.shape[axis] - s + 1
        shifted = [lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(s)]
        flipped = jnp.stack(shifted).mean(0)
    return flipped


def _direct(samples: Array, weights: Array, start: tuple[int, int], s: int, shape: tuple[int, int]) -> Array:
    def along(axis: int, fine: Array, tap: int) -> Array:
        low = start[axis] + tap
        return lax.slice_in_dim(fine, low, low + s * (shape[axis] - 1) + 1, s, axis)

    columns = jnp.stack([along(1, samples, j) for j in range(weights.shape[1])])
    # One small matrix product for the taps of all rows; the default precision of accelerators would not do.
    rows = jnp.tensordot(weights, columns, axes=(1, 0), precision=lax.Precision.HIGHEST)
    pixels = along(0, rows[0], 0)
    for i in range(1, weights.shape[0]):
        pixels = pixels + along(0, rows[i], i)
    return pixels


def _phases(fine: Array, s: int) -> Array:
    """The `s x s` interleaved images of a fine image: (s, s, rows, columns)."""
    rows, columns = fine.shape
    return fine.reshape(rows // s, s, columns // s, s).transpose(1, 3, 0, 2)


def _fourier(samples: Array, weights: Array, start: tuple[int, int], s: int, shape: tuple[int, int]) -> Array:
    from scipy.fft import next_fast_len

    # The taps are laid on whole pixels, `start` samples in, so that phase k of the taps meets phase k of the image.
    end = tuple(-(begin + size) % s for begin, size in zip(start, weights.shape))
    taps = jnp.pad(weights, tuple(zip(start, end)))
    # Wrap-around reaches only pixels that are cut off: no more zeros are needed than for a transform of a good size.
    size = tuple(next_fast_len(length // s, real=True) for length in samples.shape)
    image = jnp.fft.rfft2(_phases(samples, s), s=size)
    response = jnp.conj(jnp.fft.rfft2(_phases(taps, s), s=size))
    return jnp.fft.irfft2((image * response).sum((0, 1)), s=size)[: shape[0], : shape[1]]


def blur(
    samples: Float[Array, "rows columns"], kernel: Kernel, method: Literal["direct", "fourier"] | None = None
) -> Float[Array, "n_y n_x"]:
    """Convolve an image with a kernel and average it over pixels.

    Args:
        samples: `kernel.sampling` samples per pixel and axis, of the frame and a margin of `kernel.margin` pixels.
        kernel: its samples.
        method: which way; None chooses by the kernel's size. Fourier transforms leave everywhere an error of a few
            roundings of the brightest pixel (float32: below 1e-6 of it), the direct sum one of the pixel's own.

    Returns:
        the frame's pixels, without the margin.

    Raises:
        ValueError: an image that is not made of whole pixels, or has no pixel within the margin.
    """
    s, margin = kernel.sampling, kernel.margin
    if samples.shape[0] % s or samples.shape[1] % s:
        raise ValueError(f"expected {s} samples per pixel along both axes, got an image of shape {samples.shape}")
    shape = samples.shape[0] // s - 2 * margin[0], samples.shape[1] // s - 2 * margin[1]
    if min(shape) < 1:
        raise ValueError(
            f"an image of {samples.shape[0] // s} x {samples.shape[1] // s} pixels has none within the margin of "
            f"{margin[0]} x {margin[1]} pixels that the kernel needs on either side"
        )
    start = margin[0] * s - kernel.shape[0] // 2, margin[1] * s - kernel.shape[1] // 2
    direct = is_direct(kernel) if method is None else method == "direct"
    way = _direct if direct else _fourier
    return way(samples, pixel_weights(kernel, samples.dtype), start, s, shape)
