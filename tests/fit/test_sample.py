"""Samples: they are those of the posterior, and an interrupted chain goes on as if nothing had happened."""

import jax
import numpy as np
import pytest
from fit_problem import posterior, start

from lensax.fit import laplace, maximize
from lensax.fit.sample import sample

KEY = jax.random.key(5)
SETTINGS = {"chains": 2, "warmup": 15, "draws": 40, "save_every": 10}


@pytest.fixture(scope="module")
def made():
    return posterior("parametric")


@pytest.fixture(scope="module")
def about(made):
    top = maximize(made, [start(made)])
    return laplace(made, top.z, top.free)


@pytest.fixture(scope="module")
def whole(made, about, tmp_path_factory):
    """An undisturbed run, and the folder in which it is kept."""
    folder = tmp_path_factory.mktemp("chains")
    calls = []
    samples = sample(made, about, KEY, folder, progress=lambda done, text: calls.append(done), **SETTINGS)
    assert calls == list(range(1, 111))
    return samples, folder


def test_draws_are_those_of_the_posterior(made, about, whole):
    samples, _ = whole
    deviation, middle = about.deviation(), made.constrain(jax.numpy.asarray(about.z))
    for name in made.names:
        draws = samples.theta[name]
        assert draws.shape == (2, 40)
        assert abs(draws.mean() - middle[name]) < 1.0 * deviation[name], name
        assert 0.6 < draws.std() / deviation[name] < 1.6, name
        assert samples.effective_draws[name] > 10
        assert samples.r_hat[name] < 1.2
    z = samples.z[1, 7]
    np.testing.assert_allclose(samples.log_density[1, 7], made.evaluate(z).log_density, rtol=1e-10)
    assert samples.divergences == 0
    assert 0.5 < samples.acceptance <= 1
    assert samples.evaluations > 2 * 40


@pytest.mark.extended
def test_an_interrupted_chain_goes_on_as_if_nothing_had_happened(made, about, whole, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, text):
        if done >= 47:
            raise Stop

    with pytest.raises(Stop):
        sample(made, about, KEY, tmp_path, progress=stop, **SETTINGS)
    kept = {path.name: len(np.load(path)["row_z"]) for path in tmp_path.glob("*.npz")}
    assert kept
    assert all(0 < count < 55 for count in kept.values())
    again = sample(made, about, KEY, tmp_path, **SETTINGS)
    np.testing.assert_array_equal(again.z, whole[0].z)
    np.testing.assert_array_equal(again.log_density, whole[0].log_density)


def test_a_finished_run_is_read(made, about, whole):
    samples, folder = whole
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = sample(made, about, KEY, folder, **SETTINGS)
    np.testing.assert_array_equal(again.z, samples.z)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_finished_run_is_made_longer(made, about, whole, tmp_path):
    samples, folder = whole
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    longer = sample(made, about, KEY, tmp_path, **{**SETTINGS, "draws": 45})
    assert longer.z.shape[1] == 45
    np.testing.assert_array_equal(longer.z[:, :40], samples.z)
    shorter = sample(made, about, KEY, tmp_path, **{**SETTINGS, "draws": 20, "chains": 1})
    np.testing.assert_array_equal(shorter.z, samples.z[:1, :20])


def test_bad_input(made, about, whole):
    with pytest.raises(ValueError, match=r"chain_0.npz is a chain of another posterior or of other settings"):
        sample(made, about, jax.random.key(6), whole[1], **SETTINGS)
    with pytest.raises(ValueError, match="warmup must be at least 1, got 0"):
        sample(made, about, KEY, **{**SETTINGS, "warmup": 0})
