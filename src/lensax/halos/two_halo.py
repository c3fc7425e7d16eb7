"""Field halos that cluster around the lens galaxy's halo: the two-halo term."""

from typing import final

import equinox as eqx
import numpy as np

from lensax._types import Array, Float, Scalar, as_real
from lensax.cosmology import FlatLambdaCDM
from lensax.halos.free import free
from lensax.halos.grid import cubic_table
from lensax.halos.linear_theory import LinearTheory, colossus_cosmology
from lensax.halos.scales import OVERDENSITY

HOST_MASSES = (11.0, 15.5)  # log10 of Msun
_NODES = 19
_INNER_RADIUS = 0.5  # comoving Mpc: nearer to the host than that its own subhalos are counted, not these


@final
class TwoHalo(eqx.Module):
    r"""More field halos on the lens plane, by a factor `1 + boost` (Gilman et al. 2019, MNRAS 487, 5721).

    `boost = 2 <xi(r)>`, averaged over `min(r_max, 0.5) < r < r_max` comoving Mpc, where `r_max` is the half of the lens
    plane's slice behind the lens, and `xi = b(M_host) xi_mm(r)`, to which `lazar` adds `0.1 (r / 5 r200)^-4` (Lazar et
    al. 2021, MNRAS 502, 6064). The table is made for one lens redshift and one thickness of the slice.

    Args:
        table: boost at host masses 10^11 to 10^15.5 Msun.
        log10_host_mass: log10 of the host's M200 in Msun.
    """

    table: Float[Array, " masses"]
    log10_host_mass: Scalar = free(13.3)

    def boost(self) -> Scalar:
        """Additional halos over those of the mean universe."""
        return cubic_table(self.log10_host_mass, HOST_MASSES, self.table)

    @classmethod
    def tabulate(
        cls,
        theory: LinearTheory,
        cosmology: FlatLambdaCDM,
        lens_redshift: float,
        far_edge: float,
        lazar: bool = False,
        log10_host_mass: float = 13.3,
    ) -> "TwoHalo":
        """Tabulate the boost for a lens plane whose slice ends at redshift `far_edge`.

        Raises:
            ValueError: the edge does not lie behind the lens.
        """
        from colossus.lss import bias

        if not far_edge > lens_redshift:
            raise ValueError(f"two-halo term: the slice ends at {far_edge}, in front of the lens at {lens_redshift}")
        near, far = (float(cosmology.comoving_distance(as_real(z))) for z in (lens_redshift, far_edge))
        r_max = far - near
        r = np.geomspace(min(r_max, _INNER_RADIUS), r_max, 1001)
        masses = 10.0 ** np.linspace(*HOST_MASSES, _NODES)
        with colossus_cosmology(theory) as colossus:
            matter = colossus.correlationFunction(r * theory.h, lens_redshift)
            linear = bias.haloBias(masses * theory.h, lens_redshift, "200c", model="tinker10")
        xi = linear[:, None] * matter[None]
        if lazar:
            density = float(cosmology.critical_density(as_real(lens_redshift)))
            virial = np.cbrt(3 * masses / (4 * np.pi * OVERDENSITY * density)) / 1000
            xi = xi + 0.1 * (r[None] / (5 * virial[:, None])) ** -4
        return cls(as_real(2 * np.trapezoid(xi, r, axis=1) / (r_max - r[0])), as_real(log10_host_mass))
