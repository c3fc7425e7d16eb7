"""What every mass profile can do."""

import abc

import equinox as eqx

from lensax._types import Array, Float


class MassProfile(eqx.Module):
    """A thin lens: its deflection, convergence and potential, scaled to the source plane.

    Subclass it to add a profile of your own; parameters are fields, angles are in arcsec.
    """

    @abc.abstractmethod
    def deflection(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Deflection angle `alpha = grad psi` in arcsec, so that `beta = theta - alpha`."""

    @abc.abstractmethod
    def convergence(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Convergence `kappa = div(alpha) / 2`, the surface density over the critical one."""

    @abc.abstractmethod
    def potential(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Lensing potential `psi` in arcsec^2."""
