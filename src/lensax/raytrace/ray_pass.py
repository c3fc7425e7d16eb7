"""The fine rays: interpolated deflections, exact corrections, and the way through all planes."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float, Int
from lensax.mass.plummer import PlummerMixture, mixture_slope
from lensax.raytrace.exact import Visited
from lensax.raytrace.lattice_geometry import Geometry, TileLevel
from lensax.raytrace.lattice_layout import Layout
from lensax.raytrace.pair_list import PairBlock, Pairs
from lensax.raytrace.recursion import PlaneStep, Rays, macro_deflection, plane_steps
from lensax.raytrace.torn_tiles import PackedHalos, TornTiles, trace_torn
from lensax.raytrace.transfer import Transfer

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["LevelCorrections", "Traced", "trace_rays"]

# Blocks of pairs that are skipped together.
_SKIPPED_TOGETHER = 8


class LevelCorrections(eqx.Module):
    """The corrections in the tiles of one over-sampling factor.

    Attributes:
        pairs: (tile, halo) pairs, tiles counted in the level.
        torn: tiles on whose rays every halo is summed, counted in the level.
    """

    pairs: Pairs
    torn: TornTiles


class _HaloRows(eqx.Module):
    """Halos one by one, as pairs gather them: leaves (n_halos,), coefficients (n_halos, 2 terms)."""

    center_x: Float[Array, " halos"]
    center_y: Float[Array, " halos"]
    inverse_square_reach: Float[Array, " halos"]
    coefficients: Float[Array, "halos double_terms"]

    @classmethod
    def of(cls, mixture: PlummerMixture) -> "_HaloRows":
        """From a mixture in blocks, leaves (n_blocks, width) and (n_blocks, terms, width)."""
        coefficients = jnp.moveaxis(jnp.concatenate([mixture.n0, mixture.n1], axis=1), 1, 2)
        return cls(
            mixture.center_x.reshape(-1),
            mixture.center_y.reshape(-1),
            mixture.inverse_square_reach.reshape(-1),
            coefficients.reshape(-1, coefficients.shape[2]),
        )


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
    torn tiles so are the halos.

    Args:
        scene: what deflects.
        layout: the lattice.
        level: the tiles.
        halos: the packed halos.
        visited: the nodes on every plane and the deflections to interpolate, leaves (n_planes, m_y, m_x).
        sheets: convergence of the part of the halos that is not interpolated, for each plane.
        corrections: the pairs and the torn tiles.
    """
    geometry, lens, n_planes = layout.geometry, scene.planes.lens_index, scene.planes.n_planes
    steps = plane_steps(scene)
    at_lens = jax.tree.map(lambda leaf: leaf[lens], steps)
    # The lens plane is met in two steps: its halos and its sheet first, without moving on, then the macro model.
    halted = PlaneStep(steps.kick, steps.step.at[lens].set(0), steps.sheet + sheets, steps.is_lens)
    stencils = jax.tree.map(functools.partial(_level_stencils, geometry, level), visited)
    weights = jnp.asarray(geometry.weights(level.factor), scene.dtype)
    corrector = _Corrector(corrections.pairs, _HaloRows.of(halos.mixture), weights, layout)

    def through(x: Array, y: Array, v_x: Array, v_y: Array, first: int, last: int) -> list[Array]:
        """From before plane `first` to before plane `last`."""
        planes, nodes = jax.tree.map(lambda leaf: leaf[first:last], (halted, stencils))
        transfer = Transfer.through(planes)
        rows = _Plane(transfer.arrival, planes.kick, jnp.arange(first, last, dtype=jnp.int32), nodes)
        smooth = jnp.zeros_like(stencils.x[0])
        start = (_Axis(x, v_x, smooth, smooth), _Axis(y, v_y, smooth, smooth))
        end, _ = lax.scan(jax.checkpoint(lambda axes, row: (corrector.meet(axes, row), None)), start, rows)
        return [corrector.at_rays(axis, row) for row in transfer.end for axis in end]

    image_x, image_y = geometry.rays(level, scene.dtype)
    at_rest = jnp.zeros_like(image_x)
    lens_x, lens_y, v_x, v_y = through(image_x, image_y, at_rest, at_rest, 0, lens + 1)
    alpha_x, alpha_y = macro_deflection(scene.macro, lens_x, lens_y)
    v_x, v_y = v_x - at_lens.kick * alpha_x, v_y - at_lens.kick * alpha_y
    behind = (lens_x + at_lens.step * v_x, lens_y + at_lens.step * v_y, v_x, v_y)
    traced = (*through(*behind, lens + 1, n_planes)[:2], lens_x, lens_y)
    torn = corrections.torn
    if torn.tiles.shape[0] > 0:
        start = Rays.start(image_x[torn.tiles], image_y[torn.tiles])
        after_lens = Rays(*(field[torn.tiles] for field in (*behind, lens_x, lens_y)))
        traced = torn.replace(trace_torn(scene, halos, torn, start, after_lens), traced)
    return Traced(*traced)


def _level_stencils(geometry: Geometry, level: TileLevel, nodes: Array) -> Float[Array, "planes tiles nodes"]:
    """(n_planes, m_y, m_x) -> (n_planes, tiles of the level, nodes of the stencil)."""
    found = jax.vmap(geometry.stencils)(nodes).reshape(nodes.shape[0], geometry.n_tiles, -1)
    return found if len(level.tiles) == geometry.n_tiles else found[:, level.tiles]


_Axes: TypeAlias = tuple[_Axis, _Axis]


class _Corrector(eqx.Module):
    """Deflects the rays of a level's tiles by the halos of a plane."""

    pairs: Pairs
    halos: _HaloRows
    weights: Float[Array, "nodes rays"]
    layout: Layout = eqx.field(static=True)

    def at_rays(self, axis: _Axis, row: Float[Array, "2"]) -> Float[Array, "tiles rays"]:
        """A row of a transfer matrix applied to the rays' own share and what is interpolated from the nodes."""
        own, smooth = row[0] * axis.theta + row[1] * axis.v, row[0] * axis.node_theta + row[1] * axis.node_v
        return own + jnp.matmul(smooth, self.weights, precision=lax.Precision.HIGHEST)

    def meet(self, axes: _Axes, plane: _Plane) -> _Axes:
        """All halos of a plane."""
        width = self.layout.pair_width
        together = min(_SKIPPED_TOGETHER, self.layout.pair_blocks)
        (a, b), kick = plane.arrival, -plane.kick

        def where_filled(index: Array, size: int, function: Callable[[_Axes, Array], _Axes], axes: _Axes) -> _Axes:
            if not self.layout.skip_empty:
                return function(axes, index)
            filled = index * size < self.pairs.counts[plane.number]
            return lax.cond(filled, function, lambda axes, _: axes, axes, index)

        def block(axes: _Axes, index: Array) -> tuple[_Axes, None]:
            return where_filled(index, width, lambda axes, index: self._correct(axes, plane, index), axes), None

        def several(axes: _Axes, group: Array) -> tuple[_Axes, None]:
            def each(axes: _Axes, group: Array) -> _Axes:
                part = group * together + jnp.arange(together, dtype=jnp.int32)
                return lax.scan(jax.checkpoint(block), axes, part)[0]

            return where_filled(group, width * together, each, axes), None

        def smoothly(axis: _Axis, alpha: Array) -> _Axis:
            return axis._replace(node_theta=axis.node_theta - b * kick * alpha, node_v=axis.node_v + a * kick * alpha)

        axes = smoothly(axes[0], plane.nodes.alpha_x), smoothly(axes[1], plane.nodes.alpha_y)
        groups = jnp.arange(-(-self.layout.pair_blocks // together), dtype=jnp.int32)
        return lax.scan(jax.checkpoint(several), axes, groups)[0]

    def _correct(self, axes: _Axes, plane: _Plane, index: Array) -> _Axes:
        """A block of pairs: added at the rays of their tiles, and taken off at the nodes."""
        found = self.pairs.block(plane.number, index, self.layout.pair_width)
        (a, b), n_rays = plane.arrival, axes[0].theta.shape[1]

        def offsets(axis: _Axis, nodes: Array, center: Array) -> Array:
            at_rays = self.at_rays(_Axis(*(field[found.tile] for field in axis)), plane.arrival)
            return jnp.concatenate([at_rays, nodes[found.tile]], axis=1) - center[found.halo][:, None]

        d_x = offsets(axes[0], plane.nodes.x, self.halos.center_x)
        d_y = offsets(axes[1], plane.nodes.y, self.halos.center_y)
        slope = plane.kick * _slopes(self.halos, found, d_x * d_x + d_y * d_y)

        def kicked(axis: _Axis, offset: Array) -> _Axis:
            kick = slope * offset
            at_rays, at_nodes = -kick[:, :n_rays], kick[:, n_rays:]
            return _Axis(
                axis.theta.at[found.tile].add(-b * at_rays),
                axis.v.at[found.tile].add(a * at_rays),
                axis.node_theta.at[found.tile].add(-b * at_nodes),
                axis.node_v.at[found.tile].add(a * at_nodes),
            )

        return kicked(axes[0], d_x), kicked(axes[1], d_y)


def _slopes(
    halos: _HaloRows, pairs: PairBlock, square_distance: Float[Array, "pairs points"]
) -> Float[Array, "pairs points"]:
    """Deflection over distance of a block of pairs; zero in unused slots.

    As the result of a branch it has one consumer (see `mixture_slope`), and empty blocks cost nothing; it is
    checkpointed inside of the branch, else reverse mode would write out every term.
    """

    @jax.checkpoint
    def evaluate(square_distance: Array) -> Array:
        coefficients = jnp.where(pairs.used[:, None], halos.coefficients[pairs.halo], 0).T[..., None]
        terms = coefficients.shape[0] // 2
        reach = halos.inverse_square_reach[pairs.halo][:, None]
        return mixture_slope(reach, coefficients[:terms], coefficients[terms:], square_distance)

    return lax.cond(jnp.any(pairs.used), evaluate, jnp.zeros_like, square_distance)
