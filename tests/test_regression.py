"""The image of the shipped configuration, and its gradient, stay where they were."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from regression import CONFIGURATION, SEED, TABLE, evaluate

import lensax as lx
from lensax._types import cast


@pytest.fixture(scope="module")
def expected():
    with np.load(TABLE, allow_pickle=False) as table:
        return {name: table[name] for name in table.files}


@pytest.fixture(scope="module")
def theta(expected):
    return {name: jnp.asarray(value) for name, value in zip(expected["names"].tolist(), expected["theta"])}


@pytest.mark.slow
@pytest.mark.extended
def test_the_shipped_image_and_its_gradient_have_not_moved(expected, theta):
    image, gradient = evaluate(theta)
    np.testing.assert_allclose(image, expected["image"], rtol=0, atol=1e-6 * expected["image"].max())
    found = np.array([gradient[name] for name in theta])
    np.testing.assert_allclose(found, expected["gradient"], rtol=1e-6, atol=1e-6 * np.abs(expected["gradient"]).max())


def test_the_lattice_shows_the_same_image_in_single_precision(expected, theta):
    """The exact sum of a population drawn in double precision, traced in single precision within the tolerance."""
    model = lx.ForwardModel.from_yaml(CONFIGURATION)
    scene = cast(model.scene(theta, jax.random.key(SEED)), jnp.float32)
    image, found = model.simulator.noiseless(scene, diagnostics=True)
    assert isinstance(model.simulator.tracer, lx.raytrace.Lattice)
    assert float(found.error_estimate) < 2.2e-5
    error = np.asarray(image) - expected["image"]
    assert np.abs(error).max() < 1e-3 * expected["image"].max()
    noise = np.asarray(model.simulator.instrument.noise_map(image))
    assert np.abs(error / noise).max() < 0.02


@pytest.mark.extended
def test_a_thousand_images_fit_in_three_gigabytes():
    """What the compiled program of 1024 images in single precision needs, by the compiler's own account."""
    program = f"""
import equinox as eqx
import jax
import lensax as lx
from lensax._batching import _mapped
from lensax.simulate import _evaluate

model = lx.ForwardModel.from_yaml({str(CONFIGURATION)!r})
theta, keys = model.prior.sample(jax.random.key(0), (1024,)), jax.random.split(jax.random.key(1), 1024)
mapped = eqx.filter_jit(_mapped.__wrapped__)
compiled = mapped.lower(_evaluate, 1, (model.recipe, model.simulator), (theta, keys)).compile()
memory = compiled.compiled.memory_analysis()
print(memory.temp_size_in_bytes, memory.output_size_in_bytes + memory.argument_size_in_bytes)
print(model.simulator.instrument.padded_grid.n_rays)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=300)
    temporaries, results, rays = map(int, done.stdout.split())
    assert temporaries + results < 3e9
    assert temporaries < 64 * 4 * rays
