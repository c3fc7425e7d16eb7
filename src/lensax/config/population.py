"""The sections `line_of_sight`, `subhalos` and `dark_matter`, and the population that they describe."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from lensax import halos
from lensax._types import as_real
from lensax.config.halo_sections import (
    AxisSection,
    ConcentrationSection,
    ConeSection,
    DarkMatter,
    HostSection,
    MassFunctionSection,
    PlanesSection,
    PositionsSection,
    TidesSection,
    TruncationSection,
    TwoHaloSection,
    default,
    split_mass_range,
)
from lensax.config.section import Section
from lensax.config.values import Value
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import mass_function
from lensax.halos.host import LATEST_INFALL
from lensax.parameters import Parameters
from lensax.raytrace.planes import Planes

__all__ = ["DarkMatter", "LineOfSight", "Subhalos", "build_population", "plane_scheme"]


class LineOfSight(Section):
    """Field halos along the line of sight."""

    planes: PlanesSection = PlanesSection()
    cone: ConeSection
    mass_function: MassFunctionSection = MassFunctionSection()
    concentration: ConcentrationSection = ConcentrationSection()
    truncation: TruncationSection = TruncationSection()
    two_halo: TwoHaloSection | None = None
    axis: AxisSection | None = None
    sheets: bool = True
    common_random_numbers: bool = False
    relaxation: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _balance(self) -> "LineOfSight":
        return _check_balance(self)


class Subhalos(Section):
    """Subhalos: `{sigma_sub: 0.025, log10_mass: [7, 10], ...}` or `{mean_number: 20, ...}`."""

    sigma_sub: Value | None = None
    mean_number: Value | None = None
    log10_mass_min: Value = default(7.0)
    log10_mass_max: Value = default(10.0)
    slope: Value = default(-1.9)
    host: HostSection = HostSection()
    host_mass_slope: Value = default(0.55)
    host_redshift_slope: Value = default(0.37)
    positions: PositionsSection = PositionsSection()
    infall: Literal["distribution", "lens"] = "distribution"
    concentration: ConcentrationSection = ConcentrationSection()
    truncation: TidesSection = TidesSection()
    sheets: bool = True
    common_random_numbers: bool = False
    relaxation: float = Field(default=0.0, ge=0, le=1)

    _split = model_validator(mode="before")(staticmethod(split_mass_range))

    @model_validator(mode="after")
    def _amplitude(self) -> "Subhalos":
        if (self.sigma_sub is None) == (self.mean_number is None):
            raise ValueError("give either sigma_sub (per kpc^2) or mean_number, one of them")
        return _check_balance(self)


def _check_balance(section: Any) -> Any:
    if section.relaxation and not section.common_random_numbers:
        raise ValueError("relaxation is for common_random_numbers: true")
    if section.sheets and section.truncation.model == "none":
        raise ValueError("halos without truncation have no total mass for a sheet to balance: set sheets: false")
    return section


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
        halos.CDM() if dark_matter is None else dark_matter.section.make(theory),
        None if line_of_sight is None else _line_of_sight(line_of_sight, parameters, theory, max_redshift, cosmology),
        None if subhalos is None else _subhalos(subhalos, parameters, theory, max_redshift, cosmology),
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
    sections = {"line_of_sight": line_of_sight, "subhalos": subhalos}
    common = [name for name, section in sections.items() if section is not None and section.common_random_numbers]
    widths = {sections[name].relaxation for name in common}  # type: ignore[union-attr]
    if len(widths) > 1:
        raise ValueError("line_of_sight and subhalos must have the same relaxation")
    return population.with_values(fixed).sized(
        planes, varied, common_random_numbers=common, relaxation=widths.pop() if widths else 0.0
    )


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
    section: LineOfSight,
    parameters: Parameters,
    theory: halos.LinearTheory,
    max_redshift: float,
    cosmology: FlatLambdaCDM,
) -> halos.LineOfSight:
    masses = _mass_range("line_of_sight.mass_function", parameters)
    scheme = plane_scheme(section, parameters)
    two_halo = None
    if section.two_halo is not None:
        lens, source = (as_real(sum(parameters.bounds(f"{name}.redshift")) / 2) for name in ("lens", "source"))
        edge = float(scheme.edges(lens, source, cosmology)[scheme.lens_index + 1])
        two_halo = halos.TwoHalo.tabulate(theory, cosmology, float(lens), edge, section.two_halo.lazar)
    return halos.LineOfSight(
        scheme,
        section.cone.make(),
        halos.MassFunction.tabulate(theory, max_redshift, section.mass_function.model, masses),
        section.concentration.make(theory, max_redshift, masses),
        section.truncation.make(),
        two_halo,
        None if section.axis is None else halos.DeflectedAxis(),
        section.sheets,
    )


def _subhalos(
    section: Subhalos,
    parameters: Parameters,
    theory: halos.LinearTheory,
    max_redshift: float,
    cosmology: FlatLambdaCDM,
) -> halos.Subhalos:
    masses = _mass_range("subhalos", parameters)
    return halos.Subhalos(
        *halos.Subhalos.grid(masses),
        section.positions.make(),
        section.concentration.make(theory, max(max_redshift, LATEST_INFALL), masses),
        section.truncation.make(cosmology),
        infall=section.infall == "distribution",
        sigma_sub=None if section.sigma_sub is None else as_real(0.0),
        mean_number=None if section.mean_number is None else as_real(0.0),
        sheets=section.sheets,
    )


# Parameters that must stay in a range, by their names or the last part of these.
_RANGES = {
    "delta_los": (0.0, 1e6),
    "sigma_sub": (0.0, 1e6),
    "mean_number": (0.0, 1e7),
    "scatter_dex": (0.0, 2.0),
    "radius": (1e-6, 100.0),
    "tilt": (-5.0, 5.0),
    "slope": (-5.0, 1.0),
    "subhalos.host.log10_mass": (8.0, 17.0),
    "subhalos.host.concentration": (0.5, 100.0),
    "subhalos.host.core_fraction": (0.0, 100.0),
    "line_of_sight.two_halo.log10_host_mass": (11.0, 15.5),
    "log10_m_hm": (-20.0, 14.0),
    "thermal_mass": (1e-3, 1e6),
    "cross_section": (0.0, 1e6),
    "speed": (0.1, 1e5),
    "power": (0.0, 7.5),
    "formation_redshift": (0.0, 50.0),
    "boost": (0.0, 1e3),
    "dark_matter.SIDM.field.CoredNFW.core_fraction": (0.0, 0.8),
    "dark_matter.SIDM.subhalos.CoredNFW.core_fraction": (0.0, 0.8),
    "dark_matter.SIDM.collapse.core_fraction": (0.0, 0.8),
    "field_probability": (0.0, 1.0),
    "subhalo_probability": (0.0, 1.0),
    "compactness": (1.0, 20.0),
}


def _check_ranges(names: tuple[str, ...], parameters: Parameters) -> None:
    for name in names:
        allowed = _RANGES.get(name) or _RANGES.get(name.rpartition(".")[2])
        ends = parameters.bounds(name)
        if allowed is not None and not (allowed[0] <= ends.low and ends.high <= allowed[1]):
            found = f"{ends.low:g}" if ends.low == ends.high else f"{ends.low:g} to {ends.high:g}"
            raise ValueError(f"{name}: expected a value between {allowed[0]:g} and {allowed[1]:g}, found {found}")
