"""The public face: reconstruction, gradients, batches, scenes, and errors that say what is wrong."""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import LENS, SCALE, SIZE, make_dataset

import lensax as lx
from lensax import inversion
from lensax.inversion.trace import trace_rays

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import inversion_gradients as benchmark

LIGHT = lx.light.GaussianBasis([0.2, 0.4, 0.8], 0.1, 0.0)
PIXELIZATION = inversion.Pixelization(inversion.AdaptiveMesh((9, 9)), inversion.Constant(0.3), over_sample=2)


@pytest.fixture(scope="module")
def found(ring):
    return PIXELIZATION.fit(ring, LENS, LIGHT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mesh", "over_sample"),
    [
        ("adaptive", 2),
        *(
            pytest.param(mesh, over_sample, marks=pytest.mark.extended)
            for mesh, over_sample in [("adaptive", 1), ("adaptive", 4), ("uniform", 1), ("uniform", 2), ("uniform", 4)]
        ),
    ],
)
def test_every_stage_has_its_derivative(mesh, over_sample):
    """Coincident coordinates and generic lenses: automatic over finite difference is 1."""
    rows = benchmark.measure(mesh, over_sample=over_sample, cells=8, pixel_scale=0.35, radius=3.5)
    assert len(rows) == 3 * len(benchmark.STAGES)
    wrong = {f"{row['scene']}, {row['stage']}": row["ratio"] - 1 for row in rows if not abs(row["ratio"] - 1) <= 1e-6}
    assert wrong == {}


@pytest.mark.extended
def test_evidence_is_smooth():
    """Its gradient along a line follows a cubic to 2e-3."""
    image = benchmark.dataset(benchmark.LENSES["elliptical with shear"], 0.14, 3.5)
    observation = PIXELIZATION.observation(image)
    assert benchmark.roughness(observation, 2, 9, "adaptive", 2, points=21) < 2e-3


def test_source_and_light_are_recovered(found, ring):
    assert found.evidence.certified
    assert 0.8 < found.reduced_chi_squared < 1.25
    np.testing.assert_allclose(found.residual, jnp.where(ring.mask, ring.data - found.model_image, 0), atol=1e-12)
    np.testing.assert_allclose(jnp.sum(found.normalized_residual**2), found.chi_squared, rtol=1e-9)
    np.testing.assert_allclose(jnp.sum(found.light_components, 0), found.light_image, atol=1e-12)
    truth = lx.light.Sersic(3.0, 0.2, 1.0, 0.1, 0.2, 0.05, 0.03)
    x, y = jnp.meshgrid(jnp.linspace(-0.2, 0.3, 12), jnp.linspace(-0.2, 0.3, 12))
    difference = found.source_brightness(x, y) - truth.surface_brightness(x, y)
    assert jnp.sqrt(jnp.mean(difference**2)) < 0.2 * truth.surface_brightness(x, y).max()
    assert 5 < found.n_effective < 81


@pytest.mark.extended
def test_pictures_of_the_source(found):
    image = found.source_image((20, 30))
    left, right, bottom, top = (float(edge) for edge in found.extent)
    x = left + (7 + 0.5) * (right - left) / 30
    y = bottom + (4 + 0.5) * (top - bottom) / 20
    np.testing.assert_allclose(image[4, 7], found.source_brightness(jnp.asarray(x), jnp.asarray(y)), rtol=1e-9)
    deviation = found.source_image((5, 6), (-0.2, 0.3, -0.2, 0.3), deviation=True)
    assert deviation.shape == (5, 6)
    assert deviation.min() > 0
    bright = found.brightness_map()
    assert 0 <= bright.image.min() < 0.5
    np.testing.assert_allclose(bright.image.max(), 1.0, rtol=1e-15)


@pytest.mark.slow
def test_gradient_of_the_evidence(ring):
    """Through the public face, with every part free: mass, light, regularization, brightness-scaled kernel."""
    bright = inversion.MoffatAmplitude(5.0, 0.3, dark=0.05)
    regularization = inversion.Matern(0.1, bright, nu=1.5)
    whole = (inversion.Pixelization(inversion.UniformMesh((7, 7)), regularization, over_sample=1), LENS, LIGHT)
    free, fixed = eqx.partition(whole, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(free)
    direction = [0.02 * (1 + 0.1 * i) * jnp.ones_like(leaf) for i, leaf in enumerate(leaves)]

    def evidence(t):
        moved = jax.tree.unflatten(tree, [leaf + t * d for leaf, d in zip(leaves, direction)])
        pixelization, lens, light = eqx.combine(moved, fixed)
        return pixelization.log_evidence(ring, lens, light)

    value, slope = jax.jit(evidence), jax.jit(jax.grad(evidence))(0.0)
    differences = []
    for h in (3e-4, 1e-4, 3e-5, 1e-5):
        f = {k: value(k * h) for k in (-2, -1, 1, 2)}
        differences.append((8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h))
    closest = int(np.argmin(np.abs(np.diff(differences)))) + 1
    np.testing.assert_allclose(slope, differences[closest], rtol=1e-6)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(evidence))(jnp.asarray([0.0, 1e-3])), [value(0.0), value(1e-3)], rtol=1e-12
    )


def test_scene_and_profiles_are_one_lens():
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    x, y = lx.Grid((6, 7), 0.3).positions()
    for one, other in zip(trace_rays(lx.Scene(planes, LENS), x, y), trace_rays(LENS, x, y)):
        np.testing.assert_allclose(one, other, atol=1e-13)


@pytest.mark.extended
def test_brightness_makes_the_mesh_and_the_prior_of_the_next_fit(found, ring):
    mesh = inversion.AdaptiveMesh((9, 9), brightness=found.source_light)
    amplitude = inversion.BrightnessAmplitude(jnp.max(found.coefficients), found.brightness_map(), 0.01)
    again = inversion.Pixelization(mesh, inversion.Matern(0.1, amplitude), over_sample=2).fit(ring, LENS, LIGHT)
    assert again.log_evidence > found.log_evidence
    assert again.evidence.certified


def test_a_point_source_has_its_flux(ring):
    points = lx.light.PointSources([0.23], [-0.41], SCALE / 2)
    x, y = lx.Grid((SIZE, SIZE), SCALE, 2).positions()
    np.testing.assert_allclose(jnp.sum(points.components(x, y)) * (SCALE / 2) ** 2, 1, rtol=1e-12)


def test_profiles_are_linear_light(ring):
    sersic = lx.light.Sersic(1.0, 0.5, 2.0, 0.1, 0.0)
    both = lx.light.ProfileBasis([sersic, lx.light.Gaussian(1.0, 0.4, 0.1, 0.0)])
    x, y = jnp.asarray([0.1, 0.4]), jnp.asarray([0.0, 0.3])
    np.testing.assert_allclose(both.components(x, y)[0], sersic.surface_brightness(x, y))
    source = inversion.ParametricSource(lx.light.Sersic(1.0, 0.2, 1.0, 0.1, 0.2, 0.05, 0.03), over_sample=2)
    fit = source.fit(ring, LENS, both)
    np.testing.assert_allclose(fit.amplitudes[1], 5.0, atol=0.5)
    np.testing.assert_allclose(fit.source_amplitudes, 3.0, atol=0.3)
    with pytest.raises(TypeError, match=r"profiles\[0\] is no light profile"):
        lx.light.ProfileBasis([LENS[0]])


def test_singular_system_names_what_is_missing(ring):
    twice = (lx.light.Sky(), lx.light.Sky())
    wide = inversion.Pixelization(PIXELIZATION.mesh, PIXELIZATION.regularization, over_sample=2, light_deviation=1e12)
    with pytest.raises(ValueError, match=r"components 0, 1 of the linear light cannot be told from each other"):
        wide.fit(ring, LENS, twice)
    with pytest.raises(ValueError, match="the mapping is not finite"):
        inversion.ParametricSource(lx.light.Gaussian(1.0, 0.06), over_sample=1).fit(ring, _Bad(), LIGHT)


class _Prior(inversion.Regularization):
    """The precision of a gradient prior without a floor, times a number."""

    scale: float

    def precision(self, mesh):
        whole = inversion.Constant(1.0, floor=1e-300).precision(mesh)
        return whole._replace(matrix=self.scale * whole.matrix, log_determinant=self.scale * jnp.asarray(1.0))


@pytest.mark.extended
@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (np.nan, "the regularization _Prior is singular: its matrix or log-determinant is not finite"),
        (0.0, r"coefficients are seen by no ray and the regularization _Prior says nothing about them; a zeroth-order"),
    ],
)
def test_a_prior_that_says_too_little_is_named(ring, scale, message):
    mesh = inversion.UniformMesh((14, 14), (-3.0, 3.0, -3.0, 3.0))  # its corners are seen by no ray
    with pytest.raises(ValueError, match=message):
        inversion.Pixelization(mesh, _Prior(scale), over_sample=1).fit(ring, LENS)


class _Bad(lx.mass.MassProfile):
    """A lens that is not finite."""

    def deflection(self, x, y):
        return x * jnp.nan, y

    def convergence(self, x, y):
        return x

    def potential(self, x, y):
        return x


def test_bad_input_is_refused(ring):
    with pytest.raises(ValueError, match=r"40 x 40 = 1600 cells has more coefficients than the \d+ pixels"):
        inversion.Pixelization(inversion.UniformMesh((40, 40)), inversion.Constant(1.0)).fit(ring, LENS)
    with pytest.raises(ValueError, match="leaves no pixel"):
        ring.with_mask(np.zeros((SIZE, SIZE), bool))
    for value in (0.0, np.nan):
        with pytest.raises(ValueError, match="noise_map must be positive and finite"):
            lx.Imaging(ring.data, ring.noise_map.at[15, 20].set(value), ring.psf, SCALE)
    with pytest.raises(ValueError, match=r"noise_map has shape \(3, 3\), the data"):
        lx.Imaging(ring.data, np.ones((3, 3)), ring.psf, SCALE)
    large = lx.Imaging(ring.data, ring.noise_map, lx.psf.Kernel(np.ones((31, 31))), SCALE)
    with pytest.raises(ValueError, match=r"the PSF covers 31 x 31 pixels, more than the image's 30 x 30"):
        PIXELIZATION.log_evidence(large, LENS)
    with pytest.raises(ValueError, match="over_sample must be a multiple of the"):
        inversion.Pixelization(PIXELIZATION.mesh, PIXELIZATION.regularization, over_sample=1).fit(
            make_dataset(sampling=2), LENS
        )
    with pytest.raises(ValueError, match="must be known when compiling"):
        jax.jit(lambda dataset: PIXELIZATION.log_evidence(dataset, LENS))(ring)
    other = inversion.AdaptiveMesh((7, 7), brightness=np.ones((4, 5)))
    with pytest.raises(ValueError, match=r"brightness has shape \(4, 5\), the data \(30, 30\)"):
        inversion.Pixelization(other, inversion.Constant(1.0)).log_evidence(ring, LENS)
    with pytest.raises(TypeError, match=r"lens\[0\]: expected a mass profile, found Gaussian"):
        PIXELIZATION.log_evidence(ring, (lx.light.Gaussian(1.0, 1.0),))
    with pytest.raises(TypeError, match="mesh must be a Mesh of"):
        inversion.Pixelization(3, inversion.Constant(1.0))
