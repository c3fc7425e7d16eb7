"""The search for the maximum: it is found, from several starts, with some parameters held."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fit_problem import TRUTH, posterior, start

from lensax.fit import Maximum, laplace, maximize, starting_points


@pytest.fixture(scope="module")
def made():
    return posterior("parametric")


@pytest.fixture(scope="module")
def found(made) -> Maximum:
    calls = []
    result = maximize(made, [start(made)], progress=lambda *what: calls.append(what))
    assert [call[:2] for call in calls] == [(0, i + 1) for i in range(len(calls))]
    assert [call[2] for call in calls] == sorted(call[2] for call in calls)
    assert len(calls) == len(result.histories[0].log_density)
    return result


def test_the_maximum_is_where_the_gradient_vanishes(made, found):
    assert found.converged
    evaluation = made.evaluate(found.z)
    deviation = np.sqrt(np.diag(laplace(made, found.z, found.free).covariance))
    assert np.abs(np.asarray(evaluation.gradient) * deviation).max() < 0.1  # in units of the error bars
    np.testing.assert_allclose(found.log_density, evaluation.log_density, rtol=1e-12)
    assert found.log_density == found.histories[0].best == found.histories[0].log_density.max()


def test_it_is_the_truth_within_its_errors(made, found):
    deviation = laplace(made, found.z, found.free).deviation()
    for name, value in TRUTH.items():
        assert abs(found.theta[name] - value) < 4 * deviation[name], name


def test_the_best_of_several_starts(made, found):
    far = {**start(made), "x": jnp.asarray(-0.2), "radius": jnp.asarray(0.9)}
    several = maximize(made, [far, found.theta], iterations=3)
    assert len(several.histories) == 2
    assert several.log_density == max(history.best for history in several.histories)
    assert several.log_density >= found.log_density - 1e-6
    draws = starting_points(made, jax.random.key(0), count=2, tries=3)
    values = [float(made.evaluate(made.unconstrained(draw)).log_density) for draw in draws]
    assert values == sorted(values, reverse=True)


def test_held_parameters_stay(made):
    begin = start(made)
    result = maximize(made, [begin], hold=("slope", "radius"), iterations=5)
    np.testing.assert_allclose(result.theta["slope"], begin["slope"], rtol=1e-12)
    np.testing.assert_allclose(result.theta["radius"], begin["radius"], rtol=1e-12)
    assert result.log_density > float(made.evaluate(made.unconstrained(begin)).log_density)
    everything = maximize(made, [begin], hold=made.names)
    assert len(everything.histories[0].log_density) == 1


def test_a_known_covariance_shortens_the_search(made, found):
    covariance = laplace(made, found.z, found.free).covariance
    guided = maximize(made, [start(made)], covariance=covariance)
    assert len(guided.histories[0].log_density) < len(found.histories[0].log_density)
    assert guided.log_density > found.log_density - 0.01


def test_the_search_learns_a_covariance_that_shortens_the_next_one(made, found):
    deviation = np.sqrt(np.diag(laplace(made, found.z, found.free).covariance))
    ratio = np.sqrt(np.diag(found.covariance)) / deviation
    assert np.all((ratio > 0.2) & (ratio < 5))
    again = maximize(made, [start(made)], covariance=found.covariance)
    assert len(again.histories[0].log_density) < len(found.histories[0].log_density)
    rough = laplace(made, found.z, found.free, covariance=found.covariance).covariance
    np.testing.assert_allclose(np.sqrt(np.diag(rough)), deviation, rtol=0.02)


def test_a_looser_tolerance_ends_sooner(made, found):
    loose = maximize(made, [start(made)], tolerance=1.0)
    assert loose.converged
    assert len(loose.histories[0].log_density) < len(found.histories[0].log_density)
    assert found.log_density - 2.0 < loose.log_density <= found.log_density + 1e-6


def test_bad_input(made):
    with pytest.raises(ValueError, match="tolerance must be a positive number of nats, got 0"):
        maximize(made, [start(made)], tolerance=0.0)
    with pytest.raises(ValueError, match="at least one start"):
        maximize(made, [])
    with pytest.raises(ValueError, match="unknown free parameter 'slop'; did you mean 'slope'"):
        maximize(made, [start(made)], hold=("slop",))
    with pytest.raises(ValueError, match=r"refuses every start: at the first of them .*ellipticity"):
        maximize(made, [{**start(made), "e1": jnp.asarray(1.5)}], iterations=2)
    demanding = eqx.tree_at(lambda posterior: posterior.minimum_magnification, made, jnp.asarray(50.0))
    with pytest.raises(ValueError, match=r"magnifies the source [\d.]+ times, and 50 times is the least"):
        maximize(demanding, [start(made)], iterations=2)
