"""Priors and named parameters: draws, densities, vectors, derived values."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from lensax._types import cast
from lensax.parameters import Constant, Expression, Free, Parameters, Prior
from lensax.parameters.interval import Interval

PRIOR = Prior({"a": dist.Normal(1.2, 0.05), "b": dist.Uniform(0, 2), "c": dist.TruncatedNormal(0.0, 1.0, low=0.5)})


def some_parameters():
    return Parameters(
        {
            "total": Expression("twice + a + fixed"),  # before what it needs
            "a": Free("a", dist.Normal(1.2, 0.05)),
            "twice": Expression("2 * a"),
            "fixed": Constant(0.5),
            "b": Free("b", dist.Uniform(0.0, 2.0)),
        }
    )


class TestPrior:
    def test_draws_follow_the_distributions(self):
        theta = PRIOR.sample(jax.random.key(0), (4000,))
        assert list(theta) == ["a", "b", "c"]
        assert all(draw.shape == (4000,) and draw.dtype == jnp.float64 for draw in theta.values())
        assert stats.kstest(theta["a"], stats.norm(1.2, 0.05).cdf).pvalue > 1e-4
        assert stats.kstest(theta["b"], stats.uniform(0, 2).cdf).pvalue > 1e-4
        assert stats.kstest(theta["c"], stats.truncnorm(0.5, np.inf).cdf).pvalue > 1e-4
        assert abs(np.corrcoef(theta["a"], theta["b"])[0, 1]) < 0.06

    def test_another_parameter_changes_no_draw(self):
        key = jax.random.key(3)
        more = Prior({"z": dist.Normal(0.0, 1.0), **PRIOR.distributions, "y": dist.Normal(0.0, 1.0)})
        both = more.sample(key, (5,))
        for name, draws in PRIOR.sample(key, (5,)).items():
            np.testing.assert_array_equal(both[name], draws)
        assert not np.array_equal(both["y"], both["z"])

    def test_draws_are_the_same_everywhere(self):
        assert float(PRIOR.sample(jax.random.key(0))["b"]) == pytest.approx(0.41178067433505605, rel=1e-12)

    def test_log_prob(self):
        theta = PRIOR.sample(jax.random.key(1), (7,))
        expected = (
            stats.norm(1.2, 0.05).logpdf(theta["a"])
            + stats.uniform(0, 2).logpdf(theta["b"])
            + stats.truncnorm(0.5, np.inf).logpdf(theta["c"])
        )
        np.testing.assert_allclose(PRIOR.log_prob(theta), expected, rtol=1e-9)
        np.testing.assert_allclose(jax.jit(jax.vmap(PRIOR.log_prob))(theta), expected, rtol=1e-9)

    def test_log_prob_outside_the_support(self):
        theta = {"a": jnp.asarray(1.2), "b": jnp.asarray(2.5), "c": jnp.asarray(0.2)}
        value, gradient = jax.value_and_grad(PRIOR.log_prob)(theta)
        assert value == -jnp.inf
        assert all(np.isfinite(part) for part in gradient.values())

    def test_gradient_of_log_prob(self):
        theta = {"a": jnp.asarray(1.25), "b": jnp.asarray(0.5), "c": jnp.asarray(0.7)}
        gradient = jax.grad(PRIOR.log_prob)(theta)
        assert float(gradient["a"]) == pytest.approx(-0.05 / 0.05**2, rel=1e-9)
        assert float(gradient["b"]) == 0
        assert float(gradient["c"]) == pytest.approx(-0.7, rel=1e-9)

    @pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
    def test_vector_and_back(self, shape):
        theta = PRIOR.sample(jax.random.key(2), shape)
        vector = PRIOR.flatten(theta)
        assert vector.shape == (*shape, 3)
        back = PRIOR.unflatten(vector)
        assert list(back) == list(PRIOR.names)
        for name in PRIOR.names:
            np.testing.assert_array_equal(back[name], theta[name])

    def test_bounds(self):
        assert (PRIOR.lower("b"), PRIOR.upper("b")) == (0, 2)
        assert PRIOR.upper("a", 1 - 1e-9) == pytest.approx(1.2 + 0.05 * 5.99781, rel=1e-6)
        assert PRIOR.lower("a", 1 - 1e-9) == pytest.approx(1.2 - 0.05 * 5.99781, rel=1e-5)

    def test_nothing_free(self):
        empty = Prior({})
        assert empty.sample(jax.random.key(0), (3,)) == {}
        assert empty.log_prob({}) == 0
        assert empty.flatten({}).shape == (0,)
        assert empty.unflatten(jnp.zeros(0)) == {}

    def test_text(self):
        assert PRIOR.describe()["c"] == "TruncatedNormal(loc=0, scale=1, low=0.5)"

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: PRIOR.log_prob({"a": 1.0, "b": 1.0}), "theta lacks the free parameter\\(s\\) c"),
            (lambda: PRIOR.flatten({"a": 1.0, "b": 1.0, "c": 1.0, "aa": 1.0}), "'aa'; did you mean 'a'\\?"),
            (lambda: PRIOR.unflatten(jnp.zeros((2, 4))), "\\(2, 4\\) does not fit.* 3 parameters a, b, c"),
            (lambda: PRIOR.upper("d"), "unknown free parameter 'd'"),
            (lambda: Prior({"x": 1.0}), "x: expected a NumPyro distribution"),
            (lambda: Prior({"x": dist.Uniform(2.0, 1.0)}), "x has no support"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


class TestParameters:
    def test_derived_in_any_order(self):
        values = some_parameters().resolve({"a": jnp.asarray(1.1), "b": jnp.asarray(0.3)})
        assert list(values) == ["total", "a", "twice", "fixed", "b"]
        assert float(values["twice"]) == pytest.approx(2.2)
        assert float(values["total"]) == pytest.approx(3.8)

    def test_prior_has_the_free_ones_in_order(self):
        assert some_parameters().prior.names == ("a", "b")

    def test_traceable_differentiable_batched(self):
        parameters = some_parameters()

        def total(theta):
            return parameters.resolve(theta)["total"]

        theta = parameters.prior.sample(jax.random.key(0), (5,))
        np.testing.assert_allclose(jax.jit(jax.vmap(total))(theta), 3 * theta["a"] + 0.5, rtol=1e-14)
        gradient = jax.grad(total)({"a": jnp.asarray(1.0), "b": jnp.asarray(1.0)})
        assert (float(gradient["a"]), float(gradient["b"])) == (3, 0)

    def test_a_constant_is_a_leaf(self):
        gradient = jax.grad(lambda p: p.resolve({"a": jnp.asarray(1.0), "b": jnp.asarray(1.0)})["total"])(
            some_parameters()
        )
        assert float(gradient["fixed"].value) == 1

    def test_survives_a_pytree_round_trip(self):
        parameters = cast(some_parameters(), jnp.float32)
        theta = {"a": jnp.asarray(1.1, jnp.float32), "b": jnp.asarray(0.3, jnp.float32)}
        values = jax.jit(lambda p, t: p.resolve(t))(parameters, theta)
        assert {value.dtype for value in values.values()} == {jnp.dtype("float32")}
        assert float(values["total"]) == pytest.approx(3.8, rel=1e-6)

    def test_bounds(self):
        parameters = some_parameters()
        assert parameters.bounds("b", 0.0) == Interval(0.0, 2.0)
        assert parameters.bounds("fixed") == Interval(0.5, 0.5)
        assert parameters.upper("total") == pytest.approx(3 * (1.2 + 0.05 * 5.99781) + 0.5, rel=1e-6)
        assert parameters.lower("total") == pytest.approx(3 * (1.2 - 0.05 * 5.99781) + 0.5, rel=1e-6)

    def test_text(self):
        assert some_parameters().describe() == {
            "total": "= twice + a + fixed",
            "a": "Normal(loc=1.2, scale=0.05)",
            "twice": "= 2 * a",
            "fixed": "0.5",
            "b": "Uniform(low=0, high=2)",
        }

    def test_a_long_chain(self):
        chain = {f"p{i}": Expression(f"p{i + 1} + 1") for i in range(400)} | {"p400": Constant(0.0)}
        assert float(Parameters(chain).resolve({})["p0"]) == 400

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ({"a": Expression("a + 1")}, "a: follows from itself: a -> a"),
            (
                {"x": Expression("a"), "a": Expression("b"), "b": Expression("2 * a")},
                "a: follows from itself: a -> b -> a",
            ),
            (
                {"lens.redshift": Constant(0.5), "b": Expression("lens.redshft")},
                "b: unknown parameter 'lens.redshft'; did you mean 'lens.redshift'",
            ),
            (
                {"lens.mass.PowerLaw.slope": Constant(2.0), "b": Expression("slope")},
                "did you mean 'lens.mass.PowerLaw.slope'",
            ),
            ({"a": Free("b", dist.Normal(0.0, 1.0))}, "'b' cannot stand under the name 'a'"),
        ],
    )
    def test_refused(self, entries, message):
        with pytest.raises(ValueError, match=message):
            Parameters(entries)

    @pytest.mark.parametrize(
        ("theta", "message"),
        [
            ({"a": 1.0}, "theta lacks the free parameter\\(s\\) b"),
            ({"a": 1.0, "b": 1.0, "fixed": 2.0}, "theta: 'fixed' is not free, it is 0.5"),
            ({"a": 1.0, "b": 1.0, "twice": 2.0}, "theta: 'twice' is not free, it is = 2 \\* a"),
            ({"a": 1.0, "b": 1.0, "q": 2.0}, "theta: unknown free parameter 'q'; allowed: a, b"),
        ],
    )
    def test_wrong_theta(self, theta, message):
        with pytest.raises(ValueError, match=message):
            some_parameters().resolve(theta)

    def test_unknown_name(self):
        with pytest.raises(ValueError, match=r"unknown parameter 'fixd'; did you mean 'fixed'"):
            some_parameters()["fixd"]
        with pytest.raises(ValueError, match="unknown parameter 'fixd'"):
            some_parameters().bounds("fixd")
