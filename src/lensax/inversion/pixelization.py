"""A source of free pixels behind a lens: its evidence, and its reconstruction."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._check import check, positive
from lensax._types import Array, Bool, Float, Scalar, real
from lensax.instrument import Imaging
from lensax.instrument._count import at_least_one
from lensax.inversion.diagnosis import check_solution
from lensax.inversion.evidence import Evidence, evidence_of
from lensax.inversion.mesh import Mesh
from lensax.inversion.noise import IndependentNoise, Noise
from lensax.inversion.reconstruction import Reconstruction, reconstruct
from lensax.inversion.regularization import Regularization
from lensax.inversion.system import Observation, System, assemble
from lensax.inversion.trace import linear_light

__all__ = ["Pixelization"]


def _part(name: str, kind: type) -> Callable[[Any], Any]:
    """A converter that refuses what is no `kind`."""

    def convert(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(
                f"Pixelization: {name} must be a {kind.__name__} of lensax.inversion, got {type(value).__name__}"
            )
        return value

    return convert


@final
class Pixelization(eqx.Module):
    r"""A source that is a sum of B-splines on a mesh, with a Gaussian prior, solved for exactly.

    The model of an image is linear in the source's coefficients and in the amplitudes of linear light. They are solved
    for, without negative ones, and integrated out: what is left is the evidence of the lens (formula: `Evidence`).

    Every number in the mesh, the regularization, the lens and the light may be traced; the evidence has an exact
    derivative in reverse mode and is computed in float64. The dataset is constant: close over it.

    Args:
        mesh: where the coefficients stand.
        regularization: the prior of the source.
        noise: whether the noise of neighbouring pixels is correlated.
        over_sample: rays per pixel and axis.
        positive: whether coefficients and amplitudes must not be negative.
        light_deviation: prior deviation of the amplitudes of linear light, in units of the data's brightest pixel.
        tile: pixels per side of the tiles in which the system is assembled; changes the speed alone.

    Raises:
        TypeError: a part of another kind.
        ValueError: a count below 1, or a deviation that is not positive.

    Suyu et al. (2006), MNRAS 371, 983; Warren & Dye (2003), ApJ 590, 673.
    """

    mesh: Mesh = eqx.field(converter=_part("mesh", Mesh))
    regularization: Regularization = eqx.field(converter=_part("regularization", Regularization))
    noise: Noise = eqx.field(converter=_part("noise", Noise), default_factory=IndependentNoise)
    over_sample: int = eqx.field(static=True, default=2)
    positive: bool = eqx.field(static=True, default=True)
    light_deviation: Scalar = real(default=10.0)
    tile: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        at_least_one(self.over_sample, "over_sample")
        at_least_one(self.tile, "tile")
        check(self, "light_deviation", positive, "a positive number")

    def observation(self, dataset: Imaging) -> Observation:
        """The dataset made ready: all that does not depend on the lens.

        Raises:
            ValueError: a mask that is traced or empty, a PSF larger than the image, more coefficients than used
                pixels, or a brightness of another shape than the image.
            RuntimeError: JAX does not compute in float64.
        """
        if jnp.zeros(()).dtype != jnp.float64:
            raise RuntimeError(
                "an inversion needs float64, which JAX has switched off: "
                "call jax.config.update('jax_enable_x64', True) before anything else"
            )
        self.mesh.check_image(dataset.shape)
        observation = Observation.of(dataset, self.noise, self.over_sample, self.tile)
        cells, pixels = self.mesh.shape[0] * self.mesh.shape[1], observation.frame.n_masked
        if cells > pixels:
            raise ValueError(
                f"a mesh of {self.mesh.shape[0]} x {self.mesh.shape[1]} = {cells} cells has more coefficients than the "
                f"{pixels} pixels in the mask can support; use fewer cells or a larger mask"
            )
        return observation

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
        return _system(self, self.observation(dataset), lens, linear_light(light))

    def evidence(self, system: System, start: Bool[Array, " n"] | None = None) -> Evidence:
        """Every term of the evidence of a system, and its solution.

        Args:
            system: of `system`; it may be used again while the regularization changes.
            start: `free` of an earlier solution: fewer passes, the same result.
        """
        return _evidence(self, system, start)

    def log_evidence(
        self, dataset: Imaging, lens: Any, light: Any = None, start: Bool[Array, " n"] | None = None
    ) -> Scalar:
        """The log evidence of a lens; -inf where the solution is not certified.

        Args:
            dataset: the image, its noise, PSF and mask.
            lens: mass profiles of one plane, or a `Scene`.
            light: linear light: a `LightBasis`, a light profile, several of them, or None.
            start: `free` of an earlier solution: fewer passes, the same result.

        Raises:
            ValueError: see `observation`.
            TypeError: a lens or a light of another kind.
        """
        evidence = self.evidence(self.system(dataset, lens, light), start)
        good = evidence.certified & jnp.isfinite(evidence.log_evidence)
        return jnp.where(good, evidence.log_evidence, -jnp.inf)

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
        observation, parts = self.observation(dataset), linear_light(light)
        system = _system(self, observation, lens, parts)
        evidence = self.evidence(system, start)
        check_solution(system, self.regularization, evidence)
        return reconstruct(self.mesh, prior_matrix(self, system)[0], observation, lens, parts, system, evidence)


@eqx.filter_jit
def _system(pixelization: Pixelization, observation: Observation, lens: Any, light: Any) -> System:
    return assemble(observation, pixelization.mesh, lens, light, pixelization.light_deviation)


def prior_matrix(pixelization: Pixelization, system: System) -> tuple[Float[Array, "n n"], Scalar]:
    """H and ln|H| of the source and of the linear light."""
    source = pixelization.regularization.precision(system.mesh)
    light = system.light_precision
    both = jax.scipy.linalg.block_diag(source.matrix, jnp.diag(light)) if light.size else source.matrix
    return both, source.log_determinant + jnp.sum(jnp.log(light))


@eqx.filter_jit
def _evidence(pixelization: Pixelization, system: System, start: Array | None) -> Evidence:
    prior, log_det = prior_matrix(pixelization, system)
    return evidence_of(
        system.curvature,
        system.data_vector,
        prior,
        log_det,
        system.data_squared,
        system.log_normalization,
        pixelization.positive,
        start,
    )
