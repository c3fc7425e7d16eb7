"""From a dataset and a lens to the linear system of its source."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar
from lensax.instrument import Imaging
from lensax.instrument.convolution import blur
from lensax.instrument.kernel import Kernel
from lensax.inversion.frame import Frame, frame_of, kernel_of
from lensax.inversion.mesh import Mesh, PlacedMesh
from lensax.inversion.noise import Noise, Whitener, whiten
from lensax.inversion.taps import Taps
from lensax.inversion.tiles import NormalEquations, normal_equations
from lensax.inversion.trace import Rays, light_components, light_units, linear_light, trace_rays
from lensax.light import LightBasis

__all__ = ["Observation", "System", "assemble", "observe_rays", "white_columns"]


@final
class Observation(eqx.Module):
    """A dataset made ready for an inversion: all that does not depend on the lens.

    Attributes:
        frame: pixels and rays.
        data: the image on the field.
        whitener: on the field; `last` and `coefficients` on the core.
        kernel: point spread function.
        peak: the brightest pixel that is used, which sets the scale of the prior of linear light.
    """

    frame: Frame
    data: Float[Array, "rows columns"]
    whitener: Whitener
    kernel: Kernel
    peak: Scalar

    @classmethod
    def of(cls, dataset: Imaging, noise: Noise, over_sample: int, tile: int) -> "Observation":
        """The observation of a dataset.

        Raises:
            ValueError: what `frame_of` refuses.
        """
        frame = frame_of(dataset, over_sample, noise.reach, tile)
        mask = np.asarray(dataset.mask)  # frame_of has refused a traced one
        data = jnp.where(dataset.mask, dataset.data, 0.0).astype(float)
        whole = noise.whitener(dataset.noise_map.astype(float), mask)
        b = whole.coefficients
        whitener = Whitener(
            frame.crop(whole.inverse),
            frame.inner(frame.crop(whole.last)),
            None if b is None else frame.inner(frame.crop(b)),
            whole.log_normalization,
        )
        return cls(frame, frame.crop(data), whitener, kernel_of(dataset), jnp.max(jnp.abs(data)))

    def white(self, field: Float[Array, "n rows columns"]) -> Float[Array, "n core_rows core_columns"]:
        """White images of the core from images of the field."""
        return whiten(field, self.whitener.inverse, self.whitener.last, self.whitener.coefficients)

    def blurred(self, rays: Float[Array, "traced rays"]) -> Float[Array, "rows columns"]:
        """The image on the field, electrons / s / pixel, of a brightness at the traced rays."""
        return blur(self.frame.samples(rays), self.kernel) * self.frame.pixel_area


@final
class System(eqx.Module):
    """The linear system of a source for one lens, without the prior of the source.

    Attributes:
        curvature: F, (n, n): the coefficients on the mesh first, then the amplitudes of linear light in the source
            plane, then those of the lens's.
        data_vector: D.
        data_squared: |d|^2 of the white data.
        log_normalization: `sum ln 2 pi sigma^2`.
        light_precision: inverse prior variance of each amplitude of linear light.
        mesh: where the coefficients stand; None without a mesh.
    """

    curvature: Float[Array, "n n"]
    data_vector: Float[Array, " n"]
    data_squared: Scalar
    log_normalization: Scalar
    light_precision: Float[Array, " components"]
    mesh: PlacedMesh | None

    @property
    def n_cells(self) -> int:
        """Number of coefficients on the mesh."""
        return 0 if self.mesh is None else self.mesh.n_cells


def observe_rays(observation: Observation, mesh: Mesh | None, lens: Any) -> tuple[PlacedMesh | None, Taps | None, Rays]:
    """The mesh at its place, the taps of the traced rays, and where these meet the source and the lens plane."""
    frame = observation.frame
    rays = trace_rays(lens, jnp.asarray(frame.x, float), jnp.asarray(frame.y, float))
    if mesh is None:
        return None, None, rays
    used = frame.masked(rays.source_x), frame.masked(rays.source_y)
    placed = mesh.place(*used, jnp.asarray(frame.pixels)[: frame.n_masked])
    return placed, placed.taps(rays.source_x, rays.source_y), rays


def white_columns(
    observation: Observation, light: tuple[LightBasis, ...], components: tuple[LightBasis, ...], rays: Rays
) -> tuple[Array, Array]:
    """Images of the linear light on the field, blurred, and the same white on the core: the source's first."""
    brightness = jnp.concatenate(
        [
            light_components(components, rays.source_x, rays.source_y),
            light_components(light, rays.lens_x, rays.lens_y),
        ]
    )
    if brightness.shape[0] == 0:
        empty = jnp.zeros((0, *observation.frame.field), brightness.dtype)
        return empty, jnp.zeros((0, *observation.frame.core), brightness.dtype)
    field = jax.vmap(observation.blurred)(brightness)
    return field, observation.white(field)


def assemble(
    observation: Observation,
    mesh: Mesh | None,
    lens: Any,
    light: Any,
    light_deviation: Scalar,
    components: tuple[LightBasis, ...] = (),
    single: bool = False,
) -> System:
    """The linear system of a source behind a lens, with linear light.

    Args:
        observation: the data.
        mesh: where coefficients stand; None for a source of components alone.
        lens: mass profiles or a scene.
        light: linear light of the lens, or None.
        light_deviation: prior deviation of the amplitudes in units of the data's peak.
        components: linear light in the source plane.
        single: blur and whiten the source in float32.
    """
    frame, whitener = observation.frame, observation.whitener
    bases = linear_light(light)
    placed, taps, rays = observe_rays(observation, mesh, lens)
    _, columns = white_columns(observation, bases, components, rays)
    data = observation.white(observation.data[None])[0]
    if taps is None:
        flat = columns.reshape(columns.shape[0], data.size)
        equations = NormalEquations(flat @ flat.T, flat @ data.ravel())
    else:
        fixed = observation.kernel, whitener, frame.pixel_area
        equations = normal_equations(frame, taps, columns, data, *fixed, single=single)
    units = light_units((*components, *bases), frame.pixel_area)
    return System(
        curvature=equations.curvature,
        data_vector=equations.data_vector,
        data_squared=jnp.sum(data**2),
        log_normalization=whitener.log_normalization,
        light_precision=1 / (light_deviation * observation.peak * units) ** 2,
        mesh=placed,
    )
