"""Truncation radii of field halos."""

import abc
from typing import final

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Float
from lensax.halos.scales import OVERDENSITY, mean_density_truncation


class Truncation(eqx.Module):
    """A rule for `tau = r_t / r_s` from the concentration."""

    @abc.abstractmethod
    def tau(self, concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Truncation radius in scale radii."""


@final
class MeanDensityTruncation(Truncation):
    """The radius inside which the NFW halo's mean density is `overdensity` critical densities: r_100 for 100.

    Arguments:
        overdensity: N of r_N.
    """

    overdensity: float = eqx.field(static=True, default=100.0)

    def __check_init__(self) -> None:
        if not 0 < self.overdensity <= 1e6:
            raise ValueError(f"truncation: the overdensity must be a positive number, got {self.overdensity}")

    def tau(self, concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return mean_density_truncation(concentration, self.overdensity)


@final
class VirialTruncation(Truncation):
    """A multiple of r200: `tau = factor c`. pyHalo's r_50 is `(200 / 50)^(1/3) = 1.5874` of it, PyAutoLens has 2.

    Arguments:
        factor: r_t / r200.
    """

    factor: float = eqx.field(static=True, default=2.0)

    def __check_init__(self) -> None:
        if not 0 < self.factor < float("inf"):
            raise ValueError(f"truncation: the multiple of r200 must be a positive number, got {self.factor}")

    def tau(self, concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.factor * concentration


@final
class NoTruncation(Truncation):
    """NFW halos that never end; their total mass, and so a sheet that balances it, does not exist."""

    def tau(self, concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.full_like(concentration, jnp.inf)


def r50() -> VirialTruncation:
    """pyHalo's r_50: the radius at which a halo of constant mass would have a mean density of 50 critical ones."""
    return VirialTruncation((OVERDENSITY / 50) ** (1 / 3))
