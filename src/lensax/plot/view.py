"""One universe as it is seen: with noise, without, and what the dark substructure changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["View", "look"]


@dataclass(frozen=True)
class View:
    """Images of one universe.

    Arguments
    ---------
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


def look(model: Any, theta: Mapping[str, Any], key: Any, label: str = "") -> View:
    """Take the images of the universe that `theta` and `key` make, and the one without its halos and sheets.

    Arguments
    ---------
    model: a forward model.
    theta: the free parameters by name.
    key: the random key of halos and noise.
    label: a few words for the figure.
    """
    seen = model.both(theta, key)
    instrument = model.simulator.instrument
    noise = np.asarray(instrument.noise_map(seen.noiseless))
    scene = model.scene(theta, key)
    change = None
    if scene.halos is not None:
        smooth, _ = model.simulator.noiseless(scene.without_halos(), diagnostics=True)
        change = np.asarray(seen.noiseless - smooth) / noise
    extent = tuple(float(edge) for edge in instrument.grid.extent)
    return View(np.asarray(seen.noiseless), np.asarray(seen.noisy), noise, change, extent, label)  # type: ignore[arg-type]
