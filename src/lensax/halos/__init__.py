"""Populations of dark-matter halos, and the catalogue that every one of them fills."""

from lensax.halos.catalogue import HaloCatalogue
from lensax.halos.concentration import Concentration
from lensax.halos.cone import Cone, Cylinder, DeflectedAxis, DoubleCone, LensedCone, NarrowingCone
from lensax.halos.cores import NFW, CoredNFW, CoreModel, Isothermal, Parametric
from lensax.halos.dark_matter import CDM, WDM, DarkMatter
from lensax.halos.drawn import DrawnHalos
from lensax.halos.expectation import (
    Abundance,
    abundances,
    drawn_halos,
    field_concentrations,
    subhalo_concentrations,
    subhalo_radii,
)
from lensax.halos.host import Host
from lensax.halos.line_of_sight import LineOfSight
from lensax.halos.linear_theory import LinearTheory
from lensax.halos.mass_function import MassFunction
from lensax.halos.plane_scheme import EqualComoving, EqualRedshift, PlaneScheme, ThinSlices
from lensax.halos.population import Population
from lensax.halos.positions import CoredNFWDisc, Positions, UniformDisc
from lensax.halos.sidm import SIDM, Collapse
from lensax.halos.subhalos import Subhalos
from lensax.halos.tides import BoundMassTides, ConcentrationTides, FieldTides, RocheTides, Tides
from lensax.halos.truncation import MeanDensityTruncation, NoTruncation, Truncation, VirialTruncation
from lensax.halos.two_halo import TwoHalo

__all__ = [
    "CDM",
    "NFW",
    "SIDM",
    "WDM",
    "Abundance",
    "BoundMassTides",
    "Collapse",
    "Concentration",
    "ConcentrationTides",
    "Cone",
    "CoreModel",
    "CoredNFW",
    "CoredNFWDisc",
    "Cylinder",
    "DarkMatter",
    "DeflectedAxis",
    "DoubleCone",
    "DrawnHalos",
    "EqualComoving",
    "EqualRedshift",
    "FieldTides",
    "HaloCatalogue",
    "Host",
    "Isothermal",
    "LensedCone",
    "LineOfSight",
    "LinearTheory",
    "MassFunction",
    "MeanDensityTruncation",
    "NarrowingCone",
    "NoTruncation",
    "Parametric",
    "PlaneScheme",
    "Population",
    "Positions",
    "RocheTides",
    "Subhalos",
    "ThinSlices",
    "Tides",
    "Truncation",
    "TwoHalo",
    "UniformDisc",
    "VirialTruncation",
    "abundances",
    "drawn_halos",
    "field_concentrations",
    "subhalo_concentrations",
    "subhalo_radii",
]
