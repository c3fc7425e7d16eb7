"""Truncation radii of field halos."""

import abc
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, as_real
from lensax.halos.scales import OVERDENSITY, mean_density_truncation

_MIDDLE = 0.5 * float(np.log(2000.0))  # of the range of ln c


class Truncation(eqx.Module):
    """A rule for `tau = r_t / r_s` from the concentration."""

    @abc.abstractmethod
    def tau(self, concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Truncation radius in scale radii."""


@final
class MeanDensityTruncation(Truncation):
    """The radius inside which the NFW halo's mean density is `overdensity` critical densities: r_100 for 100.

    `tau^3 / mu(tau) = (200 / N) c^3 / mu(c)` is solved on the host; `ln(tau / c)` is a Chebyshev series in ln c, for
    c from 1 to 2000, with a relative error of 4e-8 or less.

    Args:
        overdensity: N of r_N.
    """

    overdensity: float = eqx.field(static=True)
    coefficients: Float[Array, " terms"]

    def __init__(self, overdensity: float = 100.0) -> None:
        if not 20 <= overdensity <= 500:
            raise ValueError(f"truncation: the overdensity must lie between 20 and 500, got {overdensity}")
        self.overdensity = overdensity
        series = np.polynomial.chebyshev.chebinterpolate(
            lambda x: np.log(mean_density_truncation(np.exp(_MIDDLE * (1 + x)), overdensity)) - _MIDDLE * (1 + x), 16
        )
        self.coefficients = as_real(series)

    def tau(self, concentration: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        log_c = jnp.log(concentration)
        x = jnp.clip(log_c / _MIDDLE - 1, -1, 1)
        # Clenshaw's recurrence.
        one, two = jnp.zeros_like(x), jnp.zeros_like(x)
        for n in range(self.coefficients.shape[0] - 1, 0, -1):
            one, two = self.coefficients[n] + 2 * x * one - two, one
        return concentration * jnp.exp(self.coefficients[0] + x * one - two)


@final
class VirialTruncation(Truncation):
    """A multiple of r200: `tau = factor c`. pyHalo's r_50 is `(200 / 50)^(1/3) = 1.5874` of it, PyAutoLens has 2.

    Args:
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
