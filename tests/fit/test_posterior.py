"""The posterior: its gradient, its terms, and lenses that it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fit_problem import image, pixelized, posterior, start

import lensax as lx
from lensax.fit import Positions, Posterior


@pytest.fixture(scope="module", params=["pixelized", "parametric"])
def made(request):
    return posterior(request.param)


@pytest.fixture(scope="module")
def point(made):
    return np.asarray(made.unconstrained(start(made)))


def test_gradient_is_the_finite_difference(made, point):
    """Along every parameter: mass, light, source and regularization."""
    found = made.evaluate(point)
    assert found.good
    scale = np.abs(found.gradient).max()
    for i in range(made.n_parameters):
        f = {k: float(made.evaluate(point + k * 1e-4 * np.eye(len(point))[i]).log_density) for k in (-2, -1, 1, 2)}
        slope = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / 12e-4
        assert abs(slope - found.gradient[i]) < 1e-6 * scale, made.names[i]


def test_log_density_is_the_sum_of_its_terms():
    made = posterior("parametric")
    point = made.unconstrained(start(made))
    found = made.evaluate(point)
    theta = made.constrain(jnp.asarray(point))
    volume = jax.jacfwd(lambda z: made.model.prior.flatten(made.constrain(z)))(jnp.asarray(point))
    parts = made.model(theta)
    evidence = parts.source.log_evidence(made.dataset, parts.lens, parts.light)
    expected = evidence + made.model.prior.log_prob(theta) + np.linalg.slogdet(volume)[1]
    np.testing.assert_allclose(found.log_density, expected, rtol=1e-10)
    np.testing.assert_allclose(found.log_evidence, evidence, rtol=1e-10)


def test_a_source_of_one_gaussian_is_found_with_its_amplitude():
    made = posterior("parametric")
    truth = {"radius": 1.0, "slope": 2.0, "e1": 0.1, "light": 0.05, "width": 0.15, "x": 0.05, "y": 0.02}
    found = made.solution(truth)
    assert abs(float(found.source_amplitudes[0]) / 6 - 1) < 0.1
    assert 0.8 < found.reduced_chi_squared < 1.3
    assert found.mesh is None
    assert found.coefficients.size == 0
    left, right, bottom, top = (float(edge) for edge in found.extent)
    assert left < -0.2 < 0.3 < right < 1.0
    assert bottom < -0.2 < 0.2 < top < 1.0
    inside = jnp.asarray(0.05), jnp.asarray(0.02)
    np.testing.assert_allclose(found.source_brightness(*inside), found.source_amplitudes[0], rtol=1e-9)
    assert 0 < found.source_deviation(*inside) < 0.5


def test_z_and_theta_are_each_others_inverse(made, point):
    draws = made.model.prior.sample(jax.random.key(0), (200,))
    z = made.unconstrained(draws)
    assert z.shape == (200, made.n_parameters)
    assert 0.7 < float(jnp.median(jnp.abs(z)) / 0.674) < 1.3  # of the order of one, whatever the unit
    for name, values in made.constrain(z).items():
        np.testing.assert_allclose(values, draws[name], rtol=1e-8, atol=1e-10)
    with pytest.raises(ValueError, match=r"radius must lie inside its prior Uniform.*got 3"):
        made.unconstrained({**start(made), "radius": jnp.asarray(3.0)})


def test_a_warm_start_does_not_change_the_result(made, point):
    cold = made.evaluate(point)
    warm = made.evaluate(point, cold.free)
    np.testing.assert_allclose(warm.log_density, cold.log_density, rtol=1e-12)
    assert warm.passes == 1


def test_the_system_is_used_again_while_the_prior_moves():
    made = posterior("pixelized")
    z = jnp.asarray(made.unconstrained(start(made)))
    system = made.system(z)
    moved = z.at[made.names.index("strength")].add(0.3)
    whole, again = made.evaluate(moved), made.evaluate(moved, system=system)
    np.testing.assert_allclose(again.log_density, whole.log_density, rtol=1e-11)
    which = made.names.index("strength")
    np.testing.assert_allclose(again.gradient[which], whole.gradient[which], rtol=1e-6)


def test_a_refused_lens_is_minus_infinity_with_a_gradient_of_zero(point, made):
    strict = Posterior(made.model, made.dataset, minimum_magnification=1e4)
    for value, gradient in (
        strict.value_and_gradient(point),
        jax.value_and_grad(strict.log_density)(jnp.asarray(point)),
    ):
        assert value == -np.inf
        np.testing.assert_array_equal(gradient, np.zeros(len(point)))
    # An ellipticity above 1, which no ellipse has, makes NaN all the way.
    wild = jnp.asarray(point).at[made.names.index("e1")].set(30.0)
    value, gradient = made.value_and_gradient(wild)
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, np.zeros(len(point)))


def test_log_density_differentiates_and_batches():
    made = posterior("parametric")
    point = made.unconstrained(start(made))
    found = made.evaluate(point)
    value, gradient = jax.jit(jax.value_and_grad(made.log_density))(jnp.asarray(point))
    np.testing.assert_allclose(value, found.log_density, rtol=1e-12)
    np.testing.assert_allclose(gradient, found.gradient, rtol=1e-7, atol=1e-7)


def test_magnification_is_that_of_the_source(made, point):
    """A compact source inside the caustic of an isothermal ellipsoid is magnified by several times."""
    assert 3 < made.evaluate(point).magnification < 60


def test_positions():
    lens = (lx.mass.PowerLaw(1.0, 2.0),)
    together = Positions([1.2, -0.8], [0.0, 0.0], tolerance=0.1)  # images of a source at 0.2
    np.testing.assert_allclose(together.separation(lens), 0.0, atol=1e-12)
    assert together.log_prob(lens) == 0
    apart = Positions([1.3, -0.6], [0.0, 0.0], tolerance=0.02)  # 0.3 and 0.4: each 0.05 from their mean
    np.testing.assert_allclose(apart.separation(lens), 0.05, rtol=1e-9)
    np.testing.assert_allclose(apart.log_prob(lens), -(((0.05 - 0.02) / 0.002) ** 2), rtol=1e-8)
    slope = jax.grad(lambda r: apart.log_prob((lx.mass.PowerLaw(r, 2.0),)))
    assert slope(jnp.asarray(1.0)) != 0
    for wrong, message in (
        (dict(x=[1.0], y=[1.0]), "at least two images"),
        (dict(x=[1.0, 2.0], y=[1.0]), "lists of equal length"),
        (dict(x=[1.0, 2.0], y=[1.0, np.nan]), "y must be finite"),
        (dict(x=[1.0, 2.0], y=[1.0, 2.0], tolerance=0.0), "tolerance must be a positive"),
    ):
        with pytest.raises(ValueError, match=message):
            Positions(**wrong)


def test_positions_are_part_of_the_posterior():
    plain = posterior("parametric")
    images = Positions([1.3, -0.6], [0.0, 0.1], tolerance=0.02)
    held = Posterior(plain.model, plain.dataset, positions=images)
    z = jnp.asarray(plain.unconstrained(start(plain)))
    lens = plain.model(plain.constrain(z)).lens
    difference = held.evaluate(z).log_density - plain.evaluate(z).log_density
    np.testing.assert_allclose(difference, images.log_prob(lens), rtol=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="minimum_magnification must be a positive number, got -1"):
        Posterior(pixelized(), image(), minimum_magnification=-1.0)
    few = np.zeros((28, 28), bool)
    few[14, 20] = True
    two = lx.inversion.ParametricSource(lx.light.GaussianBasis([0.1, 0.2]))
    with pytest.raises(ValueError, match="more amplitudes than the 1 pixels"):
        two.observation(image().with_mask(few))
    with pytest.raises(ValueError, match="at least one component"):
        lx.inversion.ParametricSource(())
