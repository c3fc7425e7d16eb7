"""The Laplace approximation against the posterior itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fit_problem import posterior, start

from lensax.fit import Laplace, laplace, maximize
from lensax.fit.laplace import invert


@pytest.fixture(scope="module")
def made():
    return posterior("parametric")


@pytest.fixture(scope="module")
def about(made) -> Laplace:
    top = maximize(made, [start(made)])
    return laplace(made, top.z, top.free)


@pytest.mark.extended
def test_the_hessian_is_the_second_derivative_of_the_values(made, about):
    """Along random directions, with second differences of values, which are good to three digits here."""
    random = np.random.default_rng(0)
    factor = np.linalg.cholesky(about.covariance)
    for _ in range(3):
        direction = factor @ random.normal(size=len(about.z))
        f = [float(made.evaluate(about.z + k * 0.1 * direction).log_density) for k in (-1, 0, 1)]
        second = (f[0] - 2 * f[1] + f[2]) / 0.01
        np.testing.assert_allclose(direction @ about.hessian @ direction, second, rtol=2e-2)


def test_draws_have_its_mean_and_its_deviations(made, about):
    draws = about.sample(jax.random.key(1), 20000)
    deviation = about.deviation()
    middle = made.constrain(jnp.asarray(about.z))
    for name in ("radius", "slope", "e1", "x"):
        assert draws[name].shape == (20000,)
        assert abs(float(jnp.mean(draws[name]) - middle[name])) < 0.1 * deviation[name]
        assert abs(float(jnp.std(draws[name])) / deviation[name] - 1) < 0.1


def test_the_evidence_is_the_integral_of_a_gaussian(about):
    n = len(about.z)
    expected = about.log_density + 0.5 * n * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(-about.hessian)[1]
    np.testing.assert_allclose(about.log_evidence, expected, rtol=1e-10)
    assert about.raised == 0


def test_flat_directions_get_the_curvature_of_a_prior():
    covariance, raised = invert(np.diag([4.0, 1e-6, -3.0]))
    np.testing.assert_allclose(np.diag(covariance), [0.25, 10.0, 10.0])
    assert raised == 2


def test_a_refused_maximum(made, about):
    calls = []
    with pytest.raises(ValueError, match="refuses the point itself"):
        laplace(made, about.z + 40.0, progress=lambda *what: calls.append(what))
    assert not calls
