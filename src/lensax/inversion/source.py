"""What every source of an inversion can do: its evidence behind a lens, and its reconstruction."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._check import check, positive, whole_number
from lensax._types import Array, Bool, Float, Scalar
from lensax.instrument import Imaging
from lensax.inversion.diagnosis import check_solution
from lensax.inversion.evidence import Evidence, evidence_of
from lensax.inversion.guard import guarded
from lensax.inversion.mesh import Mesh
from lensax.inversion.noise import Noise
from lensax.inversion.reconstruction import Reconstruction, reconstruct
from lensax.inversion.regularization import Regularization
from lensax.inversion.system import Observation, System, assemble
from lensax.inversion.trace import linear_light
from lensax.light import LightBasis

__all__ = ["Source", "observe", "part", "prior_matrix", "reconstruction", "solve", "system_of"]


def part(owner: str, name: str, kind: type) -> Callable[[Any], Any]:
    """A converter that refuses what is no `kind`."""

    def convert(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(
                f"{owner}: {name} must be a {kind.__name__} of lensax.inversion, got {type(value).__name__}"
            )
        return value

    return convert


class Source(eqx.Module):
    """A source whose image is linear in its coefficients, for which an inversion solves (formula: `Evidence`)."""

    mesh: eqx.AbstractVar[Mesh | None]
    regularization: eqx.AbstractVar[Regularization | None]
    components: eqx.AbstractVar[tuple[LightBasis, ...]]
    noise: eqx.AbstractVar[Noise]
    over_sample: eqx.AbstractVar[int]
    positive: eqx.AbstractVar[bool]
    light_deviation: eqx.AbstractVar[Scalar]
    tile: eqx.AbstractVar[int]
    mixed_precision: eqx.AbstractVar[bool]

    def __check_init__(self) -> None:
        whole_number(self.over_sample, "over_sample")
        whole_number(self.tile, "tile")
        check(self, "light_deviation", positive, "a positive number")

    @abc.abstractmethod
    def check_support(self, dataset: Imaging, n_pixels: int) -> None:
        """Refuse a dataset that the source does not fit, or that has fewer pixels than the source has coefficients."""

    def observation(self, dataset: Imaging) -> Observation:
        """The dataset made ready: all that does not depend on the lens.

        Raises:
            ValueError: a mask that is traced or empty, a PSF larger than the image, more coefficients than used
                pixels, or a brightness of another shape than the image.
            RuntimeError: JAX does not compute in float64.
        """
        return observe(self, dataset, self.noise)

    def system(self, dataset: Imaging, lens: Any, light: Any = None) -> System:
        """The linear system of the source, which does not depend on the regularization.

        Args:
            dataset: the image, its noise, PSF and mask.
            lens: mass profiles of one plane, or a `Scene`.
            light: linear light: a `LightBasis`, a light profile, several of them, or None.

        Raises:
            ValueError: see `observation`.
            TypeError: a lens or a light of another kind.
        """
        return system_of(self, self.observation(dataset), lens, linear_light(light))

    def evidence(self, system: System, start: Bool[Array, " n"] | None = None) -> Evidence:
        """Every term of the evidence of a system, and its solution.

        Args:
            system: of `system`; it may be used again while the regularization changes.
            start: `free` of an earlier solution: fewer passes, the same result.
        """
        return solve(self, system, start)

    def log_evidence(
        self, dataset: Imaging, lens: Any, light: Any = None, start: Bool[Array, " n"] | None = None
    ) -> Scalar:
        """The log evidence of a lens; -inf, with a gradient of zero, where it is not finite or not certified.

        Args:
            dataset: the image, its noise, PSF and mask.
            lens: mass profiles of one plane, or a `Scene`.
            light: linear light: a `LightBasis`, a light profile, several of them, or None.
            start: `free` of an earlier solution: fewer passes, the same result.

        Raises:
            ValueError: see `observation`.
            TypeError: a lens or a light of another kind.
        """

        def value(arguments: Any) -> tuple[Scalar, Array]:
            source, observation, lens, bases, start = arguments
            evidence = solve(source, system_of(source, observation, lens, bases), start)
            return evidence.log_evidence, evidence.certified

        return guarded(value, (self, self.observation(dataset), lens, linear_light(light), start))

    def fit(
        self, dataset: Imaging, lens: Any, light: Any = None, start: Bool[Array, " n"] | None = None
    ) -> Reconstruction:
        """The reconstruction of the source and of the linear light.

        Args:
            dataset: the image, its noise, PSF and mask.
            lens: mass profiles of one plane, or a `Scene`.
            light: linear light: a `LightBasis`, a light profile, several of them, or None.
            start: `free` of an earlier solution: fewer passes, the same result.

        Raises:
            ValueError: see `observation`; and a system without a unique solution, saying which term is missing.
            TypeError: a lens or a light of another kind.
        """
        return reconstruction(self, self.observation(dataset), lens, light, start)


def observe(source: Source, dataset: Imaging, noise: Noise) -> Observation:
    """The dataset made ready for a source (see `Source.observation`)."""
    if jnp.zeros(()).dtype != jnp.float64:
        raise RuntimeError(
            "an inversion needs float64, which JAX has switched off: "
            "call jax.config.update('jax_enable_x64', True) before anything else"
        )
    observation = Observation.of(dataset, noise, source.over_sample, source.tile)
    source.check_support(dataset, observation.frame.n_masked)
    return observation


def reconstruction(
    source: Source, observation: Observation, lens: Any, light: Any = None, start: Any = None
) -> Reconstruction:
    """The reconstruction of a source from a dataset made ready (see `Source.fit`)."""
    parts = linear_light(light)
    system = system_of(source, observation, lens, parts)
    evidence = solve(source, system, start)
    check_solution(system, source.regularization, evidence)
    return reconstruct(source, observation, lens, parts, system, evidence)


@eqx.filter_jit
def system_of(source: Source, observation: Observation, lens: Any, light: tuple[LightBasis, ...]) -> System:
    """The linear system of a source behind a lens."""
    parts = source.light_deviation, source.components, source.mixed_precision
    return assemble(observation, source.mesh, lens, light, *parts)


def prior_matrix(source: Source, system: System) -> tuple[Float[Array, "n n"], Scalar]:
    """H and ln|H| of the source and of the linear light."""
    light = system.light_precision
    amplitudes = jnp.diag(light), jnp.sum(jnp.log(light))
    if system.mesh is None or source.regularization is None:
        return amplitudes
    cells = source.regularization.precision(system.mesh)
    both = jax.scipy.linalg.block_diag(cells.matrix, amplitudes[0]) if light.size else cells.matrix
    return both, cells.log_determinant + amplitudes[1]


@eqx.filter_jit
def solve(source: Source, system: System, start: Array | None = None) -> Evidence:
    """The evidence of a system with the prior of a source."""
    prior, log_det = prior_matrix(source, system)
    return evidence_of(
        system.curvature,
        system.data_vector,
        prior,
        log_det,
        system.data_squared,
        system.log_normalization,
        source.positive,
        start,
    )
