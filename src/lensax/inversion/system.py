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
from lensax.inversion.tiles import normal_equations
from lensax.inversion.trace import light_components, light_units, linear_light, trace_rays

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
        curvature: F, (n, n), the source's coefficients first, then the amplitudes of linear light.
        data_vector: D.
        data_squared: |d|^2 of the white data.
        log_normalization: `sum ln 2 pi sigma^2`.
        light_precision: inverse prior variance of each amplitude of linear light.
        mesh: where the coefficients stand.
    """

    curvature: Float[Array, "n n"]
    data_vector: Float[Array, " n"]
    data_squared: Scalar
    log_normalization: Scalar
    light_precision: Float[Array, " components"]
    mesh: PlacedMesh


def observe_rays(observation: Observation, mesh: Mesh, lens: Any) -> tuple[PlacedMesh, Taps, Array, Array]:
    """The mesh at its place, the taps of the traced rays, and where these meet the lens plane."""
    frame = observation.frame
    x, y = jnp.asarray(frame.x, float), jnp.asarray(frame.y, float)
    source_x, source_y, lens_x, lens_y = trace_rays(lens, x, y)
    placed = mesh.place(frame.masked(source_x), frame.masked(source_y), jnp.asarray(frame.pixels)[: frame.n_masked])
    return placed, placed.taps(source_x, source_y), lens_x, lens_y


def white_columns(observation: Observation, light: Any, lens_x: Array, lens_y: Array) -> tuple[Array, Array]:
    """Images of the linear light on the field, blurred, and the same white on the core."""
    components = light_components(linear_light(light), lens_x, lens_y)
    if components.shape[0] == 0:
        empty = jnp.zeros((0, *observation.frame.field), lens_x.dtype)
        return empty, jnp.zeros((0, *observation.frame.core), lens_x.dtype)
    field = jax.vmap(observation.blurred)(components)
    return field, observation.white(field)


def assemble(observation: Observation, mesh: Mesh, lens: Any, light: Any, light_deviation: Scalar) -> System:
    """The linear system of a source on a mesh behind a lens, with linear light.

    Args:
        observation: the data.
        mesh: where coefficients stand.
        lens: mass profiles or a scene.
        light: linear light, or None.
        light_deviation: prior deviation of the amplitudes in units of the data's peak.
    """
    frame, whitener = observation.frame, observation.whitener
    placed, taps, lens_x, lens_y = observe_rays(observation, mesh, lens)
    _, columns = white_columns(observation, light, lens_x, lens_y)
    data = observation.white(observation.data[None])[0]
    equations = normal_equations(frame, taps, columns, data, observation.kernel, whitener, frame.pixel_area)
    units = light_units(linear_light(light), frame.pixel_area)
    return System(
        curvature=equations.curvature,
        data_vector=equations.data_vector,
        data_squared=jnp.sum(data**2),
        log_normalization=whitener.log_normalization,
        light_precision=1 / (light_deviation * observation.peak * units) ** 2,
        mesh=placed,
    )
