"""Rows of a real model: the universe stays when it gets more room, and bits do not depend on the neighbours."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax.campaign.rows import RowMaker
from lensax.config import loads
from lensax.raytrace import Lattice
from lensax.simulate import ForwardModel, Simulator

pytestmark = pytest.mark.slow

MODEL = """
lens:
  redshift: 0.5
  mass:
    - PowerLaw: {einstein_radius: {Normal: [1.0, 0.05]}, slope: 2.0, e1: 0.1, e2: 0.0, center_x: 0.0, center_y: 0.0}
source:
  redshift: 1.5
  light:
    - Sersic: {intensity: 20, effective_radius: 0.2, sersic_index: 1, e1: 0, e2: 0, center_x: 0.05, center_y: 0}
line_of_sight:
  planes: {front: 1, back: 1}
  cone: {geometry: narrowing, radius: 1.5}
  mass_function: {log10_mass: [7.5, 9.5], delta_los: {Uniform: [0.5, 1.5]}}
instrument: {shape: [16, 20], pixel_scale: 0.15, psf: {Gaussian: {fwhm: 0.2}}, exposure_time: 2000.0, sky_level: 0.1}
tracer: {Direct: {}}
"""
ROWS = range(6)


@pytest.fixture(scope="module")
def roomy():
    return ForwardModel.from_configuration(loads(MODEL))


@pytest.fixture(scope="module")
def made(roomy):
    return RowMaker(roomy, 1, 1, 6)(ROWS)


@pytest.mark.extended
def test_rows_that_the_catalogue_had_no_room_for(roomy, made):
    fullest = made.arrays["halos_per_plane"].max(axis=1)
    slots = int(np.median(fullest)) - 1
    assert fullest.min() <= slots < fullest.max()
    population = dataclasses.replace(roomy.recipe.population, n_slots=slots)
    recipe = dataclasses.replace(roomy.recipe, population=population)
    again = RowMaker(ForwardModel(roomy.prior, recipe, roomy.simulator), 1, 1, 6)(ROWS)
    assert (again.arrays["status"] == 0).all()
    assert set(again.remade) == {row for row in ROWS if fullest[row] > slots}
    assert all(how["slot_room"] in (2, 4) for how in again.remade.values())
    assert np.array_equal(again.arrays["halos_per_plane"], made.arrays["halos_per_plane"])
    np.testing.assert_allclose(again.arrays["noiseless"], made.arrays["noiseless"], rtol=1e-6)
    alone = RowMaker(roomy, 1, 1, 6)(range(4, 5)).arrays
    assert all(np.array_equal(values[0], made.arrays[name][4]) for name, values in alone.items())


def with_lattice(model, tolerance, capacity=None):
    """The model of the same universes, seen through a lattice that has room for so many pairs, or for all."""
    simulator = Simulator(model.simulator.instrument, Lattice(tolerance, capacity=capacity))
    return ForwardModel(model.prior, model.recipe, simulator)


@pytest.mark.extended
def test_rows_that_the_lattice_had_no_room_for(roomy):
    # So much error is allowed that rows want three pairs at most: every doubling of the room is another program.
    short, enough = (RowMaker(with_lattice(roomy, 4e-3, capacity), 1, 1, 6)(ROWS) for capacity in (1, None))
    pairs = enough.arrays["pairs"]
    assert not enough.remade
    assert (short.arrays["status"] == 0).all()
    assert set(short.remade) == {row for row in ROWS if pairs[row] > 1} != set()
    for row, how in short.remade.items():
        assert how["slot_room"] == 1
        assert how["tracer_room"] == 2 ** how["attempts"] >= how["pairs"] == pairs[row]
    np.testing.assert_allclose(short.arrays["noiseless"], enough.arrays["noiseless"], rtol=1e-5)
    np.testing.assert_allclose(short.arrays["error_estimate"], enough.arrays["error_estimate"], rtol=1e-3)


@pytest.mark.extended
def test_a_batch_that_the_lattice_had_no_room_for(roomy):
    keys = jax.random.split(jax.random.key(0), 3)
    scenes = [roomy.scene(roomy.prior.sample(key), key) for key in keys]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenes)
    (short, diagnostics), (enough, _) = (
        with_lattice(roomy, 2e-3, capacity).simulator.batch(stacked, keys, diagnostics=True) for capacity in (1, None)
    )
    assert (diagnostics.pairs > 1).any()
    assert (diagnostics.pairs <= diagnostics.capacity).all()
    assert not diagnostics.overflow.any()
    # Two electrons in 2000 s: counts are whole, and rounding may make one more of a mean.
    np.testing.assert_allclose(short, enough, rtol=1e-5, atol=1e-3)
