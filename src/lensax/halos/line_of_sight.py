"""Field halos along the line of sight, drawn inside compiled code."""

from typing import TYPE_CHECKING, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Bool, Float, Int, PRNGKeyArray
from lensax.cosmology import RADIANS_PER_ARCSEC, FlatLambdaCDM
from lensax.halos import randomness, rendering
from lensax.halos.concentration import Concentration
from lensax.halos.cone import Cone, DeflectedAxis
from lensax.halos.dark_matter import DarkMatter
from lensax.halos.drawn import DrawnHalos
from lensax.halos.mass_function import MassFunction
from lensax.halos.mass_law import MassLaw
from lensax.halos.plane_scheme import PlaneScheme
from lensax.halos.rendering import LensPlanes, Quadrature, Structure
from lensax.halos.thinning import Envelope
from lensax.halos.truncation import Truncation
from lensax.halos.two_halo import TwoHalo
from lensax.mass.halo import Halo
from lensax.mass.mixed import MixedHalos

if TYPE_CHECKING:
    from lensax.raytrace.planes import Planes

STREAMS = 6  # uniform numbers per halo
POINTS = 4  # of the quadrature, at each mass


@final
class LineOfSight(eqx.Module):
    """The field halos of every plane, a Poisson process in the cone.

    Args:
        planes: where the planes stand and the part of the line of sight that each stands for.
        cone: the disc on each plane in which halos are placed.
        mass_function: abundance per comoving volume.
        concentration: concentrations and their scatter.
        truncation: truncation radii.
        two_halo: more halos on the lens plane, around the lens galaxy's halo; None leaves them out.
        axis: where the cone's axis leads behind the lens; None keeps it straight. Sheets stay centred on x = y = 0: a
            uniform sheet about another centre deflects every ray by one more angle, its convergence times the offset.
            That shifts the source, by 2 mas for an axis that ends 0.2 arcsec away, and changes no image of it.
        sheets: whether a uniform negative sheet on each plane balances the mean convergence of its halos.
        envelope: draws with common random numbers (see `thinning`); None draws afresh. `Population.sized` fills it.
    """

    planes: PlaneScheme
    cone: Cone
    mass_function: MassFunction
    concentration: Concentration
    truncation: Truncation
    two_halo: TwoHalo | None = None
    axis: DeflectedAxis | None = None
    sheets: bool = eqx.field(static=True, default=True)
    envelope: Envelope | None = None

    def volume(self, planes: "Planes", cosmology: FlatLambdaCDM) -> Float[Array, " planes"]:
        """Comoving volume in Mpc^3 for which each plane stands, the lens plane's raised by the two-halo term."""
        edges = self.planes.edges(planes.lens_redshift, planes.source_redshift, cosmology)
        solid_angle = np.pi * (self.cone.radii(planes) * RADIANS_PER_ARCSEC) ** 2
        volume = cosmology.comoving_volume(edges[:-1], edges[1:], solid_angle)
        return volume if self.two_halo is None else volume.at[planes.lens_index].multiply(1 + self.two_halo.boost())

    def law(self, planes: "Planes", cosmology: FlatLambdaCDM, dark_matter: DarkMatter) -> MassLaw:
        """Numbers per plane and ln mass for `delta_los = 1`, which changes no distribution but the counts."""
        suppression = dark_matter.field_log_suppression(self.mass_function.table.log_mass)
        return self.mass_function.law(planes.redshifts, self.volume(planes, cosmology), suppression)

    def expected(self, planes: "Planes", cosmology: FlatLambdaCDM, dark_matter: DarkMatter) -> Float[Array, " planes"]:
        """Mean number of halos on each plane."""
        return self.mass_function.delta_los * self.law(planes, cosmology, dark_matter).number()

    def structure(
        self,
        log_mass: Float[Array, "planes slots"],
        scatter: Float[Array, "planes slots"],
        collapse: Float[Array, "planes slots"],
        lenses: LensPlanes,
        dark_matter: DarkMatter,
    ) -> Structure:
        """Structure of halos from their ln mass and two uniform numbers, for concentration and collapse."""
        redshift = jnp.broadcast_to(lenses.redshift[:, None], log_mass.shape)
        log_c = self.concentration.log_median(lenses.redshift, log_mass)
        log_c = log_c + dark_matter.log_concentration_ratio(log_mass, redshift)
        c = self.concentration.scattered(log_c, randomness.normal(scatter))
        density = jnp.broadcast_to(lenses.critical_density[:, None], log_mass.shape)
        bare = Structure.nfw(log_mass, c, density, self.truncation.tau(c))
        return dark_matter.field_structure(bare, collapse, lenses)

    def sheet(
        self, law: MassLaw, planes: "Planes", lenses: LensPlanes, dark_matter: DarkMatter
    ) -> Float[Array, " planes"]:
        """The sheet on each plane: minus the mean convergence, over the cone, of the truncated halos' whole mass."""
        nodes = Quadrature.of(law, 2, POINTS)
        scatter, collapse = nodes.draws
        mean = self.structure(nodes.log_mass, scatter, collapse, lenses, dark_matter)
        return self._sheet(nodes, mean, planes, lenses)

    def _sheet(self, nodes: Quadrature, structure: Structure, planes: "Planes", lenses: LensPlanes) -> Array:
        area = np.pi * (self.cone.radii(planes) * lenses.kpc_per_arcsec) ** 2
        return -self.mass_function.delta_los * nodes.convergence(structure, area, lenses)

    def draw(
        self,
        key: PRNGKeyArray,
        planes: "Planes",
        lenses: LensPlanes,
        cosmology: FlatLambdaCDM,
        dark_matter: DarkMatter,
        n_slots: int,
    ) -> tuple[Halo | MixedHalos, Int[Array, " planes"], Float[Array, " planes"], Bool[Array, ""]]:
        """Halos `(n_planes, n_slots)`, the slots used per plane, the sheets, and whether the envelope was too low."""
        law = self.law(planes, cosmology, dark_matter)
        counts, masses, (place, turn, scatter, collapse, keep) = self._chance(key, law, n_slots)
        x, y = self._centers(planes, place, turn)
        nodes = Quadrature.of(law, 2, POINTS)
        log_mass, scatter, collapse = nodes.before(masses, scatter, collapse)
        structure, average = self.structure(log_mass, scatter, collapse, lenses, dark_matter).split(n_slots)
        sheets = self._sheet(nodes, average, planes, lenses) if self.sheets else jnp.zeros_like(lenses.redshift)
        halos = structure.halos(lenses, (x, y), rendering.first_slots(counts, n_slots))
        if self.envelope is None:
            return halos, counts, sheets, jnp.array(False)
        amplitude = self.mass_function.delta_los
        thinned = self.envelope.thin(halos, law, amplitude, masses, keep)
        return thinned, counts, sheets, self.envelope.exceeded(law, amplitude)

    def drawn(
        self,
        key: PRNGKeyArray,
        planes: "Planes",
        lenses: LensPlanes,
        cosmology: FlatLambdaCDM,
        dark_matter: DarkMatter,
        n_slots: int,
    ) -> DrawnHalos:
        """Masses, concentrations and places of the halos that `draw` makes with the same arguments."""
        law = self.law(planes, cosmology, dark_matter)
        counts, masses, (place, turn, scatter, collapse, keep) = self._chance(key, law, n_slots)
        concentration = self.structure(masses, scatter, collapse, lenses, dark_matter).concentration
        weight = rendering.first_slots(counts, n_slots).astype(masses.dtype)
        if self.envelope is not None:
            weight = weight * self.envelope.weight(law, self.mass_function.delta_los, masses, keep)
        return DrawnHalos(masses, concentration, *self._centers(planes, place, turn), weight)

    def _centers(self, planes: "Planes", place: Array, turn: Array) -> tuple[Array, Array]:
        """Positions in arcsec from two uniform numbers each."""
        x, y = rendering.disc(self.cone.radii(planes), place, turn)
        if self.axis is None:
            return x, y
        offset_x, offset_y = self.axis.offset(planes)
        return x + offset_x[:, None], y + offset_y[:, None]

    def _chance(
        self, key: PRNGKeyArray, law: MassLaw, n_slots: int
    ) -> tuple[Int[Array, " planes"], Float[Array, "planes slots"], list[Array]]:
        """The slots used per plane, ln mass, and the uniform numbers that decide all else."""
        key_counts, key_halos = jax.random.split(key)
        n_planes, dtype = law.log_rate.shape[0], law.log_rate.dtype
        rank, *others = randomness.uniforms(key_halos, STREAMS, n_planes, n_slots, dtype)
        law, mean = (
            (law, self.mass_function.delta_los * law.number()) if self.envelope is None else self.envelope.drawn()
        )
        return randomness.poisson(key_counts, mean), law.sample(rank), others
