"""The piecewise power law from which masses are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from lensax._types import cast
from lensax.halos.mass_law import MassLaw

LN10 = np.log(10)


def power_law(slope=-0.9, low=7.0, high=10.0, nodes=37, curvature=0.0):
    log_mass = np.linspace(6.5 * LN10, 10.5 * LN10, nodes)
    x = log_mass - 8 * LN10
    rates = np.stack([2.0 + slope * x + curvature * x**2, 5.0 + slope * x + curvature * x**2])
    return MassLaw(*map(jnp.asarray, (log_mass, rates, low * LN10, high * LN10)))


@pytest.mark.parametrize("slope", [-2.0, -0.9, 0.0, 1e-5, 1.5])
def test_number_of_a_power_law_is_its_integral(slope):
    ends = np.array([7.0, 10.0]) * LN10 - 8 * LN10
    per_unit = integrate.quad(lambda x: np.exp(slope * x), *ends, epsabs=0, epsrel=1e-13)[0]
    np.testing.assert_allclose(power_law(slope).number(), np.exp([2.0, 5.0]) * per_unit, rtol=1e-11)


def test_curved_law_is_held_to_a_thousandth():
    law = power_law(-0.9, curvature=-0.1)
    ends = np.array([7.0, 10.0]) * LN10 - 8 * LN10
    exact = integrate.quad(lambda x: np.exp(2.0 - 0.9 * x - 0.1 * x**2), *ends)[0]
    np.testing.assert_allclose(law.number()[0], exact, rtol=2e-3)


@pytest.mark.parametrize("slope", [-2.0, -0.9, 0.0, 1e-4, 1.5])
def test_sample_inverts_the_cumulative_distribution(slope):
    law = power_law(slope, 7.123, 9.456)
    uniform = np.linspace(0, 1, 201)
    drawn = np.asarray(law.sample(jnp.asarray(np.stack([uniform, uniform]))))
    low, high = 7.123 * LN10, 9.456 * LN10
    if slope == 0:
        expected = high - uniform * (high - low)
    else:
        expected = np.log(np.exp(slope * high) + uniform * (np.exp(slope * low) - np.exp(slope * high))) / slope
    np.testing.assert_allclose(drawn, np.stack([expected, expected]), atol=1e-10)


def test_sampled_masses_follow_the_law():
    law = power_law(-0.9, curvature=-0.15, nodes=49)
    drawn = np.asarray(law.sample(jax.random.uniform(jax.random.key(5), (2, 20000))))[0]
    grid = np.linspace(7 * LN10, 10 * LN10, 2001)
    rate = np.exp(np.interp(grid, law.log_mass, law.log_rate[0]))
    cumulative = integrate.cumulative_trapezoid(rate, grid, initial=0)
    result = stats.kstest(drawn, lambda x: np.interp(x, grid, cumulative / cumulative[-1]))
    assert result.pvalue > 1e-3


def test_float32_keeps_the_rare_massive_halos():
    law = power_law(-1.0)
    uniform = np.concatenate([[0.0], np.geomspace(1e-6, 1 - 1e-6, 300)]).astype(np.float32)
    rows = jnp.asarray(np.stack([uniform, uniform]))
    single = cast(law, jnp.float32).sample(rows)
    assert single.dtype == jnp.float32
    double = law.sample(rows.astype(jnp.float64))
    np.testing.assert_allclose(single, double, atol=2e-5)
    assert float(single[0, 0]) == pytest.approx(10 * LN10, rel=1e-6)


def test_gradients_follow_the_law_at_fixed_rank():
    uniform = jnp.asarray([[0.1, 0.5, 0.9], [0.01, 0.3, 0.999]])

    def masses(low, high, slope):
        base = power_law()
        rates = base.log_rate + slope * (base.log_mass - 8 * LN10)[None]
        return MassLaw(base.log_mass, rates, low, high).sample(uniform)

    point = tuple(map(jnp.asarray, (7.21 * LN10, 9.87 * LN10, 0.13)))
    jacobian = jax.jit(jax.jacrev(masses, (0, 1, 2)))(*point)
    forward = jax.jit(jax.jacfwd(masses, (0, 1, 2)))(*point)
    masses = jax.jit(masses)
    for index in range(3):
        step = 1e-6
        moved = [[v + s * step * (i == index) for i, v in enumerate(point)] for s in (1, -1)]
        difference = (masses(*moved[0]) - masses(*moved[1])) / (2 * step)
        np.testing.assert_allclose(jacobian[index], difference, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(forward[index], difference, rtol=1e-6, atol=1e-8)


def test_a_law_that_is_all_but_empty_gives_finite_masses_and_gradients():
    base = cast(power_law(), jnp.float32)

    def total(shift):
        law = MassLaw(base.log_mass, base.log_rate + shift, base.low, base.high)
        return law.sample(jnp.full((2, 4), 0.3, jnp.float32)).sum() + law.number().sum()

    value, gradient = jax.value_and_grad(total)(jnp.float32(-300.0))
    assert np.isfinite(value)
    assert np.isfinite(gradient)
