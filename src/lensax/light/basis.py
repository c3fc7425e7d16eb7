"""Light with linear amplitudes: an inversion solves for them together with the source."""

import abc
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from lensax._check import check, check_center, check_ellipticity, finite, positive
from lensax._geometry import elliptical_radius_squared
from lensax._types import Array, Float, Scalar, real
from lensax.light.base import LightProfile

__all__ = ["GaussianBasis", "LightBasis", "PointSources", "ProfileBasis", "Sky"]


class LightBasis(eqx.Module):
    """A sum `sum_k a_k B_k(x, y)` of components whose amplitudes a_k are left to be solved for."""

    @property
    @abc.abstractmethod
    def n_components(self) -> int:
        """Number of components."""

    @abc.abstractmethod
    def components(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "components *shape"]:
        """The brightness of every component at amplitude 1, electrons / s / arcsec^2."""

    def unit(self, pixel_area: float) -> float:
        """The amplitude that gives a pixel a light of the order of 1 electron / s.

        Args:
            pixel_area: arcsec^2.
        """
        return 1 / pixel_area


@final
class GaussianBasis(LightBasis):
    """Concentric elliptical Gaussians of one shape: a multi-Gaussian expansion.

    Amplitudes are the components' central brightnesses. Ten to thirty deviations in geometric steps, from a fraction of
    a pixel to the size of the galaxy, describe the light of an early-type galaxy to a fraction of a percent.

    Args:
        sigmas: deviations in arcsec along the intermediate axis, (n,), positive.
        e1, e2: ellipticity `(1-q)/(1+q) (cos 2phi, sin 2phi)`, phi counter-clockwise from +x.
        center_x, center_y: centre in arcsec.

    Raises:
        ValueError: a concrete parameter is outside its range.

    Emsellem, Monnet & Bacon (1994), A&A 285, 723; Cappellari (2002), MNRAS 333, 400.
    """

    sigmas: Float[Array, " components"] = real()
    e1: Scalar = real(default=0.0)
    e2: Scalar = real(default=0.0)
    center_x: Scalar = real(default=0.0)
    center_y: Scalar = real(default=0.0)

    def __check_init__(self) -> None:
        if self.sigmas.ndim != 1 or self.sigmas.size == 0:
            raise ValueError(f"GaussianBasis: sigmas must be a list of angles in arcsec, got shape {self.sigmas.shape}")
        check(self, "sigmas", positive, "positive angles in arcsec")
        check_ellipticity(self)
        check_center(self)

    @property
    def n_components(self) -> int:
        """Number of Gaussians."""
        return self.sigmas.size

    def components(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "components *shape"]:
        """The Gaussians, 1 at the centre."""
        square = elliptical_radius_squared(x - self.center_x, y - self.center_y, self.e1, self.e2)
        return jnp.stack([jnp.exp(-0.5 * square / sigma**2) for sigma in self.sigmas])


@final
class ProfileBasis(LightBasis):
    """Light profiles, each with one linear amplitude that multiplies its intensity.

    Args:
        profiles: light profiles; give them an intensity of 1 and the amplitude is the intensity.

    Raises:
        TypeError: something that is no light profile.
        ValueError: no profile.
    """

    profiles: tuple[LightProfile, ...]

    def __init__(self, profiles: Any) -> None:
        self.profiles = (profiles,) if isinstance(profiles, LightProfile) else tuple(profiles)
        for index, profile in enumerate(self.profiles):
            if not isinstance(profile, LightProfile):
                raise TypeError(f"ProfileBasis: profiles[{index}] is no light profile, got {type(profile).__name__}")
        if not self.profiles:
            raise ValueError("ProfileBasis: expected at least one light profile, got none")

    @property
    def n_components(self) -> int:
        """Number of profiles."""
        return len(self.profiles)

    def components(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "components *shape"]:
        """The brightness of every profile."""
        return jnp.stack([profile.surface_brightness(x, y) for profile in self.profiles])


@final
class Sky(LightBasis):
    """A uniform background, whose amplitude is its brightness."""

    @property
    def n_components(self) -> int:
        """One."""
        return 1

    def components(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "components *shape"]:
        """One everywhere."""
        return jnp.ones_like(x)[None]


@final
class PointSources(LightBasis):
    """Unresolved objects, whose amplitudes are their fluxes in electrons / s.

    The light of each is laid on the rays around it with the weights of a quadratic B-spline, which sum to 1 on rays of
    any distance of which `width` is a multiple; so the image is smooth in the position.

    Args:
        center_x, center_y: positions in arcsec, (n,).
        width: of the spline's cells in arcsec: the distance of the rays, `pixel_scale / over_sample`.

    Raises:
        ValueError: positions of different shapes, or a concrete parameter outside its range.
    """

    center_x: Float[Array, " components"] = real()
    center_y: Float[Array, " components"] = real()
    width: Scalar = real()

    def __check_init__(self) -> None:
        if self.center_x.ndim != 1 or self.center_x.shape != self.center_y.shape or self.center_x.size == 0:
            raise ValueError(
                "PointSources: center_x and center_y must be lists of equal length, "
                f"got shapes {self.center_x.shape} and {self.center_y.shape}"
            )
        check(self, "center_x", finite, "finite angles in arcsec")
        check(self, "center_y", finite, "finite angles in arcsec")
        check(self, "width", positive, "a positive angle in arcsec")

    @property
    def n_components(self) -> int:
        """Number of objects."""
        return self.center_x.size

    def components(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "components *shape"]:
        """The light of every object at a flux of 1 electron / s."""
        return jnp.stack(
            [self._spline(x - at_x) * self._spline(y - at_y) for at_x, at_y in zip(self.center_x, self.center_y)]
        )

    def unit(self, pixel_area: float) -> float:
        """The amplitude that gives a pixel a light of the order of 1 electron / s: amplitudes are fluxes."""
        return 1.0

    def _spline(self, offset: Any) -> Any:
        t = jnp.abs(offset) / self.width
        inner, outer = 0.75 - t * t, 0.5 * (1.5 - jnp.minimum(t, 1.5)) ** 2
        return jnp.where(t < 0.5, inner, outer) / self.width
