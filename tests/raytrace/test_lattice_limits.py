"""What may not go wrong with the lattice in silence: any frame, too little room, batches, new populations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_scenes import COSMOLOGY, EXACT, GRID, assert_accurate, errors, random_scene, traced, with_halo

from lensax.halos import HaloCatalogue
from lensax.instrument import AdaptiveOverSample, Grid
from lensax.mass import PowerLaw
from lensax.raytrace import Direct, Lattice, Planes
from lensax.scene import Scene

LATTICE = Lattice()
TOLERANCE = LATTICE.tolerance


def test_nothing_behind_the_lens():
    """The central tile of a shallow lens still needs its exact rays: errors in front of it grow a hundredfold there."""
    scene = random_scene(300, seed=4)
    in_front = jax.tree.map(lambda leaf: leaf[3:5], scene.halos.halos)
    scene = Scene(
        Planes((0.3, 0.5), 0.5, 1.5, COSMOLOGY),
        (PowerLaw(1.2, 1.83, 0.1, 0.05, 0.007, -0.05),),
        HaloCatalogue(in_front, jnp.zeros(2)),
        scene.source,
    )
    assert_accurate(scene)


@pytest.mark.parametrize(
    "grid",
    [
        pytest.param(Grid((37, 22), 0.05, 1), marks=pytest.mark.extended),
        Grid((3, 2), 0.1, 3),
        pytest.param(Grid((30, 34), 0.05, AdaptiveOverSample((0.3, 0.7), (2, 3, 1))), marks=pytest.mark.extended),
    ],
)
def test_every_frame(grid):
    scene = random_scene(200, seed=2)
    assert_accurate(scene, grid=grid)
    trace = traced(LATTICE, scene, grid)
    exact = traced(EXACT, scene, grid)
    assert trace.source_x.shape == grid.ray_shape
    np.testing.assert_allclose(trace.lens_x, exact.lens_x, atol=5 * TOLERANCE)
    np.testing.assert_allclose(trace.lens_y, exact.lens_y, atol=5 * TOLERANCE)


@pytest.mark.extended
def test_overflow_is_flagged_and_enlarging_cures_it():
    scene = with_halo(random_scene(100), 1e10, 0.2, 0.4)
    small = Lattice(capacity=16, pair_width=8)
    error, _, diagnostics = errors(scene, small)
    rms = np.sqrt(np.mean(error**2))
    assert bool(diagnostics.overflow)
    assert int(diagnostics.pairs) > int(diagnostics.capacity) == 16
    assert TOLERANCE < rms < float(diagnostics.error_estimate)
    tracer = small
    while 16 * tracer.head_room < int(diagnostics.pairs):
        tracer = tracer.enlarged()
    assert_accurate(scene, tracer)


def test_overflow_of_the_catalogue_is_passed_on():
    scene = random_scene()
    scene = eqx.tree_at(lambda scene: scene.halos.overflow, scene, jnp.array(True))
    assert bool(traced(LATTICE, scene).diagnostics.overflow)


@pytest.mark.extended
def test_capacity_is_calibrated():
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(random_scene(300, seed) for seed in range(4)))

    def draw(key):
        index = jax.random.randint(key, (), 0, 4)
        return jax.tree.map(lambda leaf: leaf[index], stacked)

    tracer = LATTICE.calibrated(draw, GRID, jax.random.key(0), draws=6)
    for seed in range(4):
        diagnostics = traced(tracer, random_scene(300, seed)).diagnostics
        assert int(diagnostics.pairs) <= tracer.capacity <= int(diagnostics.capacity)
        assert not bool(diagnostics.overflow)


@pytest.mark.parametrize("halos", [False, pytest.param(True, marks=pytest.mark.extended)])
def test_calibrated_where_no_pairs_are_wanted(halos):
    nothing = random_scene(0)
    tracer = LATTICE.calibrated(lambda key: nothing if halos else nothing.without_halos(), GRID, jax.random.key(0), 2)
    assert tracer.capacity >= 1


def test_no_draws_are_no_calibration():
    with pytest.raises(ValueError, match="draws must be a whole number of at least 1, got 0"):
        LATTICE.calibrated(lambda key: random_scene(0), GRID, jax.random.key(0), draws=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tolerance", 0.0),
        ("tolerance", float("nan")),
        ("capacity", 0),
        ("cells", 0),
        ("tile_pixels", 2.5),
        ("width", True),
        ("pair_width", -1),
        ("head_room", None),
        ("exact_tiles", -1),
    ],
)
def test_bad_choices_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        Lattice(**{name: value})


def test_whole_numbers_of_numpy_are_taken():
    assert Lattice(capacity=np.int64(64), exact_tiles=np.uint8(0)) == Lattice(capacity=64, exact_tiles=0)
    assert type(Lattice(capacity=np.int64(64)).capacity) is int


def test_positions_are_traced_exactly():
    scene = random_scene(50)
    x, y = jnp.linspace(-1.0, 1.0, 7), jnp.linspace(0.2, 0.4, 7)
    at = eqx.filter_jit(lambda tracer: tracer.trace_at(scene, x, y, every_plane=True))
    np.testing.assert_array_equal(at(LATTICE).plane_x, at(Direct()).plane_x)


def test_batch_equals_loop():
    scenes = [random_scene(200, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenes)
    batched = jax.jit(jax.vmap(lambda scene: LATTICE.trace(scene, GRID)))(stacked)
    for index, scene in enumerate(scenes):
        alone = traced(LATTICE, scene)
        np.testing.assert_allclose(batched.source_x[index], alone.source_x, atol=1e-12)
        np.testing.assert_allclose(batched.lens_y[index], alone.lens_y, atol=1e-12)
        np.testing.assert_allclose(batched.diagnostics.error_estimate[index], alone.diagnostics.error_estimate)
        assert int(batched.diagnostics.pairs[index]) == int(alone.diagnostics.pairs)


def test_one_compilation_for_all_populations():
    compilations = 0

    @eqx.filter_jit
    def run(scene):
        nonlocal compilations
        compilations += 1
        return LATTICE.trace(scene, GRID).source_x

    for count in (0, 10, 300):
        run(random_scene(count, seed=count))
    assert compilations == 1
