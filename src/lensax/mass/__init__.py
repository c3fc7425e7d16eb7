"""What bends light."""

from lensax.mass.base import MassProfile
from lensax.mass.cored_nfw import cored_nfw_mass
from lensax.mass.far_field import truncated_total_mass
from lensax.mass.halo import Halo
from lensax.mass.mixed import MixedHalos
from lensax.mass.nfw import nfw_mass
from lensax.mass.point import PointMass
from lensax.mass.power_law import PowerLaw
from lensax.mass.shear import ExternalShear
from lensax.mass.sheet import MassSheet
from lensax.mass.sidm import IsothermalCore, ParametricSIDM
from lensax.mass.spherical import SphericalHalo
from lensax.mass.truncated_nfw import projected_density, projected_mass, projected_potential

__all__ = [
    "ExternalShear",
    "Halo",
    "IsothermalCore",
    "MassProfile",
    "MassSheet",
    "MixedHalos",
    "ParametricSIDM",
    "PointMass",
    "PowerLaw",
    "SphericalHalo",
    "cored_nfw_mass",
    "nfw_mass",
    "projected_density",
    "projected_mass",
    "projected_potential",
    "truncated_total_mass",
]
