"""What shines."""

from lensax.light.base import LightProfile
from lensax.light.gaussian import Gaussian
from lensax.light.sersic import CoredSersic, Sersic

__all__ = ["CoredSersic", "Gaussian", "LightProfile", "Sersic"]
