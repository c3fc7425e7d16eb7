"""Where subhalos stand on the sky."""

import abc
from typing import final

import equinox as eqx
import numpy as np

from lensax._types import Array, Float, Scalar
from lensax.halos import rendering
from lensax.halos.free import free
from lensax.halos.rendering import LensPlanes


class Positions(eqx.Module):
    """A distribution of positions in a disc around the lens."""

    radius: eqx.AbstractVar[Scalar]

    def area(self, lenses: LensPlanes) -> Float[Array, " planes"]:
        """Proper area of the disc in kpc^2."""
        return np.pi * (self.radius * lenses.kpc_per_arcsec) ** 2

    @abc.abstractmethod
    def sample(
        self, uniform: Float[Array, "1 n"], turn: Float[Array, "1 n"], lenses: LensPlanes
    ) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        """Positions in arcsec from two uniform numbers each."""


@final
class UniformDisc(Positions):
    """Uniform on the sky: the inner part of the host's halo, seen in projection, is flat.

    Arguments:
        radius: of the disc, arcsec.
    """

    radius: Scalar = free(3.0)

    def sample(
        self, uniform: Float[Array, "1 n"], turn: Float[Array, "1 n"], lenses: LensPlanes
    ) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        return rendering.disc(self.radius[None], uniform, turn)
