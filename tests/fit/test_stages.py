"""A whole fit: a rough source, the noise and the box that follow from it, and the source whose prior follows them."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from fit_problem import LIGHT, MASS, START, image, parameters, parametric

from lensax.fit import FitModel, Plan, SourceBox, brightness_of, fit_in_stages, noise_of
from lensax.fit.stages import FIRST_STRENGTH
from lensax.inversion import BrightnessAmplitude, CorrelatedNoise, Matern, Pixelization, UniformMesh
from lensax.parameters import Free
from lensax.recipe import Ingredient


def open_model() -> FitModel:
    amplitude = Ingredient(BrightnessAmplitude, {"deviation": "deviation", "dark": "dark"})
    regularization = Ingredient(Matern, {"length": "length"}, parts={"amplitude": amplitude})
    box = SourceBox(cell=0.1, margin=0.15, most=100)
    source = Ingredient(Pixelization, {}, {"over_sample": 1}, {"mesh": box, "regularization": regularization})
    more = {
        "length": Free("length", dist.LogNormal(-1.5, 0.7)),
        "deviation": Free("deviation", dist.LogNormal(1.0, 1.0)),
        "dark": Free("dark", dist.LogNormal(-3.0, 1.0)),
    }
    return FitModel(parameters(**more), MASS, source, LIGHT)


@pytest.fixture(scope="module")
def stages():
    begin = {name: jnp.asarray(START[name]) for name in ("radius", "slope", "e1", "light")}
    calls = []
    plan = Plan(passes=1, iterations=10, first_mesh=(6, 6), hold_first=("slope",))
    found = fit_in_stages(open_model(), image(), [begin], plan, progress=lambda *what: calls.append(what))
    assert {call[0] for call in calls} == {"first pass", "pass 2"}
    return found


@pytest.mark.extended
def test_the_first_pass_is_rough(stages):
    first = stages[0]
    assert FIRST_STRENGTH in first.maximum.theta
    assert "length" not in first.maximum.theta
    assert first.posterior.model.source.parts["mesh"].shape == (6, 6)
    np.testing.assert_allclose(first.maximum.theta["slope"], START["slope"], rtol=1e-12)


@pytest.mark.extended
def test_the_second_pass_has_the_box_the_brightness_and_the_noise(stages):
    first, second = stages
    mesh = second.posterior.model.source.parts["mesh"]
    assert isinstance(mesh, UniformMesh)
    left, right, bottom, top = mesh.extent
    assert left < 0.05 < right  # the source is at (0.05, 0.02)
    assert bottom < 0.02 < top
    assert right - left < 1.2
    bright = second.posterior.model(second.maximum.theta).source.regularization.amplitude.brightness
    assert float(bright(jnp.asarray(0.05), jnp.asarray(0.02))) > 0.5
    assert isinstance(second.posterior.noise, CorrelatedNoise)
    assert not np.allclose(second.posterior.dataset.noise_map, first.posterior.dataset.noise_map, rtol=1e-3)
    assert abs(float(second.found.reduced_chi_squared) - 1) < 0.15
    assert abs(second.maximum.theta["radius"] - 1.0) < 0.03


@pytest.mark.extended
def test_the_noise_is_scaled_to_the_residuals(stages):
    """Their sum of squares is the number of degrees of freedom."""
    first = stages[0]
    wrong = first.posterior.dataset
    scaled, noise = noise_of(wrong, first.found, correlated=False)
    assert noise is None
    white = np.asarray(first.found.residual / scaled.noise_map)[np.asarray(wrong.mask)]
    freedom = first.found.n_pixels - float(first.found.n_effective) - 2
    np.testing.assert_allclose(np.sum(white**2), freedom, rtol=1e-9)
    outside = ~np.asarray(wrong.mask)
    np.testing.assert_array_equal(np.asarray(scaled.noise_map)[outside], np.asarray(wrong.noise_map)[outside])


@pytest.mark.extended
def test_a_closed_model_is_fitted_as_it_is():
    begin = {name: jnp.asarray(START[name]) for name in parametric().prior.names}
    (only,) = fit_in_stages(parametric(), image(), [begin], Plan(noise=False, iterations=3))
    assert only.name == "first pass"
    assert only.found.mesh is None


@pytest.mark.extended
def test_bad_input(stages):
    with pytest.raises(ValueError, match="cell must be a positive number"):
        SourceBox(cell=0.0)
    with pytest.raises(ValueError, match="at least 16 cells"):
        SourceBox(most=3)
    with pytest.raises(ValueError, match="no extent of its own"):
        brightness_of(stages[0].found, UniformMesh((7, 7)))
