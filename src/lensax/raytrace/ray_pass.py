"""The fine rays: interpolated deflections, exact corrections, and the recursion through all planes."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from lensax._types import Array, Float
from lensax.mass.plummer import PlummerMixture, mixture_slope
from lensax.raytrace.exact import Visited
from lensax.raytrace.lattice_geometry import Geometry, TileLevel
from lensax.raytrace.lattice_layout import Layout
from lensax.raytrace.pair_list import Pairs
from lensax.raytrace.recursion import PlaneStep, Rays, macro_deflection, plane_steps

if TYPE_CHECKING:
    from lensax.scene import Scene

__all__ = ["HaloRows", "trace_rays"]


class HaloRows(eqx.Module):
    """Halos as rows that pairs gather: leaves (n_halos,), coefficients (n_halos, 2 terms)."""

    center_x: Float[Array, " halos"]
    center_y: Float[Array, " halos"]
    inverse_square_reach: Float[Array, " halos"]
    coefficients: Float[Array, "halos double_terms"]

    @classmethod
    def from_mixture(cls, mixture: PlummerMixture) -> "HaloRows":
        """From a mixture in blocks, leaves (n_blocks, width) and (n_blocks, terms, width)."""
        coefficients = jnp.concatenate([mixture.n0, mixture.n1], axis=1)
        return cls(
            mixture.center_x.reshape(-1),
            mixture.center_y.reshape(-1),
            mixture.inverse_square_reach.reshape(-1),
            jnp.moveaxis(coefficients, 1, 2).reshape(-1, coefficients.shape[1]),
        )


class _Stencils(eqx.Module):
    """The nodes around each tile: their positions and deflections on every plane, leaves (n_planes, tiles, nodes)."""

    x: Float[Array, "*planes tiles nodes"]
    y: Float[Array, "*planes tiles nodes"]
    alpha_x: Float[Array, "*planes tiles nodes"]
    alpha_y: Float[Array, "*planes tiles nodes"]


def trace_rays(
    scene: "Scene",
    layout: Layout,
    level: TileLevel,
    halos: HaloRows,
    visited: Visited,
    sheets: Float[Array, " planes"],
    pairs: Pairs,
) -> Rays:
    """Trace the rays of a level's tiles; leaves (tiles, rays).

    On every plane the deflection of the halos is, tile by tile,

        interpolation of [sum over halos - sum over the tile's pairs] + sum over the tile's pairs,

    the brackets at the nodes, the last sum at the rays. The macro model and the sheets are exact on the rays.

    Args:
        scene: what deflects.
        layout: the lattice.
        level: the tiles.
        halos: the packed halos.
        visited: the nodes on every plane and the deflections to interpolate, leaves (n_planes, m_y, m_x).
        sheets: convergence of the part of the halos that is not interpolated, for each plane.
        pairs: the corrections, tiles counted in the level.
    """
    geometry = layout.geometry
    lens = scene.planes.lens_index
    steps = plane_steps(scene)
    at_lens = jax.tree.map(lambda leaf: leaf[lens], steps)
    # The lens plane is met in two steps: its halos and its sheet first, without moving on, then the macro model.
    halted = PlaneStep(steps.kick, steps.step.at[lens].set(0), steps.sheet + sheets, steps.is_lens)
    stencils = _Stencils(
        **{name: _level_stencils(geometry, level, getattr(visited, name)) for name in ("x", "y", "alpha_x", "alpha_y")}
    )
    weights = jnp.asarray(geometry.weights(level.factor), scene.dtype)
    rows = (halted, stencils, pairs)

    @jax.checkpoint
    def plane(fields: Any, row: Any) -> tuple[Any, None]:
        step, stencil, found = row
        return _meet_halos(fields, step, stencil, found, halos, weights, layout.skip_empty), None

    x, y = geometry.rays(level, scene.dtype)
    fields = (x, y, jnp.zeros_like(x), jnp.zeros_like(y))
    fields, _ = lax.scan(plane, fields, jax.tree.map(lambda leaf: leaf[: lens + 1], rows))
    lens_x, lens_y = fields[:2]
    alpha_x, alpha_y = macro_deflection(scene.macro, lens_x, lens_y)
    v_x, v_y = fields[2] - at_lens.kick * alpha_x, fields[3] - at_lens.kick * alpha_y
    fields = (lens_x + at_lens.step * v_x, lens_y + at_lens.step * v_y, v_x, v_y)
    fields, _ = lax.scan(plane, fields, jax.tree.map(lambda leaf: leaf[lens + 1 :], rows))
    return Rays(*fields, lens_x, lens_y)


def _level_stencils(geometry: Geometry, level: TileLevel, nodes: Array) -> Float[Array, "planes tiles nodes"]:
    """(n_planes, m_y, m_x) -> (n_planes, tiles of the level, nodes of the stencil)."""
    found = jax.vmap(geometry.stencils)(nodes).reshape(nodes.shape[0], geometry.n_tiles, -1)
    return found if len(level.tiles) == geometry.n_tiles else found[:, level.tiles]


def _meet_halos(
    fields: tuple[Array, Array, Array, Array],
    step: PlaneStep,
    stencil: _Stencils,
    pairs: Pairs,
    halos: HaloRows,
    weights: Float[Array, "side n"],
    skip_empty: bool,
) -> tuple[Array, Array, Array, Array]:
    """Deflect the rays by the halos and the sheet of a plane, and carry them to the next."""
    x, y, v_x, v_y = fields
    n_rays = x.shape[1]

    def block(carry: Any, row: Any) -> tuple[Any, None]:
        if not skip_empty:
            return correct(carry, row), None
        return lax.cond(jnp.any(row[2]), lambda carry: correct(carry, row), lambda carry: carry, carry), None

    def correct(carry: Any, row: Any) -> Any:
        v_x, v_y, alpha_x, alpha_y = carry
        tile, halo, used = row
        center_x, center_y = halos.center_x[halo][:, None], halos.center_y[halo][:, None]
        slope = _slopes(halos, stencil, x, y, tile, halo, used)
        at_rays, at_nodes = slope[:, :n_rays], slope[:, n_rays:]
        kick = step.kick * at_rays
        return (
            v_x.at[tile].add(-kick * (x[tile] - center_x)),
            v_y.at[tile].add(-kick * (y[tile] - center_y)),
            alpha_x.at[tile].add(-at_nodes * (stencil.x[tile] - center_x)),
            alpha_y.at[tile].add(-at_nodes * (stencil.y[tile] - center_y)),
        )

    carry = (v_x, v_y, stencil.alpha_x, stencil.alpha_y)
    blocks = (pairs.tile, pairs.halo, pairs.used)
    (v_x, v_y, alpha_x, alpha_y), _ = lax.scan(jax.checkpoint(block), carry, blocks)
    v_x = v_x - step.kick * (_interpolate(alpha_x, weights) + step.sheet * x)
    v_y = v_y - step.kick * (_interpolate(alpha_y, weights) + step.sheet * y)
    return x + step.step * v_x, y + step.step * v_y, v_x, v_y


def _slopes(
    halos: HaloRows,
    stencil: _Stencils,
    x: Float[Array, "tiles rays"],
    y: Float[Array, "tiles rays"],
    tile: Array,
    halo: Array,
    used: Array,
) -> Float[Array, "pairs points"]:
    """Deflection over distance at the rays and, behind them, the nodes of a block of pairs; zero in unused slots.

    As the result of a branch it has one consumer (see `mixture_slope`), and empty blocks cost nothing; it is
    checkpointed inside of the branch, else reverse mode would write out every term.
    """
    shape = (tile.shape[0], x.shape[1] + stencil.x.shape[1])

    @jax.checkpoint
    def evaluate() -> Array:
        d_x = jnp.concatenate([x[tile], stencil.x[tile]], axis=1) - halos.center_x[halo][:, None]
        d_y = jnp.concatenate([y[tile], stencil.y[tile]], axis=1) - halos.center_y[halo][:, None]
        coefficients = jnp.where(used[:, None], halos.coefficients[halo], 0).T[..., None]
        terms = coefficients.shape[0] // 2
        return mixture_slope(
            halos.inverse_square_reach[halo][:, None],
            coefficients[:terms],
            coefficients[terms:],
            d_x * d_x + d_y * d_y,
        )

    return lax.cond(jnp.any(used), evaluate, lambda: jnp.zeros(shape, x.dtype))


def _interpolate(nodes: Float[Array, "tiles nodes"], weights: Float[Array, "side n"]) -> Float[Array, "tiles rays"]:
    """From the stencils to the rays of every tile."""
    side, n = weights.shape
    values = jnp.einsum("fa,tab,gb->tfg", weights, nodes.reshape(-1, n, n), weights, precision=lax.Precision.HIGHEST)
    return values.reshape(-1, side * side)
