"""The sections of a configuration, from the top."""

from pydantic import Field

from lensax import cosmology, light, mass, raytrace
from lensax.config.instrument import InstrumentSection
from lensax.config.population import DarkMatter, LineOfSight, Subhalos
from lensax.config.section import Section, choice, either, fixed, section_of
from lensax.config.values import OwnParameters, Value

__all__ = ["Schema"]

MASS_PROFILES = (mass.PowerLaw, mass.ExternalShear, mass.MassSheet, mass.PointMass, mass.Halo)
LIGHT_PROFILES = (light.Sersic, light.CoredSersic, light.Gaussian)
TRACERS = {
    name: kind
    for name, kind in vars(raytrace).items()
    if isinstance(kind, type) and issubclass(kind, raytrace.RayTracer) and kind is not raytrace.RayTracer
}

MassProfile = choice("mass profile", {kind.__name__: section_of(kind, Value) for kind in MASS_PROFILES})
LightProfile = choice("light profile", {kind.__name__: section_of(kind, Value) for kind in LIGHT_PROFILES})
Tracer = choice("ray tracer", {name: section_of(kind) for name, kind in TRACERS.items()})
Cosmology = choice(
    "cosmology",
    {
        "Planck15": fixed(cosmology.Planck15),
        "Planck18": fixed(cosmology.Planck18),
        "FlatLambdaCDM": section_of(cosmology.FlatLambdaCDM, m_nu=either(float, list[float], list)),
    },
)


class Lens(Section):
    """The lens galaxy: its redshift, the profiles of its mass and those of its light."""

    redshift: Value
    mass: list[MassProfile] = Field(default_factory=list)  # type: ignore[valid-type]
    light: list[LightProfile] = Field(default_factory=list)  # type: ignore[valid-type]


class Source(Section):
    """The source: its redshift and the profiles of its light."""

    redshift: Value
    light: list[LightProfile] = Field(min_length=1)  # type: ignore[valid-type]


class Schema(Section):
    """A configuration from the top."""

    cosmology: Cosmology = Field(default_factory=lambda: Cosmology.model_validate("Planck15"))  # type: ignore[valid-type]
    parameters: OwnParameters = Field(default_factory=dict)
    lens: Lens
    source: Source
    dark_matter: DarkMatter | None = None  # type: ignore[valid-type]
    line_of_sight: LineOfSight | None = None
    subhalos: Subhalos | None = None
    instrument: InstrumentSection
    tracer: Tracer | None = None  # type: ignore[valid-type]
