"""A fit as a sequence of simpler ones: a rough source first, then its noise, its place, its prior, then everything."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lensax._types import PRNGKeyArray
from lensax.fit.laplace import laplace
from lensax.fit.maximum import Maximum, maximize, starting_points
from lensax.fit.model import FitModel
from lensax.fit.positions import Positions
from lensax.fit.posterior import Posterior
from lensax.fit.preparation import SourceBox, brightness_of, noise_of
from lensax.instrument import Imaging
from lensax.inversion import (
    AdaptiveMesh,
    BrightnessAmplitude,
    Constant,
    Noise,
    Pixelization,
    Reconstruction,
    UniformMesh,
)
from lensax.parameters import Free, Parameters
from lensax.recipe import Ingredient

__all__ = ["FIRST_STRENGTH", "Memory", "Plan", "Stage", "fit_in_stages", "is_open"]

FIRST_STRENGTH = "first_pass.strength"
"""Name of the parameter of the first pass's regularization."""

Progress = Callable[[str, int, float], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a fit proceeds.

    Attributes:
        noise: whether the noise is estimated again, once a first fit exists.
        correlated: whether that includes the correlation of neighbouring pixels.
        passes: times that the brightness which scales the prior is taken from the pass before.
        iterations: of every search at most.
        first_mesh: cells of the first pass, if there is one.
        first_over_sample: its rays per pixel and axis.
        hold_first: parameters that stay at their start in the first pass, such as a slope.
        precondition: whether a Hessian of the posterior, of two gradients for each parameter, shortens the last search.
    """

    noise: bool = True
    correlated: bool = True
    passes: int = 2
    iterations: int = 100
    first_mesh: tuple[int, int] = (20, 20)
    first_over_sample: int = 1
    hold_first: tuple[str, ...] = ()
    precondition: bool = False


class Stage(NamedTuple):
    """One fit of the sequence.

    Attributes:
        name: what it is.
        posterior: what was maximised.
        maximum: what was found.
        found: its source, light and residuals.
    """

    name: str
    posterior: Posterior
    maximum: Maximum
    found: Reconstruction


class Memory:
    """Where the maxima of finished stages are kept, so that a fit can go on. This one forgets."""

    def load(self, name: str, posterior: Posterior) -> Maximum | None:
        """The maximum of a stage that is finished already, or None."""
        return None

    def save(self, stage: Stage) -> None:
        """A stage is finished."""


def fit_in_stages(
    model: FitModel,
    dataset: Imaging,
    starts: Sequence[Mapping[str, Any]],
    plan: Plan | None = None,
    noise: Noise | None = None,
    positions: Positions | None = None,
    progress: Progress | None = None,
    draws: int = 0,
    key: PRNGKeyArray | None = None,
    memory: Memory | None = None,
    minimum_magnification: float = 1.5,
) -> list[Stage]:
    """The maximum of a posterior, by way of simpler ones; the last stage is the result.

    A source whose mesh is a `SourceBox`, or whose prior is scaled by a brightness that is not known yet (a
    `BrightnessAmplitude` without one), gets a first pass on an adaptive mesh with a gradient prior. Its residuals tell
    the noise, its source the box and the brightness. Then the parameters of the regularization are fitted, for which
    the linear system is made once, and all together; the brightness is taken from the result and the pass repeated.
    Any other source is fitted as it is, and again with the noise that its residuals tell.

    Args:
        model: what is fitted.
        dataset: the image.
        starts: of the first pass; the best of the results goes on.
        plan: how to proceed.
        noise: of the first pass, and of the others if the plan does not estimate it; None for independent noise.
        positions: images that must trace to one place.
        progress: called after every evaluation with the stage's name, the number of evaluations and the best log
            density so far.
        draws: further starts of the first pass, the best of some draws of the prior.
        key: of these draws.
        memory: keeps the maxima of finished stages, which are not looked for again.
        minimum_magnification: lenses that magnify the source by less are refused.

    Raises:
        ValueError: what `Posterior`, `maximize` and `noise_of` refuse, or draws without a key.
    """
    plan = Plan() if plan is None else plan
    memory = Memory() if memory is None else memory
    if draws and key is None:
        raise ValueError("fit_in_stages: draws of the prior need a key, got None")
    stages: list[Stage] = []

    def run(name: str, model: FitModel, starts: Sequence[Mapping[str, Any]], hold: Sequence[str] = ()) -> Stage:
        posterior = Posterior(model, dataset, noise, positions, minimum_magnification)
        known = memory.load(name, posterior)
        if known is not None:
            stages.append(_stage(name, posterior, known))
            return stages[-1]
        more = starting_points(posterior, key, draws) if draws and key is not None and not stages else []
        stages.append(_climb(name, posterior, [*starts, *more], plan, hold, progress))
        memory.save(stages[-1])
        return stages[-1]

    rough = is_open(model)
    first = _first_model(model, plan) if rough else model
    stage = run("first pass", first, [_start(first, start) for start in starts], plan.hold_first)
    if plan.noise:
        dataset, noise = noise_of(dataset, stage.found, plan.correlated)
    if not rough:
        if plan.noise:
            run("all", model, [stage.maximum.theta])
        return stages
    for number in range(plan.passes):
        mesh = _mesh(model, stage.found)
        if number and plan.noise:  # the misfit of the pass before has inflated it
            dataset, noise = noise_of(dataset, stage.found, plan.correlated)
        filled = _filled(model, mesh, stage.found)
        theta = {name: stage.maximum.theta.get(name) for name in filled.prior.names}
        known = {name: value for name, value in theta.items() if value is not None}
        stage = run(f"pass {number + 2}", filled, [_start(filled, known)])
    return stages


def _climb(
    name: str, posterior: Posterior, starts: Sequence[Mapping[str, Any]], plan: Plan, hold: Sequence[str], progress: Any
) -> Stage:
    """The regularization alone, then everything."""

    def report(index: int, count: int, best: float) -> None:
        if progress is not None:
            progress(name, count, best)

    prior = posterior.model.regularization_names
    if prior and len(prior) < posterior.n_parameters:
        rest = [other for other in posterior.names if other not in prior]
        starts = [maximize(posterior, [start], plan.iterations, rest, progress=report).theta for start in starts]
    maximum = maximize(posterior, starts, plan.iterations, hold, progress=report)
    if plan.precondition and not hold:
        covariance = laplace(posterior, maximum.z, maximum.free).covariance
        maximum = maximize(posterior, [maximum.theta], plan.iterations, covariance=covariance, progress=report)
    return _stage(name, posterior, maximum)


def _stage(name: str, posterior: Posterior, maximum: Maximum) -> Stage:
    return Stage(name, posterior, maximum, posterior.solution(maximum.theta, jnp.asarray(maximum.free)))


def _start(model: FitModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every free parameter: the given one, or else the median of its prior."""
    draws = model.prior.sample(jax.random.key(0), (1001,))
    return {name: given.get(name, jnp.median(draws[name])) for name in model.prior.names}


def _amplitude(model: FitModel) -> Ingredient | None:
    """What makes the prior follow the brightness, if it waits for one."""
    regularization = model.source.parts.get("regularization")
    if not isinstance(regularization, Ingredient):
        return None
    amplitude = regularization.parts.get("amplitude")
    if not isinstance(amplitude, Ingredient) or amplitude.profile is not BrightnessAmplitude:
        return None
    return None if "brightness" in amplitude.parts else amplitude


def is_open(model: FitModel) -> bool:
    """Whether something of the source can only be known from an earlier fit."""
    return isinstance(model.source.parts.get("mesh"), SourceBox) or _amplitude(model) is not None


def _first_model(model: FitModel, plan: Plan) -> FitModel:
    """The model with a rough source: an adaptive mesh and a gradient prior."""
    from numpyro.distributions import LogNormal

    source = Ingredient(
        Pixelization,
        {},
        {"over_sample": plan.first_over_sample, "mixed_precision": True},
        {"mesh": AdaptiveMesh(plan.first_mesh), "regularization": Ingredient(Constant, {"strength": FIRST_STRENGTH})},
    )
    own = set(model.source_names)
    entries = {name: model.parameters[name] for name in model.parameters if name not in own}
    # Brightness per square arcsec of real images: the strength is found within a few steps from anywhere.
    entries[FIRST_STRENGTH] = Free(FIRST_STRENGTH, LogNormal(-5.0, 4.0))
    return FitModel(Parameters(entries), model.mass, source, model.light)


def _mesh(model: FitModel, found: Reconstruction) -> Any:
    mesh = model.source.parts["mesh"]
    return mesh.mesh(found) if isinstance(mesh, SourceBox) else mesh


def _filled(model: FitModel, mesh: Any, found: Reconstruction) -> FitModel:
    """The model with a mesh and a brightness from an earlier fit."""
    source = model.source.with_parts(mesh=mesh)
    amplitude = _amplitude(model)
    if amplitude is not None:
        box = mesh if isinstance(mesh, UniformMesh) and mesh.extent is not None else SourceBox().mesh(found)
        scaled = amplitude.with_parts(brightness=brightness_of(found, box))
        regularization = source.parts["regularization"].with_parts(amplitude=scaled)
        source = source.with_parts(regularization=regularization)
    return dataclasses.replace(model, source=source)
