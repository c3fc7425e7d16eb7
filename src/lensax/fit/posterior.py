r"""The posterior of a model given an image, as a function of an unconstrained vector.

    ln P(z) = ln E(theta) + ln pi(theta) + ln|d theta / d z| + ln P(positions),    theta = theta(z)

E is the evidence of the inversion, in which source and linear light are integrated out, pi the prior, and theta(z) the
map of `Coordinates`.
"""

from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._check import check, positive
from lensax._types import Array, Bool, Float, Scalar, as_real
from lensax.fit.coordinates import Coordinates
from lensax.fit.model import FitModel
from lensax.fit.positions import Positions
from lensax.fit.programs import Evaluation, Likelihood, assembled, constrained, evaluate, solved
from lensax.fit.waiting import waiting
from lensax.instrument import Imaging
from lensax.inversion import Evidence, IndependentNoise, Noise, Observation, Reconstruction, System
from lensax.inversion.diagnosis import check_solution
from lensax.inversion.guard import settle
from lensax.inversion.magnification import magnification
from lensax.inversion.reconstruction import reconstruct
from lensax.inversion.source import observe, solve, system_of

__all__ = ["Evaluation", "Posterior"]

Vector = Float[Array, " parameters"] | Float[np.ndarray, " parameters"]
Start = Bool[Array, " coefficients"] | Bool[np.ndarray, " coefficients"] | None


@final
class Posterior(eqx.Module):
    """The posterior of a model given a dataset.

    Attributes:
        observation: the dataset made ready.
        coordinates: the map from z to the parameters.
        n_coefficients: how many coefficients and amplitudes are solved for.

    Args:
        model: what is fitted.
        dataset: the image, its noise map, PSF and mask.
        noise: whether the noise of neighbouring pixels is correlated; None for independent noise.
        positions: images that must trace to one place, or None.
        minimum_magnification: lenses that magnify the source by less are refused: the source would be the image.

    Raises:
        ValueError: a dataset that does not fit the source (see `Source.observation`), or a source that waits for an
            earlier fit.
        RuntimeError: JAX does not compute in float64.
    """

    model: FitModel
    dataset: Imaging
    noise: Noise
    positions: Positions | None
    minimum_magnification: Scalar
    observation: Observation
    coordinates: Coordinates
    n_coefficients: int = eqx.field(static=True)

    def __init__(
        self,
        model: FitModel,
        dataset: Imaging,
        noise: Noise | None = None,
        positions: Positions | None = None,
        minimum_magnification: Any = 1.5,
    ) -> None:
        if waiting(model.source):
            names = " and ".join(waiting(model.source))
            raise ValueError(f"Posterior: {names} can only be known from an earlier fit; use fit_in_stages")
        self.model, self.dataset, self.positions = model, dataset, positions
        self.noise = IndependentNoise() if noise is None else noise
        self.minimum_magnification = as_real(minimum_magnification)
        self.coordinates = Coordinates(model.prior)
        # Which kinds of parts there are does not depend on theta, only their numbers do.
        parts = model(self.constrain(jnp.zeros(self.n_parameters)))
        self.observation = observe(parts.source, dataset, self.noise)
        mesh, light = parts.source.mesh, (*parts.source.components, *parts.light)
        cells = 0 if mesh is None else mesh.shape[0] * mesh.shape[1]
        self.n_coefficients = cells + sum(basis.n_components for basis in light)

    def __check_init__(self) -> None:
        check(self, "minimum_magnification", positive, "a positive number")

    @property
    def names(self) -> tuple[str, ...]:
        """The free parameters in the order of z."""
        return self.model.prior.names

    @property
    def n_parameters(self) -> int:
        """Length of z."""
        return len(self.names)

    def constrain(self, z: Float[Array, "*batch parameters"]) -> dict[str, Float[Array, "*batch"]]:
        """The parameters at a point z."""
        return self.coordinates.constrain(z)

    def unconstrained(self, theta: Mapping[str, Any]) -> Float[Array, "*batch parameters"]:
        """The point z of parameters.

        Raises:
            ValueError: a concrete value outside of its prior's support.
        """
        return self.coordinates.unconstrained(theta)

    def log_density(self, z: Vector, start: Start = None) -> Scalar:
        """ln P(z); minus infinity, with a gradient of zero, where the lens is refused.

        Args:
            z: the unconstrained vector.
            start: `free` of an evaluation nearby: fewer passes, the same result.
        """
        return _log_density(as_real(z), self, self._start(start))

    def evaluate(self, z: Vector, start: Start = None, system: System | None = None) -> Evaluation:
        """ln P(z), its gradient and what comes with it; compiled once.

        Made of three programs: the linear system, its solution, and the way back from the derivative by the system.
        They are shared with `system` and `solution`; one program for everything would have to be compiled beside them.

        Args:
            z: the unconstrained vector.
            start: `free` of an evaluation nearby: fewer passes, the same result.
            system: of `system(z)`, for use while only parameters of the regularization change (see
                `FitModel.regularization_names`); the gradient by all others is then of the prior alone.
        """
        return evaluate(self, as_real(z), self._start(start), system)

    def value_and_gradient(self, z: Vector) -> tuple[Scalar, Float[Array, " parameters"]]:
        """ln P(z) and its gradient; minus infinity and zeros where the lens is refused."""
        found = self.evaluate(z)
        return found.log_density, found.gradient

    def memory(self) -> int | None:
        """Bytes that `evaluate` needs, once it is compiled; None where the compiler is silent."""
        program: Any = eqx.filter_jit(evaluate)
        compiled = program.lower(self, jnp.zeros(self.n_parameters), self._start(None), None).compile()
        analysis = compiled.compiled.memory_analysis()
        if analysis is None:
            return None
        return int(analysis.temp_size_in_bytes + analysis.output_size_in_bytes + analysis.argument_size_in_bytes)

    def _start(self, start: Any) -> Array:
        """A start of which nothing is known stands for none: with and without, it is one program."""
        return jnp.zeros(self.n_coefficients, bool) if start is None else jnp.asarray(start, bool)

    def system(self, z: Vector) -> System:
        """The linear system at z."""
        return assembled(self, constrained(self.coordinates, as_real(z)))[0]

    def solution(self, theta: Mapping[str, Any], start: Start = None) -> Reconstruction:
        """Source, light and residuals at `theta`.

        Raises:
            ValueError: a system without a unique solution; says which term is missing.
        """
        theta = {name: as_real(theta[name]) for name in self.names}
        system, _ = assembled(self, theta)
        found, _ = solved(self, theta, self._start(start), system)
        check_solution(system, self.model(theta).source.regularization, found.evidence)
        return self._drawn(theta, system, found.evidence)

    def prepare(self) -> None:
        """Compile what `evaluate` and `solution` do once a system is made, with one of zeros.

        Meant for a thread of its own while the system itself is being compiled: `evaluate` takes what is there.
        """
        theta = constrained(self.coordinates, jnp.zeros(self.n_parameters))
        shapes = eqx.filter_eval_shape(self.system_at, theta)
        system = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        found, _ = solved(self, theta, self._start(None), system)
        self._drawn(theta, system, found.evidence)

    def _drawn(self, theta: dict[str, Array], system: System, evidence: Evidence) -> Reconstruction:
        parts = _parts(self.model, theta)
        return reconstruct(parts.source, self.observation, parts.lens, parts.light, system, evidence)

    def system_at(self, theta: dict[str, Array]) -> System:
        """The linear system at theta, to be traced."""
        parts = self.model(theta)
        return system_of(parts.source, self.observation, parts.lens, parts.light)

    def likelihood_at(self, theta: dict[str, Array], system: System, start: Any) -> tuple[Scalar, Likelihood]:
        """ln E and the positions at theta, twice, and what comes with them; to be traced."""
        parts = self.model(theta)
        evidence = solve(parts.source, system, start)
        total = evidence.log_evidence
        if self.positions is not None:
            total = total + self.positions.log_prob(parts.lens)
        enlarged = magnification(parts.source, system, self.observation, parts.lens, evidence.coefficients)
        good = evidence.certified & (enlarged >= self.minimum_magnification)
        return total, Likelihood(total, evidence, enlarged, good)


@eqx.filter_jit
def _parts(model: FitModel, theta: dict[str, Array]) -> Any:
    return model(theta)


@eqx.filter_custom_vjp
def _log_density(z: Any, posterior: Posterior, start: Any) -> Scalar:
    log_prior, theta = posterior.coordinates.with_log_prior(z)
    value, found = posterior.likelihood_at(theta, posterior.system_at(theta), start)
    return settle(value + log_prior, found.good, ())[0]


@_log_density.def_fwd
def _log_density_forward(perturbed: Any, z: Any, posterior: Posterior, start: Any) -> tuple[Scalar, Array]:
    found = evaluate(posterior, z, start, None)
    return found.log_density, found.gradient


@_log_density.def_bwd
def _log_density_backward(
    gradient: Array, bar: Scalar, perturbed: Any, z: Any, posterior: Posterior, start: Any
) -> Array:
    return bar * gradient
