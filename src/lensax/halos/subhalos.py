"""Subhalos of the lens galaxy, drawn inside compiled code."""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Float, Int, PRNGKeyArray, Scalar
from lensax.halos import randomness, rendering
from lensax.halos.concentration import Concentration
from lensax.halos.dark_matter import DarkMatter
from lensax.halos.free import free
from lensax.halos.mass_function import check_mass_range, mass_grid
from lensax.halos.mass_law import MassLaw
from lensax.halos.positions import Positions
from lensax.halos.rendering import LensPlanes, Structure
from lensax.halos.truncation import Truncation
from lensax.mass.halo import Halo

PIVOT = math.log(1e8)
LN10 = math.log(10)


@final
class Subhalos(eqx.Module):
    r"""Subhalos in a disc around the lens, a Poisson process with pyHalo's mass function (Gilman et al. 2020),

        d^2N/(dM dA) = (sigma_sub / m_0) (M / m_0)^slope F,   m_0 = 1e8 Msun,
        F = (M_host / 1e13 Msun)^host_mass_slope (z + 0.5)^host_redshift_slope,

    with M the mass at infall and A the proper area at the lens. Where `mean_number` is given instead of `sigma_sub`, it
    is the mean number in cold dark matter between the two masses, whatever the host.

    Arguments:
        log_mass_range: ends of the grid in ln M, `(2,)`; `n_nodes` (static) nodes.
        sigma_sub: normalisation in kpc^-2, or None.
        mean_number: mean number of subhalos, or None.
        slope: logarithmic slope of dN/dM.
        log10_mass_min, log10_mass_max: range of log10 of the mass at infall in Msun.
        log10_host_mass: log10 of the host halo's mass in Msun.
        host_mass_slope, host_redshift_slope: how the number scales with the host.
        positions: where they stand on the sky.
        sheets: whether a negative sheet balances the mean convergence of the subhalos.
    """

    log_mass_range: Float[Array, " 2"]
    n_nodes: int = eqx.field(static=True)
    positions: Positions
    concentration: Concentration
    truncation: Truncation
    sigma_sub: Scalar | None = free(None)
    mean_number: Scalar | None = free(None)
    slope: Scalar = free(-1.9)
    log10_mass_min: Scalar = free(7.0)
    log10_mass_max: Scalar = free(10.0)
    log10_host_mass: Scalar = free(13.3)
    host_mass_slope: Scalar = free(0.55)
    host_redshift_slope: Scalar = free(0.37)
    sheets: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        if (self.sigma_sub is None) == (self.mean_number is None):
            given = "neither" if self.sigma_sub is None else "both"
            raise ValueError(f"subhalos: give either sigma_sub or mean_number, got {given}")

    @staticmethod
    def grid(log10_mass: tuple[float, float]) -> tuple[Array, int]:
        """Ends and number of nodes of the grid in ln M between two log10 masses."""
        ends, nodes = mass_grid(check_mass_range(log10_mass, "subhalos: log10_mass"))
        return jnp.asarray(ends, float), len(nodes)

    def law(self, lenses: LensPlanes, dark_matter: DarkMatter) -> MassLaw:
        """Number per ln mass on the lens plane (a set of one plane)."""
        steps = jnp.linspace(0.0, 1.0, self.n_nodes, dtype=self.log_mass_range.dtype)
        log_mass = self.log_mass_range[0] + steps * (self.log_mass_range[1] - self.log_mass_range[0])
        power_law = ((1 + self.slope) * (log_mass - PIVOT))[None]
        limits = (LN10 * self.log10_mass_min, LN10 * self.log10_mass_max)
        if self.sigma_sub is None:
            amplitude = -jnp.log(MassLaw(log_mass, power_law, *limits).number())
        else:
            amplitude = LN10 * self.host_mass_slope * (self.log10_host_mass - 13)
            amplitude = amplitude + self.host_redshift_slope * jnp.log(lenses.redshift + 0.5)
            amplitude = amplitude + jnp.log(self.positions.area(lenses))
        suppression = dark_matter.subhalo_log_suppression(log_mass)
        return MassLaw(log_mass, power_law + suppression[None] + amplitude[:, None], *limits)

    @property
    def _amplitude(self) -> Array:
        """What multiplies the law; kept out of it because 0 has no logarithm."""
        amplitude = self.mean_number if self.sigma_sub is None else self.sigma_sub
        assert amplitude is not None  # __check_init__ has seen to it
        return amplitude

    def expected(self, lenses: LensPlanes, dark_matter: DarkMatter) -> Scalar:
        """Mean number of subhalos."""
        return self._amplitude * self.law(lenses, dark_matter).number()[0]

    def structure(
        self, log_mass: Float[Array, "1 n"], normal: Float[Array, "1 n"], lenses: LensPlanes, dark_matter: DarkMatter
    ) -> Structure:
        """Structure of subhalos from their ln mass and a standard normal number for the concentration."""
        redshift = jnp.broadcast_to(lenses.redshift[:, None], log_mass.shape)
        log_c = self.concentration.log_median(lenses.redshift, log_mass)
        log_c = log_c + dark_matter.log_concentration_ratio(log_mass, redshift)
        c = self.concentration.scattered(log_c, normal)
        return Structure(log_mass, c, self.truncation.tau(c), jnp.zeros_like(c))

    def sheet(self, law: MassLaw, lenses: LensPlanes, dark_matter: DarkMatter) -> Scalar:
        """Minus the mean convergence of the subhalos' whole mass over the disc."""

        def mean_mass(log_mass: Array, normal: Array) -> Array:
            return self.structure(log_mass, normal, lenses, dark_matter).total_mass()

        mass = self._amplitude * rendering.mean_total_mass(law, mean_mass)
        return (-mass / (self.positions.area(lenses) * lenses.critical_surface_density))[0]

    def draw(
        self, key: PRNGKeyArray, lenses: LensPlanes, dark_matter: DarkMatter, n_slots: int
    ) -> tuple[Halo, Int[Array, ""], Scalar]:
        """Halos `(1, n_slots)`, the number drawn, and the sheet of the lens plane."""
        law = self.law(lenses, dark_matter)
        dtype = lenses.redshift.dtype
        key_counts, key_halos = jax.random.split(key)
        counts = randomness.poisson(key_counts, self._amplitude * law.number())
        rank, scatter, place, turn = randomness.uniforms(key_halos, 4, 1, n_slots, dtype)
        structure = self.structure(law.sample(rank), randomness.normal(scatter), lenses, dark_matter)
        center = self.positions.sample(place, turn, lenses)
        halos = structure.halos(lenses, center, rendering.first_slots(counts, n_slots))
        sheet = self.sheet(law, lenses, dark_matter) if self.sheets else jnp.zeros((), dtype)
        return halos, counts[0], sheet
