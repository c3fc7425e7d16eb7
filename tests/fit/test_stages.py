"""A whole fit: a rough source, the noise and the box that follow from it, and the source whose prior follows them."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from fit_problem import LIGHT, MASS, START, image, parameters, parametric

from lensax.fit import BrightnessMesh, FitModel, Maximum, Plan, SourceBox, brightness_of, fit_in_stages, noise_of
from lensax.fit.stages import FIRST_STRENGTH, Memory
from lensax.inversion import BrightnessAmplitude, BrightnessMap, CorrelatedNoise, Matern, Pixelization, UniformMesh
from lensax.parameters import Free, Parameters
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


class Recorder(Memory):
    """Notes which stages are finished."""

    def __init__(self, seen: list) -> None:
        self.seen = seen

    def save(self, stage) -> None:
        self.seen.append((stage.name, stage.maximum.log_density))


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
@pytest.mark.parametrize("given", [False, True], ids=["of the pass before", "given"])
def test_a_draft_is_coarser_and_a_new_map_has_its_own_size(given):
    """The first pass of several has half of the cells; the last begins where the one before ended, but for the size of
    a map that it made."""
    spot = BrightnessMap(np.hanning(22)[1:-1, None] * np.hanning(22)[None, 1:-1], (-0.4, 0.5, -0.4, 0.4))
    parts = {"brightness": spot} if given else {}
    amplitude = Ingredient(BrightnessAmplitude, {"deviation": "deviation", "size": "size"}, parts=parts)
    model = open_model()
    regularization = model.source.parts["regularization"].with_parts(amplitude=amplitude)
    more = {"size": Free("size", dist.LogNormal(0.0, 0.2))}
    entries = {name: model.parameters[name] for name in model.parameters if name != "dark"}
    box = SourceBox(cell=0.04, margin=0.1, most=64)
    source = model.source.with_parts(mesh=box, regularization=regularization)
    source = Ingredient(source.profile, {}, {"over_sample": 2}, source.parts)
    model = FitModel(Parameters({**entries, **more}), model.mass, source, model.light)
    begin = {name: jnp.asarray(START[name]) for name in ("radius", "slope", "e1", "light")}
    plan = Plan(passes=2, iterations=3, first_mesh=(5, 5), hold_first=("slope",))
    seen = []
    _, draft, last = fit_in_stages(model, image(), [begin], plan, memory=Recorder(seen))
    assert [name for name, _ in seen] == ["first pass", "pass 2", "pass 3"]
    cells = [int(np.prod(stage.posterior.model.source.parts["mesh"].shape)) for stage in (draft, last)]
    assert cells[0] < 0.7 * cells[1]
    assert [dict(stage.posterior.model.source.switches)["over_sample"] for stage in (draft, last)] == [1, 2]
    first = float(last.maximum.histories[0].log_density[0])
    theta = draft.maximum.theta if given else {**draft.maximum.theta, "size": jnp.asarray(1.0)}
    kept = last.posterior.model.source.parts["regularization"].parts["amplitude"].parts["brightness"]
    assert eqx.tree_equal(kept, spot) == given
    np.testing.assert_allclose(
        first, last.posterior.evaluate(last.posterior.unconstrained(theta)).log_density, atol=0.5
    )
    assert last.maximum.covariance.shape == (last.posterior.n_parameters,) * 2
    assert np.linalg.eigvalsh(last.maximum.covariance).min() > 0


def test_cells_that_are_larger_than_asked_for_are_remarked_on():
    extent = (-0.5, 0.5, -0.5, 0.5)
    assert SourceBox(cell=0.04, most=700).remark(UniformMesh((25, 25), extent)) is None
    remark = SourceBox(cell=0.04, most=64).remark(UniformMesh((8, 8), extent))
    assert "0.125 arcsec, not 0.04: SourceBox lays at most 64" in remark


@pytest.mark.extended
def test_a_closed_model_is_fitted_as_it_is():
    begin = {name: jnp.asarray(START[name]) for name in parametric().prior.names}
    (only,) = fit_in_stages(parametric(), image(), [begin], Plan(noise=False, iterations=3))
    assert only.name == "first pass"
    assert only.found.mesh is None


@pytest.mark.extended
def test_what_a_closed_model_holds_is_set_free():
    begin = {name: jnp.asarray(START[name]) for name in parametric().prior.names}
    plan = Plan(noise=False, iterations=4, hold_first=("slope",))
    first, last = fit_in_stages(parametric(), image(), [begin], plan)
    assert [first.name, last.name] == ["first pass", "all"]
    np.testing.assert_allclose(first.maximum.theta["slope"], START["slope"], rtol=1e-12)
    assert abs(last.maximum.theta["slope"] - START["slope"]) > 1e-4
    assert last.maximum.log_density > first.maximum.log_density


@pytest.mark.extended
def test_a_hessian_takes_the_last_search_further():
    begin = {name: jnp.asarray(START[name]) for name in parametric().prior.names}
    short, long = (
        fit_in_stages(parametric(), image(), [begin], Plan(noise=False, iterations=5, precondition=choice))[-1].maximum
        for choice in (False, True)
    )
    assert len(short.histories[0].log_density) > 5  # both are at their limit
    assert long.log_density > short.log_density + 0.01


@pytest.mark.extended
def test_bad_input(stages):
    with pytest.raises(ValueError, match="cell must be a positive number"):
        SourceBox(cell=0.0)
    with pytest.raises(ValueError, match="at least 16 cells"):
        SourceBox(most=3)
    with pytest.raises(ValueError, match="smooth must be a positive angle in arcsec, got 0"):
        brightness_of(stages[0].found, (-1, 1, -1, 1), 0.0)


@pytest.mark.extended
def test_cells_follow_the_brightness_of_the_pass_before_in_one_program():
    model = open_model()
    model = dataclasses.replace(model, source=model.source.with_parts(mesh=BrightnessMesh((8, 9))))
    begin = {name: jnp.asarray(START[name]) for name in ("radius", "slope", "e1", "light")}
    plan = Plan(passes=2, iterations=2, first_mesh=(6, 6), noise=False, draft=False)
    first, second, third = fit_in_stages(model, image(), [begin], plan)
    for stage, before in ((second, first), (third, second)):
        mesh = stage.posterior.model.source.parts["mesh"]
        assert mesh.shape == (8, 9)
        np.testing.assert_array_equal(mesh.brightness, before.found.source_light)
        bright = stage.posterior.model.source.parts["regularization"].parts["amplitude"].parts["brightness"]
        np.testing.assert_array_equal(bright.extent, jnp.stack(before.found.extent))
    # What is not an array is compiled into a program: nothing of that may differ.
    (one, other) = (eqx.partition(stage.posterior, eqx.is_array) for stage in (second, third))
    assert jax.tree.structure(one[0]) == jax.tree.structure(other[0])
    assert eqx.tree_equal(one[1], other[1])
    kinds = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(arrays)] for arrays, _ in (one, other)]
    assert kinds[0] == kinds[1]


class Keeper(Recorder):
    """Keeps the maxima, as the folder of a fit does."""

    def __init__(self) -> None:
        super().__init__([])
        self.kept: dict[str, Maximum] = {}

    def load(self, name, posterior) -> Maximum | None:
        return self.kept.get(name)

    def save(self, stage) -> None:
        super().save(stage)
        self.kept[stage.name] = stage.maximum


@pytest.mark.extended
def test_passes_end_when_they_get_worse_and_the_better_one_is_fitted_to_its_end(monkeypatch):
    monkeypatch.setattr("lensax.fit.stages._WORSE", -1e9)  # every pass is worse than the one before
    model = open_model()
    model = dataclasses.replace(model, source=model.source.with_parts(mesh=BrightnessMesh((8, 9))))
    begin = {name: jnp.asarray(START[name]) for name in ("radius", "slope", "e1", "light")}
    plan, memory = Plan(passes=4, iterations=8, first_mesh=(6, 6), draft=False), Keeper()
    stages = fit_in_stages(model, image(), [begin], plan, memory=memory)
    assert [stage.name for stage in stages] == ["first pass", "pass 2", "pass 3", "pass 2 again"]
    better, worse, again = stages[1:]
    assert eqx.tree_equal(again.posterior, better.posterior)
    assert not eqx.tree_equal(again.posterior, worse.posterior)
    assert again.maximum.log_density >= better.maximum.log_density
    # A fit that goes on takes the same way and looks for nothing again.
    memory.seen.clear()
    resumed = fit_in_stages(model, image(), [begin], plan, memory=memory)
    assert [stage.name for stage in resumed] == [stage.name for stage in stages]
    assert not memory.seen
    np.testing.assert_allclose(resumed[-1].found.coefficients, again.found.coefficients, rtol=1e-9, atol=1e-12)
