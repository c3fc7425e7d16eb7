"""The fine rays: interpolated deflections, exact corrections, and the way through all planes."""

import functools
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._types import Array, Float, Int
from lensax.raytrace.exact import Visited
from lensax.raytrace.exact_tiles import ExactTiles, PackedHalos, trace_tiles
from lensax.raytrace.lattice_geometry import MARGIN, Geometry, TileLevel
from lensax.raytrace.lattice_layout import Layout
from lensax.raytrace.pair_blocks import HaloRows, over_blocks
from lensax.raytrace.pair_list import PairBlock, Pairs
from lensax.raytrace.recursion import PlaneStep, Rays, macro_deflection, plane_steps
from lensax.raytrace.tides import Tensor, Tides, tidal_tensor
from lensax.raytrace.transfer import Transfer

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["LevelCorrections", "Traced", "trace_rays"]


# The corners of a tile are few: so many times as many pairs as usual are done together there.
_CORNERS_TOGETHER = 8


class LevelCorrections(eqx.Module):
    """The corrections in the tiles of one over-sampling factor.

    Attributes:
        pairs: (tile, halo) pairs, tiles counted in the level.
        exact: tiles on whose rays every halo is summed, counted in the level.
    """

    pairs: Pairs
    exact: ExactTiles


class Traced(NamedTuple):
    """Where rays end and where they met the lens plane, (tiles, rays), arcsec."""

    source_x: Float[Array, "tiles rays"]
    source_y: Float[Array, "tiles rays"]
    lens_x: Float[Array, "tiles rays"]
    lens_y: Float[Array, "tiles rays"]


class _Plane(NamedTuple):
    """What the rays of a level meet, leaves (n_planes, ...).

    Attributes:
        arrival: (a, b) of the transfer matrix to the plane.
        kick: of the recursion.
        number: which plane it is.
        nodes: the nodes around each tile on the plane, and the deflection to interpolate there.
    """

    arrival: Float[Array, "*planes 2"]
    kick: Float[Array, "*planes"]
    number: Int[Array, "*planes"]
    nodes: Visited


class _Axis(NamedTuple):
    """The rays of all tiles along one axis of the sky: theta_0 and v_0, at the start of a run of planes.

    The rays carry the pairs' exact deflections, the nodes around each tile what is to be interpolated from them: the
    sum is the deflection.
    """

    theta: Float[Array, "tiles rays"]
    v: Float[Array, "tiles rays"]
    node_theta: Float[Array, "tiles nodes"]
    node_v: Float[Array, "tiles nodes"]


@jax.named_scope("rays")
def trace_rays(
    scene: "Scene",
    layout: Layout,
    level: TileLevel,
    halos: PackedHalos,
    visited: Visited,
    sheets: Float[Array, " planes"],
    corrections: LevelCorrections,
) -> Traced:
    """Trace the rays of a level's tiles.

    On every plane the deflection of the halos is, tile by tile,

        interpolation of [sum over halos - sum over the tile's pairs] + sum over the tile's pairs,

    the brackets at the nodes, the last sum at the rays. The macro model and the sheets are exact on the rays, and in
    exact tiles so are the halos. A ray that its pairs or the macro model take elsewhere than interpolation would meets
    the bracket there, to first order (see `Tides`).

    Args:
        scene: what deflects.
        layout: the lattice.
        level: the tiles.
        halos: the packed halos.
        visited: the nodes on every plane and the deflections to interpolate, leaves (n_planes, m_y, m_x).
        sheets: convergence of the part of the halos that is not interpolated, for each plane.
        corrections: the pairs and the exact tiles.
    """
    geometry, lens, n_planes = layout.geometry, scene.planes.lens_index, scene.planes.n_planes
    steps = plane_steps(scene)
    at_lens = jax.tree.map(lambda leaf: leaf[lens], steps)
    # The lens plane is met in two steps: its halos and its sheet first, without moving on, then the macro model.
    halted = PlaneStep(steps.kick, steps.step.at[lens].set(0), steps.sheet + sheets, steps.is_lens)
    stencils = jax.tree.map(functools.partial(_level_stencils, geometry, level), visited)
    weights = jnp.asarray(geometry.weights(level.factor), scene.dtype)
    corrector = _Corrector(corrections.pairs, HaloRows.of(halos.mixture), weights, layout)
    numbers = jnp.arange(n_planes, dtype=jnp.int32)
    tensors = corrector.tidal_tensors(stencils)

    def through(
        x: Array, y: Array, v_x: Array, v_y: Array, first: int, last: int, displaced: _Displaced | None = None
    ) -> list[Array]:
        """From before plane `first` to before plane `last`."""
        run = (halted, numbers, stencils, tensors)
        planes, number, nodes, tensor = jax.tree.map(lambda leaf: leaf[first:last], run)
        transfer = Transfer.through(planes)
        rows = _Plane(transfer.arrival, planes.kick, number, nodes)
        tides = Tides.of(tensor, transfer.arrival, planes.kick)
        if displaced is not None:
            (d_x, d_y), (d_v_x, d_v_y) = tides.displaced(*displaced)
            x, y, v_x, v_y = x + d_x, y + d_y, v_x + d_v_x, v_y + d_v_y
        smooth = jnp.zeros_like(stencils.x[0])
        start = (_Axis(x, v_x, smooth, smooth), _Axis(y, v_y, smooth, smooth))
        kicked = (rows, (tides.theta, tides.v))
        end, _ = lax.scan(jax.checkpoint(lambda axes, row: (corrector.meet(axes, *row), None)), start, kicked)
        return [corrector.at_rays(axis, row) for row in transfer.end for axis in end]

    def displaced(x: Array, y: Array, plane: int) -> tuple[Array, Array]:
        """How far rays are from where interpolation takes them to be."""

        def between(nodes: Array) -> Array:
            return jnp.matmul(nodes[plane], weights, precision=lax.Precision.HIGHEST)

        return x - between(stencils.x), y - between(stencils.y)

    image_x, image_y = geometry.rays(level, scene.dtype)
    at_rest = jnp.zeros_like(image_x)
    lens_x, lens_y, v_x, v_y = through(image_x, image_y, at_rest, at_rest, 0, lens + 1)
    alpha_x, alpha_y = macro_deflection(scene.macro, lens_x, lens_y)
    v_x, v_y = v_x - at_lens.kick * alpha_x, v_y - at_lens.kick * alpha_y
    behind = (lens_x + at_lens.step * v_x, lens_y + at_lens.step * v_y, v_x, v_y)
    if lens + 1 < n_planes:
        on_lens, ahead = displaced(lens_x, lens_y, lens), displaced(*behind[:2], lens + 1)
        direction = (ahead[0] - on_lens[0]) / at_lens.step, (ahead[1] - on_lens[1]) / at_lens.step
        traced = (*through(*behind, lens + 1, n_planes, (ahead, direction))[:2], lens_x, lens_y)
    else:
        traced = (*behind[:2], lens_x, lens_y)
    exact = corrections.exact
    if exact.tiles.shape[0] > 0:
        start = Rays.start(image_x[exact.tiles], image_y[exact.tiles])
        traced = exact.replace(trace_tiles(scene, halos, exact, start), traced)
    return Traced(*traced)


def _level_stencils(geometry: Geometry, level: TileLevel, nodes: Array) -> Float[Array, "planes tiles nodes"]:
    """(n_planes, m_y, m_x) -> (n_planes, tiles of the level, nodes of the stencil)."""
    found = jax.vmap(geometry.stencils)(nodes).reshape(nodes.shape[0], geometry.n_tiles, -1)
    return found if len(level.tiles) == geometry.n_tiles else found[:, level.tiles]


_Axes: TypeAlias = tuple[_Axis, _Axis]
_Displaced: TypeAlias = tuple[tuple[Array, Array], tuple[Array, Array]]


class _Corrector(eqx.Module):
    """What the halos do to the rays of a level's tiles."""

    pairs: Pairs
    halos: HaloRows
    weights: Float[Array, "nodes rays"]
    layout: Layout = eqx.field(static=True)

    def at_rays(self, axis: _Axis, row: Float[Array, "2"]) -> Float[Array, "tiles rays"]:
        """A row of a transfer matrix applied to the rays' own share and what is interpolated from the nodes."""
        own, smooth = row[0] * axis.theta + row[1] * axis.v, row[0] * axis.node_theta + row[1] * axis.node_v
        return own + jnp.matmul(smooth, self.weights, precision=lax.Precision.HIGHEST)

    def tidal_tensors(self, nodes: Visited) -> Tensor:
        """Of what is interpolated on all planes, in every tile: all halos less the tile's pairs.

        Args:
            nodes: around each tile, leaves (n_planes, n_tiles, nodes).
        """
        layout, pairs = self.layout, self.pairs
        n = layout.geometry.stencil
        low, high = MARGIN, MARGIN + layout.geometry.cells
        corners = np.array([low * n + low, low * n + high, high * n + low, high * n + high])
        x, y, alpha_x, alpha_y = (leaf[..., corners] for leaf in (nodes.x, nodes.y, nodes.alpha_x, nodes.alpha_y))

        def less(alpha: tuple[Array, Array], found: PairBlock) -> tuple[Array, Array]:
            where = found.plane, found.tile
            d_x, d_y = self.halos.offsets(found, x[where], y[where])
            slope = self.halos.slopes(found, d_x, d_y)
            return alpha[0].at[where].add(-slope * d_x), alpha[1].at[where].add(-slope * d_y)

        room, width = x.shape[0] * layout.capacity, _CORNERS_TOGETHER * layout.pair_width
        return tidal_tensor(
            x, y, *over_blocks(layout, pairs, pairs.first[0], pairs.first[-1], room, width, less, (alpha_x, alpha_y))
        )

    def meet(self, axes: _Axes, plane: _Plane, kicked: tuple[Tensor, Tensor]) -> _Axes:
        """All halos of a plane.

        Args:
            axes: the rays.
            plane: what they meet.
            kicked: what a kick of a tile's rays does to theta_0 and v_0, see `Tides`.
        """
        (a, b), kick = plane.arrival, -plane.kick

        def smoothly(axis: _Axis, alpha: Array) -> _Axis:
            return axis._replace(node_theta=axis.node_theta - b * kick * alpha, node_v=axis.node_v + a * kick * alpha)

        axes = smoothly(axes[0], plane.nodes.alpha_x), smoothly(axes[1], plane.nodes.alpha_y)

        def correct(axes: _Axes, found: PairBlock) -> _Axes:
            return self._correct(axes, plane, kicked, found)

        layout, (first, end) = self.layout, self.pairs.of_plane(plane.number)
        return over_blocks(layout, self.pairs, first, end, layout.capacity, layout.pair_width, correct, axes)

    def _correct(self, axes: _Axes, plane: _Plane, kicked: tuple[Tensor, Tensor], found: PairBlock) -> _Axes:
        """A block of pairs: added at the rays of their tiles, and taken off at the nodes."""
        n_rays = axes[0].theta.shape[1]

        def points(axis: _Axis, nodes: Array) -> Array:
            at_rays = self.at_rays(_Axis(*(field[found.tile] for field in axis)), plane.arrival)
            return jnp.concatenate([at_rays, nodes[found.tile]], axis=1)

        offsets = self.halos.offsets(found, points(axes[0], plane.nodes.x), points(axes[1], plane.nodes.y))
        kick = plane.kick * self.halos.slopes(found, *offsets)
        d_v = kick * offsets[0], kick * offsets[1]
        theta, v = (tensor[found.tile, None] @ d_v for tensor in kicked)

        def moved(axis: _Axis, theta: Array, v: Array) -> _Axis:
            return _Axis(
                axis.theta.at[found.tile].add(-theta[:, :n_rays]),
                axis.v.at[found.tile].add(-v[:, :n_rays]),
                axis.node_theta.at[found.tile].add(theta[:, n_rays:]),
                axis.node_v.at[found.tile].add(v[:, n_rays:]),
            )

        return moved(axes[0], theta[0], v[0]), moved(axes[1], theta[1], v[1])
