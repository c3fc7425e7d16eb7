"""The corrections of a lattice, and whether they belong to the scene that they are used with."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp

from lensax._types import Array, Bool, Float, Int, Scalar, concrete
from lensax.raytrace.lattice_layout import Layout
from lensax.raytrace.ray_pass import LevelCorrections

if TYPE_CHECKING:
    from lensax.halos import HaloCatalogue

__all__ = ["Corrections"]


class Corrections(eqx.Module):
    """Where a `Lattice` departs from interpolation; constants of differentiation.

    They number tiles and halos, and so belong to one tracer, one grid and one set of filled slots.

    Attributes:
        levels: one for each over-sampling factor of the grid.
        sheets: convergence of the part of each plane's halos that is not interpolated.
        wanted: pairs above the threshold on the fullest plane.
        error_estimate: predicted rms error of the source positions over the frame, arcsec.
        overflow: there was no room for all pairs.
        filled: the slots of the catalogue that hold the halos that are meant.
        layout: the static choices that they were made with.
    """

    levels: tuple[LevelCorrections, ...]
    sheets: Float[Array, " planes"]
    wanted: Int[Array, ""]
    error_estimate: Scalar
    overflow: Bool[Array, ""]
    filled: Bool[Array, "planes slots"]
    layout: Layout = eqx.field(static=True)

    def stale(self, halos: "HaloCatalogue", layout: Layout) -> Bool[Array, ""]:
        """Whether other slots of a catalogue are filled, where that is known only when the program runs.

        Raises:
            ValueError: the corrections were chosen with another layout or dtype, or other slots are known to be filled.
        """
        expected = layout.of_corrections | {"dtype": halos.halos.kappa_s.dtype}
        found = self.layout.of_corrections | {"dtype": self.sheets.dtype}
        for name, value in expected.items():
            if found[name] != value:
                raise ValueError(f"corrections: expected those for {name} {value}, found those for {found[name]}")
        filled = halos.halos.kappa_s != 0
        if filled.shape != self.filled.shape:
            raise ValueError(
                f"corrections: expected those of one scene, of slots {filled.shape}, found slots {self.filled.shape}"
            )
        differ = jnp.sum(filled != self.filled)
        if concrete(differ):
            raise ValueError(
                f"corrections: expected those for the {int(filled.sum())} halos of the scene, in their slots, found "
                f"those for {int(self.filled.sum())}; {int(differ)} slots differ"
            )
        return differ > 0
