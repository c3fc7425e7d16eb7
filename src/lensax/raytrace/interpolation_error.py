"""How wrong the cubic interpolation from the lattice is: halo by halo, and where the map itself is torn."""

import jax.numpy as jnp

from lensax._types import Array, Float
from lensax.raytrace.exact import Visited

__all__ = ["predicted_error", "predicted_peak", "tear_error"]

# Fitted to the true rms errors over tiles of single halos of 1e6 to 1e10 solar masses, scale radii 0.0005" to 0.57" and
# truncations of 3 to 22 scale radii (scatter 0.23 in ln); benchmarks/lattice.py shows how it does on whole scenes.
_AMPLITUDE = 0.075
_SHIFT = 0.85
_REACH = 5.0
_CORE = 4.0
# The largest deflection of an NFW halo, at 1.3 scale radii, in units of kappa_s r_s.
_LARGEST_DEFLECTION = 1.25
_PEAK_REACH = 4.0
_RESOLVED = 0.3
# From the tiles around the centres of power-law lenses with slopes 1.8 to 2.2, and of the shipped populations (within a
# factor of three).
_TEAR = 0.03


def predicted_error(
    kappa_s: Float[Array, "*#shape"],
    scale_radius: Float[Array, "*#shape"],
    core_radius: Float[Array, "*#shape"],
    distance: Float[Array, "*#shape"],
    spacing: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """Predicted rms error over a tile of interpolating the deflection of one halo, arcsec.

        e = C 4 kappa_s h^4 / [r^2 (r + 4 r_c) (1 + r / 5 r_s)^2],   r = d + 0.85 h

    Args:
        kappa_s, scale_radius, core_radius: of the halo, angles in arcsec.
        distance: from the halo to the nearest point of the tile, d, arcsec.
        spacing: of the nodes in the plane of the halo, h, arcsec.
    """
    r = distance + _SHIFT * spacing
    root = r * (1 + r * (1 / (_REACH * scale_radius)))
    square = spacing * spacing
    return 4 * _AMPLITUDE * kappa_s * (square * square) / (root * root * (r + _CORE * core_radius))


def predicted_peak(
    kappa_s: Float[Array, "*#shape"],
    scale_radius: Float[Array, "*#shape"],
    distance: Float[Array, "*#shape"],
    spacing: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """Predicted error at the worst ray of a tile beside a halo that is far smaller than the spacing, arcsec.

        e = 1.25 kappa_s r_s / [(1 + d / 4 r_s) (1 + (d + r_s) / 0.3 h)^4]

    No node sees such a halo, and few rays do: their errors are large where the rms over the tile is small. Halos of the
    size of the spacing are left to `predicted_error`, which is far larger for them.

    Args:
        kappa_s, scale_radius: of the halo, arcsec.
        distance, spacing: as for `predicted_error`.
    """
    unresolved = 1 + (distance + scale_radius) * (1 / (_RESOLVED * spacing))
    square = unresolved * unresolved
    fall = 1 + distance * (1 / (_PEAK_REACH * scale_radius))
    return _LARGEST_DEFLECTION * kappa_s * scale_radius / (fall * (square * square))


def tear_error(
    visited: Visited, third_difference: Float[Array, "planes tiles"], spacing: Float[Array, "planes tiles"]
) -> Float[Array, "planes tiles"]:
    """Predicted rms error in each tile where the map to a plane, and with it the field of its halos, is torn, arcsec.

    Behind the centre of a cuspy lens neighbouring rays part: seen along the image, the smooth field of the halos jumps.

        e = C G t sqrt[s / (s + t)]

    with G the typical gradient of the halos' deflection, t the third difference of the nodes' positions, which is large
    for every stencil across the tear, and s their spacing, which is large for the tile at its centre.

    Args:
        visited: the nodes, leaves (n_planes, m_y, m_x).
        third_difference: the largest of the nodes' positions in each tile's stencil, arcsec.
        spacing: of the tile's nodes in the plane, arcsec.
    """

    def typical_step(values: Array) -> Array:
        # The mean of roots: a few nodes beside a massive halo should not count.
        along_y, along_x = (jnp.mean(jnp.sqrt(jnp.abs(jnp.diff(values, axis=axis))), axis=(1, 2)) for axis in (1, 2))
        return along_y**2 + along_x**2

    tiny = jnp.finfo(spacing.dtype).tiny
    gradient = typical_step(visited.alpha_x) + typical_step(visited.alpha_y)
    gradient = gradient / (typical_step(visited.x) + typical_step(visited.y) + tiny)
    share = jnp.sqrt(spacing / (spacing + third_difference + tiny))
    return _TEAR * gradient[:, None] * third_difference * share
