"""The Plummer mixtures of halos with quartic and isothermal cores, from a table (tools/core_mixtures.py made it)."""

from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Int
from lensax.mass.core_shapes import LARGEST_MATCHING
from lensax.mass.plummer import NODES

__all__ = ["core_discs"]

_TABLE = Path(__file__).parent / "data" / "core_mixtures.npz"
# Core fractions and truncations of the table; those outside are cut to it.
RANGES = {"quartic": (0.0025, 0.66), "isothermal": (0.004, LARGEST_MATCHING), "tau": (0.01, 1000.0)}
# ln s = ln(tau / f) is cut into bands, in each of which the reach of the discs is a fixed multiple of the core.
FIRST_BAND, BAND, N_BANDS = float(np.log(0.03)), 1.2, 14
ORDER = 6  # of the polynomials in ln s within a band
N_CORES = 24  # nodes in ln f, between which the table is cubic


def normalization(f: Any, tau: Any) -> Any:
    """How the deflection depends on core and truncation where it does so steeply; divided out of the table."""
    return tau / (1 + tau) * (tau / (f + tau))


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (shape, band, node of ln f, order of ln s, disc), and reaches in units of the core (shape, band)."""
    with np.load(_TABLE) as table:
        return table["coefficients"], table["reaches"]


def cubic_weights(t: Any) -> list[Any]:
    """Lagrange's weights of nodes at 0, 1, 2, 3."""
    a, b, c, d = t, t - 1, t - 2, t - 3
    return [-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6]


def core_discs(
    shape: Int[Array, "*halos"], core: Float[Array, "*halos"], tau: Float[Array, "*halos"]
) -> tuple[Float[Array, "discs *halos"], Float[Array, "*halos"]]:
    """The discs of halos with quartic or isothermal cores: masses over `4 pi rho_s r_s^3`, and reach in scale radii.

    Args:
        shape: 0 for a quartic core, 1 for an isothermal one.
        core: core fraction f, or r_1 over the scale radius.
        tau: truncation over scale radius; beyond 1000 there is none, and less than 0.03 cores counts as that.
    """
    coefficients, reaches = (jnp.asarray(a, core.dtype) for a in _table())
    ends = jnp.asarray(np.log([RANGES["quartic"], RANGES["isothermal"]]), core.dtype)[shape]
    low, high = ends[..., 0], ends[..., 1]
    log_core = jnp.clip(jnp.log(core), low, high)
    f = jnp.exp(log_core)
    tau = jnp.clip(tau, *RANGES["tau"])
    position = jnp.maximum((jnp.log(tau) - log_core - FIRST_BAND) / BAND, 0.0)
    band = jnp.clip(jnp.floor(position), 0, N_BANDS - 1).astype(jnp.int32)
    x = 2 * (position - band.astype(core.dtype)) - 1
    chebyshev = [jnp.ones_like(x), x]
    for _ in range(ORDER - 2):
        chebyshev.append(2 * x * chebyshev[-1] - chebyshev[-2])
    powers = jnp.stack(chebyshev, axis=-1)
    place = (log_core - low) / (high - low) * (N_CORES - 1)
    first = jnp.clip(jnp.floor(place) - 1, 0, N_CORES - 4).astype(jnp.int32)
    masses = jnp.zeros((), core.dtype)
    for node, weight in enumerate(cubic_weights(place - first.astype(core.dtype))):
        rows = coefficients[shape, band, first + node]
        masses = masses + jnp.sum((weight[..., None] * powers)[..., None] * rows, axis=-2)
    reach = reaches[shape, band] * f
    radii = jnp.asarray(NODES, core.dtype).reshape(-1, *(1,) * core.ndim) * reach[None]
    return jnp.moveaxis(masses, -1, 0) * radii * normalization(f, tau)[None], reach
