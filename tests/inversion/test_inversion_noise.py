"""Correlated noise: the whitened density against the exact one, and the estimate of its correlation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensax as lx
from lensax.inversion import CorrelatedNoise, IndependentNoise, model_noise_map
from lensax.inversion.noise import whiten

MASK = np.random.default_rng(2).uniform(size=(18, 18)) > 0.15
SIGMA = np.random.default_rng(3).uniform(0.5, 1.5, (18, 18))


def covariance(noise):
    """Of the pixels of the mask."""
    at = np.argwhere(MASK)
    offset = at[:, None] - at[None]
    near = np.abs(offset).max(-1) <= 2
    index = np.clip(offset, -2, 2) + 2
    rho = np.where(near, np.asarray(noise.correlation)[index[..., 0], index[..., 1]], 0)
    return rho * SIGMA[MASK][:, None] * SIGMA[MASK][None]


def white(noise, image):
    whitener = noise.whitener(jnp.asarray(SIGMA), MASK)
    r = noise.reach
    pads = ((r, 0), (r, r))
    out = whiten(
        jnp.pad(jnp.asarray(image), pads)[None], jnp.pad(whitener.inverse, pads), whitener.last, whitener.coefficients
    )
    return np.asarray(out[0]), float(whitener.log_normalization)


LEANING = [[0.05, 0.2, 0.1], [0.25, 1.0, 0.25], [0.1, 0.2, 0.05]]  # no two directions are alike


def test_a_smaller_matrix_is_filled_up_with_zeros():
    noise = CorrelatedNoise(LEANING)
    np.testing.assert_array_equal(noise.correlation, np.pad(LEANING, 1))
    assert noise.of_neighbours == pytest.approx(0.225)
    line = CorrelatedNoise(np.array([[0.25, 1.0, 0.25]], np.float32))
    np.testing.assert_array_equal(line.correlation[2], [0, 0.25, 1, 0.25, 0])
    assert np.count_nonzero(line.correlation) == 3
    rounded = np.asarray(CorrelatedNoise.from_mixing(0.45).correlation, np.float32)
    np.testing.assert_array_equal(CorrelatedNoise(rounded).correlation, rounded)


@pytest.mark.parametrize(
    "noise",
    [CorrelatedNoise.from_mixing(0.0), CorrelatedNoise.from_mixing(0.15), CorrelatedNoise(LEANING)],
    ids=["none", "mixed", "leaning"],
)
def test_density_on_a_mask_with_holes(noise):
    exact = covariance(noise)
    draws = np.linalg.cholesky(exact) @ np.random.default_rng(0).normal(size=(MASK.sum(), 20))
    ratios = []
    for draw in draws.T:
        image = np.zeros(MASK.shape)
        image[MASK] = draw
        w, normalization = white(noise, image)
        assert np.all(w[~MASK] == 0)
        ratios.append(np.sum(w**2) / (draw @ np.linalg.solve(exact, draw)))
    assert abs(np.mean(ratios) - 1) < 0.002 + 1e-12
    expected = np.linalg.slogdet(exact)[1] + MASK.sum() * np.log(2 * np.pi)
    assert abs(normalization - expected) < (0.25 if noise.of_neighbours else 1e-9)


def test_without_correlation_it_is_independent():
    image = np.random.default_rng(1).normal(size=MASK.shape) * MASK
    for a, b in zip(white(CorrelatedNoise.from_mixing(0.0), image), white(IndependentNoise(), image)):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_estimate_finds_the_mixing():
    field = np.random.default_rng(5).normal(size=(202, 202))
    for axis in (0, 1):
        field = field + 0.15 * (np.roll(field, 1, axis) + np.roll(field, -1, axis))
    found = CorrelatedNoise.estimate(field, np.ones(field.shape, bool))
    np.testing.assert_allclose(found.correlation, CorrelatedNoise.from_mixing(0.15).correlation, atol=0.015)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CorrelatedNoise.from_mixing(0.5), "mixing must be at least 0 and below 0.5"),
        (lambda: CorrelatedNoise(np.ones((5, 5))), "power spectrum that is nowhere negative.*got -"),
        (lambda: CorrelatedNoise(np.eye(3)), "got -1 at a frequency of 0.* per pixel along y and 0.* along x"),
        (
            lambda: CorrelatedNoise([[0.6, 1.0, 0.6]]),
            "got -0.2 at a frequency of 0.00 per pixel along y and 0.50 along",
        ),
        (lambda: CorrelatedNoise(np.ones((3, 4))), r"odd sides of at most 5 pixels, got shape \(3, 4\)"),
        (lambda: CorrelatedNoise(np.ones((7, 3))), r"odd sides of at most 5 pixels, got shape \(7, 3\)"),
        (lambda: CorrelatedNoise(np.ones(5)), r"got shape \(5,\)"),
        (lambda: CorrelatedNoise([[0.1, 0.9, 0.1]]), "must be 1 in its middle, got 0.9"),
        (lambda: CorrelatedNoise([[0.1, 1.0, 0.2]]), "got 0.1 at row 0, column 0 and 0.2 opposite"),
        (lambda: CorrelatedNoise([[np.nan, 1.0, 0.2]]), "must be finite, got nan at row 0, column 0"),
        (lambda: CorrelatedNoise.estimate(np.eye(4), np.eye(4)), "no two neighbouring pixels"),
        (
            lambda: CorrelatedNoise.estimate(np.ones((20, 20)) * np.arange(20.0)[:, None], np.ones((20, 20))),
            "more than drizzling",
        ),
    ],
)
def test_bad_noise_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_poisson_term_of_the_model(ring):
    dataset = lx.Imaging(ring.data, ring.noise_map, None, 0.1, ring.mask, 500.0, 0.01)
    model = jnp.full(dataset.shape, 0.02).at[15, 24].set(-1.0)
    found = model_noise_map(dataset, model, 2.0)
    levels = jnp.where(ring.mask, 0.01, jnp.nan)  # as a map, with anything outside
    of_map = lx.Imaging(ring.data, ring.noise_map, None, 0.1, ring.mask, 500.0, levels)
    np.testing.assert_array_equal(model_noise_map(of_map, model, 2.0), found)
    assert np.all(np.isfinite(jax.grad(lambda model: model_noise_map(of_map, model).sum())(model)))
    used = np.asarray(ring.mask)
    expected = np.full(dataset.shape, 2 * np.sqrt(1e-4 + 0.02 / 500))
    expected[15, 24] = 0.02
    np.testing.assert_allclose(found, np.where(used, expected, ring.noise_map), rtol=1e-12)
    with pytest.raises(ValueError, match="the dataset has no exposure_time"):
        model_noise_map(ring, model)
