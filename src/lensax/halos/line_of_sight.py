"""Field halos along the line of sight, drawn inside compiled code."""

from typing import TYPE_CHECKING, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Int, PRNGKeyArray
from lensax.cosmology import RADIANS_PER_ARCSEC, FlatLambdaCDM
from lensax.halos import randomness, rendering
from lensax.halos.concentration import Concentration
from lensax.halos.cone import Cone
from lensax.halos.dark_matter import DarkMatter
from lensax.halos.mass_function import MassFunction
from lensax.halos.mass_law import MassLaw
from lensax.halos.plane_scheme import PlaneScheme
from lensax.halos.rendering import LensPlanes, Structure
from lensax.halos.truncation import Truncation
from lensax.mass.halo import Halo

if TYPE_CHECKING:
    from lensax.raytrace.planes import Planes


@final
class LineOfSight(eqx.Module):
    """The field halos of every plane, a Poisson process in the cone.

    Arguments:
        planes: where the planes stand and the part of the line of sight that each stands for.
        cone: the disc on each plane in which halos are placed.
        mass_function: abundance per comoving volume.
        concentration: concentrations and their scatter.
        truncation: truncation radii.
        sheets: whether a uniform negative sheet on each plane balances the mean convergence of its halos.
    """

    planes: PlaneScheme
    cone: Cone
    mass_function: MassFunction
    concentration: Concentration
    truncation: Truncation
    sheets: bool = eqx.field(static=True, default=True)

    def volume(self, planes: "Planes", cosmology: FlatLambdaCDM) -> Float[Array, " planes"]:
        """Comoving volume in Mpc^3 for which each plane stands."""
        edges = self.planes.edges(planes.lens_redshift, planes.source_redshift, cosmology)
        solid_angle = np.pi * (self.cone.radii(planes) * RADIANS_PER_ARCSEC) ** 2
        return cosmology.comoving_volume(edges[:-1], edges[1:], solid_angle)

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
        normal: Float[Array, "planes slots"],
        lenses: LensPlanes,
        dark_matter: DarkMatter,
    ) -> Structure:
        """Structure of halos from their ln mass and a standard normal number for the concentration."""
        redshift = jnp.broadcast_to(lenses.redshift[:, None], log_mass.shape)
        log_c = self.concentration.log_median(lenses.redshift, log_mass)
        log_c = log_c + dark_matter.log_concentration_ratio(log_mass, redshift)
        c = self.concentration.scattered(log_c, normal)
        return Structure(log_mass, c, self.truncation.tau(c), jnp.zeros_like(c))

    def sheet(
        self, law: MassLaw, planes: "Planes", lenses: LensPlanes, dark_matter: DarkMatter
    ) -> Float[Array, " planes"]:
        """The sheet on each plane: minus the mean convergence, over the cone, of the truncated halos' whole mass."""

        def mean_mass(log_mass: Array, normal: Array) -> Array:
            return self.structure(log_mass, normal, lenses, dark_matter).total_mass()

        mass = self.mass_function.delta_los * rendering.mean_total_mass(law, mean_mass)
        area = np.pi * (self.cone.radii(planes) * lenses.kpc_per_arcsec) ** 2
        return -mass / (area * lenses.critical_surface_density)

    def draw(
        self,
        key: PRNGKeyArray,
        planes: "Planes",
        lenses: LensPlanes,
        cosmology: FlatLambdaCDM,
        dark_matter: DarkMatter,
        n_slots: int,
    ) -> tuple[Halo, Int[Array, " planes"], Float[Array, " planes"]]:
        """Halos `(n_planes, n_slots)`, the number drawn on each plane, and the sheets."""
        law = self.law(planes, cosmology, dark_matter)
        key_counts, key_halos = jax.random.split(key)
        counts = randomness.poisson(key_counts, self.mass_function.delta_los * law.number())
        rank, scatter, place, turn = randomness.uniforms(key_halos, 4, planes.n_planes, n_slots, lenses.redshift.dtype)
        structure = self.structure(law.sample(rank), randomness.normal(scatter), lenses, dark_matter)
        center = rendering.disc(self.cone.radii(planes), place, turn)
        halos = structure.halos(lenses, center, rendering.first_slots(counts, n_slots))
        sheets = self.sheet(law, planes, lenses, dark_matter) if self.sheets else jnp.zeros_like(lenses.redshift)
        return halos, counts, sheets
