"""Samples of a posterior: NUTS about its maximum, in coordinates in which the Laplace approximation is a unit sphere.

Every few steps the whole state of a chain goes to the disk: its position, its adaptation, the state of its random
numbers, and its draws. A chain that is interrupted goes on from there and becomes the same chain, number by number.
"""

import concurrent.futures
import hashlib
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import PRNGKeyArray
from lensax.fit.laplace import Laplace
from lensax.fit.posterior import Posterior
from lensax.parameters.distribution import numpyro_rules

__all__ = ["Samples", "sample"]

Progress = Callable[[int, str], None]

_TRIES = 20  # of a start that the posterior does not refuse


class Samples(NamedTuple):
    """Draws of a posterior.

    Attributes:
        theta: (chains, draws) by name.
        z: the same as unconstrained vectors, (chains, draws, n).
        log_density: ln P(z), (chains, draws).
        divergences: how many draws diverged.
        r_hat: split R-hat of every parameter; below 1.01 where chains agree.
        effective_draws: independent draws that they are worth, of every parameter.
        evaluations: of the posterior and its gradient, in the draws that are kept.
        acceptance: mean probability of acceptance.

    Gelman & Rubin (1992), Stat. Sci. 7, 457; Gelman et al. (2013), Bayesian Data Analysis, chapter 11.
    """

    theta: dict[str, np.ndarray]
    z: np.ndarray
    log_density: np.ndarray
    divergences: int
    r_hat: dict[str, float]
    effective_draws: dict[str, float]
    evaluations: int
    acceptance: float


def sample(
    posterior: Posterior,
    about: Laplace,
    key: PRNGKeyArray,
    folder: str | Path | None = None,
    chains: int = 4,
    warmup: int = 200,
    draws: int = 500,
    save_every: int = 25,
    target_accept: float = 0.8,
    parallel: int | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Draw from a posterior with NUTS (NumPyro).

    Every chain starts at a draw of the Laplace approximation, whose covariance is the metric; the warm-up adapts the
    step. Called again with the same arguments and folder, it goes on where it was; also with more draws or more chains
    than before: the first of them are the same.

    Args:
        posterior: what is sampled.
        about: its Laplace approximation.
        key: of the chains.
        folder: where the chains are kept; None keeps nothing.
        chains: number of chains; R-hat needs at least 2.
        warmup: steps that adapt the step size and are left out.
        draws: steps that are kept, of each chain.
        save_every: steps between two writings.
        target_accept: mean probability of acceptance that the step size aims at.
        parallel: chains that run at a time; None for one on each processor.
        progress: called after every step of a chain with the number of steps of all chains, and a line of text.

    Raises:
        ValueError: a count below 1, a folder with chains of another posterior or other settings, or a posterior that
            refuses the neighbourhood of its maximum.

    Hoffman & Gelman (2014), JMLR 15, 1593; Phan, Pradhan & Jankowiak (2019), arXiv:1912.11554.
    """
    for name, value in (("chains", chains), ("warmup", warmup), ("draws", draws), ("save_every", save_every)):
        if value < 1:
            raise ValueError(f"sample: {name} must be at least 1, got {value!r}")
    sampler = _Sampler(posterior, about, warmup, target_accept)
    place = None if folder is None else Path(folder)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    settings = (warmup, target_accept, np.asarray(jax.random.key_data(key)).tolist())
    mark = _mark(posterior, about, settings)
    keys = jax.random.split(key, chains)
    runs = [
        _Chain(sampler, keys[i], None if place is None else place / f"chain_{i}.npz", mark, warmup + draws)
        for i in range(chains)
    ]
    report = _Report(runs, progress)
    workers = min(chains, (os.cpu_count() or 1) if parallel is None else parallel)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(chain.run, save_every, report) for chain in runs]
        try:
            for done in concurrent.futures.as_completed(waiting):
                done.result()
        except BaseException:
            report.stopped.set()
            raise
    return _collect(posterior, runs, slice(warmup, warmup + draws))


class _Sampler:
    """NUTS in coordinates y, `z = maximum + factor y`; compiled once for all chains."""

    def __init__(self, posterior: Posterior, about: Laplace, warmup: int, target_accept: float) -> None:
        from numpyro.infer import NUTS

        self.posterior, self.warmup = posterior, warmup
        self.middle, self.factor = jnp.asarray(about.z), jnp.asarray(np.linalg.cholesky(about.covariance))
        self.start = posterior.evaluate(self.middle).free
        self.kernel = NUTS(
            potential_fn=lambda y: -posterior.log_density(self.z(y), self.start),
            target_accept_prob=target_accept,
            adapt_mass_matrix=False,
            step_size=0.5,
        )
        self.lock = threading.Lock()
        self.step = jax.jit(lambda state: self.kernel.sample(state, (), {}))

    def z(self, y: Any) -> Any:
        return self.middle + self.factor @ y

    def first(self, key: PRNGKeyArray) -> Any:
        """The state of a chain at its start."""
        for attempt in jax.random.split(key, _TRIES):
            y = jax.random.normal(attempt, self.middle.shape, float)
            if np.isfinite(self.posterior.evaluate(self.z(y), self.start).log_density):
                # The kernel keeps what it has made at its first use: one thread at a time.
                with self.lock, numpyro_rules():
                    return self.kernel.init(jax.random.key_data(attempt), self.warmup, y, (), {})
        raise ValueError("sample: the posterior refuses every start about its maximum")

    def next(self, state: Any) -> Any:
        with numpyro_rules():
            return jax.block_until_ready(self.step(state))


class _Chain:
    """One chain and its file."""

    def __init__(self, sampler: _Sampler, key: PRNGKeyArray, path: Path | None, mark: str, length: int) -> None:
        self.sampler, self.key, self.path, self.mark, self.length = sampler, key, path, mark, length
        self.rows: dict[str, list[Any]] = {"z": [], "log_density": [], "diverging": [], "steps": [], "accept": []}
        self.leaves: list[np.ndarray] | None = None
        if path is not None and path.exists():
            self._load(path)

    @property
    def count(self) -> int:
        return len(self.rows["z"])

    def run(self, save_every: int, report: "_Report") -> None:
        if self.count >= self.length:
            return
        state = self.sampler.first(self.key)
        if self.leaves is not None:
            state = jax.tree.unflatten(jax.tree.structure(state), [jnp.asarray(leaf) for leaf in self.leaves])
        while self.count < self.length and not report.stopped.is_set():
            state = self.sampler.next(state)
            self.rows["z"].append(np.asarray(self.sampler.z(state.z)))
            self.rows["log_density"].append(-float(state.potential_energy))
            self.rows["diverging"].append(bool(state.diverging))
            self.rows["steps"].append(int(state.num_steps))
            self.rows["accept"].append(float(state.accept_prob))
            if self.count % save_every == 0 or self.count == self.length:
                self._save(state)
            report(state)

    def _save(self, state: Any) -> None:
        if self.path is None:
            return
        from lensax.campaign.files import flush_folder, write_durably

        content = io.BytesIO()
        leaves: dict[str, Any] = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        rows: dict[str, Any] = {f"row_{name}": np.array(values) for name, values in self.rows.items()}
        np.savez(content, allow_pickle=False, mark=np.array(self.mark), **leaves, **rows)
        write_durably(self.path, content.getvalue(), self.path.parent)
        flush_folder(self.path.parent)

    def _load(self, path: Path) -> None:
        with np.load(path) as file:
            if str(file["mark"]) != self.mark:
                raise ValueError(
                    f"{path} is a chain of another posterior or of other settings; choose another folder, or delete it"
                )
            self.rows = {name: list(file[f"row_{name}"]) for name in self.rows}
            self.leaves = [file[f"leaf_{i}"] for i in range(sum(key.startswith("leaf_") for key in file.files))]


class _Report:
    """Counts the steps of all chains."""

    def __init__(self, chains: list[_Chain], progress: Progress | None) -> None:
        self.done, self.progress = sum(chain.count for chain in chains), progress
        self.lock, self.stopped = threading.Lock(), threading.Event()

    def __call__(self, state: Any) -> None:
        with self.lock:
            self.done += 1
            if self.progress is not None and not self.stopped.is_set():
                text = f"{int(state.num_steps)} leaps, acceptance {float(state.mean_accept_prob):.2f}"
                self.progress(self.done, text)


def _mark(posterior: Posterior, about: Laplace, settings: Any) -> str:
    """What a chain belongs to: the posterior's parameters and data, the metric, the settings."""
    digest = hashlib.blake2b(repr((posterior.names, posterior.model.parameters.describe(), settings)).encode())
    data = posterior.dataset
    for array in (data.data, data.noise_map, data.mask, about.z, about.covariance):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _collect(posterior: Posterior, chains: list[_Chain], kept: slice) -> Samples:
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    rows = {name: np.array([chain.rows[name][kept] for chain in chains]) for name in chains[0].rows}
    theta = {name: np.asarray(values) for name, values in posterior.constrain(jnp.asarray(rows["z"])).items()}
    enough = rows["z"].shape[1] >= 4
    return Samples(
        theta=theta,
        z=rows["z"],
        log_density=rows["log_density"],
        divergences=int(rows["diverging"].sum()),
        r_hat={name: float(split_gelman_rubin(v)) if enough else np.nan for name, v in theta.items()},
        effective_draws={name: float(effective_sample_size(v)) if enough else np.nan for name, v in theta.items()},
        evaluations=int(rows["steps"].sum()),
        acceptance=float(rows["accept"].mean()),
    )
