r"""The Gaussian that a posterior resembles around its maximum, and its error bars.

The Hessian is made of central differences of gradients, never of values: the evidence has a rounding of 1e-8 to 1e-7
nats, which second differences of values would blow up. Directions in which the posterior is flatter than any prior, or
turns upwards, get the curvature of a prior (z is scaled so that this is about 1).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, PRNGKeyArray
from lensax.fit.posterior import Posterior

__all__ = ["Laplace", "invert", "laplace"]

_FIRST_STEP = 1e-4  # of z
_SHARE = 0.3  # of a deviation: the final step
_SMALLEST_CURVATURE = 0.1  # of an eigenvalue of the Hessian by z

Progress = Callable[[int, int], None]


class Laplace(NamedTuple):
    """A Gaussian in z.

    Attributes:
        posterior: of which it is an approximation.
        z: its mean.
        covariance: (n, n).
        hessian: of the log density by z as it was measured, symmetrised, (n, n).
        log_density: ln P(z) at the mean.
        raised: number of eigenvalues that were raised to the floor.
    """

    posterior: Posterior
    z: np.ndarray
    covariance: np.ndarray
    hessian: np.ndarray
    log_density: float
    raised: int

    @property
    def log_evidence(self) -> float:
        """The logarithm of the integral of the posterior over all parameters: to compare models with each other."""
        n = len(self.z)
        return self.log_density + 0.5 * (n * np.log(2 * np.pi) + float(np.linalg.slogdet(self.covariance)[1]))

    def sample(self, key: PRNGKeyArray, count: int) -> dict[str, Float[Array, " draws"]]:
        """Draws of theta by name, (count,)."""
        factor = jnp.asarray(np.linalg.cholesky(self.covariance))
        noise = jax.random.normal(key, (count, len(self.z)), float)
        return self.posterior.constrain(jnp.asarray(self.z)[None, :] + noise @ factor.T)

    def deviation(self) -> dict[str, float]:
        """Standard deviation of every parameter, the map from z to theta taken as linear."""
        slopes = jax.vmap(
            jax.grad(lambda z, i: self.posterior.model.prior.flatten(self.posterior.constrain(z))[i]), (None, 0)
        )(jnp.asarray(self.z), jnp.arange(len(self.z)))
        slope = np.diag(np.asarray(slopes))
        return {
            name: float(d) for name, d in zip(self.posterior.names, np.abs(slope) * np.sqrt(np.diag(self.covariance)))
        }


def laplace(
    posterior: Posterior,
    z: Any,
    free: Any = None,
    progress: Progress | None = None,
    covariance: Float[Array, "n n"] | np.ndarray | None = None,
) -> Laplace:
    """The Laplace approximation of a posterior about its maximum.

    Two evaluations of the gradient for each parameter at a third of its width; and two before them that find the width
    where nothing is known of it.

    Args:
        posterior: what is approximated.
        z: its maximum.
        free: coefficients that are free there (saves passes, changes nothing).
        progress: called after every evaluation with its number and how many there will be.
        covariance: of z, as roughly as a search for the maximum has learned it: saves half of the evaluations.

    Raises:
        ValueError: a lens next to the maximum that the posterior refuses.
    """
    z = np.asarray(z, float)
    n, count = len(z), 0
    total = (4 if covariance is None else 2) * n
    start = posterior.evaluate(jnp.asarray(z), free)
    top = float(start.log_density)
    if not np.isfinite(top):
        raise ValueError("laplace: the posterior refuses the point itself, which is no maximum")

    def gradient(at: np.ndarray) -> np.ndarray:
        nonlocal count
        found = jax.block_until_ready(posterior.evaluate(jnp.asarray(at), start.free))
        count += 1
        if progress is not None:
            progress(count, total)
        if not np.isfinite(found.log_density):
            raise ValueError("laplace: a lens next to the maximum is refused; the maximum lies at an edge")
        return np.asarray(found.gradient)

    def column(i: int, step: float) -> np.ndarray:
        unit = step * np.eye(n)[i]
        return (gradient(z + unit) - gradient(z - unit)) / (2 * step)

    if covariance is None:
        curvature = np.array([-column(i, _FIRST_STEP)[i] for i in range(n)])
    else:
        curvature = np.diag(np.linalg.inv(np.asarray(covariance, float)))
    widths = np.minimum(1.0, np.maximum(curvature, _SMALLEST_CURVATURE) ** -0.5)
    hessian = np.array([column(i, _SHARE * widths[i]) for i in range(n)])
    hessian = 0.5 * (hessian + hessian.T)
    inverse, raised = invert(-hessian)
    return Laplace(posterior, z, inverse, hessian, top, raised)


def invert(precision: np.ndarray) -> tuple[np.ndarray, int]:
    """The covariance of a precision matrix whose eigenvalues are raised to the floor, and how many were."""
    values, vectors = np.linalg.eigh(precision)
    low = values < _SMALLEST_CURVATURE
    return (vectors / np.where(low, _SMALLEST_CURVATURE, values)) @ vectors.T, int(low.sum())
