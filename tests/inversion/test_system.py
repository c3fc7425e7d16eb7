"""The linear system: tiles against dense matrices, noise, masks and PSFs; and the evidence against its definition."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import LENS, SCALE, make_dataset
from scipy.stats import multivariate_normal

import lensax as lx
from lensax import inversion
from lensax.inversion import tile_layout
from lensax.inversion.source import prior_matrix
from lensax.inversion.system import assemble, observe_rays, white_columns
from lensax.inversion.trace import linear_light

LIGHT = (lx.light.GaussianBasis([0.2, 0.6], 0.1, 0.0, 0.01, 0.0), lx.light.Sky())
DRIZZLED = inversion.CorrelatedNoise.from_mixing(0.15)


def dense(pixelization, dataset, light):
    """White columns (n, pixels of the core) and white data, from blurring one coefficient at a time."""
    observation = pixelization.observation(dataset)
    placed, taps, rays = observe_rays(observation, pixelization.mesh, LENS)
    fields = jax.lax.map(lambda unit: observation.blurred(taps.evaluate(unit)), jnp.eye(placed.n_cells))
    _, columns = white_columns(observation, linear_light(light), (), rays)
    columns = jnp.concatenate([observation.white(fields), columns])
    return columns.reshape(len(columns), -1), observation.white(observation.data[None])[0].ravel()


@pytest.mark.parametrize(
    ("mesh", "noise", "over_sample", "dataset", "light"),
    [
        (inversion.UniformMesh((9, 7), (-0.5, 0.5, -0.4, 0.4), 3), DRIZZLED, 2, {}, LIGHT),
        # A mask that touches the edge: light from beyond the image blurs in.  Two samples of the PSF per pixel, four
        # rays per sample, which lie many cells apart about the centre.
        pytest.param(
            *(inversion.AdaptiveMesh((7, 9), 1), DRIZZLED, 4, {"mask": lx.Mask.circular(3.0), "sampling": 2}, None),
            marks=pytest.mark.extended,
        ),
        (inversion.UniformMesh((7, 7)), inversion.IndependentNoise(), 2, {"psf": False}, None),
    ],
    ids=["fixed, correlated", "edge, sampled psf", "no psf"],
)
def test_tiles_make_the_dense_system(mesh, noise, over_sample, dataset, light, monkeypatch):
    monkeypatch.setattr(tile_layout, "_CHUNK", 16)  # several chunks of columns for a tile
    image = make_dataset(**dataset)
    pixelization = inversion.Pixelization(mesh, inversion.Constant(1.0), noise, over_sample, tile=6)
    system = pixelization.system(image, LENS, light)
    columns, data = dense(pixelization, image, light)
    expected = columns @ columns.T
    np.testing.assert_allclose(system.curvature, expected, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_allclose(system.data_vector, columns @ data, atol=1e-12 * np.abs(columns @ data).max())


def test_derivative_of_the_system(monkeypatch):
    """Where rays of a pixel lie many cells apart, and more columns are seen than are kept for the way back."""
    monkeypatch.setattr(tile_layout, "_CHUNK", 16)
    image = make_dataset(lx.Mask.circular(0.8))
    pixelization = inversion.Pixelization(inversion.AdaptiveMesh((11, 11)), inversion.Constant(1.0), over_sample=4)
    observation = pixelization.observation(image)
    data = observation.white(observation.data[None])[0].ravel()
    random = np.random.default_rng(0)
    of_matrix, of_vector = (jnp.asarray(random.normal(size=shape)) for shape in ((121, 121), (121,)))

    def through_tiles(radius):
        system = assemble(observation, pixelization.mesh, lens(radius), None, jnp.asarray(10.0))
        return jnp.vdot(of_matrix, system.curvature) + of_vector @ system.data_vector

    def through_images(radius):
        _, taps, _ = observe_rays(observation, pixelization.mesh, lens(radius))
        fields = jax.lax.map(lambda unit: observation.blurred(taps.evaluate(unit)), jnp.eye(121))
        columns = observation.white(fields).reshape(121, -1)
        return jnp.vdot(of_matrix, columns @ columns.T) + of_vector @ (columns @ data)

    def lens(radius):
        return lx.mass.PowerLaw(radius, 2.1, 0.1, 0.05, 0.01, -0.02), LENS[1]

    radius = jnp.asarray(0.7)
    value, slope = jax.jit(jax.value_and_grad(through_tiles))(radius)
    expected, expected_slope = jax.jit(jax.value_and_grad(through_images))(radius)
    np.testing.assert_allclose(value, expected, rtol=1e-11)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-9)


def test_light_from_outside_the_mask_blurs_in(ring):
    """The model of a pixel does not depend on which other pixels are used."""
    wide = ring.with_mask(lx.Mask.circular(1.3))
    fixed = inversion.UniformMesh((9, 9), (-0.6, 0.6, -0.6, 0.6))
    coefficients = jnp.asarray(np.random.default_rng(0).uniform(size=81))

    def image(dataset):
        observation = inversion.Pixelization(fixed, inversion.Constant(1.0)).observation(dataset)
        _, taps, _ = observe_rays(observation, fixed, LENS)
        return observation.frame.place(observation.frame.inner(observation.blurred(taps.evaluate(coefficients))))

    used = np.asarray(ring.mask)
    np.testing.assert_allclose(image(ring)[used], image(wide)[used], rtol=1e-10)


@pytest.fixture(scope="module")
def small(ring):
    """A pixelization, its system, and the columns of the same."""
    pixelization = inversion.Pixelization(
        inversion.AdaptiveMesh((7, 9)), inversion.Constant(0.5), over_sample=1, tile=6
    )
    return pixelization, pixelization.system(ring, LENS, LIGHT), dense(pixelization, ring, LIGHT)


def test_evidence_is_the_marginal_density(small):
    """Without positivity: the density of the data, source and light integrated out."""
    pixelization, system, (columns, data) = small
    free = inversion.Pixelization(
        pixelization.mesh, pixelization.regularization, over_sample=1, positive=False, tile=6
    ).evidence(system)
    prior = np.linalg.inv(prior_matrix(pixelization, system)[0])
    used = np.abs(np.asarray(columns)).max(0) > 0
    a, d = np.asarray(columns)[:, used], np.asarray(data)[used]
    white = multivariate_normal(np.zeros(d.size), np.eye(d.size) + a.T @ prior @ a).logpdf(d)
    jacobian = -0.5 * (float(system.log_normalization) - d.size * np.log(2 * np.pi))
    np.testing.assert_allclose(free.log_evidence, white + jacobian, rtol=1e-10)


def test_covariance_is_the_inverse_and_has_its_derivative(small):
    pixelization, system, _ = small
    total = np.asarray(system.curvature + prior_matrix(pixelization, system)[0])
    np.testing.assert_allclose(pixelization.evidence(system).covariance @ total, np.eye(len(total)), atol=1e-8)

    @jax.jit
    def effective(factor):
        """Coefficients that data with so much less noise determine."""
        curvature = factor * system.curvature
        more = eqx.tree_at(lambda system: system.curvature, system, curvature)
        return jnp.sum(curvature * pixelization.evidence(more).covariance)

    slope = jax.grad(effective)(1.0)
    assert slope > 0
    np.testing.assert_allclose(slope, (effective(1 + 1e-5) - effective(1 - 1e-5)) / 2e-5, rtol=1e-6)


def test_terms_add_up_and_positivity_is_certified(small):
    pixelization, system, (columns, data) = small
    found = pixelization.evidence(system)
    s = found.coefficients
    assert found.certified
    assert s.min() == 0
    np.testing.assert_allclose(found.chi_squared, jnp.sum((data - s @ columns) ** 2), rtol=1e-10)
    terms = (
        found.chi_squared,
        found.regularization,
        found.log_det_curvature,
        -found.log_det_regularization,
        found.log_normalization,
    )
    np.testing.assert_allclose(found.log_evidence, -0.5 * sum(terms), rtol=1e-13)
    again = pixelization.evidence(system, found.free)
    np.testing.assert_allclose(again.coefficients, s, atol=1e-12)
    assert again.passes <= found.passes


def test_columns_of_very_different_size_are_solved(small):
    """A condition number of 1e10 and more that scaling removes."""
    _, system, _ = small
    n = system.data_vector.size
    size = jnp.asarray(10.0 ** np.linspace(-4, 4, n))
    found = inversion.nnls(system.curvature + jnp.eye(n) * 1e-3, system.data_vector)
    total = (system.curvature + jnp.eye(n) * 1e-3) * size[:, None] * size[None, :]
    scaled = inversion.nnls(total, system.data_vector * size)
    assert np.linalg.cond(total) > 1e10
    assert scaled.certified
    np.testing.assert_allclose(scaled.values * size, found.values, rtol=1e-9, atol=1e-12)


def test_noise_and_psf_are_constants(ring):
    def evidence(scale):
        noisy = lx.Imaging(ring.data, ring.noise_map * scale, ring.psf, SCALE, ring.mask)
        return inversion.Pixelization(inversion.UniformMesh((7, 7)), inversion.Constant(1.0)).log_evidence(noisy, LENS)

    with pytest.raises(TypeError, match="noise are constants of an inversion"):
        jax.grad(evidence)(1.0)
