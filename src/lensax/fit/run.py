"""A whole fit: stage after stage, error bars, samples; what is done is in the folder and not done again."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lensax.fit.folder import FitFolder
from lensax.fit.laplace import Laplace, laplace
from lensax.fit.maximum import History, Maximum
from lensax.fit.model import FitModel
from lensax.fit.positions import Positions
from lensax.fit.posterior import Posterior
from lensax.fit.stages import Memory, Plan, Stage, fit_in_stages
from lensax.instrument import Imaging
from lensax.inversion import Noise

if TYPE_CHECKING:
    from lensax.fit.sample import Samples

__all__ = ["Found", "Sampling", "Task", "Watcher", "run_fit"]


@dataclasses.dataclass(frozen=True)
class Task:
    """What is fitted, and how.

    Args:
        model: of lens, light and source.
        dataset: the image with its mask, and the noise map with which the fit begins.
        noise: whether the noise of neighbouring pixels is correlated; None if it is not.
        positions: images that must trace to one place.
        minimum_magnification: of the source.
        plan: the stages.
        start: where the search begins, by the names of parameters; others begin in the middle of their prior.
        starts: draws of the prior from which it begins as well.
    """

    model: FitModel
    dataset: Imaging
    noise: Noise | None = None
    positions: Positions | None = None
    minimum_magnification: float = 1.5
    plan: Plan = dataclasses.field(default_factory=Plan)
    start: Mapping[str, float] = dataclasses.field(default_factory=dict)
    starts: int = 2


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a posterior is sampled.

    Args:
        chains: number of chains.
        warmup: steps of each chain that tune the sampler and are left out.
        draws: steps of each chain that are kept.
        save_every: steps after which the chains are saved.
        target_accept: share of steps that is accepted.
    """

    chains: int = 4
    warmup: int = 200
    draws: int = 500
    save_every: int = 25
    target_accept: float = 0.8


class Watcher:
    """Is told how a fit goes on. This one does not listen."""

    def begin(self, what: str, total: int | None = None, unit: str = "steps") -> None:
        """A part begins, of so many steps; None where that is not known."""

    def at(self, done: int, note: str = "") -> None:
        """So many steps of the part are done."""

    def end(self, text: str = "") -> None:
        """The part is done; `text` says what came of it."""


class Found(NamedTuple):
    """What a fit found.

    Attributes:
        stages: of the fit, the last one being the fit itself.
        laplace: error bars about its maximum.
        samples: of its posterior; None where it was not sampled.
        seconds: that each part took, when it was done; of the sampling, in all its sittings.
    """

    stages: list[Stage]
    laplace: Laplace
    samples: "Samples | None"
    seconds: dict[str, float]


def run_fit(
    task: Task,
    folder: FitFolder,
    seed: int,
    sampling: Sampling | None = None,
    watcher: Watcher | None = None,
    keep: Callable[[Found], None] | None = None,
) -> Found:
    """Run a fit, or go on with one.

    Args:
        task: what is fitted.
        folder: of this fit, held by this process.
        seed: of all random numbers.
        sampling: how the posterior is sampled; None to leave that out.
        watcher: is told how the fit goes on.
        keep: called with what is known before the sampling.

    Raises:
        ValueError: what `fit_in_stages`, `laplace` and `sample` refuse.
    """
    watcher = Watcher() if watcher is None else watcher
    of_starts, of_samples = jax.random.split(jax.random.key(np.uint32(seed)))
    memory = _InFolder(folder, watcher)

    def progress(name: str, count: int, best: float) -> None:
        watcher.at(count, f"best log density {best:.1f}")

    stages = fit_in_stages(
        task.model,
        task.dataset,
        [task.start],
        task.plan,
        task.noise,
        task.positions,
        progress,
        task.starts,
        of_starts,
        memory,
        task.minimum_magnification,
    )
    seconds = memory.seconds
    last = stages[-1]
    found = _laplace(last, folder, watcher, seconds)
    samples = None
    if sampling is not None:
        from lensax.fit.sample import sample

        if keep is not None:
            keep(Found(stages, found, None, dict(seconds)))
        clock = _Clock(folder, watcher)
        watcher.begin("sampling", sampling.chains * (sampling.warmup + sampling.draws), "steps")
        samples = sample(
            last.posterior, found, of_samples, folder.chains, **dataclasses.asdict(sampling), progress=clock.at
        )
        seconds["sampling"] = clock.stop()
        watcher.end()
    return Found(stages, found, samples, seconds)


class _Clock:
    """Seconds of the sampling in all its sittings, kept in the folder."""

    EVERY = 30.0  # seconds between two writings

    def __init__(self, folder: FitFolder, watcher: Watcher) -> None:
        self.folder, self.watcher = folder, watcher
        stored = folder.read("sampling.json")
        self.earlier = 0.0 if stored is None else stored["seconds"]
        self.begun = self.written = time.monotonic()
        self.stepped = False

    def at(self, done: int, note: str = "") -> None:
        self.stepped = True
        if time.monotonic() - self.written > self.EVERY:
            self._write()
        self.watcher.at(done, note)

    def stop(self) -> float:
        """All seconds, but not those of a sitting in which nothing was left to do."""
        return self._write() if self.stepped else self.earlier

    def _write(self) -> float:
        self.written = time.monotonic()
        seconds = self.earlier + self.written - self.begun
        self.folder.write("sampling.json", {"seconds": seconds})
        return seconds


class _InFolder(Memory):
    """Keeps the maxima of finished stages in the folder of a fit."""

    def __init__(self, folder: FitFolder, watcher: Watcher) -> None:
        self.folder, self.watcher = folder, watcher
        self.seconds: dict[str, float] = {}
        self.begun = time.monotonic()

    def load(self, name: str, posterior: Posterior) -> Maximum | None:
        self.begun = time.monotonic()
        stored = self.folder.read(_file(name))
        if stored is None:
            self.watcher.begin(name, None, "evaluations")
            return None
        self.seconds[name] = stored["seconds"]
        return _from_json(stored, posterior)

    def save(self, stage: Stage) -> None:
        self.seconds[stage.name] = time.monotonic() - self.begun
        self.folder.write(_file(stage.name), _to_json(stage.maximum, self.seconds[stage.name]))
        maximum = stage.maximum
        doubt = "" if maximum.converged else ", not converged"
        count = sum(len(history.log_density) for history in maximum.histories)
        self.watcher.end(f"{stage.name}: log density {maximum.log_density:.2f} after {count} evaluations{doubt}")


def _file(name: str) -> str:
    return f"stage {name}.json".replace(" ", "_")


def _to_json(maximum: Maximum, seconds: float) -> dict[str, Any]:
    return {
        "theta": {name: float(value) for name, value in maximum.theta.items()},
        "z": np.asarray(maximum.z).tolist(),
        "log_density": maximum.log_density,
        "log_evidence": maximum.log_evidence,
        "gradient_norm": maximum.gradient_norm,
        "converged": bool(maximum.converged),
        "free": np.asarray(maximum.free).astype(int).tolist(),
        "covariance": np.asarray(maximum.covariance).tolist(),
        "histories": [
            {**history._asdict(), "log_density": [float(v) for v in history.log_density]}
            for history in maximum.histories
        ],
        "seconds": seconds,
    }


def _from_json(stored: Mapping[str, Any], posterior: Posterior) -> Maximum:
    z = np.asarray(stored["z"])
    return Maximum(
        theta={name: np.asarray(value) for name, value in posterior.constrain(jnp.asarray(z)).items()},
        z=z,
        log_density=stored["log_density"],
        log_evidence=stored["log_evidence"],
        gradient_norm=stored["gradient_norm"],
        converged=stored["converged"],
        free=np.asarray(stored["free"], bool),
        covariance=np.asarray(stored["covariance"]),
        histories=tuple(
            History(np.asarray(one["log_density"]), one["best"], one["message"], one["converged"])
            for one in stored["histories"]
        ),
    )


def _laplace(stage: Stage, folder: FitFolder, watcher: Watcher, seconds: dict[str, float]) -> Laplace:
    """The error bars, from the folder where they are there already."""
    arrays = ("z", "covariance", "hessian")
    stored = folder.read("laplace.json")
    if stored is not None:
        seconds["error bars"] = stored["seconds"]
        numbers = {name: np.asarray(stored[name]) for name in arrays}
        return Laplace(stage.posterior, **numbers, log_density=stored["log_density"], raised=stored["raised"])
    begin = time.monotonic()
    top = stage.maximum
    watcher.begin("error bars", 2 * len(top.z), "gradients")
    found = laplace(stage.posterior, top.z, jnp.asarray(top.free), lambda count, _: watcher.at(count), top.covariance)
    seconds["error bars"] = time.monotonic() - begin
    numbers = {name: getattr(found, name).tolist() for name in arrays}
    more = {"log_density": float(found.log_density), "raised": found.raised, "seconds": seconds["error bars"]}
    folder.write("laplace.json", numbers | more)
    watcher.end("" if not found.raised else f"error bars: {found.raised} directions are held by their priors alone")
    return found
