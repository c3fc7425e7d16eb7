"""Where the lens planes stand and which part of the line of sight each one represents."""

import abc
import math
from typing import final

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Float, Scalar
from lensax.cosmology import FlatLambdaCDM


class PlaneScheme(eqx.Module):
    """A rule that places a fixed number of planes in front of, at and behind the lens.

    Subclasses say how many planes stand in front (`front`) and behind (`back`) of the lens plane, and where.
    """

    front: eqx.AbstractVar[int]
    back: eqx.AbstractVar[int]

    @property
    def n_planes(self) -> int:
        """Number of planes, the lens plane included."""
        return self.front + 1 + self.back

    @property
    def lens_index(self) -> int:
        """Index of the lens plane."""
        return self.front

    @abc.abstractmethod
    def redshifts(
        self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM
    ) -> Float[Array, " planes"]:
        """Redshifts of the planes, increasing, the lens redshift at `lens_index`."""

    @abc.abstractmethod
    def edges(self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM) -> Float[Array, " edges"]:
        """Redshifts between which each plane stands for the halos, `(n_planes + 1,)`, from 0 to the source."""


def _even_centers(lens: Scalar, source: Scalar, front: int, back: int) -> Array:
    """`front` points evenly between 0 and the lens, the lens, `back` points evenly between lens and source."""
    dtype = lens.dtype
    before = lens * (jnp.arange(1, front + 1).astype(dtype) / (front + 1))
    behind = lens + (source - lens) * (jnp.arange(back + 1).astype(dtype) / (back + 1))
    return jnp.concatenate([before, behind])


def _even_edges(lens: Scalar, source: Scalar, front: int, back: int) -> Array:
    """The points half-way between the centers; the first plane reaches down to 0, the last up to the source."""
    dtype = lens.dtype
    before = lens * ((jnp.arange(1, front + 1).astype(dtype) + 0.5) / (front + 1))
    behind = lens + (source - lens) * ((jnp.arange(back).astype(dtype) + 0.5) / (back + 1))
    return jnp.concatenate([jnp.zeros((1,), dtype), before, behind, source[None]])


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"planes: {name} must be a number of planes, 0 or more, got {value!r}")


@final
class EqualRedshift(PlaneScheme):
    """Planes at equal steps in redshift, as PyAutoLens has them: 4 in front and 4 behind make 9 with the lens plane.

    With `d_f = z_l / (front + 1)` and `d_b = (z_s - z_l) / (back + 1)` the planes stand at `d_f, 2 d_f, ..., z_l,
    z_l + d_b, ...`; the edges lie half-way between them. (Counted in integers: round-off adds and drops no plane.)

    Args:
        front, back: number of planes in front of and behind the lens plane.
    """

    front: int = eqx.field(static=True)
    back: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_count("front", self.front)
        _check_count("back", self.back)

    def redshifts(
        self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM
    ) -> Float[Array, " planes"]:
        return _even_centers(lens_redshift, source_redshift, self.front, self.back)

    def edges(self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM) -> Float[Array, " edges"]:
        return _even_edges(lens_redshift, source_redshift, self.front, self.back)


@final
class EqualComoving(PlaneScheme):
    """Planes at equal steps in comoving distance, in front of the lens and behind it.

    Args:
        front, back: number of planes in front of and behind the lens plane.
    """

    front: int = eqx.field(static=True)
    back: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_count("front", self.front)
        _check_count("back", self.back)

    def redshifts(
        self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM
    ) -> Float[Array, " planes"]:
        lens, source = cosmology.comoving_distance(lens_redshift), cosmology.comoving_distance(source_redshift)
        found = redshift_at(_even_centers(lens, source, self.front, self.back), source_redshift, cosmology)
        return found.at[self.front].set(lens_redshift)

    def edges(self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM) -> Float[Array, " edges"]:
        lens, source = cosmology.comoving_distance(lens_redshift), cosmology.comoving_distance(source_redshift)
        found = redshift_at(_even_edges(lens, source, self.front, self.back), source_redshift, cosmology)
        return found.at[0].set(0.0).at[-1].set(source_redshift)


@final
class ThinSlices(PlaneScheme):
    """Planes at a fixed step in redshift, as pyHalo has them: 75 of `dz = 0.02` for z_l = 0.5 and z_s = 1.5.

    They stand at `start, start + step, ...` below the lens and at `z_l, z_l + step, ...` below the source. Build it
    with `between`, which counts the planes; the redshifts may then still be traced as long as they keep their order.

    Args:
        front, back: number of planes in front of and behind the lens plane.
        step: distance of two planes in redshift.
        start: redshift of the first plane.
    """

    front: int = eqx.field(static=True)
    back: int = eqx.field(static=True)
    step: float = eqx.field(static=True, default=0.02)
    start: float = eqx.field(static=True, default=0.01)

    @classmethod
    def between(
        cls, lens_redshift: float, source_redshift: float, step: float = 0.02, start: float = 0.01
    ) -> "ThinSlices":
        """The slices between the observer and a source.

        Raises:
            ValueError: a step or start that is not positive, or a start behind the lens.
        """
        if not (step > 0 and math.isfinite(step)):
            raise ValueError(f"planes: step must be a positive difference of redshifts, got {step}")
        if not 0 < start < lens_redshift:
            raise ValueError(f"planes: start must lie between 0 and the lens at {lens_redshift}, got {start}")
        slack = 1e-6  # a plane closer to lens or source than this share of a step is round-off, not a plane
        front = math.ceil((lens_redshift - start) / step - slack)
        return cls(front, math.ceil((source_redshift - lens_redshift) / step - slack) - 1, step, start)

    def redshifts(
        self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM
    ) -> Float[Array, " planes"]:
        dtype = lens_redshift.dtype
        before = self.start + self.step * jnp.arange(self.front).astype(dtype)
        behind = lens_redshift + self.step * jnp.arange(self.back + 1).astype(dtype)
        return jnp.concatenate([before, behind])

    def edges(self, lens_redshift: Scalar, source_redshift: Scalar, cosmology: FlatLambdaCDM) -> Float[Array, " edges"]:
        centers = self.redshifts(lens_redshift, source_redshift, cosmology)
        middle = 0.5 * (centers[1:] + centers[:-1])
        return jnp.concatenate([jnp.zeros((1,), centers.dtype), middle, source_redshift[None]])


def redshift_at(distance: Float[Array, " n"], max_redshift: Scalar, cosmology: FlatLambdaCDM) -> Float[Array, " n"]:
    """Redshifts of comoving distances in Mpc, none beyond `max_redshift`: a table, then three Newton steps."""
    table = max_redshift * jnp.linspace(0.0, 1.0, 65, dtype=distance.dtype)
    z = jnp.interp(distance, cosmology.comoving_distance(table), table)
    hubble_distance = 299792.458 / jnp.asarray(cosmology.H0, distance.dtype)
    for _ in range(3):
        z = z - (cosmology.comoving_distance(z) - distance) * cosmology.efunc(z) / hubble_distance
        z = jnp.clip(z, 0.0, max_redshift)
    return z
