r"""Noise of an image, independent from pixel to pixel or correlated, and the linear map that makes it white.

Drizzled images have correlated noise: `C = diag(sigma) R diag(sigma)` with a stationary correlation R of short range.
On a mask R has no simple inverse. Here each pixel is conditioned on those of its raster predecessors within two pixels
that the mask contains (twelve at most),

    w_p = (v_p - sum_o b_po v_{p+o}) / sqrt(var_p),    v = image / sigma,

with the regression coefficients b and the variance left over from R: a normalised density on any mask (the nearest
predecessor or Vecchia approximation: Vecchia 1988, JRSS B 50, 297), within 0.2 % of the exact quadratic form.
"""

import abc
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar, as_real, concrete

__all__ = ["CorrelatedNoise", "IndependentNoise", "Noise", "Whitener", "whiten", "whitening_matrix"]

PREDECESSORS = np.array([(y, x) for y in (-2, -1, 0) for x in range(-2, 3) if y < 0 or x < 0])
"""Offsets (rows, columns) of the pixels that one is conditioned on."""

_SIDE = 5  # of the correlation: two pixels either way
_FREQUENCIES = 64  # along either axis at which a power spectrum is looked at
_ROUNDING = 1e-5  # of a correlation in a file of single precision, summed up


def whiten(
    images: Float[Array, "n rows columns"],
    inverse: Float[Array, "rows columns"],
    last: Float[Array, "inner_rows inner_columns"],
    coefficients: Float[Array, "12 inner_rows inner_columns"] | None,
) -> Float[Array, "n inner_rows inner_columns"]:
    """White images of a region, from images of the region and of the pixels it looks at.

    Args:
        images: of the region with as many rows above and columns on either side as the noise reaches.
        inverse: 1 / sigma of the same pixels, 0 outside of the mask.
        last: 1 / sqrt(var) of the region, 0 outside of the mask.
        coefficients: b of the region, or None where the noise is independent.
    """
    scaled = images * inverse[None]
    rows, columns = last.shape
    top, left = images.shape[1] - rows, (images.shape[2] - columns) // 2
    white = scaled[:, top:, left : left + columns]
    if coefficients is not None:
        for (y, x), b in zip(PREDECESSORS.tolist(), coefficients):
            white = white - b[None] * scaled[:, top + y : top + y + rows, left + x : left + x + columns]
    return white * last[None]


def whitening_matrix(
    inverse: Float[Array, "rows columns"],
    last: Float[Array, "inner_rows inner_columns"],
    coefficients: Float[Array, "12 inner_rows inner_columns"],
) -> Float[Array, "pixels inner_pixels"]:
    """`whiten` of a region as a matrix, for images that are rows of pixels (arguments: `whiten`)."""
    rows, columns = inverse.shape
    top, left = rows - last.shape[0], (columns - last.shape[1]) // 2
    y, x = np.indices(last.shape)
    offsets = np.concatenate([[[0, 0]], PREDECESSORS])
    seen = (top + y + offsets[:, :1, None]) * columns + left + x + offsets[:, 1:, None]
    weights = jnp.concatenate([jnp.ones_like(last)[None], -coefficients]) * last[None]
    weights = weights.reshape(len(offsets), last.size) * inverse.ravel()[seen.reshape(len(offsets), -1)]
    own = np.broadcast_to(np.arange(last.size), (len(offsets), last.size))
    return jnp.zeros((rows * columns, last.size), last.dtype).at[seen.reshape(len(offsets), -1), own].set(weights)


class Whitener(eqx.Module):
    """What `whiten` needs for an image.

    Attributes:
        inverse: 1 / sigma, 0 outside of the mask, (n_y, n_x), of the pixels that the others look at.
        last: 1 / sqrt(var), 0 outside of the mask.
        coefficients: (12, n_y, n_x), or None.
        log_normalization: `sum ln(2 pi sigma^2 var)` over the mask.
    """

    inverse: Float[Array, "n_y n_x"]
    last: Float[Array, "inner_y inner_x"]
    coefficients: Float[Array, "12 inner_y inner_x"] | None
    log_normalization: Scalar


class Noise(eqx.Module):
    """How the noise of neighbouring pixels is related; its size is the dataset's noise map."""

    @property
    @abc.abstractmethod
    def reach(self) -> int:
        """Pixels over which it is correlated."""

    @abc.abstractmethod
    def whitener(self, noise_map: Array, mask: np.ndarray) -> Whitener:
        """The map that makes it white on the pixels of a mask."""


def _inverse(noise_map: Array, mask: np.ndarray) -> tuple[Array, Array]:
    safe = jnp.where(mask, noise_map, 1.0)
    return jnp.where(mask, 1 / safe, 0.0), jnp.sum(jnp.where(mask, jnp.log(2 * jnp.pi * safe**2), 0.0))


@final
class IndependentNoise(Noise):
    """Noise without correlations: the covariance is diagonal."""

    @property
    def reach(self) -> int:
        """Pixels over which it is correlated: none."""
        return 0

    def whitener(self, noise_map: Array, mask: np.ndarray) -> Whitener:
        """The map that makes it white on the pixels of a mask."""
        inverse, normalization = _inverse(noise_map, mask)
        return Whitener(inverse, jnp.asarray(mask, noise_map.dtype), None, normalization)


@final
class CorrelatedNoise(Noise):
    """Stationary noise with correlations of up to two pixels.

    Args:
        correlation: correlation of two pixels by their distance in rows and columns, (n, m) with odd sides of at most
            5, point-symmetric, 1 in the middle, with a power spectrum that is nowhere negative. It is a number of the
            program, not a parameter: it cannot be traced.

    Attributes:
        correlation: filled up with zeros to (5, 5).

    Raises:
        ValueError: another shape, a matrix that is not finite, not symmetric or not 1 in the middle, or one that no
            noise has.
    """

    correlation: Float[Array, "5 5"]

    def __init__(self, correlation: Any) -> None:
        given = as_real(correlation)
        values = concrete(given)
        if values is None:
            raise ValueError("CorrelatedNoise: correlation must be known when compiling, got a traced array")
        _check_correlation(values)
        self.correlation = jnp.pad(given, [((_SIDE - n) // 2,) * 2 for n in values.shape])

    @classmethod
    def from_mixing(cls, mixing: float) -> "CorrelatedNoise":
        """White noise mixed by (a, 1, a) along either axis, as drizzling does; neighbours have `2a / (1 + 2a^2)`.

        Args:
            mixing: a, from 0 to below 1/2.

        Raises:
            ValueError: a value outside that range.
        """
        if not 0 <= mixing < 0.5:
            raise ValueError(f"CorrelatedNoise: mixing must be at least 0 and below 0.5, got {mixing!r}")
        line = np.convolve([mixing, 1, mixing], [mixing, 1, mixing]) / (1 + 2 * mixing**2)
        return cls(np.outer(line, line))

    @classmethod
    def estimate(cls, noise: Any, mask: Any) -> "CorrelatedNoise":
        """The noise whose neighbours are correlated as those of an image are, mixed by (a, 1, a).

        Args:
            noise: blank sky or the residuals of a fit over the noise map, (n_y, n_x).
            mask: pixels to use.

        Raises:
            ValueError: no two neighbours in the mask, or neighbours that are correlated by more than 0.7.
        """
        used = np.asarray(mask, bool)
        values = np.where(used, np.asarray(noise, np.float64), 0.0)
        values = np.where(used, values - values[used].mean(), 0.0)
        pairs = [
            (values[1:] * values[:-1], used[1:] & used[:-1]),
            (values[:, 1:] * values[:, :-1], used[:, 1:] & used[:, :-1]),
        ]
        count = sum(both.sum() for _, both in pairs)
        if count == 0:
            raise ValueError(
                "CorrelatedNoise: the mask holds no two neighbouring pixels to estimate a correlation from"
            )
        rho = sum(product[both].sum() for product, both in pairs) / count / np.mean(values[used] ** 2)
        if rho > 0.7:
            raise ValueError(
                f"CorrelatedNoise: neighbours have a correlation of {rho:.2f}, more than drizzling makes (0.7)"
            )
        rho = max(rho, 0.0)
        return cls.from_mixing(0.0 if rho < 1e-9 else float((1 - np.sqrt(1 - 2 * rho**2)) / (2 * rho)))

    @property
    def reach(self) -> int:
        """Pixels over which it is correlated."""
        return 2

    @property
    def of_neighbours(self) -> float:
        """The correlation of neighbouring pixels, the mean along either axis."""
        middle = _SIDE // 2
        return 0.5 * float(self.correlation[middle, middle + 1] + self.correlation[middle + 1, middle])

    def whitener(self, noise_map: Array, mask: np.ndarray) -> Whitener:
        """The map that makes it white on the pixels of a mask."""
        inverse, normalization = _inverse(noise_map, mask)
        rows, columns = mask.shape
        padded = np.pad(mask, 2)
        seen = np.stack([padded[2 + y : 2 + y + rows, 2 + x : 2 + x + columns] for y, x in PREDECESSORS.tolist()], -1)
        patterns, which = np.unique(seen[mask], axis=0, return_inverse=True)
        coefficients, variance = _regression(np.asarray(self.correlation), patterns)
        b, var = np.zeros((len(PREDECESSORS), rows, columns)), np.ones((rows, columns))
        b[:, mask], var[mask] = coefficients[which.ravel()].T, variance[which.ravel()]
        return Whitener(
            inverse,
            jnp.asarray(mask / np.sqrt(var), noise_map.dtype),
            jnp.asarray(b, noise_map.dtype),
            normalization + float(np.log(var[mask]).sum()),
        )


def _check_correlation(values: np.ndarray) -> None:
    """Refuse a matrix that is not the correlation of a stationary noise.

    A spectrum that is nowhere negative makes the matrix of any pixels positive definite: none follows from the others.
    """
    if values.ndim != 2 or any(n % 2 == 0 or n > _SIDE for n in values.shape):
        raise ValueError(
            f"CorrelatedNoise: correlation must be a matrix with odd sides of at most {_SIDE} pixels, "
            f"got shape {values.shape}"
        )
    if not np.all(np.isfinite(values)):
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"CorrelatedNoise: correlation must be finite, got {values[row, column]} at row {row}, column {column}"
        )
    middle = values[values.shape[0] // 2, values.shape[1] // 2]
    if not np.isclose(middle, 1):
        raise ValueError(f"CorrelatedNoise: correlation must be 1 in its middle, got {middle:g}")
    other = values[::-1, ::-1]
    if not np.allclose(values, other, atol=_ROUNDING):
        row, column = np.argwhere(~np.isclose(values, other, atol=_ROUNDING))[0]
        raise ValueError(
            f"CorrelatedNoise: correlation must be point-symmetric, got {values[row, column]:g} at row {row}, "
            f"column {column} and {other[row, column]:g} opposite"
        )
    power = np.zeros((_FREQUENCIES, _FREQUENCIES))
    power[: values.shape[0], : values.shape[1]] = values
    power = np.fft.fft2(np.roll(power, [-(n // 2) for n in values.shape], (0, 1))).real
    if power.min() < -_ROUNDING:
        along = [abs(np.fft.fftfreq(_FREQUENCIES)[i]) for i in np.unravel_index(power.argmin(), power.shape)]
        raise ValueError(
            "CorrelatedNoise: correlation must have a power spectrum that is nowhere negative, or no noise has it; got "
            f"{power.min():.3g} at a frequency of {along[0]:.2f} per pixel along y and {along[1]:.2f} along x"
        )


def _correlations(correlation: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The correlation of pixels at an offset (..., 2) of rows and columns."""
    near = np.abs(offset).max(-1) <= 2
    at = np.clip(offset, -2, 2) + 2
    return np.where(near, correlation[at[..., 0], at[..., 1]], 0.0)


def _regression(correlation: np.ndarray, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (n, 12) and remaining variance (n,) of a pixel given those predecessors that each pattern has."""
    matrix = _correlations(correlation, PREDECESSORS[:, None] - PREDECESSORS[None])
    vector = _correlations(correlation, PREDECESSORS)
    both = patterns[:, :, None] & patterns[:, None, :]
    known = np.where(both, matrix, 0.0) + np.eye(len(vector)) * ~patterns[:, None, :]
    right = np.where(patterns, vector, 0.0)
    coefficients = np.linalg.solve(known, right[..., None])[..., 0]
    return coefficients, 1 - np.sum(coefficients * right, -1)
