"""The one halo family of lensax: NFW, truncated NFW, cored NFW and truncated cored NFW."""

from typing import final

import jax.numpy as jnp
import numpy as np

from lensax._types import Array, ArrayLike, Float, as_real, concrete, real
from lensax.cosmology import FlatLambdaCDM
from lensax.mass.core_deficit import CoredLens
from lensax.mass.cored_nfw import cored_nfw_mass
from lensax.mass.far_field import truncated_total_mass
from lensax.mass.plummer import cored_nfw_discs
from lensax.mass.spherical import ROUNDING, SphericalHalo, require
from lensax.mass.truncated_nfw import projected_density, projected_mass, projected_potential

__all__ = ["LARGEST_NFW_CORE", "Halo"]

LARGEST_NFW_CORE = 3.0
"""Core fraction up to which the accuracy of the profile's functions holds; it decays slowly beyond."""

_OVERDENSITY = 200.0
_LENS = CoredLens(projected_density, projected_mass, projected_potential, truncated_total_mass)


@final
class Halo(SphericalHalo):
    r"""A spherical dark-matter halo: a truncated cored NFW profile.

        rho = rho_s tau^2/(tau^2 + y^2) / [(y + f) (1 + y)^2],   y = r/r_s, f = r_c/r_s, tau = r_t/r_s
        kappa = kappa_s k(x),   alpha = kappa_s r_s a(x),   psi = kappa_s r_s^2 p(x),   x = R/r_s,   psi(0) = 0

    `truncation_radius = inf` and `core_radius = 0` give the NFW halo, `core_radius = 0` alone the truncated NFW of
    Baltz, Marshall & Oguri (2009), `truncation_radius = inf` alone the cored NFW of Penarrubia et al. (2012). All six
    numbers may be traced and are differentiable, to any order except where the halo itself is not: with respect to an
    infinite truncation radius the derivative is zero, with respect to a core radius of zero it is the one-sided limit,
    and within 1e-10 scale radii of the centre the convergence is constant, so that a cusp's is finite.

    Leaves of one shape, such as (n_planes, n_slots), make a population; map over it with `vmap`.

    Largest relative errors for `f` up to 2, `tau` from 0.02 and `x` from 1e-6 to 1e4: 2e-14 (deflection, potential) and
    1e-13 (convergence) in double precision; 7e-6 (deflection), 8e-6 (potential) and 1e-4 (convergence) in single, where
    NFW and truncated NFW halos reach 1e-6 (deflection, potential) and 1e-5 (convergence).

    Args:
        kappa_s: `rho_s r_s / Sigma_cr`, the density scale in units of the critical surface density; may be negative.
        scale_radius: `r_s` in arcsec.
        truncation_radius: `r_t` in arcsec, infinite by default.
        core_radius: `r_c` in arcsec, zero by default.
        center_x, center_y: position in arcsec.

    Raises:
        ValueError: a concrete radius is not positive (the core radius: negative or above three scale radii, to which
            the accuracy is known), or a number is not finite.

    Papers: Navarro, Frenk & White (1997), ApJ 490, 493; Baltz, Marshall & Oguri (2009), JCAP 01, 015;
    Penarrubia et al. (2012), ApJ 759, L42.
    """

    kappa_s: Float[Array, "..."] = real()
    scale_radius: Float[Array, "..."] = real()
    truncation_radius: Float[Array, "..."] = real(default=np.inf)
    core_radius: Float[Array, "..."] = real(default=0.0)
    center_x: Float[Array, "..."] = real(default=0.0)
    center_y: Float[Array, "..."] = real(default=0.0)

    def __check_init__(self) -> None:
        for name in ("kappa_s", "center_x", "center_y"):
            require("Halo", name, getattr(self, name), np.isfinite, "a finite number")
        require(
            "Halo", "scale_radius", self.scale_radius, lambda v: (v > 0) & np.isfinite(v), "a positive number of arcsec"
        )
        require(
            "Halo", "truncation_radius", self.truncation_radius, lambda v: v > 0, "positive, in arcsec (or infinite)"
        )
        require("Halo", "core_radius", self.core_radius, lambda v: (v >= 0) & np.isfinite(v), "at least 0, in arcsec")
        core, scale = concrete(self.core_radius), concrete(self.scale_radius)
        if core is not None and scale is not None:
            fraction = core / scale
            require(
                "Halo",
                "core_radius / scale_radius",
                fraction,
                lambda v: v <= LARGEST_NFW_CORE * (1 + ROUNDING),
                f"at most {LARGEST_NFW_CORE}",
            )

    @property
    def lens(self) -> CoredLens:
        """The closed forms of truncated_nfw.py."""
        return _LENS

    @property
    def core_fraction(self) -> Float[Array, "..."]:
        """`f = r_c/r_s`."""
        return self.core_radius / self.scale_radius

    def discs(self) -> tuple[Float[Array, "discs *halos"], Float[Array, "*halos"]]:
        """A positive mixture: error of the deflection below 2e-6."""
        return cored_nfw_discs(self.core_fraction, self.truncation_fraction)

    @classmethod
    def from_mass(
        cls,
        mass: ArrayLike,
        concentration: ArrayLike,
        redshift: ArrayLike,
        source_redshift: ArrayLike,
        cosmology: FlatLambdaCDM,
        truncation_radius: ArrayLike | None = None,
        core_fraction: ArrayLike = 0.0,
        center_x: ArrayLike = 0.0,
        center_y: ArrayLike = 0.0,
    ) -> "Halo":
        """The halo of a given mass and concentration, lensing a source at a given redshift.

            r_200 = [3 M / (800 pi rho_c(z))]^(1/3),   r_s = r_200 / c,
            rho_s = M / [4 pi r_s^3 mu_c(c, f)],   kappa_s = rho_s r_s / Sigma_cr(z, z_s)

        The mass is that of the untruncated (cored) halo inside r_200; a truncation removes some of it.

        Args:
            mass: M200c in Msun.
            concentration: `c = r_200/r_s`.
            redshift: redshift of the halo.
            source_redshift: redshift of the (last) source, to which all deflections are scaled.
            cosmology: gives `critical_density`, `critical_surface_density` and `kpc_per_arcsec`.
            truncation_radius: `r_t` in arcsec; None for none.
            core_fraction: `f = r_c/r_s`.
            center_x, center_y: position in arcsec.

        Returns:
            a halo whose leaves all have the common shape of the arguments.

        Raises:
            ValueError: a concrete mass or concentration is not positive, or a number that `Halo` refuses.
        """
        truncation = np.inf if truncation_radius is None else truncation_radius
        arguments = (mass, concentration, redshift, source_redshift, truncation, core_fraction, center_x, center_y)
        values = jnp.broadcast_arrays(*(jnp.asarray(as_real(value)) for value in arguments))
        mass, concentration, redshift, source_redshift, truncation, core_fraction, center_x, center_y = values
        require("Halo", "mass", mass, lambda v: (v > 0) & np.isfinite(v), "a positive number of Msun")
        require("Halo", "concentration", concentration, lambda v: (v > 0) & np.isfinite(v), "a positive number")
        require("Halo", "core_fraction", core_fraction, lambda v: (v >= 0) & np.isfinite(v), "a number of at least 0")
        virial_radius = jnp.cbrt(mass / (4.0 / 3.0 * np.pi * _OVERDENSITY * cosmology.critical_density(redshift)))
        scale_radius = virial_radius / concentration
        # M / r_s^2 and not M / r_s^3 first: both factors stay within the range of single precision.
        surface_density = mass / (4.0 * np.pi * scale_radius**2 * cored_nfw_mass(concentration, core_fraction))
        kappa_s = surface_density / cosmology.critical_surface_density(redshift, source_redshift)
        scale_radius = scale_radius / cosmology.kpc_per_arcsec(redshift)
        return cls(kappa_s, scale_radius, truncation, core_fraction * scale_radius, center_x, center_y)
