"""How wide a cone of the line of sight is filled with halos."""

import abc
from typing import TYPE_CHECKING, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar, concrete, real
from lensax.halos.free import free

if TYPE_CHECKING:
    from lensax.raytrace.planes import Planes


def shrink(planes: "Planes") -> Float[Array, " planes"]:
    """`s = D_lz D_s / (D_z D_ls)`: 0 at the lens plane and in front of it, 1 at the source."""
    c, lens = planes.distances, planes.distances[planes.lens_index]
    behind = jnp.arange(c.shape[0]) > planes.lens_index
    return jnp.where(behind, (c - lens) / (c * (1 - lens)), 0.0)


@final
class DeflectedAxis(eqx.Module):
    """A cone that follows the light: behind the lens its axis runs straight from the lens to the source.

    On a plane with `s` as in `shrink`, halos are centred on `s (source_x, source_y)`; in front of the lens on the axis.

    Args:
        source_x, source_y: where the axis ends, the position of the source in arcsec.
    """

    source_x: Scalar = free(0.0)
    source_y: Scalar = free(0.0)

    def offset(self, planes: "Planes") -> tuple[Float[Array, " planes"], Float[Array, " planes"]]:
        """Centre of the disc on each plane in arcsec."""
        s = shrink(planes)
        return self.source_x * s, self.source_y * s


class Cone(eqx.Module):
    """The disc on each plane in which halos are placed."""

    radius: eqx.AbstractVar[Scalar]

    @abc.abstractmethod
    def radii(self, planes: "Planes") -> Float[Array, " planes"]:
        """Radius of the disc on each plane in arcsec."""

    def __check_init__(self) -> None:
        radius = concrete(self.radius)
        if radius is not None and not (np.isfinite(radius).all() and (radius > 0).all()):
            raise ValueError(f"cone: radius must be a positive number of arcsec, got {radius}")


@final
class NarrowingCone(Cone):
    """`R - theta_E s` behind the lens, as PyAutoLens has it with an Einstein radius of 1 arcsec.

    Args:
        radius: R on the lens plane and in front of it, arcsec.
        einstein_radius: theta_E, arcsec.
    """

    radius: Scalar = real()
    einstein_radius: Scalar = real(default=1.0)

    def __check_init__(self) -> None:
        radius, einstein = concrete(self.radius), concrete(self.einstein_radius)
        if radius is not None and einstein is not None and not np.all((einstein >= 0) & (einstein < radius)):
            raise ValueError(
                f"cone: einstein_radius must lie between 0 and the radius of {radius} arcsec, got {einstein}"
            )

    def radii(self, planes: "Planes") -> Float[Array, " planes"]:
        return self.radius - self.einstein_radius * shrink(planes)


@final
class DoubleCone(Cone):
    """`R (1 - closing s)` behind the lens, pyHalo's double cone.

    Args:
        radius: R on the lens plane and in front of it, arcsec.
        closing: 1 closes the cone at the source; pyHalo has 0.95.
    """

    radius: Scalar = real()
    closing: Scalar = real(default=0.95)

    def __check_init__(self) -> None:
        closing = concrete(self.closing)
        if closing is not None and not np.all((closing >= 0) & (closing <= 1)):
            raise ValueError(f"cone: closing must lie between 0 and 1, got {closing}")

    def radii(self, planes: "Planes") -> Float[Array, " planes"]:
        return self.radius * (1 - self.closing * shrink(planes))


@final
class Cylinder(Cone):
    """The same comoving radius on every plane: `R chi_l / chi_z`.

    Args:
        radius: R on the lens plane, arcsec.
    """

    radius: Scalar = real()

    def radii(self, planes: "Planes") -> Float[Array, " planes"]:
        return self.radius * planes.distances[planes.lens_index] / planes.distances


@final
class LensedCone(Cone):
    """What rays of the image can reach behind an isothermal lens: `max(R - theta_E s, theta_E s) + margin`.

    The undeflected cone maps the edge of the image to `R - theta_E s` and its centre to `theta_E s`.

    Args:
        radius: R, the radius of the image, arcsec.
        einstein_radius: theta_E, the largest one that the lens may have, arcsec.
        margin: added on every plane, arcsec.
    """

    radius: Scalar = real()
    einstein_radius: Scalar = real(default=1.0)
    margin: Scalar = real(default=0.0)

    def radii(self, planes: "Planes") -> Float[Array, " planes"]:
        reach = self.einstein_radius * shrink(planes)
        return jnp.maximum(self.radius - reach, reach) + self.margin
