"""The halo of the lens galaxy, in which subhalos live: where they are and when they fell in."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np

from lensax._types import Array, Float, Scalar
from lensax.halos import scales
from lensax.halos.free import free
from lensax.halos.rendering import LensPlanes

LN10 = float(np.log(10))
LATEST_INFALL = 10.0  # redshift beyond which nothing is said to have fallen in
_DEPTHS = 33


@final
class Host(eqx.Module):
    r"""The host halo.

    Subhalos follow a cored NFW profile, `n ~ 1 / [(r + r_core)(r + r_s)^2]` inside r200, whose scale radius is that of
    the host and whose core is `core_fraction` of it.

    Args:
        log10_mass: log10(M200 / Msun).
        concentration: r200 / r_s.
        core_fraction: core of the subhalos' profile over the host's scale radius.
    """

    log10_mass: Scalar = free(13.3)
    concentration: Scalar = free(6.0)
    core_fraction: Scalar = free(0.5)

    def virial_radius(self, lenses: LensPlanes) -> Float[Array, " planes"]:
        """r200 in kpc."""
        log_mass = jnp.broadcast_to(LN10 * self.log10_mass, lenses.critical_density.shape)
        return jnp.exp(scales.log_virial_radius(log_mass, lenses.critical_density))

    def scale_radius(self, lenses: LensPlanes) -> Float[Array, " planes"]:
        """Scale radius in kpc."""
        return self.virial_radius(lenses) / self.concentration

    def radius(
        self, projected: Float[Array, "1 n"], uniform: Float[Array, "1 n"], lenses: LensPlanes
    ) -> Float[Array, "1 n"]:
        """Distance from the host's centre in kpc of subhalos at a projected one, from a uniform number each.

        The depth has the density `n(sqrt(R^2 + z^2))` for `0 < z < r200`; its cumulative distribution is inverted on a
        grid of 33 depths that is fine near z = 0.
        """
        scale = self.scale_radius(lenses)[:, None]
        edge = self.virial_radius(lenses)[:, None]
        steps = jnp.asarray(np.sinh(np.linspace(0, 4, _DEPTHS)) / np.sinh(4), projected.dtype)
        depth = edge[..., None] * steps[None, None]  # (1, 1, n_depths)
        r = jnp.sqrt(projected[..., None] ** 2 + depth**2) / scale[..., None]
        density = 1 / ((r + self.core_fraction) * (1 + r) ** 2)
        cells = 0.5 * (density[..., 1:] + density[..., :-1]) * jnp.diff(depth, axis=-1)
        above = jnp.cumsum(cells, -1)
        target = uniform * above[..., -1]
        cell = jnp.sum(above[..., :-1] <= target[..., None], -1)
        pick = lambda a: jnp.take_along_axis(jnp.broadcast_to(a, above.shape), cell[..., None], -1)[..., 0]  # noqa: E731
        content, top = pick(cells), pick(above)
        low, high = pick(depth[..., :-1]), pick(depth[..., 1:])
        z = high - (top - target) / content * (high - low)
        return jnp.sqrt(projected**2 + z**2)


def infall_redshift(
    log_mass: Float[Array, "1 n"], host: Host, lens_redshift: Float[Array, " 1"], uniform: Float[Array, "1 n"]
) -> Float[Array, "1 n"]:
    r"""Redshift at which a subhalo fell in, from a uniform number.

    A normal distribution above the lens redshift with, for `q = -log10(M / M_host)` between 0.5 and 5,

        mean = 3.3555 / (1 + 3.2055 q^-2.9108),   sigma = 1.9788 / (1 + 4.1739 q^-2.1443),

    the fit to Galacticus' merger trees that pyHalo uses.
    """
    q = jnp.clip(host.log10_mass - log_mass / LN10, 0.5, 5.0)
    mean = 3.3555 / (1 + 3.2055 * q**-2.9108)
    sigma = 1.9788 / (1 + 4.1739 * q**-2.1443)
    lens = jnp.broadcast_to(lens_redshift[:, None], mean.shape)
    beyond = special.ndtr((mean - lens) / sigma)
    rest = jnp.maximum(beyond * (1 - uniform), 1e-12)
    return jnp.clip(mean - sigma * special.ndtri(rest), lens, LATEST_INFALL)
