"""Concentrations of halos: a table from colossus and a log-normal scatter."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar, as_real
from lensax.halos.cache import cached
from lensax.halos.free import free
from lensax.halos.grid import MassRedshiftTable
from lensax.halos.linear_theory import LinearTheory, colossus_cosmology, table_content
from lensax.halos.mass_function import check_mass_range, mass_grid

MODELS = ("ludlow16", "diemer19", "duffy08", "power_law")
POWER_LAW = (17.5, -0.06, -0.7)  # c at 1e8 Msun and z = 0, slope in mass, slope in 1 + z: near Ludlow16 at z = 0 to 1
REDSHIFTS = 33
LOWEST = 1.2  # warm halos of low mass: no halo is less concentrated than its virial radius allows
LN10 = math.log(10)


@final
class Concentration(eqx.Module):
    r"""Concentration c200c of a halo of mass M200c at redshift z, log-normal about a median.

        log10 c = log10 c_median(M, z) + scatter_dex * N(0, 1)

    Args:
        table: ln of the median.
        scatter_dex: standard deviation of log10 c, in dex (not of ln c).
    """

    table: MassRedshiftTable
    scatter_dex: Scalar = free(0.15)

    def log_median(
        self, redshift: Float[Array, " planes"], log_mass: Float[Array, "planes slots"]
    ) -> Float[Array, "planes slots"]:
        """ln of the median concentration of halos of ln mass `(n_planes, n_slots)`."""
        return self.table.at(redshift, log_mass)

    def scattered(self, log_median: Float[Array, "*shape"], normal: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Concentrations from their median and standard normal numbers, none below 1.2."""
        return jnp.maximum(jnp.exp(log_median + LN10 * self.scatter_dex * normal), LOWEST)

    @classmethod
    def tabulate(
        cls,
        theory: LinearTheory,
        max_redshift: float,
        model: str = "ludlow16",
        log10_mass: tuple[float, float] = (7.0, 10.0),
        scatter_dex: float = 0.15,
        power_law: tuple[float, ...] = POWER_LAW,
    ) -> "Concentration":
        """Tabulate a relation for the masses between two limits and redshifts up to `max_redshift`.

        Models: `ludlow16` (Ludlow et al. 2016), `diemer19` (Diemer & Joyce 2019), `duffy08` (Duffy et al. 2008), all by
        colossus, and `power_law`: `c = c_0 (M / 1e8 Msun)^a (1 + z)^b` with `power_law = (c_0, a, b)`.

        Raises:
            ValueError: unknown model, a relation without a positive concentration.
        """
        if model not in MODELS:
            raise ValueError(f"unknown concentration '{model}'; expected one of {', '.join(MODELS)}")
        ends, nodes = mass_grid(check_mass_range(log10_mass))
        redshifts = np.linspace(0.0, max_redshift, REDSHIFTS)
        if model == "power_law":
            amplitude, mass_slope, redshift_slope = power_law
            if not amplitude > 0:
                raise ValueError(f"concentration: the amplitude of the power law must be positive, got {amplitude}")
            log_c = np.log(amplitude) + mass_slope * (nodes - np.log(1e8))[None]
            log_c = log_c + redshift_slope * np.log1p(redshifts)[:, None]
        else:
            log_c = np.log(tabulated_concentration(theory, model, redshifts, np.exp(nodes)))
        table = MassRedshiftTable(*map(as_real, ([0.0, max_redshift], ends, log_c)))
        return cls(table, as_real(scatter_dex))


def tabulated_concentration(theory: LinearTheory, model: str, redshifts: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Median c200c by colossus, `(n_redshifts, n_masses)`, masses in Msun."""

    def make() -> np.ndarray:
        import warnings

        from colossus.halo import concentration

        with colossus_cosmology(theory), warnings.catch_warnings():
            # Duffy08 was calibrated above 1e11 Msun / h and is used below it by everybody, knowingly.
            warnings.filterwarnings("ignore", message="Some masses or redshifts are outside the validity")
            rows = [
                concentration.concentration(masses * theory.h, "200c", z, model=model, range_return=False)
                for z in redshifts
            ]
        return np.asarray(rows)

    content = {"concentration": model, **table_content(theory, redshifts, masses)}
    return cached(content, (len(redshifts), len(masses)), make)
