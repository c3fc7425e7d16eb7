"""The mesh transform: the sum of Gaussian distribution functions, smooth, increasing, right at coincident points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from lensax.inversion import KernelCDF, LinearTransform, soft_bounds

POINTS = np.random.default_rng(0).normal(0.1, 0.3, 200)
WEIGHTS = np.random.default_rng(1).uniform(0, 1, 200)


def exact(x, points, weights, low, high, cells, bandwidth, floor):
    """The sum over all points, without nodes."""
    width = bandwidth / cells * (high - low)

    def cdf(at):
        return np.sum(weights * ndtr((np.asarray(at)[:, None] - points) / width), 1) / weights.sum()

    start, end = cdf([low])[0], cdf([high])[0]
    return (1 - floor) * (cdf(x) - start) / (end - start) + floor * (x - low) / (high - low)


@pytest.mark.parametrize(
    ("cells", "bandwidth", "nodes", "error"), [(20, 1.0, 128, 1e-6), (40, 1.0, 256, 1e-6), (10, 2.0, 128, 1e-7)]
)
def test_is_the_sum_of_gaussian_distribution_functions(cells, bandwidth, nodes, error):
    transform = KernelCDF(jnp.asarray(POINTS), jnp.asarray(WEIGHTS), cells, nodes, bandwidth, 0.05)
    low, high = float(transform.low), float(transform.high)
    x = np.linspace(low, high, 301)
    expected = exact(x, POINTS, WEIGHTS, low, high, cells, bandwidth, 0.05)
    assert np.abs(transform(jnp.asarray(x)) - expected).max() < error


def test_soft_bounds_contain_the_points():
    low, high = soft_bounds(jnp.asarray(POINTS))
    assert POINTS.min() - 0.1 < low < POINTS.min() < POINTS.max() < high < POINTS.max() + 0.1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-3, 3).map(lambda v: round(v, 1)), min_size=2, max_size=12))
def test_increases_strictly_whatever_coincides(values):
    points = jnp.asarray(np.resize(values, 24))
    transform = KernelCDF(points, jnp.ones(24), 10)
    x = jnp.linspace(transform.low - 1e-3, transform.high + 1e-3, 200)
    steps = np.diff(transform(x))
    assert steps.min() > 0.04 * (x[1] - x[0]) / (transform.high - transform.low)


def test_derivative_at_coincident_points():
    """Half of the points coincide; each is moved alone and with its twin."""
    points = jnp.repeat(jnp.asarray(POINTS[:20]), 2)
    weights, query = jnp.asarray(np.random.default_rng(2).normal(size=40)), jnp.linspace(-0.6, 0.6, 40)

    def total(points):
        transform = KernelCDF(points, jnp.ones(40), 12)
        return jnp.sum(weights * transform(points)) + jnp.sum(weights * transform(query))

    value, gradient = jax.jit(total), jax.jit(jax.grad(total))(points)
    for direction in (jnp.zeros(40).at[7].set(1.0), jnp.zeros(40).at[6:8].set(1.0), jnp.sin(jnp.arange(40.0))):
        f = {k: value(points + k * 1e-4 * direction) for k in (-2, -1, 1, 2)}
        difference = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / 12e-4
        np.testing.assert_allclose(gradient @ direction, difference, rtol=1e-7)


def test_second_derivative_is_continuous_in_the_points():
    """The second difference of the transform of moving points does not jump."""
    points = jnp.asarray(POINTS[:30])
    second = jax.jit(
        jax.grad(jax.grad(lambda t: KernelCDF(points + t * jnp.sin(9 * points), jnp.ones(30), 12)(points)[3]))
    )
    values = np.array([second(t) for t in np.linspace(0, 0.02, 60)])
    assert np.abs(np.diff(values)).max() < 0.1 * np.ptp(values) + 1e-9


def test_inverse_and_its_derivative():
    @jax.jit
    def at(shift, share):
        return KernelCDF(jnp.asarray(POINTS) * (1 + shift), jnp.asarray(WEIGHTS), 15).inverse(share)

    transform = KernelCDF(jnp.asarray(POINTS), jnp.asarray(WEIGHTS), 15)
    share = jnp.linspace(0.01, 0.99, 9)
    inverse = jax.jit(lambda share: transform.inverse(share))
    np.testing.assert_allclose(transform(inverse(share)), share, atol=1e-13)
    np.testing.assert_allclose(inverse(-share), 2 * transform.low - inverse(share))
    step = 1e-5
    difference = (at(step, share) - at(-step, share)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.jacrev(at))(0.0, share), difference, rtol=1e-6)


def test_linear_transform():
    transform = LinearTransform(jnp.asarray(-1.0), jnp.asarray(3.0))
    np.testing.assert_allclose(transform(jnp.asarray([-1.0, 0.0, 3.0])), [0, 0.25, 1])
    np.testing.assert_allclose(transform.inverse(jnp.asarray([0.0, 0.25, 1.0])), [-1, 0, 3])


def test_too_few_nodes_are_refused():
    with pytest.raises(ValueError, match="32 nodes are too few for a bandwidth of 1 of 40 cells; expected at least"):
        KernelCDF(jnp.asarray(POINTS), jnp.asarray(WEIGHTS), 40, 32)
