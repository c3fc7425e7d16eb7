"""The example of inference runs from a campaign and from a stream, and its examination finds what is wrong."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import stats

import lensax as lx
from lensax.campaign import prepare

pytest.importorskip("flowjax", reason="flowjax is not installed: pip install 'lensax[inference]'")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))

TINY = """
lens:
  redshift: 0.5
  mass:
    - PowerLaw: {einstein_radius: {Normal: [0.8, 0.02]}, slope: 2.0, e1: 0.0, e2: 0.0, center_x: 0.0, center_y: 0.0}
source:
  redshift: 1.5
  light:
    - Sersic: {intensity: 100, effective_radius: 0.2, sersic_index: 1, e1: 0, e2: 0, center_x: 0.0, center_y: 0.0}
subhalos:
  sigma_sub: {LogUniform: [0.01, 0.2]}
  slope: {Uniform: [-2.2, -1.6]}
  log10_mass: [8.5, 9.5]
  positions: {model: uniform, radius: 1.2}
instrument: {shape: [16, 16], pixel_scale: 0.15, exposure_time: 2000.0, sky_level: 0.1}
tracer: {Direct: {}}
"""
FEW = ("--steps", "6", "--batch-size", "16", "--held-out", "24", "--samples", "31")


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def configuration(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inference") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def campaign(configuration) -> Path:
    folder = configuration.parent / "campaign"
    model = lx.ForwardModel.from_yaml(configuration)
    prepare(model, model.configuration.text, model.configuration.digest, folder, 160, seed=1, batch_size=1).run()
    return folder


@pytest.mark.extended
@pytest.mark.parametrize("source", ["campaign", "configuration"])
def test_it_trains_and_examines_itself(source, request, tmp_path):
    """From a campaign, and from the stream of a configuration."""
    run(str(EXAMPLES / "posterior_estimator.py"), str(request.getfixturevalue(source)), "--out", str(tmp_path), *FEW)
    found = json.loads((tmp_path / "results.json").read_text())
    assert np.isfinite(found["validation_loss"])
    assert found["steps"] == 6
    assert 5 <= found["test_images"] <= 24
    assert abs(found["information_nats"]) < 0.5  # six steps teach next to nothing
    for name in ("subhalos.sigma_sub", "subhalos.slope"):
        assert 0.3 < found[name]["deviation_over_prior"] < 2
    for name in ("training", "calibration", "posterior"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert (tmp_path / "estimator.eqx").stat().st_size > 10_000


@pytest.mark.extended
def test_campaign_and_stream_give_the_same_kind_of_data(campaign, configuration):
    import posterior_estimator

    keys = jax.random.split(jax.random.key(0), 3)
    for source in (campaign, configuration):
        options = argparse.Namespace(source=source, held_out=8, batch_size=8)
        batches, held, test, prior = posterior_estimator.data(options, keys)
        theta, images = next(batches)
        batches.close()
        assert images.shape == (8, 16, 16)
        assert set(theta) == set(prior.names)
        for one, pixels in (held, test):
            assert 5 <= len(pixels) == len(one["subhalos.slope"]) <= 8
        assert not np.array_equal(held[1][:5], test[1][:5])


class Gaussian:
    """A posterior that is known: z ~ N(0, 1), image = z + N(0, 1), so z | image ~ N(image / 2, 1 / 2).

    `width` makes it too sure (below 1) or too unsure of itself (above 1).
    """

    def __init__(self, width=1.0):
        self.scale = width / np.sqrt(2)

    def log_prob(self, z, image):
        return jax.scipy.stats.norm.logpdf(z, image[0] / 2, self.scale).sum()

    def sample(self, image, key, count):
        draws = image / 2 + self.scale * jax.random.normal(key, (count, image.shape[1]))
        return draws, jax.scipy.stats.norm.logpdf(draws, image / 2, self.scale).sum(axis=1)


@pytest.fixture(scope="module")
def universes():
    truth, noise = jax.random.normal(jax.random.key(0), (2, 2000, 2))
    return truth, (truth + noise)[:, None, :]


@pytest.mark.parametrize("width", [1.0, 0.7, 1.4])
def test_the_examination_knows_right_from_wrong(universes, width):
    import calibration

    found = calibration.examine(Gaussian(width), *universes, samples=127, key=jax.random.key(1))
    summary = found.summary(("a", "b"))
    levels = np.linspace(0, 1, 101)
    exact = stats.chi2.cdf(width**2 * stats.chi2.ppf(levels, 2), 2)
    np.testing.assert_allclose(found.coverage(levels), exact, atol=0.045)
    right = width == 1.0
    assert (summary["a"]["rank_p_value"] > 1e-3) == right
    assert (summary["coverage_p_value"] > 1e-3) == right
    if right:
        assert summary["information_nats"] == pytest.approx(np.log(2), abs=4 * summary["information_error"])
        assert summary["a"]["correlation"] == pytest.approx(np.sqrt(0.5), abs=0.05)
        assert summary["a"]["deviation_over_prior"] == pytest.approx(np.sqrt(0.5), abs=0.02)
        assert found.prior_loss == pytest.approx(1 + np.log(2 * np.pi), abs=0.1)


def test_parameters_become_normal_deviates_and_come_back():
    import posterior_estimator

    from lensax.config import loads

    prior = loads(TINY).parameters.prior
    targets = posterior_estimator.Targets({name: prior.distributions[name] for name in posterior_estimator.PARAMETERS})
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theta = prior.sample(jax.random.key(0), (4000,))
        z = targets.deviates(theta)
        back = targets.values(z)
    assert stats.kstest(np.asarray(z[:, 0]), "norm").pvalue > 1e-3
    assert stats.kstest(np.asarray(z[:, 1]), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z.T)[0, 1]) < 0.06
    for name, values in back.items():
        np.testing.assert_allclose(values, theta[name], rtol=1e-4)


def test_the_shipped_configuration_leaves_both_parameters_free():
    import posterior_estimator

    from lensax.config import load

    configuration = load(ROOT / "configs" / "cdm_subhalos.yaml")
    assert set(posterior_estimator.PARAMETERS) <= set(configuration.parameters.prior.names)


def test_turned_images_hold_the_same_pixels():
    import posterior_estimator

    images = jax.random.normal(jax.random.key(0), (64, 5, 5))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        turned = np.asarray(posterior_estimator.turned(images, jax.random.key(1)))
    assert len({tuple(np.argsort(image.ravel())) for image in turned}) == 64
    np.testing.assert_array_equal(np.sort(turned.reshape(64, -1)), np.sort(np.asarray(images).reshape(64, -1)))
    fixed = np.tile(np.arange(25.0).reshape(5, 5), (64, 1, 1))
    kinds = {
        image.tobytes() for image in np.asarray(posterior_estimator.turned(jax.numpy.asarray(fixed), jax.random.key(2)))
    }
    assert len(kinds) == 8
