"""What every light profile can do."""

import abc

import equinox as eqx

from lensax._types import Array, Float


class LightProfile(eqx.Module):
    """Something that shines.  Subclass it to add a profile of your own; parameters are fields, angles are in arcsec."""

    @abc.abstractmethod
    def surface_brightness(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Surface brightness in electrons / s / arcsec^2."""
