"""The maximum of a posterior, by L-BFGS from one or several starts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, PRNGKeyArray
from lensax.fit.posterior import Evaluation, Posterior
from lensax.parameters.near import unknown

__all__ = ["History", "Maximum", "carried_covariance", "maximize", "starting_points", "unknown_covariance"]

# What a refused lens counts as below the best one so far: a wall that a line search steps back from.
_REFUSED = 1e4
# Width of the posterior over that of the prior when nothing is known: L-BFGS-B begins with a step of this size.
_CAUTION = 0.1
# Iterations that must gain less than the tolerance together: a single one may be short just before a long descent.
_PATIENCE = 3
# Change of the log density, in nats, that is rounding.
_ROUNDING = 1e-6
# Steps that L-BFGS-B remembers.
_MEMORY = 30

Progress = Callable[[int, int, float], None]


class History(NamedTuple):
    """One search for the maximum.

    Attributes:
        log_density: of every evaluation in turn, minus infinity where the lens was refused.
        best: the largest of them.
        message: why the search ended.
        converged: whether it ended at a maximum, not at the limit of its iterations.
    """

    log_density: np.ndarray
    best: float
    message: str
    converged: bool


class Maximum(NamedTuple):
    """The best point that was found.

    Attributes:
        theta: parameters by name.
        z: the same as an unconstrained vector.
        log_density: ln P(z).
        log_evidence: ln E alone.
        gradient_norm: largest component of the gradient by z.
        converged: of the search that found it.
        free: coefficients of the solution that are not held at zero.
        covariance: of z, (n, n), as far as the steps of the search have shown it: rough, for the next search or for
            the step of a difference; no error bar.
        histories: every search, in the order of the starts.
    """

    theta: dict[str, Any]
    z: np.ndarray
    log_density: float
    log_evidence: float
    gradient_norm: float
    converged: bool
    free: np.ndarray
    covariance: np.ndarray
    histories: tuple[History, ...]


def maximize(
    posterior: Posterior,
    starts: Sequence[Mapping[str, Any]],
    iterations: int = 100,
    hold: Sequence[str] = (),
    covariance: Float[Array, "n n"] | np.ndarray | None = None,
    progress: Progress | None = None,
    tolerance: float = 1e-3,
) -> Maximum:
    """The highest point of a posterior that L-BFGS-B (SciPy) finds from some starts.

    Args:
        posterior: what is maximised.
        starts: parameters by name.
        iterations: of each search at most.
        hold: parameters that stay where they start. While nothing but the regularization moves, the linear system is
            made once.
        covariance: of z about the maximum, as far as it is known, such as that of an earlier search or of `laplace`:
            it shortens the search.
        progress: called after every evaluation with the number of the start, that of the evaluation, and the best log
            density of this start so far.
        tolerance: change of the log density within three iterations, in nats, below which a search has ended.

    Raises:
        ValueError: no start, a start outside of the prior, a held name that is no free parameter, a tolerance that is
            not positive, or starts that are all refused.
    """
    if not starts:
        raise ValueError("maximize: expected at least one start, got none")
    for name in hold:
        if name not in posterior.names:
            raise ValueError(f"maximize: {unknown(name, posterior.names, 'free parameter')}")
    if not tolerance > 0:
        raise ValueError(f"maximize: tolerance must be a positive number of nats, got {tolerance!r}")
    moving = np.array([i for i, name in enumerate(posterior.names) if name not in hold], int)
    factor = _factor(unknown_covariance(posterior.n_parameters) if covariance is None else covariance, moving)
    searches = [
        _Search(posterior, np.asarray(posterior.unconstrained(start)), moving, factor, index, tolerance, progress)
        for index, start in enumerate(starts)
    ]
    histories = tuple(search.run(iterations) for search in searches)
    best = max(range(len(searches)), key=lambda i: histories[i].best)
    if not np.isfinite(histories[best].best):
        raise ValueError(f"maximize: the posterior refuses every start: {_refusal(posterior, starts[0])}")
    z, found = searches[best].best
    gradient = np.asarray(found.gradient)[moving]
    return Maximum(
        theta={name: np.asarray(value) for name, value in posterior.constrain(jnp.asarray(z)).items()},
        z=z,
        log_density=float(found.log_density),
        log_evidence=float(found.log_evidence),
        gradient_norm=float(np.abs(gradient).max()) if moving.size else 0.0,
        converged=histories[best].converged,
        free=np.asarray(found.free),
        covariance=searches[best].covariance,
        histories=histories,
    )


def _refusal(posterior: Posterior, start: Mapping[str, Any]) -> str:
    """Why a posterior refuses a start, in words."""
    try:
        posterior.solution(start)
    except ValueError as error:
        return f"at the first of them {error}"
    enlarged = float(posterior.evaluate(posterior.unconstrained(start)).magnification)
    least = float(posterior.minimum_magnification)
    return f"the first of them magnifies the source {enlarged:.3g} times, and {least:g} times is the least"


def starting_points(posterior: Posterior, key: PRNGKeyArray, count: int, tries: int = 8) -> list[dict[str, Any]]:
    """The best of some draws of the prior, best first.

    Args:
        posterior: what will be maximised.
        key: of the draws.
        count: how many to return.
        tries: draws for each.
    """
    draws = posterior.model.prior.sample(key, (count * tries,))
    points = [{name: values[i] for name, values in draws.items()} for i in range(count * tries)]
    values = [float(posterior.evaluate(posterior.unconstrained(point)).log_density) for point in points]
    order = np.argsort(values)[::-1][:count]
    return [points[i] for i in order]


class _Search:
    """One search, in coordinates u with `z = start + factor u` for those parameters that move."""

    def __init__(
        self,
        posterior: Posterior,
        start: np.ndarray,
        moving: np.ndarray,
        factor: np.ndarray,
        index: int,
        tolerance: float,
        progress: Any,
    ) -> None:
        self.posterior, self.start, self.moving, self.factor = posterior, start, moving, factor
        self.index, self.tolerance, self.progress = index, tolerance, progress
        names = {posterior.names[i] for i in moving}
        alone = names <= set(posterior.model.regularization_names)
        self.system = posterior.system(jnp.asarray(start)) if alone else None
        self.values: list[float] = []
        self.accepted: list[float] = []
        self.last: tuple[np.ndarray, tuple[float, np.ndarray]] | None = None
        self.best: tuple[np.ndarray, Evaluation] | Any | None = None
        self.free: Any = None
        self.covariance = unknown_covariance(len(start))
        self._learn(np.eye(len(moving)))

    def z(self, u: np.ndarray) -> np.ndarray:
        z = self.start.copy()
        z[self.moving] += self.factor @ u
        return z

    def _learn(self, inverse_hessian: np.ndarray) -> None:
        """What a search by u says of z."""
        self.covariance[np.ix_(self.moving, self.moving)] = self.factor @ inverse_hessian @ self.factor.T

    def __call__(self, u: np.ndarray) -> tuple[float, np.ndarray]:
        """What SciPy minimises, and its gradient; the point of the call before is not evaluated again."""
        if self.last is None or not np.array_equal(u, self.last[0]):
            self.last = u.copy(), self._evaluate(u)
        return self.last[1]

    def _evaluate(self, u: np.ndarray) -> tuple[float, np.ndarray]:
        z = self.z(u)
        found = jax.block_until_ready(self.posterior.evaluate(jnp.asarray(z), self.free, self.system))
        value = float(found.log_density)
        self.values.append(value)
        top = -np.inf if self.best is None else float(self.best[1].log_density)
        if np.isfinite(value):
            self.free = found.free
            if value > top:
                self.best, top = (z, found), value
        if self.progress is not None:
            self.progress(self.index, len(self.values), top)
        if not np.isfinite(value):
            return _REFUSED - (top if np.isfinite(top) else 0.0), np.zeros(len(u))
        return -value, -self.factor.T @ np.asarray(found.gradient)[self.moving]

    @property
    def ended(self) -> bool:
        """Whether the last iterations have gained next to nothing."""
        return len(self.accepted) > _PATIENCE and self.accepted[-_PATIENCE - 1] - self.accepted[-1] < self.tolerance

    def _accept(self, intermediate_result: Any) -> None:
        self.accepted.append(float(intermediate_result.fun))
        if self.ended:
            raise StopIteration

    def run(self, iterations: int) -> History:
        from scipy.optimize import minimize

        u = np.zeros(len(self.moving))
        if len(u) == 0:
            self(u)
            message, converged = "nothing is free", True
        else:
            first = self(u)[0]  # the scale of the tolerance, which SciPy takes relative to the value
            self.accepted = [first]
            options = {"maxiter": iterations, "ftol": _ROUNDING / max(abs(first), 1.0), "gtol": 1e-3, "maxcor": _MEMORY}
            result = minimize(self, u, jac=True, method="L-BFGS-B", options=options, callback=self._accept)
            self._learn(result.hess_inv.todense())
            message, converged = str(result.message), bool(result.success)
            if self.ended and not converged:
                message, converged = f"the last {_PATIENCE} iterations gained less than the tolerance", True
        best = -np.inf if self.best is None else float(self.best[1].log_density)
        return History(np.array(self.values), best, message, converged)


def unknown_covariance(n: int) -> np.ndarray:
    """The covariance of z, (n, n), that a search begins with when nothing is known."""
    return _CAUTION**2 * np.eye(n)


def carried_covariance(names: Sequence[str], earlier: Sequence[str], covariance: np.ndarray) -> np.ndarray:
    """The covariance that a search begins with when another one has learned that of some of its parameters.

    Args:
        names: parameters of the search.
        earlier: parameters of the other one.
        covariance: what is known of these.
    """
    carried = unknown_covariance(len(names))
    both = [(i, earlier.index(name)) for i, name in enumerate(names) if name in earlier]
    here, there = (np.array(index, int) for index in zip(*both)) if both else (np.zeros(0, int),) * 2
    carried[np.ix_(here, here)] = covariance[np.ix_(there, there)]
    return carried


def _factor(covariance: Any, moving: np.ndarray) -> np.ndarray:
    """A square root of the covariance of those that move, the others standing still."""
    precision = np.linalg.inv(np.asarray(covariance, float))[np.ix_(moving, moving)]
    return np.linalg.cholesky(np.linalg.inv(0.5 * (precision + precision.T)))
