"""What tides leave of subhalos: their truncation radii, and how much the density inside falls."""

import abc
import json
from pathlib import Path
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, as_real
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import scales
from lensax.halos.grid import cubic_table
from lensax.halos.truncation import Truncation

LN10 = float(np.log(10))
_LOG_MASS_ENDS = (-10.0, 2.0)  # of ln m(inf): tau from 2e-3 to 4000
_AGE_ENDS = (0.0, 12.0)  # of redshift
_NODES = 257
_BOUND_FRACTION = Path(__file__).parent / "data" / "galacticus_bound_fraction.json"


@final
class Infallen(eqx.Module):
    """Subhalos as they were at infall, `(1, n)`.

    Args:
        log_mass: ln(M200 / Msun) at infall.
        concentration: at infall.
        median_concentration: of halos of that mass and redshift.
        scale_radius: kpc, at infall.
        redshift: of infall.
        radius: present distance from the host's centre, kpc.
        normal: a standard normal number for the tides' scatter.
        lens_redshift: `(1,)`.
        host_concentration: of the host halo.
    """

    log_mass: Float[Array, "1 n"]
    concentration: Float[Array, "1 n"]
    median_concentration: Float[Array, "1 n"]
    scale_radius: Float[Array, "1 n"]
    redshift: Float[Array, "1 n"]
    radius: Float[Array, "1 n"]
    normal: Float[Array, "1 n"]
    lens_redshift: Float[Array, " 1"]
    host_concentration: Float[Array, ""]


class Tides(eqx.Module):
    """A rule for the truncation of subhalos."""

    @abc.abstractmethod
    def strip(self, subhalos: Infallen) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        """Truncation radius in scale radii, and the factor by which the density within has fallen."""


@final
class FieldTides(Tides):
    """Subhalos truncated like field halos.

    Args:
        truncation: the rule of field halos.
    """

    truncation: Truncation

    def strip(self, subhalos: Infallen) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        return self.truncation.tau(subhalos.concentration), jnp.ones_like(subhalos.concentration)


@final
class RocheTides(Tides):
    """The Roche limit in an isothermal host, `r_t = 1.4 kpc (M / 1e7 Msun)^(1/3) (r / 50 kpc)^(2/3)`.

    `M` is the mass at infall and `r` the distance from the host's centre: Gilman et al. (2020), MNRAS 491, 6077.

    Args:
        normalization: kpc.
    """

    normalization: float = eqx.field(static=True, default=1.4)

    def __check_init__(self) -> None:
        if not 0 < self.normalization < 1e3:
            raise ValueError(f"tides: normalization must be a positive number of kpc, got {self.normalization}")

    def strip(self, subhalos: Infallen) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        log_radius = (subhalos.log_mass - 7 * LN10) / 3 + 2 / 3 * jnp.log(jnp.maximum(subhalos.radius, 1e-3) / 50)
        tau = self.normalization * jnp.exp(log_radius) / subhalos.scale_radius
        return jnp.clip(tau, 1e-2, 1e3), jnp.ones_like(tau)


@final
class ConcentrationTides(Tides):
    """`r_t = 2 r_s (c / c_median)^3`: the denser a subhalo for its mass, the more of it survives.

    Args:
        normalization: r_t / r_s of a subhalo of median concentration.
        power: of the concentration over its median.
    """

    normalization: float = eqx.field(static=True, default=2.0)
    power: float = eqx.field(static=True, default=3.0)

    def __check_init__(self) -> None:
        if not 0 < self.normalization < 1e3:
            raise ValueError(f"tides: normalization must be a positive number, got {self.normalization}")

    def strip(self, subhalos: Infallen) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        ratio = subhalos.concentration / subhalos.median_concentration
        tau = jnp.clip(self.normalization * ratio**self.power, 1e-2, 1e3)
        return tau, jnp.ones_like(tau)


@final
class BoundMassTides(Tides):
    r"""The bound mass of subhalos in the semi-analytic model Galacticus, and the tidal track that it implies.

    `log10 f_bound = sinh[(N(0,1) - a) / b]`, at most 0, with a and b tabulated in the time since infall, the
    concentration at infall and the host's concentration (Gannon et al. 2025). With `x = 0.190194 M_bound / M(< r_max)`
    the density falls by `f_t = 1.758266 x^0.233764 / (1 + 0.758266 x^0.467528)` (Du et al. 2024), and the truncation
    radius is the one whose halo has the bound mass: `f_t m_inf(tau) = f_bound mu(c)`.

    Make it with `tabulate`.

    Args:
        shape_a, shape_b: `(n_times, n_concentrations, n_hosts)`.
        log_tau: ln(tau) on a uniform grid of ln m_inf(tau).
        ages: age of the universe in Gyr on a uniform grid of redshift.
        ends: static ends of the three axes of a and b.
    """

    shape_a: Float[Array, "times concentrations hosts"]
    shape_b: Float[Array, "times concentrations hosts"]
    log_tau: Float[Array, " masses"]
    ages: Float[Array, " redshifts"]
    ends: tuple[tuple[float, float], ...] = eqx.field(static=True)

    @classmethod
    def tabulate(cls, cosmology: FlatLambdaCDM) -> "BoundMassTides":
        """Read the tables and invert the total mass of a truncated NFW halo."""
        table = json.loads(_BOUND_FRACTION.read_text())
        axes = [table[name] for name in table["axes"]]
        log_tau = np.linspace(np.log(1e-5), np.log(1e5), 4000)
        tau = np.exp(log_tau)
        # m(inf) of the truncated NFW halo; below tau = 0.02 its closed form cancels to its leading terms.
        mass = tau**2 / (1 + tau**2) ** 2 * ((tau**2 - 1) * log_tau + np.pi * tau - (tau**2 + 1))
        found = np.interp(np.linspace(*_LOG_MASS_ENDS, _NODES), np.log(mass), log_tau)
        ages = eqx.filter_jit(FlatLambdaCDM.age)(cosmology, as_real(np.linspace(*_AGE_ENDS, _NODES)))
        ends = tuple((float(axis[0]), float(axis[-1])) for axis in axes)
        return cls(as_real(table["a"]), as_real(table["b"]), as_real(found), ages, ends)

    def bound_fraction(self, subhalos: Infallen) -> Float[Array, "1 n"]:
        """Bound mass over the mass at infall."""
        now = jnp.broadcast_to(subhalos.lens_redshift[:, None], subhalos.redshift.shape)
        since = cubic_table(now, _AGE_ENDS, self.ages) - cubic_table(subhalos.redshift, _AGE_ENDS, self.ages)
        host = jnp.broadcast_to(jnp.clip(subhalos.host_concentration, 4.0, 8.0), since.shape)
        corner = [
            _position(value, ends, nodes)
            for value, ends, nodes in zip(
                (since, jnp.log10(subhalos.concentration), host), self.ends, self.shape_a.shape, strict=True
            )
        ]
        a, b = _trilinear(self.shape_a, corner), _trilinear(self.shape_b, corner)
        # A fraction below 1e-4 is no halo that lenses; the sinh would overflow on its way there.
        return jnp.exp(LN10 * jnp.clip(jnp.sinh(jnp.clip((subhalos.normal - a) / b, -5.0, 5.0)), -4.0, 0.0))

    def strip(self, subhalos: Infallen) -> tuple[Float[Array, "1 n"], Float[Array, "1 n"]]:
        bound = self.bound_fraction(subhalos) * scales.enclosed_mass(subhalos.concentration)
        return self.track(bound)

    def track(self, bound: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """tau and f_t of a bound mass in units of `4 pi rho_s r_s^3` at infall."""
        x = 0.190194 * bound / float(np.log(3.1626) - 2.1626 / 3.1626)
        density = jnp.minimum(1.758266 * x**0.233764 / (1 + 0.758266 * x**0.467528), 1.0)
        tau = jnp.exp(cubic_table(jnp.log(bound / density), _LOG_MASS_ENDS, self.log_tau))
        return tau, density


def _position(value: Array, ends: tuple[float, float], nodes: int) -> tuple[Array, Array]:
    position = (value - ends[0]) * ((nodes - 1) / (ends[1] - ends[0]))
    cell = jnp.clip(jnp.floor(position), 0, nodes - 2).astype(jnp.int32)
    return cell, jnp.clip(position - cell.astype(position.dtype), 0, 1)


def _trilinear(table: Array, corner: list[tuple[Array, Array]]) -> Array:
    (i, u), (j, v), (k, w) = corner
    found = jnp.zeros_like(u)
    for p in (0, 1):
        for q in (0, 1):
            for r in (0, 1):
                weight = (u if p else 1 - u) * (v if q else 1 - v) * (w if r else 1 - w)
                found = found + weight * table[i + p, j + q, k + r]
    return found
