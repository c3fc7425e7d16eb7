"""The programs of which an evaluation of a posterior is made: the system, its solution, and the way back.

The derivative goes through them one by one. A program for everything would have to be compiled beside those which a
search of the regularization alone and a reconstruction need, and compiling takes as long as some thirty evaluations.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Bool, Float, Int, Scalar
from lensax.fit.coordinates import Coordinates
from lensax.inversion import Evidence, System
from lensax.inversion.guard import settle

__all__ = ["Evaluation", "Likelihood", "assembled", "constrained", "evaluate", "finished", "pulled", "solved"]


class Evaluation(NamedTuple):
    """The posterior at one point.

    Attributes:
        log_density: ln P(z), minus infinity where the lens is refused.
        gradient: by z, (n,); zero where the lens is refused.
        log_evidence: ln E alone.
        magnification: of the whole source, light over light.
        free: coefficients of the solution that are not held at zero, for the next `start`.
        passes: factorisations of the non-negative solution.
        good: whether the solution is certified and magnified enough.
    """

    log_density: Scalar
    gradient: Float[Array, " parameters"]
    log_evidence: Scalar
    magnification: Scalar
    free: Bool[Array, " coefficients"]
    passes: Int[Array, ""]
    good: Bool[Array, ""]


class Likelihood(NamedTuple):
    """The evidence of a lens, with that of its positions."""

    value: Scalar
    evidence: Evidence
    magnification: Scalar
    good: Bool[Array, ""]


@eqx.filter_jit
def constrained(coordinates: Coordinates, z: Array) -> dict[str, Array]:
    """theta at z."""
    return coordinates.constrain(z)


@eqx.filter_jit
def assembled(posterior: Any, theta: dict[str, Array]) -> tuple[System, Any]:
    """The system, and the function that brings its cotangent back to theta."""
    return eqx.filter_vjp(posterior.system_at, theta)


@eqx.filter_jit
def solved(
    posterior: Any, theta: dict[str, Array], start: Any, system: System
) -> tuple[Likelihood, tuple[dict[str, Array], System]]:
    """The solution of a system, and the gradient by theta with the system held, and by the system."""

    def value(moving: tuple[dict[str, Array], System]) -> tuple[Scalar, Likelihood]:
        return posterior.likelihood_at(*moving, start)

    (_, found), gradient = eqx.filter_value_and_grad(value, has_aux=True)((theta, system))
    return found, gradient


@eqx.filter_jit
def pulled(pull: Any, bar: System, slope: dict[str, Array]) -> dict[str, Array]:
    """The whole gradient by theta: with the system held, and through it."""
    return jax.tree.map(jnp.add, slope, pull(bar)[0])


@eqx.filter_jit
def finished(
    coordinates: Coordinates, z: Array, value: Array, good: Array, slope: dict[str, Array]
) -> tuple[Scalar, Float[Array, " parameters"]]:
    """ln P(z) and its gradient from the likelihood and its gradient by theta."""
    (log_prior, _), back = jax.vjp(coordinates.with_log_prior, z)
    (gradient,) = back((jnp.ones_like(log_prior), slope))
    return settle(value + log_prior, good, gradient)


def evaluate(posterior: Any, z: Array, start: Any, system: System | None) -> Evaluation:
    """All of them in turn; without the way back where a system is given."""
    theta, pull = constrained(posterior.coordinates, z), None
    if system is None:
        system, pull = assembled(posterior, theta)
    found, (slope, bar) = solved(posterior, theta, start, system)
    slope = slope if pull is None else pulled(pull, bar, slope)
    value, gradient = finished(posterior.coordinates, z, found.value, found.good, slope)
    evidence = found.evidence
    return Evaluation(
        log_density=value,
        gradient=gradient,
        log_evidence=evidence.log_evidence,
        magnification=found.magnification,
        free=evidence.free,
        passes=evidence.passes,
        good=found.good,
    )
