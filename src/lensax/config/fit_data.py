"""The sections `data` and `mask` of a fit: the image, from files or simulated, and the pixels that are used."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, reduce
from operator import and_
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from lensax.config.configuration import Configuration, load
from lensax.config.document import KeyPath
from lensax.config.files import FilePath
from lensax.config.instrument import MapFile, NumberOrMap, PointSpread, several
from lensax.config.section import Section, choice, either
from lensax.instrument import Imaging, Mask
from lensax.instrument.fits import SkyError, read_brightness, read_sky

__all__ = ["Data", "Image", "MaskSection", "SimulatedImage", "mask_of"]

Blame = Callable[[KeyPath], contextlib.AbstractContextManager[None]]


class Image:
    """An image before its mask is known.

    Args:
        values, noise_map: (n_y, n_x), electrons / s / pixel.
        make: the dataset, given its mask.
        truth: parameters of the model that made a simulated image, by name.
        sky: header keywords that place the image on the sky.
        remarks: what a person should know about the files, in sentences.
    """

    def __init__(
        self,
        values: Any,
        noise_map: Any,
        make: Callable[[Mask | None], Imaging],
        truth: dict[str, float] | None = None,
        sky: dict[str, Any] | None = None,
        remarks: Sequence[str] = (),
    ):
        self.values, self.noise_map, self.make = values, noise_map, make
        self.truth, self.sky, self.remarks = truth or {}, sky or {}, tuple(remarks)


class BrightnessFile(MapFile):
    """`background_rms.fits`, or `{path: background_rms.fits, hdu: 1}`: a map in electrons / s."""

    def read(self, folder: Path) -> Any:
        """The image."""
        return read_brightness(self.path.inside(folder), self.hdu)


class FilesOfImage(Section):
    """`FITS: {image: data.fits, noise_map: noise.fits, psf: {FITS: {path: psf.fits}}, ...}`; arguments of `Imaging`."""

    image: MapFile
    noise_map: MapFile
    psf: PointSpread | None = None  # type: ignore[valid-type]
    pixel_scale: float | None = Field(default=None, gt=0)
    exposure_time: NumberOrMap | None = None  # type: ignore[valid-type]
    background_rms: either(float, BrightnessFile, (str, dict)) | None = None  # type: ignore[valid-type]

    def read(self, folder: Path, blame: Blame) -> Image:
        """The image.

        Raises:
            ValueError: what `Imaging.from_fits` refuses.
        """
        found = {}
        for name in ("image", "noise_map"):
            with blame((name,)):
                found[name] = getattr(self, name).read(folder)
        point_spread = None
        if self.psf is not None:
            with blame(("psf", self.psf.name)):
                point_spread = self.psf.section.read(folder)
        known = {}
        for name in ("exposure_time", "background_rms"):
            given = getattr(self, name)
            with blame((name,)):
                known[name] = given.read(folder) if isinstance(given, MapFile) else given

        def make(mask: Mask | None) -> Imaging:
            path = self.image.path.inside(folder)
            with blame(()):
                try:
                    return Imaging.from_fits(
                        path,
                        self.noise_map.path.inside(folder),
                        point_spread,
                        self.pixel_scale,
                        mask=mask,
                        **known,
                        hdu=self.image.hdu,
                        noise_map_hdu=self.noise_map.hdu,
                    )
                except ValueError as error:
                    # The place in the configuration is told by the message's first word.
                    raise ValueError(str(error).removeprefix(f"{path}: ")) from None

        sky, remarks = {}, []
        try:
            sky = read_sky(self.image.path.inside(folder), self.image.hdu)
        except SkyError as error:
            remarks.append(f"the images of the fit will have no coordinates on the sky: {error}")
        return Image(found["image"], found["noise_map"], make, sky=sky, remarks=remarks)


@contextlib.contextmanager
def _single_precision() -> Iterator[None]:
    """float32 whatever the precision of the process.

    JAX knows a constant of a program again by its identity, whatever the precision was: nothing compiled before may be
    taken up, nor what is compiled here afterwards.
    """
    import jax

    if not jax.config.read("jax_enable_x64"):
        yield
        return
    jax.clear_caches()
    try:
        with jax.enable_x64(False):
            yield
    finally:
        jax.clear_caches()


@lru_cache(maxsize=4)
def _simulated(path: Path, digest: str, seed: int, row: int) -> tuple[Imaging, dict[str, float]]:
    """A row of a configuration of this digest as `lensax preview` shows it, and its parameters: drawn in float32."""
    import jax
    import jax.numpy as jnp

    from lensax.campaign.rows import draw
    from lensax.simulate import ForwardModel

    with _single_precision():
        configuration = load(path)  # here, so that its numbers have that precision too
        model = ForwardModel.from_configuration(configuration)
        theta, keys = draw(model.prior, jax.random.key(np.uint32(seed)), jnp.asarray([row], jnp.uint32))
        one = {name: values[0] for name, values in theta.items()}
        seen = model.both(one, keys[0])
        dataset = model.simulator.instrument.imaging(seen.noisy, seen.noiseless)
        return dataset, {name: float(value) for name, value in configuration.parameters.resolve(one).items()}


class SimulatedImage(Section):
    """`Simulation: {configuration: cdm_hst.yaml, seed: 0, row: 0}`: what `lensax preview` shows of another file."""

    configuration: FilePath
    seed: int = Field(default=0, ge=0, lt=2**32)
    row: int = Field(default=0, ge=0, lt=2**32)

    def read(self, folder: Path, blame: Blame) -> Image:
        """The image, and the parameters that made it."""
        import jax.numpy as jnp

        from lensax._types import cast

        digest = self.of(folder).digest
        with blame(()):
            dataset, truth = _simulated(self.configuration.inside(folder), digest, self.seed, self.row)
        exact = cast(dataset, jnp.float64)
        return Image(exact.data, exact.noise_map, lambda mask: exact.with_mask(mask) if mask else exact, truth)

    def of(self, folder: Path) -> Configuration:
        """The configuration that is simulated."""
        return load(self.configuration.inside(folder))


Data = choice("source of data", {"FITS": FilesOfImage, "Simulation": SimulatedImage})


class Circular(Section):
    """`Circular: {radius: 2.0, center: [0, 0]}`."""

    radius: float
    center: several(float, 2) = (0.0, 0.0)  # type: ignore[valid-type]

    def make(self, image: Image, folder: Path) -> Mask:
        """The mask."""
        return Mask.circular(self.radius, self.center)


class Annulus(Section):
    """`Annulus: {inner: 0.4, outer: 2.0, center: [0, 0]}`."""

    inner: float
    outer: float
    center: several(float, 2) = (0.0, 0.0)  # type: ignore[valid-type]

    def make(self, image: Image, folder: Path) -> Mask:
        """The mask."""
        return Mask.annulus(self.inner, self.outer, self.center)


class Without(Section):
    """`Without: {radius: 0.3, center: [1.2, -0.4]}`: all but a disc, such as that of a companion."""

    radius: float
    center: several(float, 2)  # type: ignore[valid-type]

    def make(self, image: Image, folder: Path) -> Mask:
        """The mask."""
        return ~Mask.circular(self.radius, self.center)


class Threshold(Section):
    """`Threshold: {level: 3}`: around pixels that are brighter than the noise; arguments of `Mask.threshold`."""

    level: float = 3.0
    smoothing: float = 1.0
    grow: float = 2.0
    smallest: int = 1

    def make(self, image: Image, folder: Path) -> Mask:
        """The mask."""
        arguments = self.level, self.smoothing, self.grow, self.smallest
        return Mask.threshold(image.values, image.noise_map, *arguments)


class MaskFile(MapFile):
    """`FITS: mask.fits`: pixels that are not zero in an image."""

    def make(self, image: Image, folder: Path) -> Mask:
        """The mask."""
        return Mask.from_array(self.read(folder))


MaskSection = choice(
    "mask", {"Annulus": Annulus, "Circular": Circular, "FITS": MaskFile, "Threshold": Threshold, "Without": Without}
)


def mask_of(masks: list[Any], image: Image, folder: Path, blame: Blame) -> Mask | None:
    """The pixels that all masks have in common; None without masks."""
    made = []
    for index, section in enumerate(masks):
        with blame((index, section.name)):
            made.append(section.section.make(image, folder))
    return reduce(and_, made) if made else None
