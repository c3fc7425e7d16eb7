"""The exact ray tracer against a sum written out, in value, gradient, memory and number of compilations."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import brute_force, lens_scene

from lensax._types import cast
from lensax.halos import HaloCatalogue
from lensax.instrument import Grid
from lensax.raytrace import Direct

# The closed forms take long to compile; what does not depend on the kernel is tested with the mixture.
MIXTURE = Direct(closed_form=False)
RNG = np.random.default_rng(3)
X, Y = (jnp.asarray(RNG.uniform(-2, 2, (5, 7))) for _ in range(2))


def traced(tracer, scene, x, y):
    return eqx.filter_jit(lambda scene, x, y: tracer.trace_at(scene, x, y))(scene, x, y)


@pytest.fixture(scope="module")
def scene():
    return lens_scene(sheets=np.array([-0.01, 0.0, -0.02, 0.005, 0.0]))


def test_equals_the_sum_written_out(scene):
    trace = traced(Direct(), scene, X, Y)
    expected = brute_force(scene, X, Y)
    np.testing.assert_allclose(trace.source_x, expected[0], atol=1e-12)
    np.testing.assert_allclose(trace.source_y, expected[1], atol=1e-12)


def test_single_precision(scene):
    trace = traced(Direct(), cast(scene, jnp.float32), X.astype(jnp.float32), Y.astype(jnp.float32))
    assert trace.source_x.dtype == jnp.float32
    exact = traced(Direct(), scene, X, Y)
    offsets = (np.asarray(getattr(trace, name)) - np.asarray(getattr(exact, name)) for name in ("source_x", "source_y"))
    error = np.hypot(*offsets)
    assert np.sqrt(np.mean(error**2)) < 1e-6


def test_mixture_in_double_precision(scene):
    mixture, exact = (traced(Direct(closed_form=form), scene, X, Y) for form in (False, True))
    assert np.abs(np.asarray(mixture.source_x - exact.source_x)).max() < 1e-6


@pytest.mark.parametrize(("chunk", "width"), [(4, 1), (7, 3), (1000, 64)])
def test_chunks_and_blocks_do_not_matter(scene, chunk, width):
    found = traced(Direct(closed_form=False, chunk=chunk, width=width), scene, X, Y)
    expected = traced(MIXTURE, scene, X, Y)
    np.testing.assert_allclose(found.source_x, expected.source_x, atol=1e-14)
    np.testing.assert_allclose(found.lens_y, expected.lens_y, atol=1e-14)


def test_every_plane(scene):
    trace = eqx.filter_jit(lambda scene: Direct(False, chunk=8, width=2).trace_at(scene, X, Y, every_plane=True))(scene)
    assert trace.plane_x.shape == (5, *X.shape)
    np.testing.assert_allclose(trace.plane_x[0], X, atol=0)
    np.testing.assert_allclose(trace.plane_x[scene.planes.lens_index], trace.lens_x, atol=0)
    np.testing.assert_allclose(trace.plane_y[scene.planes.lens_index], trace.lens_y, atol=0)


def test_without_halos(scene):
    nothing = HaloCatalogue.empty(5, 4)
    bare = traced(MIXTURE, scene.without_halos(), X, Y)
    empty = traced(MIXTURE, dataclasses.replace(scene, halos=nothing), X, Y)
    np.testing.assert_allclose(bare.source_x, empty.source_x, atol=1e-15)
    alpha_x = sum(profile.deflection(X, Y)[0] for profile in scene.macro)
    np.testing.assert_allclose(bare.source_x, X - alpha_x, atol=1e-14)
    assert not bool(bare.diagnostics.overflow)


def test_grid_and_diagnostics(scene):
    trace = MIXTURE.trace(scene, Grid((6, 8), 0.3, 2))
    assert trace.source_x.shape == (12, 16)
    np.testing.assert_array_equal(trace.diagnostics.halos_per_plane, [3, 0, 7, 4, 1])
    overflowed = dataclasses.replace(scene, halos=dataclasses.replace(scene.halos, overflow=jnp.array(True)))
    assert bool(MIXTURE.trace(overflowed, Grid((2, 2), 0.3)).diagnostics.overflow)


def test_positions_of_different_shapes_are_refused(scene):
    with pytest.raises(ValueError, match=r"x has shape \(5, 7\), y has shape \(5,\)"):
        Direct().trace_at(scene, X, Y[:, 0])


@pytest.mark.parametrize("name", ["chunk", "width"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True, None])
def test_bad_choices_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got {value}"):
        Direct(**{name: value})


def test_whole_numbers_of_numpy_are_taken():
    tracer = Direct(chunk=np.int64(7), width=np.int32(3))
    assert tracer == Direct(chunk=7, width=3)
    assert type(tracer.chunk) is type(tracer.width) is int


def loss(scene, tracer, x, y):
    trace = tracer.trace_at(scene, x, y)
    return jnp.sum(jnp.sin(3 * trace.source_x) * jnp.cos(2 * trace.source_y)) + jnp.sum(trace.lens_x**2)


@pytest.mark.parametrize("closed_form", [pytest.param(True, marks=pytest.mark.extended), False])
def test_gradient_is_the_finite_difference(scene, closed_form):
    tracer = Direct(closed_form=closed_form, chunk=16, width=4)
    x, y = X[:3], Y[:3]
    value = eqx.filter_jit(lambda scene: loss(scene, tracer, x, y))
    gradient = eqx.filter_jit(eqx.filter_grad(lambda scene: loss(scene, tracer, x, y)))(scene)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    step = 1e-6
    finite = np.isfinite(np.asarray(scene.halos.halos.truncation_radius)) & np.asarray(scene.halos.halos.kappa_s != 0)
    cored = np.asarray(scene.halos.halos.core_radius) > 0
    for name in ("kappa_s", "scale_radius", "truncation_radius", "core_radius", "center_x", "center_y"):
        where = finite & cored
        direction = jnp.where(where, getattr(scene.halos.halos, name), 0.0)

        def shifted(t, name=name, direction=direction):
            where = lambda scene: getattr(scene.halos.halos, name)  # noqa: E731
            return value(eqx.tree_at(where, scene, replace_fn=lambda leaf: leaf + t * direction))

        difference = (shifted(step) - shifted(-step)) / (2 * step)
        automatic = jnp.sum(jnp.where(where, getattr(gradient.halos.halos, name) * direction, 0.0))
        np.testing.assert_allclose(automatic, difference, rtol=1e-6, atol=1e-8)
    macro = lambda scene: scene.macro[0].einstein_radius  # noqa: E731
    up, down = (value(eqx.tree_at(macro, scene, replace_fn=lambda leaf, s=s: leaf + s)) for s in (step, -step))
    np.testing.assert_allclose(macro(gradient), (up - down) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.extended)])
def test_gradient_is_finite_on_a_halo_and_in_empty_slots(dtype):
    scene = cast(lens_scene(slots=9), dtype)
    halos = scene.halos.halos
    x, y = (jnp.append(leaf[0], jnp.zeros((), dtype)) for leaf in (halos.center_x, halos.center_y))
    gradient = eqx.filter_jit(eqx.filter_grad(lambda scene: loss(scene, Direct(), x, y)))(scene)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    forward = jax.jit(lambda x: jax.jvp(lambda x: MIXTURE.trace_at(scene, x, y).source_x, (x,), (x,))[1])(x)
    assert np.isfinite(forward).all()


def test_batch_equals_loop():
    scenes = [lens_scene((3, 1, 2, 0, 4), seed, slots=5) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenes)
    batched = jax.jit(jax.vmap(lambda scene: MIXTURE.trace_at(scene, X, Y).source_x))(stacked)
    for scene, found in zip(scenes, batched):
        np.testing.assert_allclose(found, traced(MIXTURE, scene, X, Y).source_x, atol=1e-13)


def test_one_compilation_for_all_populations():
    count = 0

    @eqx.filter_jit
    def run(scene):
        nonlocal count
        count += 1
        return MIXTURE.trace_at(scene, X, Y).source_x

    for seed, counts in enumerate([(3, 0, 7, 4, 1), (0, 0, 0, 0, 0), (9, 9, 9, 9, 9), (1, 2, 3, 4, 5)]):
        run(lens_scene(counts, seed, slots=9))
    assert count == 1


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.extended), True])
def test_memory_does_not_grow_as_halos_times_rays(reverse):
    x, y = Grid((128, 128), 0.05, 4).positions(jnp.float32)

    def temporaries(per_plane):
        scene = cast(lens_scene((per_plane,) * 5), jnp.float32)
        function = lambda scene: loss(scene, Direct(), x, y)  # noqa: E731
        compiled = eqx.filter_jit(eqx.filter_grad(function) if reverse else function).lower(scene).compile()
        return compiled.compiled.memory_analysis().temp_size_in_bytes

    few, many = temporaries(20), temporaries(200)
    assert many - few < 0.1 * 4 * 5 * 180 * x.size
