"""A configuration of a fit: what is fitted to which image, and how."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from pydantic import Field, model_validator

from lensax.config.base import BaseConfiguration, read_text
from lensax.config.configuration import Configuration
from lensax.config.document import Document, KeyPath
from lensax.config.files import FilePath
from lensax.config.fit_data import Data, MaskSection, SimulatedImage
from lensax.config.fit_parts import LinearLight, Source
from lensax.config.instrument import MapFile, several
from lensax.config.schema import MassProfile
from lensax.config.section import Section, choice, either, section_of
from lensax.config.values import OwnParameters
from lensax.fit import Plan
from lensax.inversion import CorrelatedNoise
from lensax.parameters import Free
from lensax.parameters.near import unknown

if TYPE_CHECKING:
    from lensax.config.fit_build import FitSetup

__all__ = ["FitConfiguration", "FitSchema", "load_any", "load_fit", "loads_fit"]


class FittedLens(Section):
    """The lens galaxy: the profiles of its mass, and its light, whose amplitudes are solved for."""

    mass: list[MassProfile] = Field(min_length=1)  # type: ignore[valid-type]
    light: list[LinearLight] = Field(default_factory=list)  # type: ignore[valid-type]


class AsGiven(Section):
    """`Independent: {scale: 1.0}`: the noise map, times a number, without correlations."""

    scale: float = Field(default=1.0, gt=0)


class Correlated(Section):
    """`Correlated: {mixing: 0.15, scale: 1.0}`: neighbours are mixed, as drizzling does; or `{correlation: ...}`."""

    mixing: float | None = Field(default=None, ge=0, lt=0.5)
    correlation: either(list[list[float]], MapFile, (str, dict)) | None = None  # type: ignore[valid-type]
    scale: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _one_of_two(self) -> "Correlated":
        if (self.mixing is None) == (self.correlation is None):
            found = "neither" if self.mixing is None else "both"
            raise ValueError(f"expected either mixing or correlation, found {found}")
        return self

    def make(self, folder: Path) -> CorrelatedNoise:
        """The noise.

        Raises:
            ValueError: what `CorrelatedNoise` refuses, a file that is no image, or rows of different lengths.
        """
        given: Any = self.correlation
        if self.mixing is not None:
            return CorrelatedNoise.from_mixing(self.mixing)
        if isinstance(given, MapFile):
            return CorrelatedNoise(given.read(folder))
        if len({len(row) for row in given}) > 1:
            lengths = ", ".join(str(len(row)) for row in given)
            raise ValueError(f"correlation must have rows of one length, found {lengths} entries")
        return CorrelatedNoise(given)


class Estimated(Section):
    """`Estimated: {correlated: true}`: from the residuals of a first pass, its photon noise from the model."""

    correlated: bool = True


class BlankSky(Section):
    """`BlankSky: {mask: {Circular: {radius: 0.5, center: [3, 3]}}, scale: 1.0}`: correlated as pixels without light."""

    mask: either(MaskSection, list[MaskSection], list)  # type: ignore[valid-type]
    scale: float = Field(default=1.0, gt=0)

    @property
    def masks(self) -> list[Any]:
        """All masks, whose common pixels count."""
        return _listed(self.mask)


def _listed(masks: Any) -> list[Any]:
    return masks if isinstance(masks, list) else [masks]


NoiseSection = choice(
    "noise", {"Independent": AsGiven, "BlankSky": BlankSky, "Correlated": Correlated, "Estimated": Estimated}
)


class Images(Section):
    """`positions`: multiple images of one place in the source; arguments of `Positions`."""

    x: list[float] = Field(min_length=2)
    y: list[float] = Field(min_length=2)
    tolerance: float = Field(default=0.1, gt=0)


class MaximumSection(Section):
    """`maximum`: how the best fit is looked for."""

    starts: int = Field(default=2, ge=0)
    iterations: int = Field(default=300, ge=1)


class SamplingSection(Section):
    """`sampling`: how the posterior is sampled."""

    chains: int = Field(default=4, ge=1)
    warmup: int = Field(default=200, ge=1)
    draws: int = Field(default=500, ge=4)
    save_every: int = Field(default=25, ge=1)
    target_accept: float = Field(default=0.8, gt=0, lt=1)


StagesSection = section_of(
    Plan, skip=("noise", "correlated", "iterations"), first_mesh=several(int, 2), hold_first=list[str]
)


class FitSchema(Section):
    """A configuration of a fit from the top."""

    data: Data  # type: ignore[valid-type]
    mask: either(MaskSection, list[MaskSection], list) | None = None  # type: ignore[valid-type]
    noise: NoiseSection = Field(default_factory=lambda: NoiseSection.model_validate("Independent"))  # type: ignore[valid-type]
    parameters: OwnParameters = Field(default_factory=dict)
    lens: FittedLens
    source: Source  # type: ignore[valid-type]
    stages: StagesSection = Field(default_factory=StagesSection)  # type: ignore[valid-type]
    start: dict[str, float] = Field(default_factory=dict)
    positions: Images | None = None
    minimum_magnification: float = Field(default=1.5, gt=0)
    maximum: MaximumSection = Field(default_factory=MaximumSection)
    sampling: SamplingSection = Field(default_factory=SamplingSection)

    @property
    def masks(self) -> list[Any]:
        """All masks, with their places below `mask`."""
        return [] if self.mask is None else _listed(self.mask)


@final
class FitConfiguration(BaseConfiguration):
    """What a YAML file says about a fit (arguments and errors: `BaseConfiguration`)."""

    schema = FitSchema

    def build(self) -> "FitSetup":
        """The dataset and the model of the fit.

        Raises:
            ConfigError: a file that cannot be read, or numbers that the parts of the model refuse.
        """
        from lensax.config.fit_build import build_fit

        return build_fit(self)

    def _check_kind(self) -> None:
        data = self.document.data
        if "instrument" in data and "data" not in data:
            reason = "this describes a model to simulate; a fit has the section `data` instead"
            raise self.document.error(("instrument",), reason)

    def _check(self) -> None:
        settings: Any = self.settings
        free = self.parameters.prior.names
        if not free:
            raise self.document.error(("lens",), "a fit needs a free parameter: give one a prior instead of a number")
        for index, name in enumerate(settings.stages.hold_first):
            self._check_free(name, ("stages", "hold_first", index))
        for name, value in settings.start.items():
            entry = self._check_free(name, ("start", name))
            if not bool(entry.distribution.support(value)):
                reason = f"{value:g} lies outside of the prior {entry.describe()}"
                raise self.document.error(("start", name), reason)
        used = self.used()
        for name in free:
            if name not in used:
                raise self.error(name, "no part of the model uses this free parameter")
        if settings.positions is not None and len(settings.positions.x) != len(settings.positions.y):
            numbers = f"{len(settings.positions.x)} and {len(settings.positions.y)}"
            raise self.document.error(("positions",), f"x and y must have the same number of entries, found {numbers}")

    def _check_free(self, name: str, path: KeyPath) -> Free:
        """A free parameter by its name, which stands at a path."""
        if name not in self.parameters:
            raise self.document.error(path, unknown(name, self.parameters.prior.names, "free parameter"))
        entry = self.parameters[name]
        if not isinstance(entry, Free):
            raise self.document.error(path, f"expected a free parameter; '{name}' is {entry.describe()}")
        return entry

    def used(self) -> set[str]:
        """Every parameter that a part of the model has, and those that it follows from."""
        names = [name for name in self.parameters if not name.startswith("parameters.")]
        return set(self.parameters.only(names).names)

    def _digest(self, path: KeyPath, name: FilePath) -> str:
        """A configuration that is simulated counts by what it means, its files included."""
        section = next((found for at, found in self._simulations() if (*at, "configuration") == path), None)
        if section is None:
            return super()._digest(path, name)
        with self.blame(path):
            return section.of(self.folder).digest

    def _simulations(self) -> list[tuple[KeyPath, SimulatedImage]]:
        settings: Any = self.settings
        found = settings.data.section
        return [(("data", settings.data.name), found)] if isinstance(found, SimulatedImage) else []


def loads_fit(text: str, folder: str | Path = ".", file: str | None = None) -> FitConfiguration:
    """The configuration of a fit in a YAML text; names of files are relative to `folder`."""
    return FitConfiguration(text, folder, file)


def load_fit(path: str | Path) -> FitConfiguration:
    """The configuration of a fit in a YAML file.

    Raises:
        ConfigError: the file cannot be read, or says something that is not allowed; with line and key.
    """
    path = Path(path)
    return FitConfiguration(read_text(path), path.parent, str(path))


def load_any(path: str | Path) -> Configuration | FitConfiguration:
    """The configuration in a YAML file, of a model or of a fit.

    Raises:
        ConfigError: the file cannot be read, or says something that is not allowed; with line and key.
    """
    path = Path(path)
    text = read_text(path)
    data = Document(text, str(path)).data
    kind = FitConfiguration if "data" in data and "instrument" not in data else Configuration
    return kind(text, path.parent, str(path))
