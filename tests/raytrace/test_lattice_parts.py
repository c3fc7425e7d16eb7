"""The parts of the lattice: its geometry, and the list of pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax.instrument import AdaptiveOverSample, Grid
from lensax.raytrace.lattice_geometry import Geometry
from lensax.raytrace.pair_list import Pairs, _Tree
from lensax.raytrace.recursion import PlaneStep, Rays, advance
from lensax.raytrace.transfer import Transfer

GRIDS = [
    (Grid((12, 20), 0.05, 3), 4, 1),
    (Grid((7, 10), 0.08, 2), 4, 2),
    (Grid((9, 8), 0.05, AdaptiveOverSample((0.1, 0.2), (4, 2, 1))), 3, 1),
]


@pytest.mark.parametrize(("grid", "tile", "cells"), GRIDS)
def test_rays_are_those_of_the_grid(grid, tile, cells):
    geometry = Geometry(grid, tile, cells)
    x, y = zip(*(geometry.rays(level, jnp.float64) for level in geometry.levels))
    np.testing.assert_array_equal(geometry.to_grid(list(x)), grid.positions()[0])
    np.testing.assert_array_equal(geometry.to_grid(list(y)), grid.positions()[1])
    np.testing.assert_allclose(sum(level.coverage.sum() for level in geometry.levels) * tile**2, geometry.n_pixels)


@pytest.mark.parametrize(("grid", "tile", "cells"), GRIDS)
def test_cubics_are_interpolated_exactly(grid, tile, cells):
    geometry = Geometry(grid, tile, cells)

    def cubic(x, y):
        return (1 - 2 * x + x**3) * (0.5 + y - y**2 + 0.3 * y**3)

    stencils = geometry.stencils(cubic(*geometry.nodes(jnp.float64))).reshape(geometry.n_tiles, -1)
    for level in geometry.levels:
        weights = jnp.asarray(geometry.weights(level.factor))
        found = stencils[level.tiles] @ weights
        np.testing.assert_allclose(found, cubic(*geometry.rays(level, jnp.float64)), atol=1e-13)


@pytest.mark.parametrize(("grid", "tile", "cells"), GRIDS)
def test_boxes_hold_the_rays_of_their_tiles(grid, tile, cells):
    geometry = Geometry(grid, tile, cells)
    for axis in (0, 1):
        low, high = geometry.boxes(geometry.nodes(jnp.float64)[axis])
        np.testing.assert_allclose(high - low, tile * grid.pixel_scale)
        for level in geometry.levels:
            rays = geometry.rays(level, jnp.float64)[axis]
            assert (rays >= low[level.tiles, None]).all()
            assert (rays <= high[level.tiles, None]).all()


@pytest.mark.parametrize(("grid", "tile", "cells"), GRIDS)
def test_third_differences_are_those_of_the_stencils(grid, tile, cells):
    geometry = Geometry(grid, tile, cells)
    nodes = jnp.asarray(np.random.default_rng(0).normal(size=geometry.node_shape))
    stencils = np.asarray(geometry.stencils(nodes))
    expected = sum(np.abs(np.diff(stencils, 3, axis=axis)).max((1, 2)) for axis in (1, 2))
    np.testing.assert_allclose(geometry.largest_third_difference(nodes), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1024, 1025, 40000])
def test_a_tree_is_searched_like_a_sorted_list(size):
    numbers = np.cumsum(np.random.default_rng(size).integers(0, 4, size)).astype(np.int32)
    values = np.unique([0, *np.linspace(0, numbers[-1] + 5, 400).astype(np.int32)]).astype(np.int32)
    at, found = jax.jit(lambda numbers, values: _Tree.of(numbers).first_above(values))(numbers, values)
    expected = np.minimum(np.searchsorted(numbers, values, side="right"), size - 1)
    np.testing.assert_array_equal(at, expected)
    np.testing.assert_array_equal(found, numbers[expected])


@pytest.mark.parametrize("width", [8, 64])
def test_list_of_pairs_is_that_of_the_marks(width):
    random = np.random.default_rng(1)
    plane = np.array([0, 0, 2, 2, 3], np.int32)  # nothing on plane 1
    marks = random.random((5, 6, 3 * 32)) < 0.02
    bits = marks.reshape(5, 6, 32, 3).astype(np.uint32)  # bit b of word w is tile 3 b + w
    words = (bits << np.arange(32, dtype=np.uint32)[:, None]).sum(2).astype(np.uint32)
    pairs = Pairs.from_marks(jnp.asarray(words), jnp.asarray(plane), 4)
    look_up = jax.jit(Pairs.block, static_argnums=3)
    np.testing.assert_array_equal(pairs.per_tile(96), marks.sum((0, 1)))
    for index in range(4):
        block, halo, tile = np.nonzero(marks & (plane == index)[:, None, None])
        first, end = pairs.of_plane(jnp.int32(index))
        assert int(end - first) == len(tile)
        blocks = [look_up(pairs, first + b * width, end, width) for b in range(len(tile) // width + 2)]
        names = "used", "halo", "tile", "plane"
        used, halos, tiles, planes = (np.concatenate([getattr(b, name) for b in blocks]) for name in names)
        assert used[: len(tile)].all()
        assert not used[len(tile) :].any()
        assert (planes[used] == index).all()
        assert sorted(zip(halos[used], tiles[used])) == sorted(zip(6 * block + halo, tile))


def test_transfer_matrices_do_what_the_recursion_does():
    random = np.random.default_rng(2)
    kick, step, sheet, angle, direction = jnp.asarray(random.normal(size=(5, 6)))
    steps = PlaneStep(kick, step, sheet, jnp.zeros(6, bool))
    halos = jnp.asarray(random.normal(size=(6, 2)))
    rays = Rays(angle, angle, direction, direction, angle, angle)
    transfer, theta, v = Transfer.through(steps), angle, direction
    for plane in range(6):
        (a, b), alpha = transfer.arrival[plane], halos[plane]
        np.testing.assert_allclose(a * theta + b * v, rays.x, rtol=1e-10)
        full = jax.tree.map(jnp.ones_like, angle)
        row = jax.tree.map(lambda leaf, plane=plane: leaf[plane], steps)
        rays = advance(rays, row, (alpha[0] * full, alpha[1] * full), ())
        theta, v = theta + b * row.kick * alpha[0], v - a * row.kick * alpha[0]
    np.testing.assert_allclose(transfer.end[0, 0] * theta + transfer.end[0, 1] * v, rays.x, rtol=1e-10)
    np.testing.assert_allclose(transfer.end[1, 0] * theta + transfer.end[1, 1] * v, rays.v_x, rtol=1e-10)
    np.testing.assert_allclose(jnp.linalg.det(transfer.end), 1, rtol=1e-10)
