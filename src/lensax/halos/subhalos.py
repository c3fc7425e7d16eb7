"""Subhalos of the lens galaxy, drawn inside compiled code."""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Bool, Float, Int, PRNGKeyArray, Scalar
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import randomness, rendering
from lensax.halos.concentration import Concentration
from lensax.halos.dark_matter import DarkMatter
from lensax.halos.drawn import DrawnHalos
from lensax.halos.free import free
from lensax.halos.host import Host, infall_redshift
from lensax.halos.mass_function import check_mass_range, mass_grid
from lensax.halos.mass_law import MassLaw
from lensax.halos.positions import Positions
from lensax.halos.rendering import LensPlanes, Quadrature, Structure
from lensax.halos.thinning import Envelope
from lensax.halos.tides import Infallen, Tides
from lensax.mass.halo import Halo
from lensax.mass.mixed import MixedHalos

PIVOT = math.log(1e8)
LN10 = math.log(10)
STREAMS = 8  # uniform numbers per subhalo
POINTS = 48  # of the quadrature, at each mass


@final
class Subhalos(eqx.Module):
    r"""Subhalos in a disc around the lens, a Poisson process with pyHalo's mass function (Gilman et al. 2020),

        d^2N/(dM dA) = (sigma_sub / m_0) (M / m_0)^slope F,   m_0 = 1e8 Msun,
        F = (M_host / 1e13 Msun)^host_mass_slope (z + 0.5)^host_redshift_slope,

    with M the mass at infall, M_host that of the host and A the proper area at the lens. Where `mean_number` is given
    instead of `sigma_sub`, it is the mean number in cold dark matter between the two masses, whatever the host.

    Args:
        log_mass_range: ends of the grid in ln M, `(2,)`; `n_nodes` (static) nodes.
        positions: where they stand on the sky.
        concentration: at infall.
        truncation: what tides leave of them.
        host: the halo of the lens galaxy.
        sigma_sub: normalisation in kpc^-2, or None.
        mean_number: mean number of subhalos, or None.
        slope: logarithmic slope of dN/dM.
        log10_mass_min, log10_mass_max: range of log10 of the mass at infall in Msun.
        host_mass_slope, host_redshift_slope: how the number scales with the host.
        infall: whether masses and concentrations are those of a redshift of infall, drawn for each; else of the lens's.
        sheets: whether a negative sheet balances the mean convergence of the subhalos.
        envelope: draws with common random numbers (see `thinning`); None draws afresh. `Population.sized` fills it.
    """

    log_mass_range: Float[Array, " 2"]
    n_nodes: int = eqx.field(static=True)
    positions: Positions
    concentration: Concentration
    truncation: Tides
    host: Host = eqx.field(default_factory=Host)
    sigma_sub: Scalar | None = free(None)
    mean_number: Scalar | None = free(None)
    slope: Scalar = free(-1.9)
    log10_mass_min: Scalar = free(7.0)
    log10_mass_max: Scalar = free(10.0)
    host_mass_slope: Scalar = free(0.55)
    host_redshift_slope: Scalar = free(0.37)
    infall: bool = eqx.field(static=True, default=True)
    sheets: bool = eqx.field(static=True, default=True)
    envelope: Envelope | None = None

    def __check_init__(self) -> None:
        if (self.sigma_sub is None) == (self.mean_number is None):
            given = "neither" if self.sigma_sub is None else "both"
            raise ValueError(f"subhalos: give either sigma_sub or mean_number, got {given}")

    @staticmethod
    def grid(log10_mass: tuple[float, float]) -> tuple[Array, int]:
        """Ends and number of nodes of the grid in ln M between two log10 masses."""
        ends, nodes = mass_grid(check_mass_range(log10_mass, "subhalos: log10_mass"))
        return jnp.asarray(ends, float), len(nodes)

    @property
    def log_mass_grid(self) -> Float[Array, " nodes"]:
        """The grid of ln M."""
        steps = jnp.linspace(0.0, 1.0, self.n_nodes, dtype=self.log_mass_range.dtype)
        return self.log_mass_range[0] + steps * (self.log_mass_range[1] - self.log_mass_range[0])

    def law(self, lenses: LensPlanes, dark_matter: DarkMatter) -> MassLaw:
        """Number per ln mass on the lens plane (a set of one plane)."""
        log_mass = self.log_mass_grid
        power_law = ((1 + self.slope) * (log_mass - PIVOT))[None]
        limits = (LN10 * self.log10_mass_min, LN10 * self.log10_mass_max)
        if self.sigma_sub is None:
            amplitude = -jnp.log(MassLaw(log_mass, power_law, *limits).number())
        else:
            amplitude = LN10 * self.host_mass_slope * (self.host.log10_mass - 13)
            amplitude = amplitude + self.host_redshift_slope * jnp.log(lenses.redshift + 0.5)
            amplitude = amplitude + jnp.log(self.positions.area(lenses))
        suppression = dark_matter.subhalo_log_suppression(log_mass)
        return MassLaw(log_mass, power_law + suppression[None] + amplitude[:, None], *limits)

    @property
    def amplitude(self) -> Array:
        """What multiplies the law; kept out of it because 0 has no logarithm."""
        amplitude = self.mean_number if self.sigma_sub is None else self.sigma_sub
        assert amplitude is not None  # __check_init__ has seen to it
        return amplitude

    def expected(self, lenses: LensPlanes, dark_matter: DarkMatter) -> Scalar:
        """Mean number of subhalos."""
        return self.amplitude * self.law(lenses, dark_matter).number()[0]

    def structure(
        self,
        log_mass: Float[Array, "1 n"],
        projected: Float[Array, "1 n"],
        draws: tuple[Float[Array, "1 n"], ...],
        lenses: LensPlanes,
        cosmology: FlatLambdaCDM,
        dark_matter: DarkMatter,
    ) -> Structure:
        """Structure of subhalos.

        Args:
            log_mass: ln of the mass at infall.
            projected: distance from the lens on the sky, kpc.
            draws: five uniform numbers each: for concentration, infall, depth, tides and collapse.
            lenses, cosmology, dark_matter: the lens plane, and what it is made of.
        """
        scatter, infall, depth, tide, collapse = draws
        redshift = jnp.broadcast_to(lenses.redshift[:, None], log_mass.shape)
        density = jnp.broadcast_to(lenses.critical_density[:, None], log_mass.shape)
        if self.infall:
            redshift = infall_redshift(log_mass, self.host, lenses.redshift, infall)
            density = cosmology.critical_density(redshift)
        log_c = self.concentration.table.at_each(redshift, log_mass)
        log_c = log_c + dark_matter.log_concentration_ratio(log_mass, redshift)
        c = self.concentration.scattered(log_c, randomness.normal(scatter))
        bare = Structure.nfw(log_mass, c, density, jnp.ones_like(c))
        tau, remaining = self.truncation.strip(
            Infallen(
                log_mass,
                c,
                jnp.exp(log_c),
                bare.scale_radius(),
                redshift,
                self.host.radius(projected, depth, lenses),
                randomness.normal(tide),
                lenses.redshift,
                self.host.concentration,
            )
        )
        stripped = Structure(log_mass, c, density, tau, bare.core_fraction, remaining, bare.radius_ratio)
        return dark_matter.subhalo_structure(stripped, collapse, lenses, redshift)

    def draw(
        self, key: PRNGKeyArray, lenses: LensPlanes, cosmology: FlatLambdaCDM, dark_matter: DarkMatter, n_slots: int
    ) -> tuple[Halo | MixedHalos, Int[Array, ""], Scalar, Bool[Array, ""]]:
        """Halos `(1, n_slots)`, the slots used, the sheet of the lens plane, and whether the envelope was too low.

        The sheet is minus the mean convergence of the subhalos' whole mass over the disc.
        """
        law = self.law(lenses, dark_matter)
        counts, masses, drawn, keep = self._chance(key, law, n_slots)
        nodes = Quadrature.of(law, STREAMS - 1, POINTS)
        log_mass, place, turn, *draws = nodes.before(masses, *drawn)
        x, y = self.positions.sample(place, turn, lenses, self.host)
        both = self.structure(log_mass, _distance(x, y, lenses), tuple(draws), lenses, cosmology, dark_matter)
        structure, mean = both.split(n_slots)
        center = (x[:, :n_slots], y[:, :n_slots])
        halos = structure.halos(lenses, center, rendering.first_slots(counts, n_slots))
        sheet = jnp.zeros((), lenses.redshift.dtype)
        if self.sheets:
            sheet = -self.amplitude * nodes.convergence(mean, self.positions.area(lenses), lenses)[0]
        if self.envelope is None:
            return halos, counts[0], sheet, jnp.array(False)
        thinned = self.envelope.thin(halos, law, self.amplitude, masses, keep)
        return thinned, counts[0], sheet, self.envelope.exceeded(law, self.amplitude)

    def drawn(
        self, key: PRNGKeyArray, lenses: LensPlanes, cosmology: FlatLambdaCDM, dark_matter: DarkMatter, n_slots: int
    ) -> DrawnHalos:
        """Masses and concentrations at infall and places, `(1, n_slots)`, of the subhalos that `draw` makes."""
        law = self.law(lenses, dark_matter)
        counts, masses, (place, turn, *draws), keep = self._chance(key, law, n_slots)
        x, y = self.positions.sample(place, turn, lenses, self.host)
        structure = self.structure(masses, _distance(x, y, lenses), tuple(draws), lenses, cosmology, dark_matter)
        weight = rendering.first_slots(counts, n_slots).astype(masses.dtype)
        if self.envelope is not None:
            weight = weight * self.envelope.weight(law, self.amplitude, masses, keep)
        return DrawnHalos(masses, structure.concentration, x, y, weight)

    def _chance(
        self, key: PRNGKeyArray, law: MassLaw, n_slots: int
    ) -> tuple[Int[Array, " 1"], Float[Array, "1 n"], list[Array], Array]:
        """The slots used, ln mass, the uniform numbers of each subhalo, and those by which an envelope is thinned."""
        key_counts, key_halos = jax.random.split(key)
        dtype = law.log_rate.dtype
        rank, *others = randomness.uniforms(key_halos, STREAMS, 1, n_slots, dtype)
        if self.envelope is None:
            return randomness.poisson(key_counts, self.amplitude * law.number()), law.sample(rank), others, rank
        (keep,) = randomness.uniforms(jax.random.fold_in(key_halos, 1), 1, 1, n_slots, dtype)
        law, number = self.envelope.drawn()
        return randomness.poisson(key_counts, number), law.sample(rank), others, keep


def _distance(x: Array, y: Array, lenses: LensPlanes) -> Array:
    """Distance from the lens in kpc of positions in arcsec; its gradient at the lens is zero."""
    squared = x * x + y * y
    away = squared > 0
    return jnp.where(away, jnp.sqrt(jnp.where(away, squared, 1.0)), 0.0) * lenses.kpc_per_arcsec[:, None]
