"""The smaller sections of a population: planes, cones, abundances, structures, and kinds of dark matter."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from lensax import halos
from lensax._types import as_real
from lensax.config.section import Section, choice
from lensax.config.values import Value
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import concentration, mass_function, truncation

__all__ = [
    "AxisSection",
    "ConcentrationSection",
    "ConeSection",
    "DarkMatter",
    "HostSection",
    "MassFunctionSection",
    "PlanesSection",
    "PositionsSection",
    "TidesSection",
    "TruncationSection",
    "TwoHaloSection",
    "default",
    "split_mass_range",
]


def default(number: float) -> Any:
    return Field(default=Value.of(number))


class PlanesSection(Section):
    """`{scheme: redshift, front: 4, back: 4}`, `{scheme: comoving, ...}` or `{scheme: thin, step: 0.02}`."""

    scheme: Literal["redshift", "comoving", "thin"] = "redshift"
    front: int | None = Field(default=None, ge=0, le=500)
    back: int | None = Field(default=None, ge=0, le=500)
    step: float | None = Field(default=None, ge=1e-3)
    start: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _keys(self) -> "PlanesSection":
        foreign = ("front", "back") if self.scheme == "thin" else ("step", "start")
        for key in foreign:
            if getattr(self, key) is not None:
                raise ValueError(f"the scheme '{self.scheme}' has no key '{key}'")
        return self

    def make(self, lens_redshift: float | None, source_redshift: float | None) -> halos.PlaneScheme:
        """The scheme; the redshifts are needed for thin slices, and None where they are free."""
        if self.scheme == "thin":
            if lens_redshift is None or source_redshift is None:
                raise ValueError("line_of_sight.planes: thin slices need fixed redshifts of lens and source")
            step, start = self.step or 0.02, self.start or 0.01
            return halos.ThinSlices.between(lens_redshift, source_redshift, step, start)
        kind = halos.EqualComoving if self.scheme == "comoving" else halos.EqualRedshift
        return kind(4 if self.front is None else self.front, 4 if self.back is None else self.back)


class ConeSection(Section):
    """`{geometry: narrowing, radius: 3.0}`; geometries: narrowing, double, cylinder, lensed."""

    geometry: Literal["narrowing", "double", "cylinder", "lensed"]
    radius: float = Field(gt=0, le=100)
    einstein_radius: float | None = Field(default=None, ge=0)
    closing: float | None = Field(default=None, ge=0, le=1)
    margin: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _keys(self) -> "ConeSection":
        keys = {"narrowing": ("einstein_radius",), "double": ("closing",), "lensed": ("einstein_radius", "margin")}
        for key in ("einstein_radius", "closing", "margin"):
            if getattr(self, key) is not None and key not in keys.get(self.geometry, ()):
                raise ValueError(f"the geometry '{self.geometry}' has no key '{key}'")
        self.make()
        return self

    def make(self) -> halos.Cone:
        """The cone."""
        kinds: dict[str, Any] = {
            "narrowing": halos.NarrowingCone,
            "double": halos.DoubleCone,
            "cylinder": halos.Cylinder,
            "lensed": halos.LensedCone,
        }
        given = {k: getattr(self, k) for k in ("einstein_radius", "closing", "margin") if getattr(self, k) is not None}
        return kinds[self.geometry](radius=self.radius, **given)


def split_mass_range(written: Any) -> Any:
    """`log10_mass: [7, 10]` is short for `log10_mass_min: 7, log10_mass_max: 10`."""
    if not isinstance(written, Mapping) or "log10_mass" not in written:
        return written
    ends = written["log10_mass"]
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        raise ValueError(f"log10_mass: expected the lowest and the highest, such as [7, 10], found {ends!r}")
    for key in ("log10_mass_min", "log10_mass_max"):
        if key in written:
            raise ValueError(f"give either log10_mass or {key}, not both")
    rest = {key: value for key, value in written.items() if key != "log10_mass"}
    written = {**rest, "log10_mass_min": ends[0], "log10_mass_max": ends[1]}
    if all(isinstance(end, (int, float)) for end in ends):
        mass_function.check_mass_range((ends[0], ends[1]))
    return written


class MassFunctionSection(Section):
    """`{model: sheth99, log10_mass: [7, 10], delta_los: {Uniform: [0, 2]}}`."""

    model: Literal[tuple(mass_function.MODELS)] = "sheth99"  # type: ignore[valid-type]
    log10_mass_min: Value = default(7.0)
    log10_mass_max: Value = default(10.0)
    delta_los: Value = default(1.0)
    tilt: Value = default(0.0)

    _split = model_validator(mode="before")(staticmethod(split_mass_range))


class ConcentrationSection(Section):
    """`{model: ludlow16, scatter_dex: 0.15}`; `power_law` has `amplitude`, `mass_slope` and `redshift_slope`."""

    model: Literal[concentration.MODELS] = "ludlow16"  # type: ignore[valid-type]
    scatter_dex: Value = default(0.15)
    amplitude: float | None = Field(default=None, gt=0)
    mass_slope: float | None = None
    redshift_slope: float | None = None

    @model_validator(mode="after")
    def _keys(self) -> "ConcentrationSection":
        for key in ("amplitude", "mass_slope", "redshift_slope"):
            if getattr(self, key) is not None and self.model != "power_law":
                raise ValueError(f"the model '{self.model}' has no key '{key}'")
        return self

    def make(
        self, theory: halos.LinearTheory, max_redshift: float, log10_mass: tuple[float, float]
    ) -> halos.Concentration:
        """The table."""
        given = (self.amplitude, self.mass_slope, self.redshift_slope)
        law = tuple(default if key is None else key for key, default in zip(given, concentration.POWER_LAW))
        return halos.Concentration.tabulate(
            theory, max_redshift, self.model, log10_mass, self.scatter_dex.number or 0.0, law
        )


class TwoHaloSection(Section):
    """More field halos around the lens galaxy's: `{log10_host_mass: 13.3, lazar: false}`."""

    log10_host_mass: Value = default(13.3)
    lazar: bool = False


class AxisSection(Section):
    """Where the cone's axis ends: `{source_x: "= source.light.CoredSersic.center_x", source_y: 0.0}`."""

    source_x: Value = default(0.0)
    source_y: Value = default(0.0)


class TruncationSection(Section):
    """`{model: r100}`, `{model: r50}`, `{model: mean_density, overdensity: 150}`, `{model: r200, factor: 2}`."""

    model: Literal["r100", "r50", "mean_density", "r200", "none"] = "r100"
    overdensity: float | None = Field(default=None, ge=20, le=500)
    factor: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _keys(self) -> "TruncationSection":
        for key, model in (("overdensity", "mean_density"), ("factor", "r200")):
            if getattr(self, key) is not None and self.model != model:
                raise ValueError(f"the model '{self.model}' has no key '{key}'")
            if getattr(self, key) is None and self.model == model == "mean_density":
                raise ValueError(f"the model '{model}' needs the key '{key}'")
        return self

    def make(self) -> halos.Truncation:
        """The rule."""
        match self.model:
            case "r100":
                return halos.MeanDensityTruncation(100.0)
            case "r50":
                return truncation.r50()
            case "mean_density":
                assert self.overdensity is not None
                return halos.MeanDensityTruncation(self.overdensity)
            case "r200":
                return halos.VirialTruncation(2.0 if self.factor is None else self.factor)
        return halos.NoTruncation()


class PositionsSection(Section):
    """`{model: uniform, radius: 3.0}` or `{model: cored_nfw, radius: 3.0}`."""

    model: Literal["uniform", "cored_nfw"] = "uniform"
    radius: Value = default(3.0)

    def make(self) -> halos.Positions:
        """The distribution of positions."""
        return halos.UniformDisc() if self.model == "uniform" else halos.CoredNFWDisc()


class HostSection(Section):
    """The halo of the lens galaxy: `{log10_mass: 13.3, concentration: 6.0, core_fraction: 0.5}`."""

    log10_mass: Value = default(13.3)
    concentration: Value = default(6.0)
    core_fraction: Value = default(0.5)


class TidesSection(Section):
    """`{model: r100}` and the other truncations of field halos, or `roche`, `concentration`, `bound_mass`."""

    model: Literal["r100", "r50", "mean_density", "r200", "none", "roche", "concentration", "bound_mass"] = "r100"
    overdensity: float | None = Field(default=None, ge=20, le=500)
    factor: float | None = Field(default=None, gt=0)
    normalization: float | None = Field(default=None, gt=0)
    power: float | None = Field(default=None, ge=0, le=10)

    @model_validator(mode="after")
    def _keys(self) -> "TidesSection":
        keys = {"roche": ("normalization",), "concentration": ("normalization", "power")}
        for key in ("normalization", "power"):
            if getattr(self, key) is not None and key not in keys.get(self.model, ()):
                raise ValueError(f"the model '{self.model}' has no key '{key}'")
        if self.model in ("roche", "concentration", "bound_mass"):
            for key in ("overdensity", "factor"):
                if getattr(self, key) is not None:
                    raise ValueError(f"the model '{self.model}' has no key '{key}'")
        else:
            self._field()
        return self

    def _field(self) -> TruncationSection:
        given = {key: getattr(self, key) for key in ("overdensity", "factor") if getattr(self, key) is not None}
        return TruncationSection(model=self.model, **given)  # type: ignore[arg-type]

    def make(self, cosmology: FlatLambdaCDM) -> halos.Tides:
        """The rule."""
        given = {key: getattr(self, key) for key in ("normalization", "power") if getattr(self, key) is not None}
        match self.model:
            case "roche":
                return halos.RocheTides(**given)
            case "concentration":
                return halos.ConcentrationTides(**given)
            case "bound_mass":
                return halos.BoundMassTides.tabulate(cosmology)
        return halos.FieldTides(self._field().make())


class CDMSection(Section):
    """`CDM: {}`."""

    def make(self, theory: halos.LinearTheory) -> halos.DarkMatter:
        """Cold dark matter."""
        return halos.CDM()


class WDMSection(Section):
    """`WDM: {log10_m_hm: {Uniform: [5, 9]}}`, or `WDM: {thermal_mass: 5.0}` in keV."""

    log10_m_hm: Value | None = None
    thermal_mass: Value | None = None
    redshift_factor: bool = True

    @model_validator(mode="after")
    def _one(self) -> "WDMSection":
        if (self.log10_m_hm is None) == (self.thermal_mass is None):
            raise ValueError("give either log10_m_hm (log10 of Msun, no unit) or thermal_mass (in keV), one of them")
        return self

    def make(self, theory: halos.LinearTheory) -> halos.DarkMatter:
        """Warm dark matter; its mass is set from the parameters."""
        if self.log10_m_hm is not None:
            return halos.WDM(as_real(0.0), self.redshift_factor)
        relic = (theory.h, theory.Om0 - theory.Ob0, theory.matter_density)
        return halos.WDM(None, self.redshift_factor, as_real(1.0), relic)


class NFWSection(Section):
    """`NFW: {}`."""

    def make(self) -> halos.CoreModel:
        """No core."""
        return halos.NFW()


class CoredNFWSection(Section):
    """`CoredNFW: {core_fraction: 0.2}`."""

    core_fraction: Value = default(0.2)

    def make(self) -> halos.CoreModel:
        """A core of a fixed fraction of the scale radius."""
        return halos.CoredNFW()


class ParametricSection(Section):
    """`Parametric: {boost: 1.5}`."""

    boost: Value = default(1.0)

    def make(self) -> halos.CoreModel:
        """The parametric gravothermal model."""
        return halos.Parametric()


class IsothermalSection(Section):
    """`Isothermal: {}`."""

    def make(self) -> halos.CoreModel:
        """Isothermal cores."""
        return halos.Isothermal()


CoreModel = choice(
    "core model",
    {
        "Parametric": ParametricSection,
        "Isothermal": IsothermalSection,
        "CoredNFW": CoredNFWSection,
        "NFW": NFWSection,
    },
)


class CollapseSection(Section):
    """`{subhalo_probability: 0.5}`: half of the subhalos of 1e8 Msun have collapsed into compact halos."""

    field_probability: Value = default(0.0)
    field_slope: Value = default(0.0)
    subhalo_probability: Value = default(0.0)
    subhalo_slope: Value = default(0.0)
    compactness: Value = default(4.0)
    core_fraction: Value = default(0.05)


class SIDMSection(Section):
    """`SIDM: {cross_section: 100.0, speed: 24.0, power: 4.0, subhalos: {Parametric: {boost: 2.0}}}`."""

    field: CoreModel = CoreModel.model_validate("Parametric")  # type: ignore[valid-type]
    subhalos: CoreModel = CoreModel.model_validate("Parametric")  # type: ignore[valid-type]
    cross_section: Value = default(10.0)
    speed: Value = default(100.0)
    power: Value = default(0.0)
    formation_redshift: Value = default(10.0)
    collapse: CollapseSection = CollapseSection()

    def make(self, theory: halos.LinearTheory) -> halos.DarkMatter:
        """Self-interacting dark matter."""
        return halos.SIDM(self.field.section.make(), self.subhalos.section.make())  # type: ignore[attr-defined]


DarkMatter = choice("dark matter", {"CDM": CDMSection, "WDM": WDMSection, "SIDM": SIDMSection})
