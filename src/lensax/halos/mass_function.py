"""The abundance of field halos: a table from colossus and the parameters that change it."""

import math
from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar, as_real
from lensax.halos.cache import cached
from lensax.halos.free import free
from lensax.halos.grid import MassRedshiftTable
from lensax.halos.linear_theory import LinearTheory, colossus_cosmology, table_content
from lensax.halos.mass_law import MassLaw

# Mass functions: name in colossus, mass definition if the model needs one. Sheth, Mo & Tormen (2001) found from
# ellipsoidal collapse the same multiplicity function that Sheth & Tormen (1999) had fitted.
MODELS: dict[str, tuple[str, str | None]] = {
    "sheth99": ("sheth99", None),
    "sheth01": ("sheth99", None),
    "press74": ("press74", None),
    "tinker08": ("tinker08", "200c"),
}
NODES_PER_DECADE = 12
REDSHIFTS = 33
PIVOT = math.log(1e8)


@final
class MassFunction(eqx.Module):
    r"""Abundance of field halos per comoving volume,

        dn/dlnM = delta_los (M / 1e8 Msun)^tilt dn/dlnM|model(M, z),   10^log10_mass_min < M < 10^log10_mass_max.

    Args:
        table: ln of the model's dn/dlnM in Mpc^-3.
        delta_los: amplitude; 1 is the model's own.
        tilt: change of the logarithmic slope.
        log10_mass_min, log10_mass_max: range of masses, log10(M200c / Msun), inside the table.
    """

    table: MassRedshiftTable
    delta_los: Scalar = free(1.0)
    tilt: Scalar = free(0.0)
    log10_mass_min: Scalar = free(7.0)
    log10_mass_max: Scalar = free(10.0)

    def law(
        self,
        redshift: Float[Array, " planes"],
        volume: Float[Array, " planes"],
        log_suppression: Float[Array, " masses"],
    ) -> MassLaw:
        """The numbers per plane.

        Args:
            redshift: of the planes, `(n_planes,)`.
            volume: comoving Mpc^3 of each plane.
            log_suppression: ln of the suppression by the dark matter on the table's mass grid, `(n_masses,)`.
        """
        log_mass = self.table.log_mass
        shape = self.tilt * (log_mass - PIVOT) + log_suppression
        rows = self.table.rows(redshift) + shape[None] + jnp.log(volume)[:, None]
        ln10 = math.log(10)
        return MassLaw(log_mass, rows, self.log10_mass_min * ln10, self.log10_mass_max * ln10)

    @classmethod
    def tabulate(
        cls,
        theory: LinearTheory,
        max_redshift: float,
        model: str = "sheth99",
        log10_mass: tuple[float, float] = (7.0, 10.0),
    ) -> "MassFunction":
        """Tabulate a model of colossus for the masses between two limits and redshifts up to `max_redshift`.

        Models: `sheth99` (Sheth & Tormen 1999; its mass is taken as M200c, the custom of this field), `sheth01` (Sheth,
        Mo & Tormen 2001, the same function), `press74` (Press & Schechter 1974), `tinker08` (Tinker et al. 2008).

        Raises:
            ValueError: unknown model, masses upside down or outside 10^2 to 10^16 Msun.
        """
        log10_mass = check_mass_range(log10_mass)
        ends, nodes = mass_grid(log10_mass)
        redshifts = np.linspace(0.0, max_redshift, REDSHIFTS)
        values = np.log(tabulated_density(theory, model, redshifts, np.exp(nodes)))
        table = MassRedshiftTable(*map(as_real, ([0.0, max_redshift], ends, values)))
        return cls(table, *map(as_real, (1.0, 0.0, *log10_mass)))


def check_mass_range(log10_mass: Sequence[Any], name: str = "log10_mass") -> tuple[float, float]:
    """The two limits, refused where they are upside down or no log10 of a halo's mass in Msun."""
    low, high = (float(value) for value in log10_mass)
    if not 2 <= low <= 16 or not 2 <= high <= 16:
        raise ValueError(f"{name} = [{low:g}, {high:g}]: expected log10 of masses in Msun, between 2 and 16")
    if low >= high:
        raise ValueError(f"{name} = [{low:g}, {high:g}] is upside down: expected the lower limit first")
    return low, high


def mass_grid(log10_mass: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Ends and nodes of a uniform grid in ln(M) with 12 nodes per decade."""
    ends = np.log(10) * np.asarray(log10_mass, float)
    count = max(5, int(np.ceil(NODES_PER_DECADE * (log10_mass[1] - log10_mass[0]))) + 1)
    return ends, np.linspace(ends[0], ends[1], count)


def tabulated_density(theory: LinearTheory, model: str, redshifts: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """dn/dlnM in comoving Mpc^-3, `(n_redshifts, n_masses)`, masses in Msun."""
    if model not in MODELS:
        raise ValueError(f"unknown mass function '{model}'; expected one of {', '.join(MODELS)}")

    def make() -> np.ndarray:
        from colossus.lss import mass_function

        name, definition = MODELS[model]
        keywords = {} if definition is None else {"mdef": definition}
        with colossus_cosmology(theory):
            rows = [
                mass_function.massFunction(masses * theory.h, z, q_out="dndlnM", model=name, **keywords)
                for z in redshifts
            ]
        return np.asarray(rows) * theory.h**3

    content = {"mass_function": MODELS[model], **table_content(theory, redshifts, masses)}
    return cached(content, (len(redshifts), len(masses)), make)
