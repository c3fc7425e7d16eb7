"""Halos of several families in one population."""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Int, concrete, real
from lensax.mass.core_deficit import CoredLens
from lensax.mass.core_mixture import core_discs
from lensax.mass.core_shapes import ISOTHERMAL, LARGEST_MATCHING, QUARTIC
from lensax.mass.far_field import truncated_total_mass
from lensax.mass.halo import LARGEST_NFW_CORE, Halo
from lensax.mass.plummer import cored_nfw_discs
from lensax.mass.sidm import LARGEST_SIDM_CORE, SMALLEST_CORE
from lensax.mass.spherical import ROUNDING, SphericalHalo, require
from lensax.mass.truncated_nfw import projected_density, projected_mass, projected_potential

__all__ = ["CORED_NFW", "FAMILIES", "ISOTHERMAL_CORE", "LARGEST_CORE", "PARAMETRIC_SIDM", "MixedHalos", "lens_of"]

# What `family` of a halo says; the names are those of tables.
CORED_NFW, PARAMETRIC_SIDM, ISOTHERMAL_CORE = 0, 1, 2
FAMILIES = ("cored_nfw", "parametric_sidm", "isothermal_core")
LARGEST_CORE = (LARGEST_NFW_CORE, LARGEST_SIDM_CORE, LARGEST_MATCHING)
_SOME_CORE = 0.1


def lens_of(family: Int[Array, "*halos"], present: tuple[int, ...] = (0, 1, 2)) -> CoredLens:
    """The lens of each halo's family; all families that may be present are evaluated."""

    def chosen(*of_family: Callable[..., Array]) -> Callable[..., Array]:
        def lens(*arguments: Array) -> Array:
            *radius, f, tau = arguments
            # Each family is evaluated with a core that it can have.
            values = {i: of_family[i](*radius, jnp.where(family == i, f, _SOME_CORE), tau) for i in present}
            found = values.pop(present[0])
            for i, value in values.items():
                found = jnp.where(family == i, value, found)
            return found

        return lens

    return CoredLens(
        chosen(projected_density, QUARTIC.density, ISOTHERMAL.density),
        chosen(projected_mass, QUARTIC.mass, ISOTHERMAL.mass),
        chosen(projected_potential, QUARTIC.potential, ISOTHERMAL.potential),
        chosen(truncated_total_mass, QUARTIC.total_mass, ISOTHERMAL.total_mass),
    )


def _whole(family: Any) -> Any:
    return family if isinstance(family, jax.Array) else jnp.asarray(family, jnp.int32)


@final
class MixedHalos(SphericalHalo):
    """Halos that are each a `Halo`, a `ParametricSIDM` or an `IsothermalCore`, as leaves of one shape.

    The fast tracers see no difference: each halo is a mixture of the same Plummer discs. The closed forms and
    quadratures of this class evaluate every family and choose.

    Args:
        kappa_s: density scale in units of the critical surface density.
        scale_radius: in arcsec.
        truncation_radius: in arcsec, may be infinite.
        core_radius: in arcsec: that of the cored NFW halo, that of the parametric one, or the matching radius.
        center_x, center_y: position in arcsec.
        family: of each halo: 0 truncated cored NFW, 1 parametric SIDM, 2 isothermal core.

    Raises:
        ValueError: a concrete number that its family refuses, or a family that does not exist.
    """

    kappa_s: Float[Array, "..."] = real()
    scale_radius: Float[Array, "..."] = real()
    truncation_radius: Float[Array, "..."] = real()
    core_radius: Float[Array, "..."] = real()
    center_x: Float[Array, "..."] = real()
    center_y: Float[Array, "..."] = real()
    family: Int[Array, "..."] = eqx.field(converter=_whole)

    def __check_init__(self) -> None:
        for name in ("kappa_s", "center_x", "center_y"):
            require("MixedHalos", name, getattr(self, name), np.isfinite, "a finite number")
        positive = "a positive number of arcsec"
        require("MixedHalos", "scale_radius", self.scale_radius, lambda v: (v > 0) & np.isfinite(v), positive)
        require("MixedHalos", "truncation_radius", self.truncation_radius, lambda v: v > 0, "positive, in arcsec")
        families = f"one of {', '.join(f'{i} ({name})' for i, name in enumerate(FAMILIES))}"
        require("MixedHalos", "family", self.family, lambda v: (v >= 0) & (v < len(FAMILIES)), families)
        core, scale, family = (concrete(v) for v in (self.core_radius, self.scale_radius, self.family))
        if core is not None and scale is not None and family is not None:
            top = (1 + ROUNDING) * np.asarray(LARGEST_CORE)[family] * scale
            fits = lambda v: (v >= 0) & (v <= top)  # noqa: E731
            require("MixedHalos", "core_radius", core, fits, "at least 0 and at most what its family allows")

    @classmethod
    def of(cls, halo: Halo) -> "MixedHalos":
        """The same halos in a class that can hold others too."""
        leaves = {field.name: getattr(halo, field.name) for field in dataclasses.fields(halo)}
        return cls(**leaves, family=jnp.full(halo.kappa_s.shape, CORED_NFW, jnp.int32))

    @property
    def core_fraction(self) -> Float[Array, "..."]:
        """The core radius in scale radii."""
        core = self.core_radius / self.scale_radius
        return jnp.where(self.family == CORED_NFW, core, jnp.maximum(core, SMALLEST_CORE))

    @property
    def lens(self) -> CoredLens:
        """That of its family."""
        return lens_of(self.family)

    def discs(self) -> tuple[Float[Array, "discs *halos"], Float[Array, "*halos"]]:
        """The discs of the halo's family."""
        core, tau = self.core_fraction, self.truncation_fraction
        plain = self.family == CORED_NFW
        masses, reach = cored_nfw_discs(jnp.where(plain, core, 0.0), tau)
        others, other_reach = core_discs(
            jnp.maximum(self.family - 1, 0).astype(jnp.int32), jnp.where(plain, _SOME_CORE, core), tau
        )
        return jnp.where(plain[None], masses, others), jnp.where(plain, reach, other_reach)
