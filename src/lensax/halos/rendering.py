"""Halos as lenses: what a population's masses and structures are in arcsec and convergence."""

from typing import TYPE_CHECKING, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Bool, Float, Int
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import scales
from lensax.halos.catalogue import with_empty
from lensax.halos.mass_law import MassLaw
from lensax.mass.far_field import truncated_total_mass
from lensax.mass.halo import Halo
from lensax.mass.mixed import CORED_NFW, MixedHalos, lens_of

if TYPE_CHECKING:
    from lensax.raytrace.planes import Planes

MASS_NODES, MASS_WEIGHTS = np.polynomial.legendre.leggauss(24)


@final
class LensPlanes(eqx.Module):
    """What turns masses into lenses on a set of planes.

    Args:
        redshift: `(n_planes,)`.
        critical_density: Msun / kpc^3.
        critical_surface_density: to the final source, Msun / kpc^2.
        kpc_per_arcsec: proper.
        cosmology: gives the age of the universe.
    """

    redshift: Float[Array, " planes"]
    critical_density: Float[Array, " planes"]
    critical_surface_density: Float[Array, " planes"]
    kpc_per_arcsec: Float[Array, " planes"]
    cosmology: FlatLambdaCDM

    @classmethod
    def of(cls, planes: "Planes", cosmology: FlatLambdaCDM) -> "LensPlanes":
        """All planes of a scene."""
        return cls(
            planes.redshifts,
            cosmology.critical_density(planes.redshifts),
            planes.critical_surface_density,
            planes.kpc_per_arcsec,
            cosmology,
        )

    def at(self, index: int) -> "LensPlanes":
        """One of them, as a set of one."""
        cut = slice(index, index + 1)
        return LensPlanes(
            self.redshift[cut],
            self.critical_density[cut],
            self.critical_surface_density[cut],
            self.kpc_per_arcsec[cut],
            self.cosmology,
        )


@final
class Structure(eqx.Module):
    """The inner structure of halos `(n_planes, n_slots)`, relative to NFW halos of their mass and concentration.

    Args:
        log_mass: ln(M200 / Msun).
        concentration: r200 / r_s of the NFW halo.
        critical_density: at the redshift at which mass and concentration are defined, Msun / kpc^3.
        tau: truncation radius / r_s.
        core_fraction: core radius / r_s.
        density_ratio: rho_s over that of the NFW halo.
        radius_ratio: r_s over that of the NFW halo.
        family: of each halo, as `MixedHalos` has it, `core_fraction` being its scale; None for truncated cored NFW.
        present: families that may occur among them.
    """

    log_mass: Float[Array, "planes slots"]
    concentration: Float[Array, "planes slots"]
    critical_density: Float[Array, "planes slots"]
    tau: Float[Array, "planes slots"]
    core_fraction: Float[Array, "planes slots"]
    density_ratio: Float[Array, "planes slots"]
    radius_ratio: Float[Array, "planes slots"]
    family: Int[Array, "planes slots"] | None = None
    present: tuple[int, ...] = eqx.field(static=True, default=(CORED_NFW,))

    @classmethod
    def nfw(cls, log_mass: Array, concentration: Array, critical_density: Array, tau: Array) -> "Structure":
        """Truncated NFW halos."""
        one = jnp.ones_like(concentration)
        return cls(log_mass, concentration, critical_density, tau, jnp.zeros_like(one), one, one)

    def total_mass(self) -> Float[Array, "planes slots"]:
        """Mass of the truncated halo in Msun."""
        scale_mass = jnp.exp(self.log_mass) / scales.enclosed_mass(self.concentration)  # 4 pi rho_s r_s^3 of NFW
        ratio = self.density_ratio * self.radius_ratio**3
        total = truncated_total_mass if self.family is None else lens_of(self.family, self.present).total_mass
        return scale_mass * ratio * total(self.core_fraction, self.tau)

    def split(self, index: int) -> "tuple[Structure, Structure]":
        """The halos of the slots before and from an index."""
        return jax.tree.map(lambda leaf: leaf[:, :index], self), jax.tree.map(lambda leaf: leaf[:, index:], self)

    def scale_radius(self) -> Float[Array, "planes slots"]:
        """Scale radius in kpc."""
        virial = jnp.exp(scales.log_virial_radius(self.log_mass, self.critical_density))
        return virial / self.concentration * self.radius_ratio

    def halos(
        self,
        planes: LensPlanes,
        center: tuple[Float[Array, "planes slots"], Float[Array, "planes slots"]],
        filled: Bool[Array, "planes slots"],
    ) -> Halo | MixedHalos:
        """The lenses at these centers; slots that are not filled are empty."""
        scale_radius = self.scale_radius()  # kpc
        log_density = scales.log_characteristic_density(self.concentration, self.critical_density)
        density = jnp.exp(log_density) * self.density_ratio
        kappa_s = density * scale_radius / planes.critical_surface_density[:, None]
        scale_radius = scale_radius / planes.kpc_per_arcsec[:, None]
        leaves = {
            "kappa_s": kappa_s,
            "scale_radius": scale_radius,
            "truncation_radius": self.tau * scale_radius,
            "core_radius": self.core_fraction * scale_radius,
            "center_x": center[0],
            "center_y": center[1],
        }
        lenses = Halo(**leaves) if self.family is None else MixedHalos(**leaves, family=self.family)
        return with_empty(lenses, filled)


def first_slots(counts: Int[Array, " planes"], n_slots: int) -> Bool[Array, "planes slots"]:
    """Which slots are filled when each plane fills them from the first."""
    return jnp.arange(n_slots, dtype=counts.dtype)[None, :] < counts[:, None]


def disc(
    radius: Float[Array, " planes"], uniform: Float[Array, "planes slots"], turn: Float[Array, "planes slots"]
) -> tuple[Float[Array, "planes slots"], Float[Array, "planes slots"]]:
    """Points uniform in a disc on each plane, from two uniform numbers."""
    r, phi = radius[:, None] * jnp.sqrt(uniform), 2 * np.pi * turn
    return r * jnp.cos(phi), r * jnp.sin(phi)


@final
class Quadrature(eqx.Module):
    """Halos that stand for a whole population: sums over them with their weights are its means.

    Masses are Gauss-Legendre nodes; at each node the numbers that chance decides run through points of an additive
    recurrence, which fills the unit cube evenly and goes on from node to node.

    Args:
        log_mass: ln M200, `(n_planes, n)`.
        draws: uniform numbers, each `(n_planes, n)`.
        weights: numbers of halos, `(n_planes, n)`.
    """

    log_mass: Float[Array, "planes n"]
    draws: tuple[Float[Array, "planes n"], ...]
    weights: Float[Array, "planes n"]

    @classmethod
    def of(cls, law: MassLaw, n_draws: int, n_points: int) -> "Quadrature":
        """The nodes for a law of masses, with `n_draws` uniform numbers and `n_points` points at each mass."""
        dtype, n_planes = law.log_rate.dtype, law.log_rate.shape[0]
        half = 0.5 * (law.high - law.low)
        log_mass = law.low + half * (1 + jnp.asarray(MASS_NODES, dtype))
        rate = jnp.exp(law.log_rate_at(log_mass)) * (half * jnp.asarray(MASS_WEIGHTS / n_points, dtype))[None]
        # Powers of the root of x^(d+1) = x + 1, the generalised golden ratio, are badly approximated by fractions.
        root = max(np.roots([1] + [0] * (n_draws - 1) + [-1, -1]).real)
        steps = np.arange(1, MASS_NODES.size * n_points + 1)[:, None]
        points = (0.5 + steps * root ** -np.arange(1.0, n_draws + 1)) % 1.0
        shape = (n_planes, len(points))
        draws = tuple(jnp.broadcast_to(jnp.asarray(column, dtype)[None], shape) for column in points.T)
        masses = jnp.broadcast_to(jnp.repeat(log_mass, n_points)[None], shape)
        return cls(masses, draws, jnp.repeat(rate, n_points, axis=1))

    def before(self, *drawn: Float[Array, "planes slots"]) -> tuple[Float[Array, "planes all"], ...]:
        """Drawn halos with the nodes behind them: ln M200, then the uniform numbers.

        Both are made into halos by the same operations, which are compiled once.
        """
        return tuple(jnp.concatenate(pair, axis=1) for pair in zip(drawn, (self.log_mass, *self.draws), strict=True))

    def convergence(self, structure: Structure, area: Float[Array, " planes"], planes: LensPlanes) -> Array:
        """Mean convergence of the population over an area in kpc^2, from the structure of the nodes."""
        mass = jnp.sum(self.weights * structure.total_mass(), axis=1)
        return mass / (area * planes.critical_surface_density)
