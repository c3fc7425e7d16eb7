"""How wrong the cubic interpolation of a halo from the lattice is."""

from lensax._types import Array, Float

__all__ = ["LARGEST_DEFLECTION", "effective_spacing", "predicted_error", "predicted_peak"]

# Fitted to the true rms errors over tiles of single halos of 1e6 to 1e10 solar masses, scale radii 0.0005" to 0.57" and
# truncations of 3 to 22 scale radii (scatter 0.23 in ln); benchmarks/lattice.py shows how it does on whole scenes.
_AMPLITUDE = 0.075
_SHIFT = 0.85
_REACH = 5.0
_CORE = 4.0
# The largest deflection of an NFW halo, at 1.3 scale radii, in units of kappa_s r_s.
LARGEST_DEFLECTION = 1.25
_PEAK_REACH = 4.0
_RESOLVED = 0.3
# How far from where interpolation takes it to be a ray is met, in units of the largest third difference of the nodes.
_TEAR = 0.2


def effective_spacing(
    spacing: Float[Array, "*#shape"], third_difference: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """The spacing that tells how well a tile is interpolated where the map to a plane is torn, arcsec.

    Behind a massive perturber, and above all behind the centre of a cuspy lens, neighbouring rays part. Interpolation
    across the tear misses their positions, and the field of the halos is known as well as on a coarser lattice.

        h + 0.2 t

    Args:
        spacing: of the tile's nodes in the plane, h, arcsec.
        third_difference: the largest one of the nodes' positions in the tile's stencil, t, arcsec.
    """
    return spacing + _TEAR * third_difference


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
    return LARGEST_DEFLECTION * kappa_s * scale_radius / (fall * (square * square))
