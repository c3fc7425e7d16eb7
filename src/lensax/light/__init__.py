"""What shines."""

from lensax.light.base import LightProfile
from lensax.light.basis import GaussianBasis, LightBasis, PointSources, ProfileBasis, Sky
from lensax.light.gaussian import Gaussian
from lensax.light.sersic import CoredSersic, Sersic

__all__ = [
    "CoredSersic",
    "Gaussian",
    "GaussianBasis",
    "LightBasis",
    "LightProfile",
    "PointSources",
    "ProfileBasis",
    "Sersic",
    "Sky",
]
