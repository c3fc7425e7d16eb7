"""Populations of dark-matter halos, and the catalogue that every one of them fills."""

from lensax.halos.catalogue import HaloCatalogue
from lensax.halos.concentration import Concentration
from lensax.halos.cone import Cone, Cylinder, DoubleCone, LensedCone, NarrowingCone
from lensax.halos.dark_matter import CDM, WDM, DarkMatter
from lensax.halos.line_of_sight import LineOfSight
from lensax.halos.linear_theory import LinearTheory
from lensax.halos.mass_function import MassFunction
from lensax.halos.plane_scheme import EqualComoving, EqualRedshift, PlaneScheme, ThinSlices
from lensax.halos.population import Population
from lensax.halos.positions import Positions, UniformDisc
from lensax.halos.subhalos import Subhalos
from lensax.halos.truncation import MeanDensityTruncation, NoTruncation, Truncation, VirialTruncation

__all__ = [
    "CDM",
    "WDM",
    "Concentration",
    "Cone",
    "Cylinder",
    "DarkMatter",
    "DoubleCone",
    "EqualComoving",
    "EqualRedshift",
    "HaloCatalogue",
    "LensedCone",
    "LineOfSight",
    "LinearTheory",
    "MassFunction",
    "MeanDensityTruncation",
    "NarrowingCone",
    "NoTruncation",
    "PlaneScheme",
    "Population",
    "Positions",
    "Subhalos",
    "ThinSlices",
    "Truncation",
    "UniformDisc",
    "VirialTruncation",
]
