"""The fast ray tracer: every halo on a coarse lattice of rays, and exact corrections where interpolation would show."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._check import whole_number
from lensax._types import Array, Float, PRNGKeyArray
from lensax.halos import HaloCatalogue
from lensax.mass.plummer import PlummerMixture
from lensax.raytrace.corrections import Corrections
from lensax.raytrace.direct import Direct
from lensax.raytrace.exact import Visited, mixture_deflection, trace_exactly
from lensax.raytrace.exact_tiles import ExactTiles, PackedHalos, largest_kick
from lensax.raytrace.interpolation_error import effective_spacing
from lensax.raytrace.lattice_geometry import Geometry
from lensax.raytrace.lattice_layout import Layout, automatic_layout
from lensax.raytrace.mean_sheet import typical_convergence, without_sheets
from lensax.raytrace.packing import HaloBlocks, pack
from lensax.raytrace.pair_list import Pairs
from lensax.raytrace.pair_selection import TileBoxes, mark_pairs, pair_threshold
from lensax.raytrace.ray_pass import LevelCorrections, Traced, trace_rays
from lensax.raytrace.recursion import Rays
from lensax.raytrace.tracer import Diagnostics, RayTracer, Trace
from lensax.raytrace.whole_number import whole_number_field

if TYPE_CHECKING:
    from lensax.instrument.grid import Grid
    from lensax.scene import Scene

__all__ = ["Lattice"]

# Share of the tolerance that the uncorrected pairs may spend: gradients with respect to the halos' positions are the
# last to be right, and ask for that much more.
_SPENT = 0.5
# No pair is left uncorrected whose predicted rms error exceeds this share of the tolerance: the worst ray of a tile
# lies further off than its rms, and more than one halo may err there.
_LARGEST_PAIR = 0.25
# Predicted errors add with random signs; true ones exceed their sum by up to this factor (benchmarks/lattice.py).
_SAFETY = 1.2
# A calibrated tracer has room for so many pairs at least: few draws may have wanted none.
_LEAST_ROOM = 32
# Rounding of the recursion, in units of the frame's width times the precision of a number.
_ROUNDING = 1.0


@final
class Lattice(RayTracer):
    """Traces thousands of halos to a chosen accuracy, at a cost that grows slowly with the number of rays.

    Every halo is summed exactly on a coarse lattice of node rays that are traced through all planes; its deflection is
    interpolated from there to the fine rays; (tile, halo) pairs whose predicted error would show are corrected exactly,
    and the few tiles at the centre of a cuspy lens are traced exactly. The macro model and the mass sheets are exact on
    every ray. See the page "The lattice" of the documentation.

    The choice of the pairs is a constant of differentiation: gradients are those of the image that is returned.

    Args:
        tolerance: rms error of the source positions over the frame that is allowed, arcsec.
        tile_pixels: pixels along a side of a tile; by default from grid, tolerance and population.
        cells: cells of the lattice along a side of a tile, 1 or more; likewise.
        capacity: room for pairs on each plane and over-sampling factor; likewise, see `calibrated`.
        exact_tiles: at most so many tiles of each over-sampling factor are traced exactly because rays spread there,
            and up to eight more beside halos that kick rays far; likewise.
        width: halos summed together; by default what suits the device.
        pair_width: pairs corrected together; likewise.
        head_room: multiplies the capacity.

    Raises:
        ValueError: a tolerance that is not positive, or a number that is not whole or below 1 (`exact_tiles`: 0).
    """

    tolerance: float = eqx.field(static=True, default=2e-5)
    tile_pixels: int | None = whole_number_field("tile_pixels", default=None)
    cells: int | None = whole_number_field("cells", default=None)
    capacity: int | None = whole_number_field("capacity", default=None)
    exact_tiles: int | None = whole_number_field("exact_tiles", default=None, least=0)
    width: int | None = whole_number_field("width", default=None)
    pair_width: int | None = whole_number_field("pair_width", default=None)
    head_room: int = whole_number_field("head_room", default=1)

    def __check_init__(self) -> None:
        if not 0 < self.tolerance < np.inf:
            raise ValueError(f"tolerance must be a positive number of arcsec, got {self.tolerance!r}")

    def trace(self, scene: "Scene", grid: "Grid", corrections: Corrections | None = None) -> Trace:
        """Trace the rays of a pixel grid; arrays as `grid.positions` gives them.

        Args:
            scene: what deflects.
            grid: the pixels, with uniform or adaptive over-sampling.
            corrections: those to make, from `corrections` of the same tracer and grid and of a scene whose halos have
                the same slots; by default they are chosen for the scene.

        Raises:
            ValueError: corrections of another grid, tolerance, capacity, `exact_tiles`, number of slots or the like, of
                another dtype, or for other filled slots. Which slots are filled is not known inside a JAX transform:
                `overflow` is set there.
        """
        if scene.halos is None:
            if corrections is not None:
                raise ValueError("corrections: the scene has no halos, nothing is interpolated")
            return Direct().trace(scene, grid)
        layout = self._layout(scene.halos, grid)
        stale = jnp.zeros((), bool) if corrections is None else corrections.stale(scene.halos, layout)
        blocks, mixture = _packed(scene.halos, layout.width)
        nodes = _visit_nodes(scene, layout.geometry, blocks, mixture)
        if corrections is None:
            corrections = self._choose(scene, layout, blocks, nodes)
        rest = without_sheets(nodes.visited, corrections.sheets)
        halos = PackedHalos(blocks, mixture)
        levels = [
            trace_rays(scene, layout, level, halos, rest, corrections.sheets, chosen)
            for level, chosen in zip(layout.geometry.levels, corrections.levels, strict=True)
        ]
        source_x, source_y, lens_x, lens_y = (
            layout.geometry.to_grid([getattr(rays, name) for rays in levels]) for name in Traced._fields
        )
        diagnostics = Diagnostics(
            error_estimate=corrections.error_estimate,
            pairs=corrections.wanted,
            capacity=jnp.asarray(layout.capacity, jnp.int32),
            overflow=corrections.overflow | stale | scene.halos.overflow | (blocks.missing > 0),
            halos_per_plane=scene.halos.counts.astype(jnp.int32),
        )
        return Trace(source_x, source_y, lens_x, lens_y, diagnostics)

    def trace_at(self, scene: "Scene", x: Any, y: Any, every_plane: bool = False) -> Trace:
        """Trace rays that start at any image positions: exactly, since they have no lattice."""
        return Direct().trace_at(scene, x, y, every_plane)

    def corrections(self, scene: "Scene", grid: "Grid") -> Corrections:
        """The corrections that `trace` would make: hand them to `trace` to keep them while the scene changes a little.

        A function of the scene with frozen corrections is smooth, which finite differences and some samplers need. The
        error that they estimate is that of the scene that they were chosen for; halos may move and change, but neither
        come nor go.

        Raises:
            ValueError: a scene without halos, which needs none.
        """
        if scene.halos is None:
            raise ValueError("corrections: the scene has no halos, nothing is interpolated")
        layout = self._layout(scene.halos, grid)
        blocks, mixture = _packed(scene.halos, layout.width)
        return self._choose(scene, layout, blocks, _visit_nodes(scene, layout.geometry, blocks, mixture))

    def calibrated(
        self, draw: Callable[[PRNGKeyArray], "Scene"], grid: "Grid", key: PRNGKeyArray, draws: int = 64
    ) -> "Lattice":
        """The same tracer with a capacity that suits a population: what `draws` of its scenes want, and 30% more.

        Args:
            draw: a scene from a random key, pure.
            grid: the pixels that are going to be traced, `instrument.padded_grid` for a simulator.
            key: a random key.
            draws: scenes.

        Raises:
            ValueError: `draws` is not a whole number of at least 1.
        """
        draws = whole_number(draws, "draws")

        def pairs(scene: "Scene") -> Array:
            return jnp.zeros((), jnp.int32) if scene.halos is None else self.corrections(scene, grid).wanted

        @eqx.filter_jit
        def wanted(keys: Any) -> Array:
            return lax.map(lambda key: pairs(draw(key)), keys)

        found = np.asarray(wanted(jax.random.split(key, draws)))
        # Beyond the largest of the draws: rare universes want more than any of a few.
        most = max(1.3 * found.max(), found.mean() + 6 * found.std())
        return dataclasses.replace(self, capacity=max(int(np.ceil(most)), _LEAST_ROOM), head_room=1)

    def enlarged(self, times: int = 2) -> "Lattice":
        """The same tracer with room for so many times as many pairs."""
        return dataclasses.replace(self, head_room=times * self.head_room)

    def _layout(self, halos: HaloCatalogue, grid: "Grid") -> Layout:
        return automatic_layout(self, grid, halos.n_planes, halos.n_slots, halos.room)

    @jax.named_scope("choice")
    def _choose(self, scene: "Scene", layout: Layout, blocks: HaloBlocks, nodes: "_Nodes") -> Corrections:
        """Choose the exact tiles, then the pairs in the others, so that what is left stays within the tolerance."""
        nodes, blocks = lax.stop_gradient((nodes, blocks))
        geometry, dtype = layout.geometry, scene.dtype
        n_planes, lens = scene.planes.n_planes, scene.planes.lens_index
        boxes, sheets = _boxes(geometry, lens, nodes), typical_convergence(nodes.visited)
        levels, wanted, square = [], jnp.zeros((), jnp.int32), jnp.zeros((), dtype)
        overflow = jnp.zeros((), bool)
        for level, n_exact in zip(geometry.levels, layout.exact_tiles):
            weights = level.coverage / geometry.n_pixels * geometry.tile_pixels**2
            budget = jnp.asarray(float(weights.sum()) * (_SPENT * self.tolerance) ** 2, dtype)
            level_boxes = boxes.tiles(level.tiles)
            kick = largest_kick(blocks, level_boxes)
            exact = ExactTiles.chosen(level_boxes.gain[lens], kick, self.tolerance, n_exact)
            active = exact.others(len(level.tiles))
            largest = _LARGEST_PAIR * self.tolerance
            threshold = pair_threshold(blocks, level_boxes, active, weights, largest, budget)
            marked = mark_pairs(blocks, level_boxes, active, threshold, layout.capacity)
            levels.append(LevelCorrections(Pairs.from_marks(marked.words, blocks.plane, n_planes), exact))
            wanted = jnp.maximum(wanted, jnp.max(marked.wanted))
            overflow = overflow | jnp.any(marked.wanted > layout.capacity)
            square = square + _SAFETY**2 * jnp.sum(jnp.asarray(weights, dtype) * marked.rest)
        rounding = _ROUNDING * jnp.finfo(dtype).eps * max(geometry.grid.shape) * geometry.grid.pixel_scale
        assert scene.halos is not None
        filled, estimate = scene.halos.halos.kappa_s != 0, jnp.sqrt(square + rounding**2)
        return Corrections(tuple(levels), sheets, wanted, estimate, overflow, filled, layout)


@jax.named_scope("packing")
def _packed(halos: HaloCatalogue, width: int) -> tuple[HaloBlocks, PlummerMixture]:
    blocks = pack(halos, width)
    return blocks, jax.vmap(PlummerMixture.from_halo)(blocks.halos)


class _Nodes(NamedTuple):
    """The nodes on every plane, leaves (n_planes, m_y, m_x), and in the source, (m_y, m_x), arcsec."""

    visited: Visited
    source_x: Float[Array, "m_y m_x"]
    source_y: Float[Array, "m_y m_x"]


@jax.named_scope("nodes")
def _visit_nodes(scene: "Scene", geometry: Geometry, blocks: HaloBlocks, mixture: PlummerMixture) -> _Nodes:
    x, y = geometry.nodes(scene.dtype)
    start = Rays.start(x.reshape(-1), y.reshape(-1))
    end, visited = trace_exactly(scene, blocks, mixture, mixture_deflection, start, visit=True)
    visited = jax.tree.map(lambda leaf: leaf.reshape(-1, *geometry.node_shape), visited)
    return _Nodes(visited, end.x.reshape(geometry.node_shape), end.y.reshape(geometry.node_shape))


def _boxes(geometry: Geometry, lens: int, nodes: _Nodes) -> TileBoxes:
    def box(x: Array, y: Array) -> tuple[Array, ...]:
        (left, right), (low, high) = geometry.boxes(x), geometry.boxes(y)
        half_x, half_y = 0.5 * (right - left), 0.5 * (high - low)
        spacing = jnp.maximum(half_x, half_y) * (2 / geometry.cells)
        return 0.5 * (left + right), 0.5 * (low + high), half_x, half_y, spacing

    center_x, center_y, half_x, half_y, spacing = jax.vmap(box)(nodes.visited.x, nodes.visited.y)
    # Near its centre the lens spreads rays: errors in front of it grow as the distances of the nodes do.
    spread = jnp.maximum(box(nodes.source_x, nodes.source_y)[4] / spacing[lens], 1)
    in_front = jnp.asarray(np.arange(len(spacing)) <= lens)[:, None]
    gain = jnp.where(in_front, spread[None], 1)
    third = jax.vmap(geometry.largest_third_difference)
    spacing = effective_spacing(spacing, third(nodes.visited.x) + third(nodes.visited.y))
    return TileBoxes(center_x, center_y, half_x, half_y, spacing, gain)
