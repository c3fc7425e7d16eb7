"""Distances, densities and times of a flat universe; every parameter and redshift may be traced."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._check import at_least_zero, check, positive
from lensax._types import Array, ArrayLike, Float, as_real, concrete

__all__ = ["FlatLambdaCDM", "Planck15", "Planck18"]

SPEED_OF_LIGHT = 299792.458  # km / s
GRAVITATIONAL_CONSTANT = 4.300917270036279e-06  # kpc (km / s)^2 / Msun: CODATA 2018 G with the IAU 2015 GM_sun
LENSING_CONSTANT = 1.6629165401756014e18  # c^2 / (4 pi G) in Msun / Mpc
RADIANS_PER_ARCSEC = np.pi / 648000.0
HUBBLE_TIME = 977.7922216807891  # Gyr of 1 / H0 for H0 = 1 km / s / Mpc (Julian years)

_KPC = 3.0856775814913674e19  # m
_SOLAR_MASS = 1.988409870698051e30  # kg
_PHOTON_DENSITY = 4.0 * 5.6703744191844314e-08 / 299792458.0**3 * _KPC**3 / _SOLAR_MASS  # Msun / kpc^3 / K^4
_NEUTRINO_RATIO = 0.22710731766  # 7/8 (4/11)^(4/3): energy of one massless neutrino species over the photons'
_NEUTRINO_TEMPERATURE = 0.7137658555036082 * 8.617333262145179e-05  # eV per kelvin of photons: k_B (4/11)^(1/3)
_KOMATSU_SCALE, _KOMATSU_POWER = 0.3173, 1.83  # Komatsu et al. (2011), ApJS 192, 18, section 3.3

# Nodes and weights on [0, 1].  In s = (1 + z)^(-1/2) the integrand of a distance is analytic and nearly constant back
# to the radiation era; 32 nodes reach 1e-14 for any matter density.  The age's integrand bends at matter-radiation
# equality, next to the end of its interval, hence its own rule.
_RULE, _AGE_RULE = (
    (np.array([[0.5], [0.0]]) + 0.5 * np.array(np.polynomial.legendre.leggauss(count))) for count in (32, 64)
)


def _integrate(integrand: Callable[[Array], Array], rule: np.ndarray, dtype: Any) -> Array:
    """`sum_i w_i f(t_i)` over the nodes and weights of a rule on [0, 1]."""
    nodes, weights = (jnp.asarray(row, dtype) for row in rule)
    return jnp.sum(jax.vmap(lambda node, weight: weight * integrand(node))(nodes, weights), 0)


def _parameter(value: Any) -> Any:
    """Like `as_real`, but a NumPy array stays one: it takes the precision of whatever redshift it meets."""
    if isinstance(value, np.ndarray):
        return np.asarray(value, np.float64)
    if isinstance(value, (tuple, list)) and any(isinstance(entry, jax.Array) for entry in value):
        return jnp.stack([as_real(entry) for entry in value])
    return as_real(value)


def _redshift(z: ArrayLike, name: str = "z") -> Array:
    """The redshift as a JAX array, refused where it is concrete and not a number at or above zero."""
    z = jnp.asarray(as_real(z))
    known = concrete(z)
    if known is not None and not np.all(known >= 0):
        raise ValueError(f"{name} must be a redshift of at least 0, got {known[~(known >= 0)].flat[0]}")
    return z


def _redshifts(z_1: ArrayLike, z_2: ArrayLike, names: tuple[str, str]) -> tuple[Array, Array]:
    """Two redshifts in one shape and dtype, the first not behind the second."""
    first, second = _redshift(z_1, names[0]), _redshift(z_2, names[1])
    dtype = np.promote_types(first.dtype, second.dtype)
    shape = jnp.broadcast_shapes(first.shape, second.shape)
    first, second = (jnp.broadcast_to(z.astype(dtype), shape) for z in (first, second))
    near, far = concrete(first), concrete(second)
    if near is not None and far is not None and np.any(near > far):
        row = np.argmax(near > far)
        raise ValueError(
            f"{names[0]} = {near.flat[row]} lies behind {names[1]} = {far.flat[row]}, expected it in front"
        )
    return first, second


@final
class FlatLambdaCDM(eqx.Module):
    r"""A flat universe of matter, a cosmological constant, photons and neutrinos.

    `E^2(z) = Om0 (1+z)^3 + (photons + neutrinos)(z) + (1 - Om0 - Ogamma0 - Onu0)`, as in
    `astropy.cosmology.FlatLambdaCDM`; massive neutrinos follow the fitting formula of Komatsu et al. (2011).
    All methods take redshifts of any shape, return arrays of that shape in the redshifts' dtype and are
    differentiable in redshifts and parameters.

    Arguments:
        H0: Hubble constant in km / s / Mpc.
        Om0: matter density today over the critical one, without massive neutrinos.
        Tcmb0: temperature of the microwave background today in kelvin; 0 leaves out all radiation.
        Neff: effective number of neutrino species.
        m_nu: neutrino mass in eV: one number for all species, or one per species (as many as `floor(Neff)`).

    Raises:
        ValueError: a concrete parameter is outside its physical range.
    """

    H0: Float[Array | np.ndarray, ""] = eqx.field(converter=_parameter)
    Om0: Float[Array | np.ndarray, ""] = eqx.field(converter=_parameter)
    Tcmb0: Float[Array | np.ndarray, ""] = eqx.field(converter=_parameter, default=0.0)
    Neff: Float[Array | np.ndarray, ""] = eqx.field(converter=_parameter, default=3.046)
    m_nu: Float[Array | np.ndarray, "..."] = eqx.field(converter=_parameter, default=0.0)

    def __check_init__(self) -> None:
        check(self, "H0", positive, "a positive number of km / s / Mpc")
        check(self, "Om0", lambda v: (v >= 0) & (v <= 1), "a matter density parameter between 0 and 1")
        check(self, "Tcmb0", at_least_zero, "a temperature of at least 0 K")
        check(self, "Neff", at_least_zero, "a number of neutrino species of at least 0")
        check(self, "m_nu", at_least_zero, "neutrino masses of at least 0 eV")
        neff = concrete(self.Neff)
        if self.m_nu.ndim and (self.m_nu.ndim > 1 or (neff is not None and self.m_nu.size != int(neff))):
            raise ValueError(
                f"FlatLambdaCDM: m_nu must be one mass or one for each of the floor(Neff) species (Neff = {neff}), "
                f"got an array of shape {self.m_nu.shape}"
            )

    def _critical_density_today(self, dtype: Any) -> Array:
        """Critical density at z = 0 in Msun / kpc^3."""
        return 3.0 / (8.0 * np.pi * GRAVITATIONAL_CONSTANT) * (jnp.asarray(self.H0, dtype) / 1000.0) ** 2

    def _radiation(self, one_plus_z: Array) -> Array:
        """Photons and neutrinos at redshift z over the critical density today, without its factor `(1+z)^3`."""
        dtype = one_plus_z.dtype
        power = _KOMATSU_POWER
        today = jnp.asarray(self.Tcmb0, dtype)
        temperature = today * one_plus_z
        mass = jnp.asarray(self.m_nu, dtype).reshape(-1) * (_KOMATSU_SCALE / _NEUTRINO_TEMPERATURE)

        def species(mass: Array) -> Array:
            # Written as T^3 (T^p + m^p)^(1/p), not T^4 (1 + (m/T)^p)^(1/p), so that T = 0 is an ordinary point.
            energy = temperature**power + mass**power
            present = energy > 0
            return jnp.where(present, jnp.where(present, energy, 1.0) ** (1.0 / power), 0.0)

        neutrinos = _NEUTRINO_RATIO * jnp.asarray(self.Neff, dtype) * jnp.mean(jax.vmap(species)(mass), 0)
        return _PHOTON_DENSITY / self._critical_density_today(dtype) * today**3 * (temperature + neutrinos)

    def _density(self, one_plus_z: Array) -> Array:
        """`E^2(z) / (1+z)^3`, which stays within float32's range back to the earliest times."""
        matter = jnp.asarray(self.Om0, one_plus_z.dtype)
        dark_energy = 1.0 - matter - self._radiation(jnp.ones((), one_plus_z.dtype))
        return matter + self._radiation(one_plus_z) + dark_energy / one_plus_z**3

    def _hubble_distance(self, dtype: Any) -> Array:
        return SPEED_OF_LIGHT / jnp.asarray(self.H0, dtype)

    def efunc(self, z: ArrayLike) -> Float[Array, "..."]:
        """Hubble rate at redshift z over that of today, `E(z) = H(z) / H0`."""
        one_plus_z = 1.0 + _redshift(z)
        return jnp.sqrt(one_plus_z**3 * self._density(one_plus_z))

    def critical_density(self, z: ArrayLike) -> Float[Array, "..."]:
        """Critical density `3 H^2(z) / (8 pi G)` in Msun / kpc^3 (proper)."""
        z = _redshift(z)
        return self._critical_density_today(z.dtype) * self.efunc(z) ** 2

    def comoving_distance(self, z: ArrayLike) -> Float[Array, "..."]:
        """Line-of-sight comoving distance `(c / H0) int_0^z dz' / E(z')` in Mpc; flat, so also the transverse one."""
        z = _redshift(z)
        return self._comoving_distance_between(jnp.zeros_like(z), z)

    def comoving_distance_between(self, z_1: ArrayLike, z_2: ArrayLike) -> Float[Array, "..."]:
        """Comoving distance in Mpc from redshift `z_1` to `z_2 >= z_1`, integrated directly: nothing cancels."""
        return self._comoving_distance_between(*_redshifts(z_1, z_2, ("z_1", "z_2")))

    def _comoving_distance_between(self, z_1: Array, z_2: Array) -> Array:
        dtype = z_1.dtype
        root_1, root_2 = jnp.sqrt(1.0 + z_1), jnp.sqrt(1.0 + z_2)
        # s = (1+z)^(-1/2), dz = -2 s^-3 ds; the length of the interval is written without the difference of two s.
        length = (z_2 - z_1) / (root_1 * root_2 * (root_1 + root_2))

        def integrand(node: Array) -> Array:
            s = 1.0 / root_1 - length * node
            return 2.0 * jax.lax.rsqrt(self._density(1.0 / s**2))

        return self._hubble_distance(dtype) * length * _integrate(integrand, _RULE, dtype)

    def angular_diameter_distance(self, z: ArrayLike) -> Float[Array, "..."]:
        """Angular-diameter distance `D_C(z) / (1 + z)` in Mpc."""
        z = _redshift(z)
        return self.comoving_distance(z) / (1.0 + z)

    def angular_diameter_distance_between(self, z_1: ArrayLike, z_2: ArrayLike) -> Float[Array, "..."]:
        """Angular-diameter distance in Mpc of redshift `z_2` seen from `z_1 <= z_2`."""
        z_1, z_2 = _redshifts(z_1, z_2, ("z_1", "z_2"))
        return self._comoving_distance_between(z_1, z_2) / (1.0 + z_2)

    def critical_surface_density(self, z_lens: ArrayLike, z_source: ArrayLike) -> Float[Array, "..."]:
        """Critical surface density `c^2 D_s / (4 pi G D_l D_ls)` in Msun / kpc^2 (proper, at the lens).

        Infinite for a lens at redshift 0 or at the source.

        Raises:
            ValueError: a concrete lens lies behind its source.
        """
        z_lens, z_source = _redshifts(z_lens, z_source, ("z_lens", "z_source"))
        chi_source = self.comoving_distance(z_source)
        chi_lens, chi_between = self.comoving_distance(z_lens), self._comoving_distance_between(z_lens, z_source)
        return LENSING_CONSTANT / 1e6 * (1.0 + z_lens) * (chi_source / chi_between / chi_lens)

    def kpc_per_arcsec(self, z: ArrayLike) -> Float[Array, "..."]:
        """Proper kiloparsecs that span one arcsec at redshift z."""
        return self.angular_diameter_distance(z) * (1000.0 * RADIANS_PER_ARCSEC)

    def comoving_volume(self, z_low: ArrayLike, z_high: ArrayLike, solid_angle: ArrayLike) -> Float[Array, "..."]:
        """Comoving volume in Mpc^3 between two redshifts inside a cone of `solid_angle` steradian."""
        z_low, z_high = _redshifts(z_low, z_high, ("z_low", "z_high"))
        near, far = self.comoving_distance(z_low), self.comoving_distance(z_high)
        shell = self._comoving_distance_between(z_low, z_high) * (near**2 + near * far + far**2)
        return jnp.asarray(as_real(solid_angle), shell.dtype) / 3.0 * shell

    def age(self, z: ArrayLike) -> Float[Array, "..."]:
        """Age of the universe in Gyr at redshift z, `int_z^inf dz' / [(1 + z') H(z')]`."""
        z = _redshift(z)
        start = jax.lax.rsqrt(1.0 + z)

        def integrand(node: Array) -> Array:
            # s = (1+z)^(-1/2) = node^2 start gathers the nodes at early times: dz / (1+z) = 4 d(node) / node.
            s = start * node**2
            return 4.0 * s**3 / node * jax.lax.rsqrt(self._density(1.0 / s**2))

        return HUBBLE_TIME / jnp.asarray(self.H0, z.dtype) * _integrate(integrand, _AGE_RULE, z.dtype)


def _named(**parameters: float | tuple[float, ...]) -> FlatLambdaCDM:
    """A published parameter set, held in NumPy: importing it starts no JAX backend and decides no precision."""
    return FlatLambdaCDM(**{name: np.asarray(value, np.float64) for name, value in parameters.items()})


Planck15 = _named(H0=67.74, Om0=0.3075, Tcmb0=2.7255, Neff=3.046, m_nu=(0.0, 0.0, 0.06))
"""Planck Collaboration (2016), A&A 594, A13, table 4, last column (TT, TE, EE + lowP + lensing + ext)."""

Planck18 = _named(H0=67.66, Om0=0.30966, Tcmb0=2.7255, Neff=3.046, m_nu=(0.0, 0.0, 0.06))
"""Planck Collaboration (2020), A&A 641, A6, table 2, last column (TT, TE, EE + lowE + lensing + BAO)."""
