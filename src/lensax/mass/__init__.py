"""What bends light."""

from lensax.mass.base import MassProfile
from lensax.mass.halo import Halo
from lensax.mass.point import PointMass
from lensax.mass.power_law import PowerLaw
from lensax.mass.shear import ExternalShear
from lensax.mass.sheet import MassSheet

__all__ = ["ExternalShear", "Halo", "MassProfile", "MassSheet", "PointMass", "PowerLaw"]
