"""From the configuration of a fit to its dataset and its model."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from lensax.config.document import KeyPath
from lensax.config.fit_data import Image, mask_of
from lensax.config.fit_parts import Context
from lensax.config.ingredients import ingredient, ingredients, try_ingredients
from lensax.config.section import Choice
from lensax.fit import FitModel, Plan, Positions, SourceBox
from lensax.fit.run import Sampling, Task
from lensax.fit.waiting import is_open, stand_in, waiting
from lensax.instrument import Imaging
from lensax.inversion import CorrelatedNoise, Noise
from lensax.inversion.frame import frame_of
from lensax.recipe import Ingredient

if TYPE_CHECKING:
    from lensax.config.fit import FitConfiguration

__all__ = ["FitSetup", "build_fit"]


class FitSetup(NamedTuple):
    """What a configuration describes.

    Attributes:
        task: what is fitted, and how.
        sampling: how the posterior is sampled.
        truth: the parameters of a simulated image, by name.
        sky: header keywords that place the image on the sky, as far as its file has them.
        remarks: what a person should know about the files, in sentences.
    """

    task: Task
    sampling: Sampling
    truth: Mapping[str, float]
    sky: Mapping[str, Any]
    remarks: tuple[str, ...] = ()


def build_fit(configuration: "FitConfiguration") -> FitSetup:
    """The dataset and the model of a fit.

    Raises:
        ConfigError: a file that cannot be read, or numbers that the parts of the model refuse.
    """
    settings: Any = configuration.settings
    image, dataset = _dataset(configuration)
    with configuration.blame(("noise", settings.noise.name)):
        dataset, noise = _noise(settings.noise, dataset, configuration)
    with configuration.blame(("stages",)):
        estimated = settings.noise.name == "Estimated"
        given = {key: getattr(settings.stages, key) for key in settings.stages.model_fields_set}
        given["hold_first"] = tuple(settings.stages.hold_first)
        correlated = estimated and settings.noise.section.correlated
        plan = Plan(noise=estimated, correlated=correlated, iterations=settings.maximum.iterations, **given)
    source = settings.source
    mass = ingredients(configuration, ("lens", "mass"), settings.lens.mass)
    place: KeyPath = ("source", source.name)
    rays = source.section.over_sample
    context = Context(dataset.pixel_scale / rays, configuration.folder)
    if waiting(ingredient(configuration, place, source.section, context)):
        # Of a first pass with fewer rays the noise and the place of the light are taken alone: a point that is half as
        # wide as its rays are apart has 1 % too much or too little light there.
        rays = min(rays, 2 * settings.stages.first_over_sample)
        context = Context(dataset.pixel_scale / rays, configuration.folder)
    light = ingredients(configuration, ("lens", "light"), settings.lens.light, context)
    made = ingredient(configuration, place, source.section, context)
    try_ingredients(configuration, mass | light | dict(_parts(place, stand_in(made), source.section)), everywhere=False)
    names = [name for one in (*mass.values(), *light.values(), made) for name in one.names]
    model = FitModel(configuration.parameters.only(names), tuple(mass.values()), made, tuple(light.values()))
    positions = None
    if settings.positions is not None:
        with configuration.blame(("positions",)):
            given = settings.positions
            positions = Positions(jnp.asarray(given.x), jnp.asarray(given.y), given.tolerance)
    _check_support(configuration, model, dataset, plan)
    limits = settings.minimum_magnification, plan, dict(settings.start), settings.maximum.starts
    task = Task(model, dataset, noise, positions, *limits)
    return FitSetup(task, Sampling(**settings.sampling.model_dump()), image.truth, image.sky, image.remarks)


def _dataset(configuration: "FitConfiguration") -> tuple[Image, Imaging]:
    """The image, and the dataset with its mask."""
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


def _noise(choice: Any, dataset: Imaging, configuration: "FitConfiguration") -> tuple[Imaging, Noise | None]:
    """The dataset with the noise map that a fit begins with, and its correlations."""
    section = choice.section
    if choice.name == "Estimated":
        for name in ("exposure_time", "background_rms"):
            if getattr(dataset, name) is None:
                raise ValueError(f"noise can only be estimated where {name} is known: give it in the section `data`")
        return dataset, None
    noise = None
    if choice.name == "Correlated":
        with configuration.blame(("noise", choice.name, "mixing" if section.correlation is None else "correlation")):
            noise = section.make(configuration.folder)
    elif choice.name == "BlankSky":
        image = Image(dataset.data, dataset.noise_map, lambda mask: dataset)
        place, several = ("noise", "BlankSky", "mask"), isinstance(section.mask, list)

        def blame_mask(path: KeyPath) -> Any:
            return configuration.blame((*place, *(path if several else path[1:])))

        sky = mask_of(section.masks, image, configuration.folder, blame_mask)
        with configuration.blame(place):
            if sky is None:
                raise ValueError("expected at least one mask, found none")
            noise = CorrelatedNoise.estimate(dataset.data / dataset.noise_map, sky.pixels(dataset.grid))
    return dataset if section.scale == 1 else dataset.with_noise_map(dataset.noise_map * section.scale), noise


def _parts(path: KeyPath, made: Ingredient, section: Any) -> Iterator[tuple[KeyPath, Ingredient]]:
    """The innermost parts first, each at its place, so that an error is told where it is."""
    for key, part in made.parts.items():
        found = getattr(section, key, None)
        if isinstance(part, Ingredient) and isinstance(found, Choice):
            yield from _parts((*path, key, found.name), part, found.section)
    yield path, made


def _check_support(configuration: "FitConfiguration", model: FitModel, dataset: Imaging, plan: Plan) -> None:
    """Refuse a source that the data cannot support, and a first pass that they cannot."""
    settings: Any = configuration.settings
    with configuration.blame(("source", settings.source.name)):
        draws = model.prior.sample(jax.random.key(0), (1001,))
        theta = {name: jnp.median(values) for name, values in draws.items()}
        source = stand_in(model.source).make(model.resolve(theta))
        frame_of(dataset, source.over_sample)
        if not isinstance(model.source.parts.get("mesh"), SourceBox):  # how many cells that will have is not known yet
            source.check_support(dataset, dataset.n_pixels)
    if is_open(model) and plan.passes < 1:
        names = " and ".join(waiting(model.source))
        with configuration.blame(("stages",)):
            raise ValueError(f"passes: {names} can only be known from an earlier pass; expected at least 1, found 0")
    rows, columns = plan.first_mesh
    if is_open(model) and rows * columns > dataset.n_pixels:
        few = f"{rows} x {columns} cells are more than the {dataset.n_pixels} pixels in the mask can support"
        with configuration.blame(("stages",)):
            raise ValueError(f"first_mesh: {few}")
