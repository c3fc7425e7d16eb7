"""The Poisson sampler against scipy's distribution, and the statistics of noisy images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lensax.instrument import noise

MEANS = [0.1, 1.0, 10.0, 24.9, 25.1, 100.0, 1e3, 1e4, 1e5]
draw = jax.jit(noise.poisson)
quantile = jax.jit(noise.poisson_quantile)
add_noise, noise_map = jax.jit(noise.add_noise), jax.jit(noise.noise_map)


def numbers(*values, dtype=jnp.float64):
    return [jnp.asarray(value, dtype) for value in values]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("mean", MEANS)
def test_mean_and_variance_of_ten_thousand_draws(mean, dtype):
    counts = np.asarray(draw(jax.random.key(1), jnp.full(10_000, mean, dtype)), np.float64)
    assert np.all(counts == np.round(counts))
    assert np.all(counts >= 0)
    # Fourth central moment of a Poisson distribution: mean + 3 mean^2.
    error_of_mean, error_of_variance = np.sqrt(mean / counts.size), np.sqrt((mean + 2 * mean**2) / counts.size)
    assert abs(counts.mean() - mean) < 4 * error_of_mean
    assert abs(counts.var(ddof=1) - mean) < 4 * error_of_variance


@pytest.mark.parametrize("mean", [0.1, 1.0, 10.0, 30.0])
def test_counts_follow_the_distribution(mean):
    """Chi-squared of a million float32 draws over all counts that are expected at least 20 times."""
    counts = np.asarray(draw(jax.random.key(2), jnp.full(1_000_000, mean, jnp.float32)))
    expected = 1_000_000 * stats.poisson.pmf(np.arange(100), mean)
    common = expected > 20
    found = np.bincount(counts.astype(int), minlength=100)[:100]
    chi_squared = np.sum((found - expected)[common] ** 2 / expected[common])
    assert stats.chi2.sf(chi_squared, common.sum() - 1) > 1e-4


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
@pytest.mark.parametrize("mean", [1e-3, 0.1, 3.0, 24.99, 25.01, 40.0, 300.0, 5e3])
def test_distribution_function_is_that_of_poisson(mean, dtype):
    """Where the count steps from n to n + 1, found by bisection, is the probability P(N <= n)."""
    n = np.unique(stats.poisson.ppf(np.linspace(1e-4, 1 - 1e-4, 200), mean))
    exact = stats.poisson.cdf(n, mean)
    upper = exact > 0.5
    low, high = np.zeros(n.size), np.full(n.size, 0.5)
    for _ in range(40):
        middle = (low + high) / 2
        count = np.asarray(quantile(jnp.asarray(middle, dtype), jnp.asarray(upper), jnp.full(n.size, mean, dtype)))
        towards_half = np.where(upper, count > n, count <= n)
        low, high = np.where(towards_half, middle, low), np.where(towards_half, high, middle)
    found = np.where(upper, 1 - low, low)
    assert np.abs(found - exact).max() < 4e-7


@pytest.mark.parametrize("mean", [0.5, 5.0, 24.0, 26.0, 200.0, 1e4])
def test_tails_reach_beyond_five_standard_deviations(mean):
    tail = np.geomspace(1e-8, 0.4, 60)
    for upper in (False, True):
        found = quantile(jnp.asarray(tail, jnp.float32), jnp.full(60, upper), jnp.full(60, mean, jnp.float32))
        exact = stats.poisson.isf(tail, mean) if upper else stats.poisson.ppf(tail, mean)
        assert np.abs(np.asarray(found) - exact).max() <= 1


def test_draws_are_the_same_alone_and_in_a_batch():
    keys = jax.random.split(jax.random.key(3), 3)
    mean = jnp.exp(jax.random.normal(jax.random.key(4), (8, 9), jnp.float32) * 3)
    together = jax.jit(jax.vmap(noise.poisson, (0, None)))(keys, mean)
    for row, key in zip(together, keys):
        np.testing.assert_array_equal(row, draw(key, mean))
    assert np.mean(np.asarray(together[0] != together[1])) > 0.3


def test_means_without_counts():
    mean = jnp.asarray([0.0, -1e-3, jnp.nan, jnp.inf, 1e30, 3e8], jnp.float32)
    counts = np.asarray(draw(jax.random.key(0), mean))
    assert counts[0] == 0
    assert np.isnan(counts[1:4]).all()
    np.testing.assert_allclose(counts[4:], [1e30, 3e8], rtol=1e-3)


def test_gradient_of_a_noisy_image_is_that_of_the_image():
    image = jnp.asarray([[0.0, 0.01], [0.5, 20.0]])
    maps = numbers(2000.0, 0.1, 3.0, 0.0)
    weights = jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    gradient = jax.jit(jax.grad(lambda i: jnp.vdot(weights, add_noise(i, jax.random.key(0), *maps))))(image)
    np.testing.assert_allclose(gradient, weights, rtol=1e-12)
    _, tangent = jax.jvp(lambda i: add_noise(i, jax.random.key(0), *maps), (image,), (weights,))
    np.testing.assert_allclose(tangent, weights, rtol=1e-12)


@pytest.mark.parametrize(
    ("image", "time", "sky", "read", "rms"),
    [
        (0.05, 2000.0, 0.1, 0.0, 0.0),
        (0.0, 500.0, 0.02, 8.0, 0.0),
        (0.004, 2600.0, 0.0, 0.0, 0.0017),
        (3.0, 900.0, 0.5, 4.0, 0.0),
    ],
)
def test_noise_has_the_mean_and_the_spread_of_the_noise_map(image, time, sky, read, rms):
    expected = jnp.full((100, 100), image, jnp.float32)
    maps = numbers(time, sky, read, rms, dtype=jnp.float32)
    noisy = np.asarray(add_noise(expected, jax.random.key(5), *maps), np.float64)
    sigma = np.sqrt((image + sky) * time + read**2 + (rms * time) ** 2) / time
    np.testing.assert_allclose(noise_map(expected, *maps), sigma, rtol=1e-5)
    assert abs(noisy.mean() - image) < 4 * sigma / 100
    # Four standard errors of the variance; the Poisson part's excess kurtosis, at most 1/10 here, adds below 5 %.
    assert abs(noisy.var() / sigma**2 - 1) < 4 * np.sqrt(2.1) / 100


def test_exposure_maps_apply_to_each_pixel():
    time = np.full((60, 80), 100.0)
    time[:, 40:] = 10_000.0
    expected = jnp.full((60, 80), 0.3)
    noisy = np.asarray(add_noise(expected, jax.random.key(6), jnp.asarray(time), *numbers(0.2, 0.0, 0.0)))
    for half, seconds in ((noisy[:, :40], 100.0), (noisy[:, 40:], 10_000.0)):
        assert abs(half.std() / np.sqrt(0.5 / seconds) - 1) < 4 / np.sqrt(2 * half.size)


def test_rounding_below_zero_is_no_light_and_negative_light_is_nan():
    image = jnp.asarray([[1.0, -1e-6], [0.0, -1e-3]], jnp.float32)
    noisy = np.asarray(add_noise(image, jax.random.key(0), *numbers(1000.0, 0.0, 0.0, 0.0, dtype=jnp.float32)))
    assert noisy[0, 1] == 0.0
    assert np.isnan(noisy[1, 1])
    assert np.isfinite(noisy).sum() == 3


def test_noise_map_without_noise_has_finite_gradients():
    zero = numbers(100.0, 0.0, 0.0, 0.0)
    image = jnp.asarray([[0.0, -1.0, 4.0]])
    np.testing.assert_allclose(noise_map(image, *zero), [[0.0, 0.0, 0.2]])
    gradients = jax.jit(jax.grad(lambda *a: noise_map(*a).sum(), (0, 1, 2, 3, 4)))(image, *zero)
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_allclose(gradients[0], [[0.0, 0.0, 0.5 / 0.2 / 100]])

    def total(time, read_noise):
        return add_noise(image[:, 2:], jax.random.key(0), time, zero[1], read_noise, zero[3]).sum()

    assert all(np.isfinite(g).all() for g in jax.jit(jax.grad(total, (0, 1)))(zero[0], zero[2]))
