"""A fit as a sequence of simpler ones: a rough source first, then its noise, its place, its prior, then everything."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import PRNGKeyArray
from lensax.fit.laplace import laplace
from lensax.fit.maximum import Maximum, carried_covariance, maximize, starting_points, unknown_covariance
from lensax.fit.model import FitModel
from lensax.fit.plan import Plan
from lensax.fit.positions import Positions
from lensax.fit.posterior import Posterior
from lensax.fit.preparation import SourceBox, brightness_extent, brightness_of, noise_of
from lensax.fit.waiting import BrightnessMesh, awaits_brightness, is_open, laid, waiting, with_brightness
from lensax.instrument import Imaging
from lensax.inversion import (
    AdaptiveMesh,
    BrightnessAmplitude,
    Constant,
    Noise,
    Pixelization,
    Reconstruction,
)
from lensax.parameters import Free, Parameters
from lensax.recipe import Ingredient

__all__ = ["FIRST_STRENGTH", "Memory", "Plan", "Stage", "fit_in_stages"]

FIRST_STRENGTH = "first_pass.strength"
"""Name of the parameter of the first pass's regularization."""

# A pass is worse than the one before if its log density is lower by so much, in nats: below it may be the estimate of
# the noise that tells them apart.
_WORSE = 1.0

# Tolerance of all searches but the last over that of the last: noise and brightness, which are taken from them, change
# the density of the next pass by more.
_ROUGH = 100.0

Progress = Callable[[str, int, float], None]


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

    A source whose mesh is a `SourceBox` or a `BrightnessMesh`, or whose prior follows a brightness that is not known
    yet (a `BrightnessAmplitude` or an `Adaptive` without one), gets a first pass on an adaptive mesh with a gradient
    prior. Its residuals tell the noise, its source the mesh and the brightness. Then the parameters of the
    regularization are fitted, for which the linear system is made once, and all together; the brightness is taken from
    the result and the pass repeated.
    Any other source is fitted as it is, and again with the noise that its residuals tell and with nothing held.

    A prior that follows its own result becomes sharper every time: passes end before their number is reached once the
    log density falls, and the better pass is fitted to its end.

    The first of these passes may be a draft, with half as many cells in a box at most and fewer rays; all others have
    as many cells and are one program. A box is laid around the source once, or twice if there is a draft; cells that
    follow a brightness follow that of the pass before. What a stage has learned of the shape of the posterior shortens
    the search of the next one.

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
        ValueError: what `Posterior`, `maximize` and `noise_of` refuse, draws without a key, or a source that waits for
            an earlier pass where there is none.
    """
    plan = Plan() if plan is None else plan
    memory = Memory() if memory is None else memory
    if draws and key is None:
        raise ValueError("fit_in_stages: draws of the prior need a key, got None")
    stages: list[Stage] = []
    rough = is_open(model)
    if rough and plan.passes < 1:
        names = " and ".join(waiting(model.source))
        raise ValueError(f"fit_in_stages: {names} can only be known from an earlier pass; passes must be at least 1")
    twice = plan.noise or bool(plan.hold_first)  # a model that waits for nothing

    def run(
        name: str, model: FitModel, starts: Sequence[Mapping[str, Any]], hold: Sequence[str] = (), last: bool = False
    ) -> Stage:
        posterior = Posterior(model, dataset, noise, positions, minimum_magnification)
        known = memory.load(name, posterior)
        if known is not None:
            stages.append(_stage(name, posterior, known))
            return stages[-1]
        more = starting_points(posterior, key, draws) if draws and key is not None and not stages else []
        before = stages[-1] if stages else None
        learned = before and carried_covariance(posterior.names, before.posterior.names, before.maximum.covariance)
        tolerance = plan.tolerance * (1 if last else _ROUGH)
        prior = set(posterior.model.regularization_names)
        fitted = bool(stages) and prior <= set(stages[-1].posterior.names)
        with ThreadPoolExecutor(1) as beside:
            beside.submit(posterior.prepare)  # compiles one half while the search compiles the other
            stages.append(
                _climb(name, posterior, [*starts, *more], plan, hold, learned, fitted, tolerance, last, progress)
            )
        memory.save(stages[-1])
        return stages[-1]

    first = _first_model(model, plan) if rough else model
    alone = not rough and not twice
    stage = run("first pass", first, [_start(first, start) for start in starts], plan.hold_first, last=alone)
    if plan.noise:
        dataset, noise = noise_of(dataset, stage.found, plan.correlated)
    if not rough:
        if twice:
            run("all", model, [stage.maximum.theta], last=True)
        return stages
    for number in range(plan.passes):
        if number and plan.noise:  # the misfit of the pass before has inflated it
            dataset, noise = noise_of(dataset, stage.found, plan.correlated)
        drafted = plan.draft and number == 0 and plan.passes > 1
        part = _draft(model, plan) if drafted else model
        open_mesh = part.source.parts["mesh"]
        # A box of another size is another program; cells that follow the brightness follow the latest.
        if number == 0 or (number == 1 and plan.draft) or isinstance(open_mesh, BrightnessMesh):
            mesh = laid(open_mesh, stage.found)
        filled = _filled(part, mesh, stage.found, plan.smooth * float(dataset.pixel_scale))
        again = set(filled.prior.names) - set(_of_size(part))  # a new map has its own size
        known = {name: value for name, value in stage.maximum.theta.items() if name in again}
        before, last = stage, number == plan.passes - 1
        stage = run(f"pass {number + 2}", filled, [_start(filled, known)], last=last)
        comparable = number >= (2 if plan.draft else 1)
        if comparable and stage.maximum.log_density < before.maximum.log_density - _WORSE:
            dataset, noise, model = before.posterior.dataset, before.posterior.noise, before.posterior.model
            run(f"{before.name} again", model, [before.maximum.theta], last=True)
            break
    return stages


def _climb(
    name: str,
    posterior: Posterior,
    starts: Sequence[Mapping[str, Any]],
    plan: Plan,
    hold: Sequence[str],
    learned: np.ndarray | None,
    known: bool,
    tolerance: float,
    last: bool,
    progress: Any,
) -> Stage:
    """The regularization alone, where an earlier stage does not know it, then everything."""

    def report(index: int, count: int, best: float) -> None:
        if progress is not None:
            progress(name, count, best)

    rough = max(10 * plan.tolerance, tolerance)
    prior = posterior.model.regularization_names
    if prior and len(prior) < posterior.n_parameters and not known:
        rest = [other for other in posterior.names if other not in prior]
        tops = [maximize(posterior, [start], plan.iterations, rest, learned, report, rough) for start in starts]
        starts = [top.theta for top in tops]
        alone = np.array([posterior.names.index(one) for one in prior])
        learned = unknown_covariance(posterior.n_parameters) if learned is None else learned.copy()
        learned[alone, :] = learned[:, alone] = 0.0
        best = max(tops, key=lambda top: top.log_density)
        learned[np.ix_(alone, alone)] = best.covariance[np.ix_(alone, alone)]
    maximum = maximize(posterior, starts, plan.iterations, hold, learned, report, tolerance)
    if plan.precondition and last:
        covariance = laplace(posterior, maximum.z, maximum.free, covariance=maximum.covariance).covariance
        maximum = maximize(posterior, [maximum.theta], plan.iterations, hold, covariance, report, tolerance)
    return _stage(name, posterior, maximum)


def _stage(name: str, posterior: Posterior, maximum: Maximum) -> Stage:
    return Stage(name, posterior, maximum, posterior.solution(maximum.theta, jnp.asarray(maximum.free)))


def _start(model: FitModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every free parameter: the given one, or else the median of its prior."""
    draws = model.prior.sample(jax.random.key(0), (1001,))
    return {name: given.get(name, jnp.median(draws[name])) for name in model.prior.names}


def _scaled(model: FitModel) -> Ingredient | None:
    """What makes the prior follow the brightness, if anything does."""
    regularization = model.source.parts.get("regularization")
    amplitude = regularization.parts.get("amplitude") if isinstance(regularization, Ingredient) else None
    return amplitude if isinstance(amplitude, Ingredient) and amplitude.profile is BrightnessAmplitude else None


def _of_size(model: FitModel) -> tuple[str, ...]:
    """The parameter by which the brightness that is still to be known is enlarged, if there is one."""
    amplitude = _scaled(model)
    if amplitude is None or "brightness" in amplitude.parts:
        return ()
    return tuple(name for argument, name in amplitude.arguments if argument == "size")


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


def _draft(model: FitModel, plan: Plan) -> FitModel:
    """The model with fewer cells, if they are still to be laid, and fewer rays."""
    source, mesh = model.source, model.source.parts["mesh"]
    switches = dict(source.switches) | {"over_sample": plan.first_over_sample}
    source = Ingredient(source.profile, dict(source.arguments), switches, source.parts)
    if isinstance(mesh, SourceBox):
        source = source.with_parts(mesh=dataclasses.replace(mesh, most=max(16, mesh.most // 2)))
    return dataclasses.replace(model, source=source)


def _filled(model: FitModel, mesh: Any, found: Reconstruction, smooth: float) -> FitModel:
    """The model with a mesh and a brightness from an earlier fit."""
    source = model.source.with_parts(mesh=mesh)
    regularization = source.parts["regularization"]
    if awaits_brightness(regularization):
        bright = brightness_of(found, brightness_extent(mesh, found), smooth)
        source = source.with_parts(regularization=with_brightness(regularization, bright))
    return dataclasses.replace(model, source=source)
