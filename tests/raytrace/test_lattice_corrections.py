"""Frozen corrections: refused, or flagged, where they do not belong to what is traced."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_scenes import GRID, LATTICE, random_scene, traced

from lensax._types import cast
from lensax.instrument import AdaptiveOverSample, Grid
from lensax.raytrace import Lattice


def with_catalogue(scene, catalogue):
    return dataclasses.replace(scene, halos=catalogue)


@pytest.fixture(scope="module")
def scene():
    return random_scene(100, seed=3)


@pytest.fixture(scope="module")
def corrections(scene):
    """Those that are right for the scene; only their types and what is static, which is all that most tests ask for."""
    shapes = eqx.filter_eval_shape(LATTICE.corrections, scene, GRID)
    return eqx.tree_at(lambda shapes: shapes.filled, shapes, scene.halos.halos.kappa_s != 0)


@pytest.mark.parametrize(
    ("name", "tracer", "grid"),
    [
        ("shape", LATTICE, Grid((40, 41), 0.05, 2)),
        ("pixel_scale", LATTICE, Grid((40, 40), 0.06, 2)),
        ("over_sample", LATTICE, Grid((40, 40), 0.05, 1)),
        ("over_sample", LATTICE, Grid((40, 40), 0.05, AdaptiveOverSample((0.3,), (2, 1)))),
        ("tolerance", Lattice(tolerance=1e-5), GRID),
        ("tile_pixels", Lattice(tile_pixels=5), GRID),
        ("cells", Lattice(tile_pixels=4, cells=2), GRID),
        ("width", Lattice(width=8), GRID),
        ("capacity", Lattice(capacity=64), GRID),
        ("capacity", LATTICE.enlarged(), GRID),
        ("exact_tiles", Lattice(exact_tiles=2), GRID),
    ],
)
def test_those_of_another_tracer_or_grid_are_refused(scene, corrections, name, tracer, grid):
    with pytest.raises(ValueError, match=f"corrections: expected those for {name} .*, found those for "):
        tracer.trace(scene, grid, corrections)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("slots", lambda scene: with_catalogue(scene, scene.halos.pad(120))),
        ("blocks", lambda scene: with_catalogue(scene, dataclasses.replace(scene.halos, most=100))),
        ("dtype", lambda scene: cast(scene, jnp.float32)),
    ],
)
def test_those_of_another_catalogue_are_refused(scene, corrections, name, change):
    tracer = Lattice(width=corrections.layout.width)
    with pytest.raises(ValueError, match=f"corrections: expected those for {name} .*, found those for "):
        tracer.trace(change(scene), GRID, corrections)


def test_those_of_a_batch_are_refused(scene, corrections):
    batch = eqx.tree_at(lambda corrections: corrections.filled, corrections, corrections.filled[None])
    with pytest.raises(ValueError, match=r"expected those of one scene, of slots \(9, 96\), found slots \(1, 9, 96\)"):
        LATTICE.trace(scene, GRID, batch)


def test_none_are_taken_where_there_are_no_halos(scene, corrections):
    with pytest.raises(ValueError, match="no halos"):
        LATTICE.trace(scene.without_halos(), GRID, corrections)
    with pytest.raises(ValueError, match="no halos"):
        LATTICE.corrections(scene.without_halos(), GRID)


def one_halo_less(scene):
    return eqx.tree_at(lambda scene: scene.halos.halos.kappa_s, scene, replace_fn=lambda leaf: leaf.at[4, 0].set(0.0))


def test_those_for_other_halos_are_refused_or_flagged(scene, corrections):
    with pytest.raises(ValueError, match=r"for the 99 halos .* those for 100; 1 slots differ"):
        LATTICE.trace(one_halo_less(scene), GRID, corrections)
    # In a compiled program nobody knows which slots are filled until it runs.
    stale = jax.jit(lambda halos: corrections.stale(halos, corrections.layout))
    assert not bool(stale(scene.halos))
    assert bool(stale(one_halo_less(scene).halos))


@pytest.mark.extended
def test_frozen_ones_change_nothing(scene):
    frozen = eqx.filter_jit(LATTICE.corrections)(scene, GRID)
    again = eqx.filter_jit(lambda scene, corrections: LATTICE.trace(scene, GRID, corrections))
    found, expected = again(scene, frozen), traced(LATTICE, scene)
    np.testing.assert_allclose(found.source_x, expected.source_x, atol=1e-13)
    np.testing.assert_allclose(found.lens_y, expected.lens_y, atol=1e-13)
    assert not bool(found.diagnostics.overflow)
    assert bool(again(one_halo_less(scene), frozen).diagnostics.overflow)
