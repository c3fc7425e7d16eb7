"""Lens planes: where the light is deflected, and the two numbers a plane that move a ray from one to the next."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar, as_real, concrete
from lensax.cosmology import FlatLambdaCDM

__all__ = ["Planes"]


class Planes(eqx.Module):
    r"""Lens planes in front of one source plane, in a flat universe.

    With `c_j = chi_j / chi_s` the comoving distances over that of the source, a ray at `theta` with the carried field
    `v` (start: image position, 0) meets every plane in turn,

        v <- v - kick_j alpha_j(theta),   theta <- theta + step_j v,
        kick_j = c_j / (1 - c_j),   step_j = 1 / c_j - 1 / c_{j+1},   c_{P+1} = 1,

    and ends at its source position (Schneider, Ehlers & Falco 1992, with all deflections scaled to the source).
    Redshifts may be traced; their number may not.

    Args:
        redshifts: strictly increasing, (n_planes,), all in front of the source, the lens redshift among them.
        lens_redshift: the plane of the macro model.
        source_redshift: the source plane.
        cosmology: a `lensax.cosmology.FlatLambdaCDM`.
        lens_index: which plane is the lens plane; needed only when the redshifts are traced.

    Raises:
        ValueError: redshifts not increasing, not in front of the source, or without the lens redshift.
    """

    redshifts: Float[Array, " planes"]
    lens_redshift: Scalar
    source_redshift: Scalar
    distances: Float[Array, " planes"]
    source_distance: Scalar
    critical_surface_density: Float[Array, " planes"]
    kpc_per_arcsec: Float[Array, " planes"]
    lens_index: int = eqx.field(static=True)

    def __init__(
        self,
        redshifts: Any,
        lens_redshift: Any,
        source_redshift: Any,
        cosmology: FlatLambdaCDM,
        lens_index: int | None = None,
    ) -> None:
        self.redshifts, self.lens_redshift, self.source_redshift = map(
            as_real, (redshifts, lens_redshift, source_redshift)
        )
        self.lens_index = _lens_index(self.redshifts, self.lens_redshift, self.source_redshift, lens_index)
        self.distances, self.source_distance, self.critical_surface_density, self.kpc_per_arcsec = _scales(
            cosmology, self.redshifts, self.source_redshift
        )

    @property
    def n_planes(self) -> int:
        """Number of lens planes."""
        return self.redshifts.shape[0]

    @property
    def kick(self) -> Float[Array, " planes"]:
        """`c_j / (1 - c_j)`: how much a deflection changes the carried field `v`."""
        return self.distances / (1 - self.distances)

    @property
    def step(self) -> Float[Array, " planes"]:
        """`1 / c_j - 1 / c_{j+1}`: how far `v` moves the ray on its way to the next plane."""
        following = jnp.concatenate([self.distances[1:], jnp.ones((1,), self.distances.dtype)])
        return (following - self.distances) / (following * self.distances)

    @property
    def is_lens(self) -> np.ndarray:
        """(n_planes,) bool, true for the plane of the macro model."""
        return np.arange(self.n_planes) == self.lens_index


@eqx.filter_jit
def _scales(cosmology: FlatLambdaCDM, redshifts: Array, source: Array) -> tuple[Array, Array, Array, Array]:
    """Distances over the source's, its distance, critical surface densities to it, and kpc per arcsec, of planes."""
    source_distance = cosmology.comoving_distance(source)
    return (
        cosmology.comoving_distance(redshifts) / source_distance,
        source_distance,
        cosmology.critical_surface_density(redshifts, jnp.broadcast_to(source, redshifts.shape)),
        cosmology.kpc_per_arcsec(redshifts),
    )


def _lens_index(redshifts: Array, lens: Array, source: Array, index: int | None) -> int:
    if redshifts.ndim != 1 or redshifts.shape[0] == 0:
        raise ValueError(f"redshifts of the planes: expected a list of at least one, found shape {redshifts.shape}")
    z, z_lens, z_source = (concrete(a) for a in (redshifts, lens, source))
    if z is not None:
        if not np.all(np.isfinite(z)) or z[0] <= 0 or np.any(np.diff(z) <= 0):
            raise ValueError(f"redshifts of the planes: expected positive and strictly increasing, found {z.tolist()}")
        if z_source is not None and z[-1] >= z_source:
            raise ValueError(f"redshifts of the planes: {z[-1]:g} is not in front of the source at {float(z_source):g}")
    if index is not None:
        if not 0 <= index < redshifts.shape[0]:
            raise ValueError(f"lens_index: expected 0 to {redshifts.shape[0] - 1}, found {index}")
        return index
    if z is None or z_lens is None:
        if redshifts.shape[0] == 1:
            return 0
        raise ValueError("lens_index: needed where the redshifts of the planes are traced")
    nearest = int(np.argmin(np.abs(z - z_lens)))
    if abs(z[nearest] - z_lens) > 1e-6:
        raise ValueError(f"lens_redshift: {float(z_lens):g} is not among the redshifts of the planes, {z.tolist()}")
    return nearest
