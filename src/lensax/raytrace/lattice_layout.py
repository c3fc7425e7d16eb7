"""The automatic choices of the lattice: its spacing, its tiles, and the room for pairs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from lensax.raytrace.lattice_geometry import Geometry
from lensax.raytrace.packing import blocks_for

if TYPE_CHECKING:
    from lensax.instrument.grid import Grid
    from lensax.raytrace.lattice import Lattice

__all__ = ["Layout", "automatic_layout"]

# Node spacing that balances the cost of the nodes, ~ h^-2, with that of the pairs, ~ rays h^(8/3) threshold^(-2/3):
# arcsec at 16 rays in a pixel of 0.05", a tolerance of 2e-5" and a thousand halos.
_SPACING = 0.2
_RAYS, _TOLERANCE, _HALOS = (4 / 0.05) ** 2, 2e-5, 1000
_SMALLEST_SPACING, _LARGEST_SPACING = 0.05, 0.25
# More tiles than that take several cells each: the table of predicted errors grows with the tiles.
_MANY_TILES = 1200
# Pairs on a plane, per slot of the catalogue and in tiles around massive halos.
_PAIRS_PER_SLOT = 12
_TILES_FOR_MASSIVE_HALOS = 8
# Around the centre of a lens; in most frames fewer spread rays so much that they are needed.
_EXACT_TILES = 12
# Slots are chosen with head-room: about this share of them is filled.
_FILLED = 0.8
# (halos summed together, pairs corrected together): what fits the caches of a CPU; an accelerator has many images to
# fill it, and should not fill it with empty slots. Halved where planes would not fill that many blocks.
_ON_CPU, _ON_ACCELERATOR = (32, 128), (32, 256)
_BLOCKS_OF_A_PLANE = 2


@dataclass(frozen=True)
class Layout:
    """Every static choice of a lattice.

    Attributes:
        geometry: nodes and tiles.
        tolerance: of the source positions, arcsec.
        slots: (n_planes, n_slots) of the catalogue.
        blocks: of halos.
        capacity: pairs on each plane.
        exact_tiles: tiles of each level that are traced exactly.
        width: halos in a block.
        pair_width: pairs in a block.
        skip_empty: empty blocks of pairs are skipped, which an accelerator that computes images side by side cannot.
    """

    geometry: Geometry
    tolerance: float
    slots: tuple[int, int]
    blocks: int
    capacity: int
    exact_tiles: tuple[int, ...]
    width: int
    pair_width: int
    skip_empty: bool

    @property
    def of_corrections(self) -> dict[str, Any]:
        """What corrections are tied to, by name: they number tiles and halos, and were chosen for a tolerance."""
        geometry = self.geometry
        return {
            "shape": geometry.grid.shape,
            "pixel_scale": geometry.grid.pixel_scale,
            "over_sample": geometry.grid.over_sample,
            "tolerance": self.tolerance,
            "slots": self.slots,
            "tile_pixels": geometry.tile_pixels,
            "cells": geometry.cells,
            "width": self.width,
            "blocks": self.blocks,
            "capacity": self.capacity,
            "exact_tiles": self.exact_tiles,
        }


def automatic_layout(lattice: "Lattice", grid: "Grid", n_planes: int, n_slots: int, room: int) -> Layout:
    """What the user did not choose, from the tolerance, the grid and the catalogue's slots, on a plane and together."""
    geometry = _geometry(lattice, grid, room * _FILLED)
    on_cpu = jax.default_backend() == "cpu"
    width, pair_width = _ON_CPU if on_cpu else _ON_ACCELERATOR
    width = width if room >= _BLOCKS_OF_A_PLANE * width * n_planes else width // 2
    width = min(lattice.width or width, n_slots)
    pair_width = lattice.pair_width or pair_width
    wanted = lattice.capacity or _PAIRS_PER_SLOT * n_slots + _TILES_FOR_MASSIVE_HALOS * geometry.n_tiles
    possible = n_slots * max(len(level.tiles) for level in geometry.levels)
    capacity = min(wanted * lattice.head_room, possible)
    pair_width = min(pair_width, capacity)
    few = _EXACT_TILES if lattice.exact_tiles is None else lattice.exact_tiles
    exact = tuple(min(few, len(level.tiles)) for level in geometry.levels)
    return Layout(
        geometry=geometry,
        tolerance=lattice.tolerance,
        slots=(n_planes, n_slots),
        blocks=blocks_for(n_planes, n_slots, room, width),
        capacity=-(-capacity // pair_width) * pair_width,
        exact_tiles=exact,
        width=width,
        pair_width=pair_width,
        skip_empty=on_cpu,
    )


def _geometry(lattice: "Lattice", grid: "Grid", n_halos: float) -> Geometry:
    factor = max(level.factor for level in grid.levels)
    rays = (factor / grid.pixel_scale) ** 2
    spacing = _SPACING * (rays / _RAYS) ** -0.08 * (lattice.tolerance / _TOLERANCE) ** 0.15
    spacing = spacing * max(n_halos / _HALOS, 1.0) ** -0.2
    spacing = float(np.clip(spacing, _SMALLEST_SPACING, _LARGEST_SPACING))
    tiles = grid.shape[0] * grid.shape[1] * (grid.pixel_scale / spacing) ** 2
    cells = lattice.cells or (2 if tiles > _MANY_TILES else 1)
    tile_pixels = lattice.tile_pixels or max(1, round(cells * spacing / grid.pixel_scale))
    return Geometry(grid, tile_pixels, cells)
