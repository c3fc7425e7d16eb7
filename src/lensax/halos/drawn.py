"""Drawn halos as they are before they are lenses: masses and concentrations, which a catalogue no longer tells."""

from typing import final

import equinox as eqx

from lensax._types import Array, Float


@final
class DrawnHalos(eqx.Module):
    """What was drawn for each slot.

    Attributes:
        log_mass: ln(M200 / Msun), of subhalos at infall, `(n_planes, n_slots)`.
        concentration: r200 / r_s of the NFW halo, of subhalos at infall.
        center_x, center_y: where it stands, arcsec.
        weight: 1 where the slot holds a halo, 0 where it is empty, between them where halos fade in and out.
    """

    log_mass: Float[Array, "planes slots"]
    concentration: Float[Array, "planes slots"]
    center_x: Float[Array, "planes slots"]
    center_y: Float[Array, "planes slots"]
    weight: Float[Array, "planes slots"]
