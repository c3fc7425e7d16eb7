"""From the configuration of a fit to its dataset and its passes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from lensax.config.document import KeyPath
from lensax.config.fit_data import mask_of
from lensax.config.fit_parts import Context
from lensax.config.ingredients import ingredient, ingredients, try_ingredients
from lensax.fit import FitModel, Positions, Posterior
from lensax.fit.stages import Passed, estimated_noise, source_box
from lensax.instrument import Imaging
from lensax.inversion import CorrelatedNoise, IndependentNoise, Noise
from lensax.inversion.frame import frame_of
from lensax.recipe import Ingredient

if TYPE_CHECKING:
    from lensax.config.fit import FitConfiguration

__all__ = ["FitPlan", "build_fit"]


@dataclass(frozen=True)
class FitPlan:
    """What is fitted, pass by pass.

    Args:
        dataset: the image with its mask; its noise map as it was given.
        names: of the passes.
        passes: a function for each pass, which makes its posterior of what the pass before found (None for the first).
        start: where the first pass begins, by the names of parameters; others begin where their prior is highest.
        truth: the parameters of a simulated image, by name.
    """

    dataset: Imaging
    names: tuple[str, ...]
    passes: tuple[Callable[[Passed | None], Posterior], ...]
    start: Mapping[str, float]
    truth: Mapping[str, float]


def build_fit(configuration: "FitConfiguration") -> FitPlan:
    """The dataset and the passes of a fit.

    Raises:
        ConfigError: a file that cannot be read, or numbers that the parts of the model refuse.
    """
    settings: Any = configuration.settings
    image, dataset = _dataset(configuration)
    mass = ingredients(configuration, ("lens", "mass"), settings.lens.mass)
    passes: list[tuple[KeyPath, Any, Mapping[str, float]]]
    passes = [(("first", i, "source"), one.source, one.hold) for i, one in enumerate(settings.first)]
    passes.append((("source",), settings.source, {}))
    try_ingredients(configuration, mass)
    made = tuple(
        partial(_posterior, configuration, dataset, tuple(mass.values()), path, source, hold)
        for path, source, hold in passes
    )
    names = tuple(f"pass {i + 1}" for i in range(len(passes) - 1))
    return FitPlan(dataset, (*names, "last pass" if names else "fit"), made, settings.start, image.truth)


def _dataset(configuration: "FitConfiguration") -> tuple[Any, Imaging]:
    settings: Any = configuration.settings
    place = ("data", settings.data.name)
    folder = configuration.folder
    image = settings.data.section.read(folder, lambda path: configuration.blame((*place, *path)))
    several = isinstance(settings.mask, list)

    def blame_mask(path: KeyPath) -> Any:
        return configuration.blame(("mask", *(path if several else path[1:])))

    mask = mask_of(settings.masks, image, folder, blame_mask)
    try:
        dataset = image.make(mask)
    except ValueError as error:
        if mask is None or ("mask of" not in str(error) and "the mask" not in str(error)):
            raise
        with configuration.blame(("mask",)):
            raise ValueError(str(error).rpartition("Imaging: ")[2]) from None
    if dataset.psf is not None:
        with configuration.blame((*place, "psf")):
            frame_of(dataset, dataset.psf.sampling)
    return image, dataset


def _posterior(
    configuration: "FitConfiguration",
    dataset: Imaging,
    mass: tuple[Ingredient, ...],
    path: KeyPath,
    source: Any,
    hold: Mapping[str, float],
    before: Passed | None,
) -> Posterior:
    """The posterior of a pass, given what the pass before found.

    Raises:
        ConfigError: numbers that the parts refuse, or a source that the data cannot support.
    """
    settings: Any = configuration.settings
    distance = dataset.pixel_scale / source.section.over_sample
    context = Context(distance) if before is None else Context(
        distance,
        before.reconstruction.brightness_map(),
        before.reconstruction.source_light,
        partial(source_box, before.reconstruction),
    )  # fmt: skip
    light = ingredients(configuration, ("lens", "light"), settings.lens.light, context)
    place = (*path, source.name)
    made = ingredient(configuration, place, source.section, context)
    try_ingredients(configuration, {**light, place: made})
    names = [name for one in (*mass, *light.values(), made) for name in one.names]
    parameters = configuration.parameters.only(names)
    held = {name: value for name, value in hold.items() if name in parameters.names}
    model = FitModel(parameters.only(parameters.names, held), mass, made, tuple(light.values()))
    with configuration.blame(("noise", settings.noise.name)):
        data, noise = _noise(settings.noise, dataset, before)
    positions = None
    if settings.positions is not None:
        with configuration.blame(("positions",)):
            given = settings.positions
            positions = Positions(jnp.asarray(given.x), jnp.asarray(given.y), given.tolerance)
    with configuration.blame(place):
        return Posterior(model, data, noise, positions, settings.minimum_magnification)


def _noise(choice: Any, dataset: Imaging, before: Passed | None) -> tuple[Imaging, Noise]:
    """The dataset with the noise map of a pass, and its correlations."""
    if choice.name == "Estimated":
        return (dataset, IndependentNoise()) if before is None else estimated_noise(before)
    section = choice.section
    noise = CorrelatedNoise.from_mixing(section.mixing) if choice.name == "Correlated" else IndependentNoise()
    if section.scale == 1:
        return dataset, noise
    scaled = dataset.noise_map * section.scale
    return Imaging(
        dataset.data,
        scaled,
        dataset.psf,
        dataset.pixel_scale,
        dataset.mask,
        dataset.exposure_time,
        dataset.background_rms,
    ), noise
