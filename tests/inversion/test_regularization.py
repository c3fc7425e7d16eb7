"""Priors: log-determinants, kernels, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gamma, kv

from lensax import inversion
from lensax.inversion.kernels import matern

MESH = inversion.UniformMesh((6, 7), (-0.7, 0.7, -0.5, 0.5)).place(jnp.zeros((2, 1)), jnp.zeros((2, 1)), None)
RANDOM = np.random.default_rng(1)
BRIGHT = inversion.BrightnessMap(RANDOM.uniform(0, 1, (8, 8)), (-0.7, 0.7, -0.5, 0.5))
PRIORS = {
    "zeroth": inversion.Zeroth(3.0),
    "constant": inversion.Constant(3.0),
    "curvature": inversion.Curvature(3.0),
    "adaptive": inversion.Adaptive(0.3, 5.0, BRIGHT, 1.5),
    "matern 1/2": inversion.Matern(0.2, 2.0),
    "matern 3/2": inversion.Matern(0.2, 2.0, nu=1.5),
    "matern 5/2": inversion.Matern(0.2, inversion.BrightnessAmplitude(2.0, BRIGHT, size=1.03), nu=2.5),
    "gaussian": inversion.GaussianKernel(0.2, inversion.MoffatAmplitude(2.0, 0.3, e1=0.2, dark=0.01)),
}
each_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS.keys())


@each_prior
def test_log_determinant(prior):
    precision = prior.precision(MESH)
    sign, expected = np.linalg.slogdet(precision.matrix)
    assert sign == 1
    np.testing.assert_allclose(precision.log_determinant, expected, rtol=1e-9)
    np.testing.assert_allclose(precision.matrix, precision.matrix.T, rtol=1e-9)


@each_prior
def test_derivative_in_its_parameters(prior):
    leaves, tree = jax.tree.flatten(prior)
    scalars = [i for i, leaf in enumerate(leaves) if leaf.ndim == 0]
    weights = jnp.asarray(RANDOM.normal(size=(42, 42)))

    def total(t):
        moved = [leaf * (1 + t * 0.1 * (i + 1)) if i in scalars else leaf for i, leaf in enumerate(leaves)]
        precision = jax.tree.unflatten(tree, moved).precision(MESH)
        scale = jnp.sqrt(jnp.diag(precision.matrix))
        return jnp.sum(weights * precision.matrix / scale[:, None]) + precision.log_determinant

    value = jax.jit(total)
    h = 1e-4
    difference = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    np.testing.assert_allclose(jax.grad(total)(0.0), difference, rtol=1e-6)


def test_constant_is_a_sum_over_neighbours():
    s = RANDOM.normal(size=(6, 7))
    expected = 3 * ((np.diff(s, axis=0) ** 2).sum() + (np.diff(s, axis=1) ** 2).sum() + 1e-4 * (s**2).sum())
    found = s.ravel() @ np.asarray(PRIORS["constant"].precision(MESH).matrix) @ s.ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_adaptive_of_one_strength_is_constant():
    same = inversion.Adaptive(3.0, 3.0, BRIGHT).precision(MESH)
    np.testing.assert_allclose(same.matrix, PRIORS["constant"].precision(MESH).matrix, atol=1e-12)


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_matern_is_the_bessel_function(nu):
    r = np.linspace(0.01, 1, 20)
    x = np.sqrt(2 * nu) * r / 0.3
    expected = 2 ** (1 - nu) / gamma(nu) * x**nu * kv(nu, x)
    np.testing.assert_allclose(matern(jnp.asarray(r), jnp.asarray(0.3), nu), expected, rtol=1e-12)


@each_prior
def test_matrix_is_the_inverse_of_a_covariance(prior):
    covariance = np.linalg.inv(prior.precision(MESH).matrix)
    assert np.diag(covariance).min() > 0
    if isinstance(prior, inversion.Matern | inversion.GaussianKernel):
        deviation = np.asarray(prior.amplitude(*MESH.centers()))
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), deviation * np.sqrt(1 + prior.nugget), rtol=1e-6)


def test_brightness_map_reads_its_image():
    image = np.zeros((9, 9))
    image[3, 6] = 2.0
    bright = inversion.BrightnessMap(image, (0, 9, 0, 9))
    at = jnp.asarray([[6.5, 6.5, 20.0]]), jnp.asarray([[3.5, 4.5, 3.5]])
    np.testing.assert_allclose(bright(*at), [[0.75**2, 0.75 * 0.125, 0.0]], atol=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: inversion.Constant(0.0), "strength must be a positive number, got 0.0"),
        (lambda: inversion.Constant(1.0, floor=0.0), "says nothing about the mean of the source"),
        (lambda: inversion.Matern(-1.0, 1.0), "length must be a positive angle"),
        (lambda: inversion.Matern(0.1, 1.0, nu=1.0), "nu must be 0.5, 1.5 or 2.5, got 1.0"),
        (lambda: inversion.GaussianKernel(0.1, 1.0, nugget=0.0), "nugget must be between 0 and 1"),
        (lambda: inversion.Adaptive(1.0, 1.0, BRIGHT, 0.5), "power must be at least 1, got 0.5"),
        (lambda: inversion.BrightnessMap(np.zeros((3, 3)), (0, 1, 0, 1)), "positive somewhere"),
        *(
            (lambda extent=extent: inversion.BrightnessMap(np.ones((3, 3)), extent), "each pair increasing, got")
            for extent in ((), (0, 1, 0), (0, 1, 1, 0), (0, np.nan, 0, 1), (0, np.inf, 0, 1))
        ),
    ],
)
def test_bad_priors_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_size_enlarges_the_brightness_about_the_origin():
    x, y = jnp.asarray([0.1, -0.2, 0.3]), jnp.asarray([0.05, 0.2, -0.1])
    large = inversion.BrightnessAmplitude(2.0, BRIGHT, 0.01, size=1.5)
    np.testing.assert_allclose(
        large(1.5 * x, 1.5 * y), inversion.BrightnessAmplitude(2.0, BRIGHT, 0.01)(x, y), rtol=1e-12
    )
    with pytest.raises(ValueError, match="size must be a positive factor"):
        inversion.BrightnessAmplitude(2.0, BRIGHT, 0.01, size=0.0)
