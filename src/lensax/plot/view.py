"""One universe as it is seen: with noise, without, and what the dark substructure changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax.recipe import Recipe

__all__ = ["View", "look", "smooth_images", "views_of"]


@dataclass(frozen=True)
class View:
    """Images of one universe.

    Args:
        noiseless, noisy: electrons / s / pixel, (n_y, n_x).
        noise: standard deviation of the noise in every pixel, the same unit.
        change: (image with substructure - image without) / noise; None for a model without halos.
        extent: left, right, bottom and top edges in arcsec.
        label: a few words, such as "row 7".
    """

    noiseless: np.ndarray
    noisy: np.ndarray
    noise: np.ndarray
    change: np.ndarray | None
    extent: tuple[float, float, float, float]
    label: str = ""

    @property
    def smooth(self) -> np.ndarray | None:
        """The noiseless image without substructure, electrons / s / pixel."""
        return None if self.change is None else self.noiseless - self.change * self.noise

    @property
    def residual(self) -> np.ndarray | None:
        """(noisy image - noiseless image without substructure) / noise: what a perfect smooth model leaves."""
        return None if self.smooth is None else (self.noisy - self.smooth) / self.noise


def smooth_images(model: Any, theta: Mapping[str, Any], keys: Any) -> np.ndarray | None:
    """Noiseless images (n, n_y, n_x) of universes without their halos and sheets; None where the model has none.

    Args:
        model: a forward model.
        theta: the free parameters by name, each (n,).
        keys: n random keys.
    """
    if isinstance(model.recipe, Recipe):
        if model.recipe.population is None:
            return None
        # A program without the population compiles in a fraction of the time.
        smooth = eqx.tree_at(lambda whole: whole.recipe.population, model, None)
        return np.asarray(smooth.batch_both(theta, keys).noiseless)
    scenes = [model.scene({name: values[i] for name, values in theta.items()}, key) for i, key in enumerate(keys)]
    if any(scene.halos is None for scene in scenes):
        return None
    return np.stack([model.simulator.noiseless(scene.without_halos(), diagnostics=True)[0] for scene in scenes])


def views_of(
    model: Any, theta: Mapping[str, Any], keys: Any, noiseless: Any, noisy: Any, labels: Sequence[str]
) -> list[View]:
    """Views of universes whose images have been made already.

    Args:
        model: a forward model.
        theta: the free parameters by name, each (n,).
        keys: n random keys.
        noiseless, noisy: their images (n, n_y, n_x).
        labels: a few words for each.
    """
    instrument = model.simulator.instrument
    smooth = smooth_images(model, theta, keys)
    left, right, bottom, top = (float(edge) for edge in instrument.grid.extent)
    views = []
    for i, label in enumerate(labels):
        image = np.asarray(noiseless[i])
        noise = np.asarray(instrument.noise_map(jnp.asarray(image)))
        change = None if smooth is None else (image - smooth[i]) / noise
        views.append(View(image, np.asarray(noisy[i]), noise, change, (left, right, bottom, top), label))
    return views


def look(model: Any, theta: Mapping[str, Any], keys: Any, labels: Sequence[str]) -> list[View]:
    """Take the images of the universes that `theta` and `keys` make, and those without their halos and sheets.

    Args:
        model: a forward model.
        theta: the free parameters by name, each (n,).
        keys: n random keys, of halos and noise.
        labels: a few words for each.
    """
    seen = model.batch_both(theta, keys)
    return views_of(model, theta, keys, seen.noiseless, seen.noisy, labels)
