"""The sections `line_of_sight`, `subhalos` and `dark_matter`, and the population that they describe."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from lensax import halos
from lensax._types import as_real
from lensax.config.section import Section, choice
from lensax.config.values import Value
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import concentration, mass_function, truncation
from lensax.parameters import Parameters
from lensax.raytrace.planes import Planes

__all__ = ["DarkMatter", "LineOfSight", "Subhalos", "build_population", "plane_scheme"]


def _default(number: float) -> Any:
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


def _split_mass_range(written: Any) -> Any:
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
    log10_mass_min: Value = _default(7.0)
    log10_mass_max: Value = _default(10.0)
    delta_los: Value = _default(1.0)
    tilt: Value = _default(0.0)

    _split = model_validator(mode="before")(staticmethod(_split_mass_range))


class ConcentrationSection(Section):
    """`{model: ludlow16, scatter_dex: 0.15}`; `power_law` has `amplitude`, `mass_slope` and `redshift_slope`."""

    model: Literal[concentration.MODELS] = "ludlow16"  # type: ignore[valid-type]
    scatter_dex: Value = _default(0.15)
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


class LineOfSight(Section):
    """Field halos along the line of sight."""

    planes: PlanesSection = PlanesSection()
    cone: ConeSection
    mass_function: MassFunctionSection = MassFunctionSection()
    concentration: ConcentrationSection = ConcentrationSection()
    truncation: TruncationSection = TruncationSection()
    sheets: bool = True

    @model_validator(mode="after")
    def _balance(self) -> "LineOfSight":
        return _check_balance(self)


class PositionsSection(Section):
    """`{model: uniform, radius: 3.0}`."""

    model: Literal["uniform"] = "uniform"
    radius: Value = _default(3.0)

    def make(self) -> halos.Positions:
        """The distribution of positions."""
        return halos.UniformDisc()


class Subhalos(Section):
    """Subhalos: `{sigma_sub: 0.025, log10_mass: [7, 10], ...}` or `{mean_number: 20, ...}`."""

    sigma_sub: Value | None = None
    mean_number: Value | None = None
    log10_mass_min: Value = _default(7.0)
    log10_mass_max: Value = _default(10.0)
    slope: Value = _default(-1.9)
    log10_host_mass: Value = _default(13.3)
    host_mass_slope: Value = _default(0.55)
    host_redshift_slope: Value = _default(0.37)
    positions: PositionsSection = PositionsSection()
    concentration: ConcentrationSection = ConcentrationSection()
    truncation: TruncationSection = TruncationSection()
    sheets: bool = True

    _split = model_validator(mode="before")(staticmethod(_split_mass_range))

    @model_validator(mode="after")
    def _amplitude(self) -> "Subhalos":
        if (self.sigma_sub is None) == (self.mean_number is None):
            raise ValueError("give either sigma_sub (per kpc^2) or mean_number, one of them")
        return _check_balance(self)


def _check_balance(section: Any) -> Any:
    if section.sheets and section.truncation.model == "none":
        raise ValueError("halos without truncation have no total mass for a sheet to balance: set sheets: false")
    return section


class CDMSection(Section):
    """`CDM: {}`."""

    def make(self) -> halos.DarkMatter:
        """Cold dark matter."""
        return halos.CDM()


class WDMSection(Section):
    """`WDM: {log10_m_hm: {Uniform: [5, 9]}}`."""

    log10_m_hm: Value
    redshift_factor: bool = True

    def make(self) -> halos.DarkMatter:
        """Warm dark matter; the half-mode mass is set from the parameters."""
        return halos.WDM(as_real(self.log10_m_hm.number or 0.0), self.redshift_factor)


DarkMatter = choice("dark matter", {"CDM": CDMSection, "WDM": WDMSection})


def plane_scheme(line_of_sight: LineOfSight | None, parameters: Parameters) -> halos.PlaneScheme:
    """The planes of a configuration: those of the line of sight, or the lens plane alone."""
    if line_of_sight is None:
        return halos.EqualRedshift(0, 0)
    return line_of_sight.planes.make(*(_fixed(parameters, f"{name}.redshift") for name in ("lens", "source")))


def build_population(
    line_of_sight: LineOfSight | None,
    subhalos: Subhalos | None,
    dark_matter: Any,
    parameters: Parameters,
    cosmology: FlatLambdaCDM,
) -> halos.Population | None:
    """The population of a configuration, its tables made and its slots counted; None without halos.

    Args:
        line_of_sight, subhalos: the sections, or None.
        dark_matter: the section, or None for cold dark matter.
        parameters: every number of the model, the sections' own under their dotted names.
        cosmology: of the distances; the mass function takes the linear theory that belongs to it.

    Raises:
        ValueError: a parameter whose range makes no population; the message names it.
    """
    if line_of_sight is None and subhalos is None:
        return None
    theory = halos.LinearTheory.from_cosmology(cosmology)
    max_redshift = parameters.upper("source.redshift")
    population = halos.Population(
        cosmology,
        halos.CDM() if dark_matter is None else dark_matter.section.make(),
        None if line_of_sight is None else _line_of_sight(line_of_sight, parameters, theory, max_redshift),
        None if subhalos is None else _subhalos(subhalos, parameters, theory, max_redshift),
    )
    fixed = {name: bounds.low for name in population.names if (bounds := parameters.bounds(name)).low == bounds.high}
    _check_ranges(population.names, parameters)
    scheme = plane_scheme(line_of_sight, parameters)
    redshifts = {name: parameters.bounds(name) for name in ("lens.redshift", "source.redshift")}

    def planes(values: Mapping[str, Any]) -> Planes:
        lens, source = (as_real(values.get(name, ends.low)) for name, ends in redshifts.items())
        return Planes(scheme.redshifts(lens, source, cosmology), lens, source, cosmology, scheme.lens_index)

    varied = {name: tuple(parameters.bounds(name)) for name in (*population.names, *redshifts) if name not in fixed}
    varied = {name: ends for name, ends in varied.items() if ends[0] < ends[1]}
    return population.with_values(fixed).sized(planes, varied)


def _fixed(parameters: Parameters, name: str) -> float | None:
    low, high = parameters.bounds(name)
    return low if low == high else None


def _mass_range(section: str, parameters: Parameters) -> tuple[float, float]:
    """The widest range of masses that the parameters allow."""
    low, high = (parameters.bounds(f"{section}.log10_mass_{end}") for end in ("min", "max"))
    if low.high >= high.low:
        raise ValueError(
            f"{section}: log10_mass_min may reach {low.high:g} and log10_mass_max {high.low:g}: "
            "expected the first below the second"
        )
    return mass_function.check_mass_range((low.low, high.high), f"{section}.log10_mass")


def _line_of_sight(
    section: LineOfSight, parameters: Parameters, theory: halos.LinearTheory, max_redshift: float
) -> halos.LineOfSight:
    masses = _mass_range("line_of_sight.mass_function", parameters)
    return halos.LineOfSight(
        plane_scheme(section, parameters),
        section.cone.make(),
        halos.MassFunction.tabulate(theory, max_redshift, section.mass_function.model, masses),
        section.concentration.make(theory, max_redshift, masses),
        section.truncation.make(),
        section.sheets,
    )


def _subhalos(
    section: Subhalos, parameters: Parameters, theory: halos.LinearTheory, max_redshift: float
) -> halos.Subhalos:
    masses = _mass_range("subhalos", parameters)
    return halos.Subhalos(
        *halos.Subhalos.grid(masses),
        section.positions.make(),
        section.concentration.make(theory, max_redshift, masses),
        section.truncation.make(),
        sigma_sub=None if section.sigma_sub is None else as_real(0.0),
        mean_number=None if section.mean_number is None else as_real(0.0),
        sheets=section.sheets,
    )


# Parameters that must stay in a range, by the last part of their names.
_RANGES = {
    "delta_los": (0.0, 1e6),
    "sigma_sub": (0.0, 1e6),
    "mean_number": (0.0, 1e7),
    "scatter_dex": (0.0, 2.0),
    "radius": (1e-6, 100.0),
    "tilt": (-5.0, 5.0),
    "slope": (-5.0, 1.0),
    "log10_host_mass": (8.0, 17.0),
    "log10_m_hm": (-20.0, 14.0),
}


def _check_ranges(names: tuple[str, ...], parameters: Parameters) -> None:
    for name in names:
        allowed, ends = _RANGES.get(name.rpartition(".")[2]), parameters.bounds(name)
        if allowed is not None and not (allowed[0] <= ends.low and ends.high <= allowed[1]):
            found = f"{ends.low:g}" if ends.low == ends.high else f"{ends.low:g} to {ends.high:g}"
            raise ValueError(f"{name}: expected a value between {allowed[0]:g} and {allowed[1]:g}, found {found}")
