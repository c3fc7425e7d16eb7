"""Sources of profiles: alone, and beside a mesh; blurring in float32; refused lenses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import LENS

import lensax as lx
from lensax import inversion

LIGHT = lx.light.GaussianBasis([0.2, 0.4, 0.8], 0.1, 0.0)
CLUMP = lx.light.Gaussian(1.0, 0.06, 0.0, 0.0, 0.05, 0.03)
MESH = inversion.UniformMesh((8, 8), (-0.5, 0.6, -0.5, 0.6))


def pixelization(**more):
    return inversion.Pixelization(MESH, inversion.Constant(0.3), over_sample=2, **more)


def test_a_component_beside_the_mesh(ring):
    found = pixelization(components=CLUMP).fit(ring, LENS, LIGHT)
    assert found.source_amplitudes.shape == (1,)
    assert found.amplitudes.shape == (3,)
    np.testing.assert_allclose(found.residual, jnp.where(ring.mask, ring.data - found.model_image, 0), atol=1e-12)
    np.testing.assert_allclose(jnp.sum(found.normalized_residual**2), found.chi_squared, rtol=1e-9)
    np.testing.assert_allclose(jnp.sum(found.light_components, 0), found.light_image, atol=1e-12)
    x, y = jnp.asarray([0.05, 0.2]), jnp.asarray([0.03, 0.1])
    of_mesh = found.mesh.evaluate(found.coefficients, x, y)
    of_clump = found.source_amplitudes[0] * CLUMP.surface_brightness(x, y)
    np.testing.assert_allclose(found.source_brightness(x, y), of_mesh + of_clump, rtol=1e-12)
    # The deviation is that of all coefficients together, against a dense evaluation of the same thing.
    taps, weights = found.mesh.taps(x, y), np.zeros((2, 65))
    for row, (index, weight) in enumerate(zip(np.asarray(taps.index()), np.asarray(taps.weights()))):
        np.add.at(weights[row], index, weight)
    weights[:, 64] = CLUMP.surface_brightness(x, y)
    covariance = np.asarray(found.covariance)[:65, :65]
    expected = np.sqrt(np.einsum("pi,ij,pj->p", weights, covariance, weights))
    np.testing.assert_allclose(found.source_deviation(x, y), expected, rtol=1e-9)


def test_a_parametric_source_is_a_system_of_its_columns(ring):
    source = inversion.ParametricSource((CLUMP, lx.light.GaussianBasis([0.1, 0.2])), over_sample=2)
    system = source.system(ring, LENS, LIGHT)
    assert system.curvature.shape == (6, 6)
    assert system.mesh is None
    found = source.fit(ring, LENS, LIGHT)
    white = jnp.where(ring.mask, found.source_light / ring.noise_map, 0.0)
    own = jnp.concatenate([found.source_amplitudes, jnp.zeros(3)])
    np.testing.assert_allclose(jnp.sum(white**2), own @ system.curvature @ own, rtol=1e-10)
    light = jnp.where(ring.mask, found.light_image / ring.noise_map, 0.0)
    other = jnp.concatenate([jnp.zeros(3), found.amplitudes])
    np.testing.assert_allclose(jnp.sum(white * light), own @ system.curvature @ other, rtol=1e-9)


@pytest.mark.parametrize("gradient", [False, pytest.param(True, marks=pytest.mark.extended)])
def test_blurring_in_float32_changes_little(ring, gradient):
    def evidence(radius, mixed):
        lens = (lx.mass.PowerLaw(radius, 2.1, 0.1, 0.05, 0.01, -0.02), LENS[1])
        return pixelization(mixed_precision=mixed).log_evidence(ring, lens, LIGHT)

    functions = [lambda r, m=mixed: evidence(r, m) for mixed in (False, True)]
    if gradient:
        a, b = (jax.jit(jax.grad(function))(jnp.asarray(0.7)) for function in functions)
        np.testing.assert_allclose(b, a, rtol=1e-5)
    else:
        a, b = (jax.jit(function)(jnp.asarray(0.7)) for function in functions)
        assert a != b
        assert abs(a - b) < 1e-4


def test_a_lens_without_a_solution_is_minus_infinity_with_a_gradient_of_zero(ring):
    source = inversion.ParametricSource(CLUMP, over_sample=2)

    def evidence(e1):
        return source.log_evidence(ring, (lx.mass.PowerLaw(0.7, 2.0, e1),), LIGHT)

    value, slope = jax.jit(jax.value_and_grad(evidence))(jnp.asarray(1.5))
    assert value == -jnp.inf
    assert slope == 0
    assert jnp.isfinite(jax.jit(evidence)(jnp.asarray(0.1)))


def test_bad_input_of_a_parametric_source():
    with pytest.raises(ValueError, match="at least one component"):
        inversion.ParametricSource(())
    with pytest.raises(TypeError, match="expected a LightBasis or a light profile"):
        inversion.ParametricSource(3.0)
    with pytest.raises(ValueError, match="over_sample"):
        inversion.ParametricSource(CLUMP, over_sample=0)
