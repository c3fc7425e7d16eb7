"""From scene to image and from theta to image: numbers, noise, batches, gradients, one compilation."""

import dataclasses
import os
import subprocess
import sys
import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensax as lx
from lensax import simulate
from lensax._batching import map_batch, micro_batch_size
from lensax._types import cast
from lensax.parameters import Prior

COSMOLOGY = lx.cosmology.FlatLambdaCDM(70.0, 0.3)
PLANES = lx.raytrace.Planes([0.3, 0.5], 0.5, 1.5, COSMOLOGY)
INSTRUMENT = lx.Instrument((24, 20), 0.1, lx.psf.Gaussian(0.15), 1000.0, sky_level=0.1, over_sample=2)
# The closed forms of halos take long to compile, and are tested with the tracer.
SIMULATOR = lx.Simulator(INSTRUMENT, lx.raytrace.Direct(closed_form=False))


class Recipe(eqx.Module):
    """Two halos of a free strength in front of and in an isothermal lens."""

    planes: lx.raytrace.Planes = PLANES

    def __call__(self, theta, key):
        strength = theta["strength"]
        x = jax.random.uniform(key, (2, 1), strength.dtype, -1, 1)
        one = jnp.ones((2, 1), strength.dtype)
        halos = lx.mass.Halo(strength * one, 0.2 * one, 2.0 * one, 0.02 * one, x, 0.5 * x)
        catalogue = lx.halos.HaloCatalogue(halos, jnp.zeros(2, strength.dtype), theta["strength"] > 1)
        lens = lx.mass.PowerLaw(theta["einstein_radius"], 2.1, 0.1, 0.0, 0.0, 0.0)
        source = lx.light.Sersic(20.0, 0.2, 1.0, 0.0, 0.1, 0.05, 0.0)
        return lx.Scene(self.planes, lens, catalogue, source)


@pytest.fixture(scope="module")
def model():
    import numpyro.distributions as dist

    prior = Prior({"einstein_radius": dist.Uniform(0.7, 0.9), "strength": dist.Uniform(0.001, 0.05)})
    return lx.ForwardModel(prior, Recipe(), SIMULATOR)


@pytest.fixture(scope="module")
def theta():
    return {"einstein_radius": jnp.asarray(0.8), "strength": jnp.asarray(0.02)}


@pytest.fixture(scope="module")
def scene(model, theta):
    return model.scene(theta, jax.random.key(1))


def test_the_image_is_what_its_parts_say(scene):
    """An unlensed Gaussian without a PSF: the mean over each pixel's rays times the pixel's area."""
    instrument = lx.Instrument((10, 12), 0.1, None, 1000.0, over_sample=4)
    source = lx.light.Gaussian(3.0, 0.2, 0.0, 0.0, 0.1, -0.1)
    image = lx.Simulator(instrument).noiseless(lx.Scene(PLANES, (), None, source))
    x, y = instrument.grid.positions()
    expected = instrument.grid.bin(source.surface_brightness(x, y)) * 0.1**2
    np.testing.assert_allclose(image, expected, rtol=1e-12)


def test_lens_light_is_seen_through_the_foreground(scene):
    light = lx.light.Gaussian(3.0, 0.2, 0.0, 0.0, 0.0, 0.0)
    front = dataclasses.replace(scene, source=(), lens_light=(light,))
    trace = SIMULATOR.tracer.trace(front, INSTRUMENT.padded_grid)
    expected = INSTRUMENT.observe(light.surface_brightness(trace.lens_x, trace.lens_y))
    np.testing.assert_allclose(SIMULATOR.noiseless(front), expected, atol=1e-12 * float(expected.max()))
    unlensed = SIMULATOR.noiseless(front.without_halos())
    assert np.abs(np.asarray(unlensed - expected)).max() > 1e-4 * float(expected.max())


def test_noise_has_the_expected_mean_and_the_sky_subtracted(scene):
    image = SIMULATOR.noiseless(scene)
    noisy = jax.vmap(lambda key: SIMULATOR(scene, key))(jax.random.split(jax.random.key(0), 400))
    error = INSTRUMENT.noise_map(image) / np.sqrt(400)
    pull = np.asarray((noisy.mean(0) - image) / error)
    assert abs(pull.mean()) < 5 / np.sqrt(pull.size)
    assert 0.85 < pull.std() < 1.15


def test_diagnostics_come_from_the_same_program(scene):
    image, found = SIMULATOR.noiseless(scene, diagnostics=True)
    np.testing.assert_array_equal(image, SIMULATOR.noiseless(scene))
    np.testing.assert_array_equal(found.halos_per_plane, [1, 1])
    noisy, found = SIMULATOR(scene, jax.random.key(2), diagnostics=True)
    np.testing.assert_array_equal(noisy, SIMULATOR(scene, jax.random.key(2)))
    assert float(SIMULATOR.diagnose(scene).error_estimate) == 0


def test_single_precision(scene):
    single = cast(scene, jnp.float32)
    image = SIMULATOR.noiseless(single)
    assert image.dtype == jnp.float32
    np.testing.assert_allclose(image, SIMULATOR.noiseless(scene), atol=2e-5 * float(image.max()))


def test_an_image_that_lacks_halos_is_refused_or_flagged(model, theta):
    theta = theta | {"strength": jnp.asarray(1.5)}
    key = jax.random.key(0)
    with pytest.raises(OverflowError, match="1 of 1 images lack halos: more were drawn"):
        model(theta, key)
    seen = model.both(theta, key)
    assert bool(seen.diagnostics.overflow)
    assert np.isfinite(jax.jit(model)(theta, key)).all()


def test_an_image_without_room_for_its_corrections_is_made_again(scene):
    tight = lx.Simulator(INSTRUMENT, lx.raytrace.Lattice(capacity=1))
    image, found = tight.noiseless(scene, diagnostics=True)
    assert int(found.pairs) <= int(found.capacity)
    assert not bool(found.overflow)
    expected = SIMULATOR.noiseless(scene)
    np.testing.assert_allclose(image, expected, atol=2e-3 * float(expected.max()))
    inside = jax.jit(lambda scene: tight.noiseless(scene, diagnostics=True)[1])(scene)
    assert bool(inside.overflow)
    assert int(inside.capacity) < int(found.capacity)


def test_jit_vmap_batch_and_loop_agree(model):
    key = jax.random.key(5)
    theta, keys = model.prior.sample(key, (5,)), jax.random.split(key, 5)
    images = jax.jit(jax.vmap(model))(theta, keys)
    assert images.shape == (5, 24, 20)
    scale = float(images.max())
    for together in (None, 1, 2, 5):
        np.testing.assert_allclose(model.batch(theta, keys, together), images, atol=1e-12 * scale)
    rows = [model({name: value[i] for name, value in theta.items()}, keys[i]) for i in range(5)]
    np.testing.assert_allclose(np.stack(rows), images, atol=1e-12 * scale)
    scenes = jax.vmap(model.scene)(theta, keys)
    assert SIMULATOR.batch(scenes, keys).shape == (5, 24, 20)


def test_both_is_the_noiseless_and_the_noisy_image(model, theta):
    key = jax.random.key(3)
    seen = model.both(theta, key)
    np.testing.assert_array_equal(seen.noisy, model(theta, key))
    np.testing.assert_array_equal(seen.noiseless, model.noiseless(theta, key))
    np.testing.assert_allclose(seen.noiseless, SIMULATOR.noiseless(model.scene(theta, key)), rtol=1e-12)


def test_gradient_is_the_finite_difference(model, theta):
    key = jax.random.key(4)
    data = model(theta, key)
    loss = jax.jit(lambda theta: jnp.sum((model.noiseless(theta, key) - data) ** 2))
    gradient = jax.jit(jax.grad(loss))(theta)
    for name in theta:
        up, down = (loss(theta | {name: theta[name] + step}) for step in (1e-6, -1e-6))
        np.testing.assert_allclose(gradient[name], (up - down) / 2e-6, rtol=1e-6, atol=1e-8)


def test_one_compilation_for_all_values(model, monkeypatch):
    traces = []
    original = simulate.Scene.dtype.fget
    monkeypatch.setattr(simulate.Scene, "dtype", property(lambda self: traces.append(1) or original(self)))
    key = jax.random.key(6)
    fresh = lx.ForwardModel(
        model.prior, Recipe(), lx.Simulator(INSTRUMENT, lx.raytrace.Direct(closed_form=False, chunk=512))
    )
    fresh({"einstein_radius": 0.8, "strength": 0.01}, key)
    first = len(traces)
    assert first > 0
    for index in range(5):
        value = model.prior.sample(jax.random.fold_in(key, index))
        fresh(value, jax.random.fold_in(key, index))
        fresh({"einstein_radius": 0.7 + 0.01 * index, "strength": np.float32(0.02)}, key)
    assert len(traces) == first


def test_stream_never_repeats(model):
    stream = model.stream(jax.random.key(7), 3)
    (theta, images), (following, _) = next(stream), next(stream)
    assert images.shape == (3, 24, 20)
    assert not np.array_equal(theta["strength"], following["strength"])
    again, _ = next(model.stream(jax.random.key(7), 3))
    np.testing.assert_array_equal(theta["strength"], again["strength"])


def test_a_stream_goes_on_at_any_batch(model):
    stream = model.stream(jax.random.key(7), 3)
    batches = [next(stream) for _ in range(3)]
    for prefetch in (0, 1, 4):
        resumed = model.stream(jax.random.key(7), 3, start=1, prefetch=prefetch)
        for (theta, images), (same_theta, same_images) in zip(batches[1:], resumed):
            assert all(np.array_equal(theta[name], same_theta[name]) for name in theta)
            np.testing.assert_array_equal(images, same_images)


def test_a_stream_makes_the_next_batch_while_one_is_used(model, monkeypatch):
    made, second = [], threading.Event()
    evaluate = lx.ForwardModel.batch_both

    def counted(self, theta, keys, micro_batch=None):
        made.append(threading.current_thread().name)
        if len(made) == 2:
            second.set()
        return evaluate(self, theta, keys, micro_batch)

    monkeypatch.setattr(lx.ForwardModel, "batch_both", counted)
    stream = model.stream(jax.random.key(7), 3)
    next(stream)
    assert second.wait(60)
    assert not any(name == threading.current_thread().name for name in made)
    stream.close()
    assert len(made) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lensax-prefetch")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strenght": 1.0}, "'strenght'; did you mean 'strength'"),
        ({"strength": np.zeros(3)}, r"theta\['strength'\]: expected a scalar, found shape \(3,\)"),
    ],
)
def test_a_wrong_theta_is_named(model, theta, change, message):
    with pytest.raises(ValueError, match=message):
        model(theta | change, jax.random.key(0))


def test_missing_parameters_are_named(model):
    with pytest.raises(ValueError, match=r"lacks the free parameter.* strength"):
        model({"einstein_radius": 1.0}, jax.random.key(0))


def test_batches_that_cannot_be(model):
    keys = jax.random.split(jax.random.key(0), 3)
    theta = {"einstein_radius": jnp.ones(2), "strength": jnp.ones(2)}
    with pytest.raises(ValueError, match="one leading axis of the same length"):
        model.batch(theta, keys)
    with pytest.raises(ValueError, match="micro_batch: expected at least 1, found 0"):
        map_batch(lambda shared, x: x, None, (jnp.ones(3),), 0, 1)
    with pytest.raises(ValueError, match="at least one item"):
        map_batch(lambda shared, x: x, None, (jnp.ones((0,)),), None, 1)
    with pytest.raises(ValueError, match="batch_size: expected at least 1, found 0"):
        model.stream(keys[0], 0)
    with pytest.raises(ValueError, match="start: expected the number of a batch, 0 or more, found -1"):
        model.stream(keys[0], 3, start=-1)
    with pytest.raises(ValueError, match="prefetch: expected 0 or more items ahead, found -2"):
        model.stream(keys[0], 3, prefetch=-2)


def test_micro_batches_fit_the_memory_of_an_accelerator():
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 8 * 2**30}

    assert micro_batch_size(2**30, Device()) == 2
    assert micro_batch_size(2**40, Device()) == 1
    assert micro_batch_size(1, Device()) == 512
    assert micro_batch_size(1, jax.devices("cpu")[0]) == 1


def test_a_batch_spreads_over_the_devices_of_a_process():
    """Four devices, seven items: identical results, each device its part."""
    program = """
import jax, jax.numpy as jnp, numpy as np
from lensax._batching import map_batch
assert len(jax.devices()) == 4
items = (jnp.arange(7.0), jax.random.split(jax.random.key(0), 7))
f = lambda shared, x, key: {"value": shared * x + jax.random.normal(key), "flag": x > 3}
found = map_batch(f, jnp.asarray(2.0), items, 2, 1)
expected = jax.vmap(lambda x, key: f(2.0, x, key))(*items)
np.testing.assert_array_equal(found["value"], expected["value"])
np.testing.assert_array_equal(found["flag"], expected["flag"])
spread = map_batch(f, jnp.asarray(2.0), jax.tree.map(lambda a: jnp.concatenate([a, a[:1]]), items), 2, 1)
assert len(spread["value"].sharding.device_set) == 4
"""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=120)
