"""The parts of the lattice: its geometry, and the list of pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax.instrument import AdaptiveOverSample, Grid
from lensax.raytrace.lattice_geometry import Geometry
from lensax.raytrace.pair_list import list_pairs
from lensax.raytrace.ray_pass import _interpolate

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
        found = _interpolate(stencils[level.tiles], weights)
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


@pytest.mark.parametrize("room", [(5, 8), (1, 64), (3, 4)])
def test_list_of_pairs_is_that_of_the_marks(room):
    random = np.random.default_rng(1)
    plane = np.array([0, 0, 2, 2, 3], np.int32)  # nothing on plane 1
    marks = random.random((5, 6, 70)) < 0.02
    padded = np.pad(marks, ((0, 0), (0, 0), (0, 26))).reshape(5, 6, 3, 32).astype(np.uint32)
    words = jnp.asarray((padded << np.arange(32, dtype=np.uint32)).sum(-1).astype(np.uint32))
    pairs = jax.jit(list_pairs, static_argnums=(2, 3, 4))(words, jnp.asarray(plane), 4, *room)
    for index in range(4):
        block, halo, tile = np.nonzero(marks & (plane == index)[:, None, None])
        expected = sorted(zip(6 * block + halo, tile))[: room[0] * room[1]]
        used = np.asarray(pairs.used[index]).reshape(-1)
        listed = zip(np.asarray(pairs.halo[index]).reshape(-1)[used], np.asarray(pairs.tile[index]).reshape(-1)[used])
        assert sorted(listed) == expected
        assert not used[len(expected) :].any()
