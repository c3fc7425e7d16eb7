"""Where subhalos stand on the sky."""

import abc
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar
from lensax.halos import rendering
from lensax.halos.free import free
from lensax.halos.host import Host
from lensax.halos.rendering import LensPlanes
from lensax.mass.truncated_nfw import projected_mass

_RADII = 64


class Positions(eqx.Module):
    """A distribution of positions in a disc around the lens."""

    radius: eqx.AbstractVar[Scalar]

    def area(self, lenses: LensPlanes) -> Float[Array, " planes"]:
        """Proper area of the disc in kpc^2."""
        return np.pi * (self.radius * lenses.kpc_per_arcsec) ** 2

    @abc.abstractmethod
    def sample(
        self, uniform: Float[Array, "1 n"], turn: Float[Array, "1 n"], lenses: LensPlanes, host: Host
    ) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        """Positions in arcsec from two uniform numbers each."""


@final
class UniformDisc(Positions):
    """Uniform on the sky: the inner part of the host's halo, seen in projection, is flat.

    Args:
        radius: of the disc, arcsec.
    """

    radius: Scalar = free(3.0)

    def sample(
        self, uniform: Float[Array, "1 n"], turn: Float[Array, "1 n"], lenses: LensPlanes, host: Host
    ) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        return rendering.disc(self.radius[None], uniform, turn)


@final
class CoredNFWDisc(Positions):
    """Positions that follow the projected profile of the host's subhalos (see `Host`) inside a disc.

    Its cumulative distribution, the projected mass of a cored NFW halo, is inverted on a grid of 64 radii.

    Args:
        radius: of the disc, arcsec.
    """

    radius: Scalar = free(3.0)

    def sample(
        self, uniform: Float[Array, "1 n"], turn: Float[Array, "1 n"], lenses: LensPlanes, host: Host
    ) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        reach = self.radius * lenses.kpc_per_arcsec / host.scale_radius(lenses)
        steps = jnp.arange(1, _RADII + 1).astype(reach.dtype) / _RADII
        core = jnp.broadcast_to(host.core_fraction, steps.shape)
        mass = projected_mass(reach * steps, core, jnp.full_like(steps, jnp.inf))
        # The enclosed number rises like the square of the radius, so that its root is all but a straight line.
        zero = jnp.zeros((1,), mass.dtype)
        root = jnp.concatenate([zero, jnp.sqrt(mass / mass[-1])])
        r = self.radius * jnp.interp(jnp.sqrt(uniform), root, jnp.concatenate([zero, steps]))
        phi = 2 * np.pi * turn
        return r * jnp.cos(phi), r * jnp.sin(phi)
