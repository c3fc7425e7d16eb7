"""The noise map of a dataset, with its Poisson term from a model instead of the noisy data."""

import jax.numpy as jnp

from lensax._types import Array, Float
from lensax.instrument import Imaging

__all__ = ["model_noise_map"]


def model_noise_map(
    dataset: Imaging, model: Float[Array, "n_y n_x"], scale: float | int = 1.0
) -> Float[Array, "n_y n_x"]:
    """`scale sqrt(background_rms^2 + max(model, 0) / exposure_time)`.

    Noise estimated from the data itself is too small where the noise happens to be negative and too large where it is
    positive, which biases faint sources.

    Args:
        dataset: with its exposure time and the deviation of its background.
        model: expected light, electrons / s / pixel; outside of the mask, where it is 0, the dataset's noise is kept.
        scale: factor for all pixels, such as the deviation of the normalized residuals of blank sky.

    Raises:
        ValueError: the dataset has no exposure time or no deviation of the background, or the model another shape.
    """
    if dataset.exposure_time is None or dataset.background_rms is None:
        missing = "exposure_time" if dataset.exposure_time is None else "background_rms"
        raise ValueError(f"model_noise_map: the dataset has no {missing}, from which the noise of a model follows")
    if model.shape != dataset.shape:
        raise ValueError(f"model_noise_map: the model has shape {model.shape}, the data {dataset.shape}")
    # Unused pixels of a map may hold anything.
    background, time = (jnp.where(dataset.mask, v, 1.0) for v in (dataset.background_rms, dataset.exposure_time))
    variance = background**2 + jnp.maximum(model, 0.0) / time
    return jnp.where(dataset.mask, scale * jnp.sqrt(variance), dataset.noise_map)
