"""Distributions by name: building, refusing, quantiles, text."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from lensax.parameters.distribution import build, check, describe, quantile, support

# name, arguments, the same distribution in SciPy
CASES = [
    ("Normal", [1.2, 0.05], stats.norm(1.2, 0.05)),
    ("Uniform", {"low": -1, "high": 2}, stats.uniform(-1, 3)),
    ("LogUniform", [0.005, 0.1], stats.loguniform(0.005, 0.1)),
    ("LogNormal", [0.0, 0.5], stats.lognorm(0.5)),
    ("HalfNormal", [0.1], stats.halfnorm(scale=0.1)),
    ("TruncatedNormal", [1.0, 0.5, 0.8, 2.0], stats.truncnorm(-0.4, 2.0, 1.0, 0.5)),
    ("TruncatedNormal", {"loc": 1.0, "scale": 0.5, "low": 0.0}, stats.truncnorm(-2.0, np.inf, 1.0, 0.5)),
    ("Beta", [2.0, 5.0], stats.beta(2, 5)),
    ("Gamma", [2.0, 3.0], stats.gamma(2, scale=1 / 3)),
    ("InverseGamma", [3.0, 1.0], stats.invgamma(3)),
    ("Exponential", [2.0], stats.expon(scale=0.5)),
    ("StudentT", [3.0, 0.5, 2.0], stats.t(3, 0.5, 2.0)),
    ("Cauchy", [0.5, 1.0], stats.cauchy(0.5, 1.0)),
    ("Weibull", {"scale": 2.0, "concentration": 1.5}, stats.weibull_min(1.5, scale=2.0)),
]


@pytest.mark.parametrize(("name", "arguments", "scipy"), CASES, ids=[case[0] for case in CASES])
def test_built_as_named(name, arguments, scipy):
    made = build(name, arguments)
    for probability in (1e-6, 0.1, 0.5, 0.999, 1 - 1e-9):
        assert quantile(made, probability) == pytest.approx(scipy.ppf(probability), rel=2e-7, abs=1e-12)
    assert (quantile(made, 0.0), quantile(made, 1.0)) == support(made)
    assert support(made) == pytest.approx(scipy.support(), rel=1e-12)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        draws = made.sample(jax.random.key(1), (4000,))
    assert stats.kstest(draws, scipy.cdf).pvalue > 1e-4


def test_quantile_without_distribution_function_is_the_end_of_the_support():
    made = build("Kumaraswamy", [2.0, 3.0])
    assert (quantile(made, 0.01), quantile(made, 0.99)) == (0.0, 1.0)


def test_quantile_in_float32():
    made = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), build("Normal", [0.0, 1.0]))
    assert quantile(made, 1 - 1e-9) == pytest.approx(5.99781, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Uniform", [2, 1], "Uniform\\(low=2, high=1\\) has no support"),
        ("Uniform", [1, 1], "has no support"),
        ("LogUniform", [2, 1], "has no support"),
        ("LogUniform", [-1, 1], "invalid low"),
        ("TruncatedNormal", [0.0, 1.0, 2.0, 1.0], "has no support"),
        ("Normal", [0, -1], "Normal\\(loc, scale\\) refuses loc=0, scale=-1: .*invalid scale"),
        ("Normal", [0, 0], "invalid scale"),
        ("Normal", [0, math.nan], "scale must be a finite number, found nan"),
        ("Normal", [0, math.inf], "scale must be a finite number, found inf"),
        ("Normal", [0, True], "scale must be a finite number, found True"),
        ("Normal", [0, "1"], "scale must be a finite number, found '1'"),
        ("Normal", [0, 1, 2], "takes at most 2 arguments, found 3"),
        ("Normal", {"loc": 0, "sigma": 1}, "Normal\\(loc, scale\\) has no argument 'sigma'"),
        ("Normall", [0, 1], "did you mean Normal\\?"),
        ("constraints", [], "unknown distribution 'constraints'"),
        ("Distribution", [], "unknown distribution"),
        ("__class__", [], "unknown distribution"),
        ("Poisson", [3], "must be continuous"),
        ("Dirichlet", [1.0], "refuses|univariate"),
        ("MultivariateNormal", [0.0, 1.0], "refuses|univariate"),
        ("TransformedDistribution", [0.0, 1.0], "refuses"),
        ("LogNormal", [0.0, 1e6], "not finite"),
    ],
)
def test_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        build(name, arguments)
    assert "\n" not in str(error.value)


def test_check_refuses_what_is_not_one_distribution():
    with pytest.raises(ValueError, match=r"x: expected a NumPyro distribution, found float"):
        check(1.0, "x")
    with pytest.raises(ValueError, match=r"x: a prior must be univariate"):
        check(dist.Normal(jnp.zeros(2), 1.0), "x")
    with pytest.raises(ValueError, match=r"x: cannot be sampled"):
        check(dist.ImproperUniform(dist.constraints.real, (), ()), "x")


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (build("Normal", [1.2, 0.05]), "Normal(loc=1.2, scale=0.05)"),
        (build("TruncatedNormal", [1, 0.5, 0, 2]), "TruncatedNormal(loc=1, scale=0.5, low=0, high=2)"),
        (build("TruncatedNormal", {"loc": 1, "low": 0}), "TruncatedNormal(loc=1, scale=1, low=0)"),
        (build("LogUniform", [0.005, 0.1]), "LogUniform(low=0.005, high=0.1)"),
    ],
)
def test_described_as_written(made, text):
    assert describe(made) == text
