"""Halos as lenses: what a population's masses and structures are in arcsec and convergence."""

from collections.abc import Callable
from typing import TYPE_CHECKING, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Bool, Float, Int
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import scales
from lensax.halos.catalogue import EMPTY_SLOT
from lensax.halos.mass_law import MassLaw
from lensax.mass.far_field import truncated_total_mass
from lensax.mass.halo import Halo

if TYPE_CHECKING:
    from lensax.raytrace.planes import Planes

# Gauss-Legendre nodes over ln M and Gauss-Hermite nodes over the scatter of concentrations: the mean mass to 1e-5.
MASS_NODES, MASS_WEIGHTS = np.polynomial.legendre.leggauss(24)
NORMAL_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
NORMAL_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@final
class LensPlanes(eqx.Module):
    """What turns masses into lenses on a set of planes.

    Arguments:
        redshift: `(n_planes,)`.
        critical_density: Msun / kpc^3.
        critical_surface_density: to the final source, Msun / kpc^2.
        kpc_per_arcsec: proper.
    """

    redshift: Float[Array, " planes"]
    critical_density: Float[Array, " planes"]
    critical_surface_density: Float[Array, " planes"]
    kpc_per_arcsec: Float[Array, " planes"]

    @classmethod
    def of(cls, planes: "Planes", cosmology: FlatLambdaCDM) -> "LensPlanes":
        """All planes of a scene."""
        return cls(
            planes.redshifts,
            cosmology.critical_density(planes.redshifts),
            planes.critical_surface_density,
            planes.kpc_per_arcsec,
        )

    def at(self, index: int) -> "LensPlanes":
        """One of them, as a set of one."""
        return LensPlanes(*(leaf[index : index + 1] for leaf in self._leaves()))

    def _leaves(self) -> tuple[Array, ...]:
        return self.redshift, self.critical_density, self.critical_surface_density, self.kpc_per_arcsec


@final
class Structure(eqx.Module):
    """The inner structure of halos `(n_planes, n_slots)`.

    Arguments:
        log_mass: ln(M200 / Msun).
        concentration: r200 / r_s.
        tau: truncation radius / r_s.
        core_fraction: core radius / r_s.
    """

    log_mass: Float[Array, "planes slots"]
    concentration: Float[Array, "planes slots"]
    tau: Float[Array, "planes slots"]
    core_fraction: Float[Array, "planes slots"]

    def total_mass(self) -> Float[Array, "planes slots"]:
        """Mass of the truncated halo in Msun."""
        enclosed = scales.cored_enclosed_mass(self.concentration, self.core_fraction)
        return jnp.exp(self.log_mass) * truncated_total_mass(self.core_fraction, self.tau) / enclosed

    def halos(
        self,
        planes: LensPlanes,
        center: tuple[Float[Array, "planes slots"], Float[Array, "planes slots"]],
        filled: Bool[Array, "planes slots"],
    ) -> Halo:
        """The lenses at these centers; slots that are not filled are empty."""
        density = planes.critical_density[:, None]
        enclosed = scales.cored_enclosed_mass(self.concentration, self.core_fraction)
        scale_radius = jnp.exp(scales.log_virial_radius(self.log_mass, density)) / self.concentration  # kpc
        log_density = scales.log_characteristic_density(self.concentration, density, enclosed)
        kappa_s = jnp.exp(log_density) * scale_radius / planes.critical_surface_density[:, None]
        scale_radius = scale_radius / planes.kpc_per_arcsec[:, None]
        leaves = {
            "kappa_s": kappa_s,
            "scale_radius": scale_radius,
            "truncation_radius": self.tau * scale_radius,
            "core_radius": self.core_fraction * scale_radius,
            "center_x": center[0],
            "center_y": center[1],
        }
        return Halo(**{name: jnp.where(filled, leaf, EMPTY_SLOT[name]) for name, leaf in leaves.items()})


def first_slots(counts: Int[Array, " planes"], n_slots: int) -> Bool[Array, "planes slots"]:
    """Which slots are filled when each plane fills them from the first."""
    return jnp.arange(n_slots, dtype=counts.dtype)[None, :] < counts[:, None]


def disc(
    radius: Float[Array, " planes"], uniform: Float[Array, "planes slots"], turn: Float[Array, "planes slots"]
) -> tuple[Float[Array, "planes slots"], Float[Array, "planes slots"]]:
    """Points uniform in a disc on each plane, from two uniform numbers."""
    r, phi = radius[:, None] * jnp.sqrt(uniform), 2 * np.pi * turn
    return r * jnp.cos(phi), r * jnp.sin(phi)


def mean_total_mass(
    law: MassLaw, total_mass: Callable[[Float[Array, "planes n"], Float[Array, "planes n"]], Float[Array, "planes n"]]
) -> Float[Array, " planes"]:
    """`int dN/dlnM <m(M, c)>_c dlnM` on each plane: the mean of the halos' whole mass, in Msun.

    Arguments:
        law: the distribution of masses.
        total_mass: mass of a halo from ln M200 and the standard normal number of its concentration.
    """
    dtype = law.log_rate.dtype
    half = 0.5 * (law.high - law.low)
    log_mass = law.low + half * (1 + jnp.asarray(MASS_NODES, dtype))
    rate = jnp.exp(law.log_rate_at(log_mass)) * (half * jnp.asarray(MASS_WEIGHTS, dtype))[None]
    n_planes, n_nodes, n_normals = rate.shape[0], MASS_NODES.size, NORMAL_NODES.size
    masses = jnp.broadcast_to(jnp.repeat(log_mass, n_normals)[None], (n_planes, n_nodes * n_normals))
    normals = jnp.broadcast_to(jnp.tile(jnp.asarray(NORMAL_NODES, dtype), n_nodes)[None], masses.shape)
    mass = total_mass(masses, normals).reshape(n_planes, n_nodes, n_normals)
    return jnp.sum(rate * jnp.sum(mass * jnp.asarray(NORMAL_WEIGHTS, dtype)[None, None], -1), -1)
