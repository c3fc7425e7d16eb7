"""Halos of self-interacting dark matter."""

from typing import final

import jax.numpy as jnp
import numpy as np

from lensax._types import Array, ArrayLike, Float, as_real, concrete, real
from lensax.cosmology import FlatLambdaCDM
from lensax.mass import gravothermal
from lensax.mass.core_deficit import CoredLens
from lensax.mass.core_mixture import core_discs
from lensax.mass.core_shapes import ISOTHERMAL, LARGEST_MATCHING, QUARTIC
from lensax.mass.halo import Halo
from lensax.mass.spherical import SphericalHalo, require

__all__ = ["LARGEST_SIDM_CORE", "SMALLEST_CORE", "IsothermalCore", "ParametricSIDM"]

# In scale radii: a smaller core is none, a larger one no parametric halo has.
SMALLEST_CORE = 1e-6
LARGEST_SIDM_CORE = 1.0


@final
class ParametricSIDM(SphericalHalo):
    r"""The halo of the parametric model of self-interacting dark matter, truncated by tides.

        rho = rho_s tau^2/(tau^2 + y^2) / [(y^4 + f^4)^(1/4) (1 + y)^2],   y = r/r_s, f = r_c/r_s, tau = r_t/r_s

    A halo that was an NFW halo grows a core that later collapses; `from_mass` and `from_cross_section` give the halo
    at some time of its evolution. The lens is the closed form of the truncated NFW halo, less a quadrature with a
    hundred nodes: relative errors are below 1e-8 in double and 1e-5 in single precision. In populations, the fast
    tracers take a `PlummerMixture` instead, which costs them no more than any other halo.

    Args:
        kappa_s: `rho_s r_s / Sigma_cr`, of the evolved halo.
        scale_radius: evolved `r_s` in arcsec.
        truncation_radius: `r_t` in arcsec, infinite by default.
        core_radius: evolved `r_c` in arcsec, at most the scale radius.
        center_x, center_y: position in arcsec.

    Raises:
        ValueError: a concrete radius is not positive, a core is larger than its halo, or a number is not finite.

    Paper: Yang, Nadler, Yu & Zhong (2024), JCAP 02, 032, with beta = 4.
    """

    kappa_s: Float[Array, "..."] = real()
    scale_radius: Float[Array, "..."] = real()
    truncation_radius: Float[Array, "..."] = real(default=np.inf)
    core_radius: Float[Array, "..."] = real(default=0.0)
    center_x: Float[Array, "..."] = real(default=0.0)
    center_y: Float[Array, "..."] = real(default=0.0)

    def __check_init__(self) -> None:
        _check(self, "core_radius", self.core_radius, LARGEST_SIDM_CORE)

    @property
    def lens(self) -> CoredLens:
        """The truncated NFW lens less that of what the core lacks."""
        return QUARTIC

    @property
    def core_fraction(self) -> Float[Array, "..."]:
        """`f = r_c/r_s`, at least 1e-6."""
        return jnp.maximum(self.core_radius / self.scale_radius, SMALLEST_CORE)

    def discs(self) -> tuple[Float[Array, "discs *halos"], Float[Array, "*halos"]]:
        """From the table of core_mixture.py: errors below 1e-4 of the largest deflection (median 2e-5)."""
        core = self.core_fraction
        return core_discs(jnp.zeros(core.shape, jnp.int32), core, self.truncation_fraction)

    @classmethod
    def from_mass(
        cls,
        mass: ArrayLike,
        concentration: ArrayLike,
        redshift: ArrayLike,
        source_redshift: ArrayLike,
        cosmology: FlatLambdaCDM,
        time: ArrayLike,
        truncation_radius: ArrayLike | None = None,
        center_x: ArrayLike = 0.0,
        center_y: ArrayLike = 0.0,
    ) -> "ParametricSIDM":
        """The halo that was an NFW halo of this mass and concentration, after a share of its collapse time.

        Args:
            mass: M200c in Msun.
            concentration: `r_200/r_s` of the NFW halo.
            redshift: redshift of the halo.
            source_redshift: redshift of the (last) source.
            cosmology: gives densities and distances.
            time: t over the collapse time, cut to 1e-6 <= t <= 1.1, where the fit holds.
            truncation_radius: in arcsec; None for none.
            center_x, center_y: position in arcsec.

        Raises:
            ValueError: a concrete mass or concentration is not positive, or the time is negative.
        """
        time = jnp.asarray(as_real(time))
        require("ParametricSIDM", "time", time, lambda v: v >= 0, "at least 0, in collapse times")
        first = Halo.from_mass(
            mass, concentration, redshift, source_redshift, cosmology, truncation_radius, 0.0, center_x, center_y
        )
        return cls._evolved(first, time)

    @classmethod
    def from_cross_section(
        cls,
        mass: ArrayLike,
        concentration: ArrayLike,
        redshift: ArrayLike,
        source_redshift: ArrayLike,
        cosmology: FlatLambdaCDM,
        cross_section: ArrayLike,
        speed: ArrayLike = 100.0,
        power: ArrayLike = 0.0,
        age: ArrayLike | None = None,
        formation_redshift: ArrayLike = 10.0,
        truncation_radius: ArrayLike | None = None,
        center_x: ArrayLike = 0.0,
        center_y: ArrayLike = 0.0,
    ) -> "ParametricSIDM":
        """The halo that was an NFW halo, for a cross-section `sigma/m = cross_section (v/speed)^-power`.

        Args:
            mass, concentration, redshift, source_redshift, cosmology: as for `from_mass`.
            cross_section: sigma_0 / m in cm^2 / g.
            speed: v_0 in km / s.
            power: of the speed, below 8.
            age: time since formation in Gyr; None for the time since `formation_redshift`.
            formation_redshift: at which the halo was NFW.
            truncation_radius, center_x, center_y: as for `from_mass`.

        Raises:
            ValueError: a cross-section or an age is negative, or what `from_mass` refuses.
        """
        first = Halo.from_mass(
            mass, concentration, redshift, source_redshift, cosmology, truncation_radius, 0.0, center_x, center_y
        )
        require("ParametricSIDM", "power", as_real(power), lambda v: (v >= 0) & (v < 8), "from 0 to below 8")
        effective, density, radius, age = _interaction(
            "ParametricSIDM", first, redshift, source_redshift, cosmology, cross_section, speed, power, age,
            formation_redshift,
        )  # fmt: skip
        return cls._evolved(first, age / gravothermal.collapse_time(effective, density, radius))

    @classmethod
    def _evolved(cls, first: Halo, time: Array) -> "ParametricSIDM":
        evolution = gravothermal.evolve(time)
        scale_radius = first.scale_radius * evolution.radius_ratio
        return cls(
            first.kappa_s * evolution.density_ratio * evolution.radius_ratio,
            scale_radius,
            first.truncation_radius * jnp.ones_like(scale_radius),
            first.scale_radius * evolution.core_ratio,
            first.center_x * jnp.ones_like(scale_radius),
            first.center_y * jnp.ones_like(scale_radius),
        )


@final
class IsothermalCore(SphericalHalo):
    r"""An NFW halo with an isothermal core: the isothermal Jeans model of self-interacting dark matter.

    Inside the matching radius `r_1`, where particles have collided, `rho = rho_0 exp[-W(r/r_0)]` with the isothermal
    solution of the Lane-Emden equation; density and enclosed mass at `r_1` are those of the NFW halo. Without
    truncation, the deflection outside of `r_1` is that of the NFW halo. A truncation multiplies the density by
    `tau^2/(tau^2 + y^2)`, inside and outside.

    Args:
        kappa_s: `rho_s r_s / Sigma_cr` of the NFW halo.
        scale_radius: its `r_s` in arcsec.
        truncation_radius: `r_t` in arcsec, infinite by default.
        matching_radius: `r_1` in arcsec, at most 2.5 scale radii: larger isothermal cores do not exist.
        center_x, center_y: position in arcsec.

    Raises:
        ValueError: a concrete radius is not positive, the matching radius is too large, or a number is not finite.

    Paper: Kaplinghat, Tulin & Yu (2016), PRL 116, 041302.
    """

    kappa_s: Float[Array, "..."] = real()
    scale_radius: Float[Array, "..."] = real()
    truncation_radius: Float[Array, "..."] = real(default=np.inf)
    matching_radius: Float[Array, "..."] = real(default=0.0)
    center_x: Float[Array, "..."] = real(default=0.0)
    center_y: Float[Array, "..."] = real(default=0.0)

    def __check_init__(self) -> None:
        _check(self, "matching_radius", self.matching_radius, LARGEST_MATCHING)

    @property
    def lens(self) -> CoredLens:
        """The truncated NFW lens less that of what the core lacks."""
        return ISOTHERMAL

    @property
    def core_fraction(self) -> Float[Array, "..."]:
        """`y_1 = r_1/r_s`, at least 1e-6."""
        return jnp.maximum(self.matching_radius / self.scale_radius, SMALLEST_CORE)

    def discs(self) -> tuple[Float[Array, "discs *halos"], Float[Array, "*halos"]]:
        """From the table of core_mixture.py: errors up to 8e-4 of the largest deflection, at the matching radius."""
        core = self.core_fraction
        return core_discs(jnp.ones(core.shape, jnp.int32), core, self.truncation_fraction)

    @classmethod
    def from_cross_section(
        cls,
        mass: ArrayLike,
        concentration: ArrayLike,
        redshift: ArrayLike,
        source_redshift: ArrayLike,
        cosmology: FlatLambdaCDM,
        cross_section: ArrayLike,
        speed: ArrayLike = 100.0,
        power: ArrayLike = 0.0,
        age: ArrayLike | None = None,
        formation_redshift: ArrayLike = 10.0,
        truncation_radius: ArrayLike | None = None,
        center_x: ArrayLike = 0.0,
        center_y: ArrayLike = 0.0,
    ) -> "IsothermalCore":
        """The core of a halo of this mass, for a cross-section `sigma/m = cross_section (v/speed)^-power`.

        The matching radius is where `(sigma/m) rho_NFW v age = 1` with v the circular velocity and sigma the effective
        cross-section of the halo (`gravothermal.effective_cross_section`).

        Args:
            mass: M200c in Msun.
            concentration: `r_200/r_s`.
            redshift: redshift of the halo.
            source_redshift: redshift of the (last) source.
            cosmology: gives densities and distances.
            cross_section: sigma_0 / m in cm^2 / g.
            speed: v_0 in km / s.
            power: of the speed, below 8.
            age: of the halo in Gyr; None for the time since `formation_redshift`.
            formation_redshift: at which the halo was NFW.
            truncation_radius: in arcsec; None for none.
            center_x, center_y: position in arcsec.

        Raises:
            ValueError: a cross-section or an age is negative, a mass or a concentration not positive.
        """
        first = Halo.from_mass(
            mass, concentration, redshift, source_redshift, cosmology, truncation_radius, 0.0, center_x, center_y
        )
        require("IsothermalCore", "power", as_real(power), lambda v: (v >= 0) & (v < 8), "from 0 to below 8")
        effective, density, radius, age = _interaction(
            "IsothermalCore", first, redshift, source_redshift, cosmology, cross_section, speed, power, age,
            formation_redshift,
        )  # fmt: skip
        matching = gravothermal.matching_radius(effective, density, radius, age) * first.scale_radius
        same = jnp.ones_like(matching)
        return cls(
            first.kappa_s * same,
            first.scale_radius * same,
            first.truncation_radius * same,
            matching,
            first.center_x * same,
            first.center_y * same,
        )


def _check(halo: SphericalHalo, core_name: str, core_radius: Array, largest: float) -> None:
    name = type(halo).__name__
    for field in ("kappa_s", "center_x", "center_y"):
        require(name, field, getattr(halo, field), np.isfinite, "a finite number")
    require(name, "scale_radius", halo.scale_radius, lambda v: (v > 0) & np.isfinite(v), "a positive number of arcsec")
    require(name, "truncation_radius", halo.truncation_radius, lambda v: v > 0, "positive, in arcsec (or infinite)")
    require(name, core_name, core_radius, lambda v: (v >= 0) & np.isfinite(v), "at least 0, in arcsec")
    core, scale = concrete(core_radius), concrete(halo.scale_radius)
    if core is not None and scale is not None:
        # A little above the bound, for what single precision makes of it.
        fits = lambda v: v <= largest * (1 + 1e-6)  # noqa: E731
        require(name, f"{core_name} / scale_radius", core / scale, fits, f"at most {largest:g}")


def _interaction(
    profile: str,
    first: Halo,
    redshift: ArrayLike,
    source_redshift: ArrayLike,
    cosmology: FlatLambdaCDM,
    cross_section: ArrayLike,
    speed: ArrayLike,
    power: ArrayLike,
    age: ArrayLike | None,
    formation_redshift: ArrayLike,
) -> tuple[Array, Array, Array, Array]:
    """Effective cross-section, density and radius of the NFW halo in kpc, and age in Gyr, all of one shape."""
    redshift, source_redshift, cross_section, speed, power, formation_redshift = (
        jnp.asarray(as_real(value))
        for value in (redshift, source_redshift, cross_section, speed, power, formation_redshift)
    )
    require(profile, "cross_section", cross_section, lambda v: (v >= 0) & np.isfinite(v), "at least 0, in cm^2 / g")
    require(profile, "speed", speed, lambda v: (v > 0) & np.isfinite(v), "a positive number of km / s")
    if age is None:
        age = cosmology.age(redshift) - cosmology.age(formation_redshift)
    age = jnp.asarray(as_real(age))
    require(profile, "age", age, lambda v: (v >= 0) & np.isfinite(v), "at least 0, in Gyr")
    radius = first.scale_radius * cosmology.kpc_per_arcsec(redshift)
    density = first.kappa_s * cosmology.critical_surface_density(redshift, source_redshift) / radius
    cross_section, speed, power, density, radius, age = jnp.broadcast_arrays(
        cross_section, speed, power, density, radius, age
    )
    highest = gravothermal.peak_speed(density, radius)
    return gravothermal.effective_cross_section(cross_section, highest, speed, power), density, radius, age
