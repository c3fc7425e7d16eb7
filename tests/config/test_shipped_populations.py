"""The shipped configurations of dark matter: their halos, and an image of each at small size."""

from pathlib import Path

import jax
import numpy as np
import pytest

from lensax.config.configuration import loads

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# mean number of line-of-sight halos at delta_los = 1, and the range of core radius over scale radius
EXPECTED = {
    "wdm_5kev": (210, (0.0, 0.0)),
    "sidm_cored": (1004, (0.02, 0.66)),
    "sidm_collapsed": (1004, (0.05, 0.66)),
    "cdm_jwst": (2890, (0.0, 0.0)),
}


@pytest.mark.extended
@pytest.mark.parametrize("name", EXPECTED)
def test_a_shipped_configuration_makes_the_universe_and_the_image_that_it_promises(name):
    text = (CONFIGS / f"{name}.yaml").read_text()
    for size, scale in (("[100, 100]", "0.05"), ("[160, 160]", "0.031")):
        text = text.replace(f"shape: {size}", "shape: [24, 24]").replace(f"pixel_scale: {scale}", "pixel_scale: 0.15")
    prior, recipe, simulator = loads(text.replace("over_sample: 4", "over_sample: 1"), CONFIGS).build()
    number, cores = EXPECTED[name]
    assert recipe.population.overflow_probability < 1e-9
    theta = prior.sample(jax.random.key(0))
    theta["line_of_sight.mass_function.delta_los"] = np.asarray(1.0)
    theta["subhalos.mean_number"] = np.asarray(20.0)

    @jax.jit
    def observe(theta, key):
        scene = recipe(theta, key)
        return scene.halos, simulator.noiseless(scene), simulator.noiseless(scene.without_halos())

    catalogue, image, smooth = observe(theta, jax.random.key(1))
    assert not catalogue.overflow
    total, counts = int(catalogue.counts.sum()), np.asarray(catalogue.counts)
    assert abs(total - number - 20) < 5 * np.sqrt(number + 20) + 0.02 * number
    assert counts[-1] > counts[0]
    filled = np.asarray(catalogue.halos.kappa_s) > 0
    core = np.asarray(catalogue.halos.core_radius / catalogue.halos.scale_radius)[filled]
    assert core.min() >= cores[0] - 1e-5
    assert core.max() <= cores[1] + 1e-5
    assert (np.asarray(catalogue.sheets) < 0).all()
    image, smooth = np.asarray(image), np.asarray(smooth)
    assert image.shape == (24, 24)
    assert np.isfinite(image).all()
    assert 1e-4 < np.abs(image - smooth).max() / smooth.max() < 1.0
