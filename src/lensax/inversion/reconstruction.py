"""What an inversion found: the source, the images, and how well they are known."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar
from lensax.inversion.amplitude import BrightnessMap
from lensax.inversion.evidence import Evidence
from lensax.inversion.mesh import PlacedMesh
from lensax.inversion.system import Observation, System, observe_rays, white_columns
from lensax.inversion.trace import Rays, light_components
from lensax.light import LightBasis

__all__ = ["Reconstruction", "reconstruct"]


@final
class Reconstruction(eqx.Module):
    """A source, the linear light and the model of an image.

    Images are (n_y, n_x) in electrons / s / pixel and 0 outside of the mask.

    Attributes:
        evidence: all terms, and the solution with its certificate.
        mesh: where the source's coefficients stand; None without a mesh.
        components: linear light of the source beside the mesh.
        coefficients: of the source, electrons / s / arcsec^2, (n_cells,); not its values at cell centres.
        source_amplitudes: of the linear light of the source.
        amplitudes: of the linear light of the lens.
        source_light: the lensed source as the telescope sees it.
        light_image: the linear light of the lens.
        residual: data minus model.
        normalized_residual: the same, white: of unit variance and independent where the model is right.
        light_components: every component of the lens's linear light at its amplitude, (components, n_y, n_x).
        n_effective: number of coefficients of the source that the data determine, `tr[F (F + H)^-1]`.
        extent: (left, right, bottom, top) of the source in arcsec: of the mesh, or about the components.
        n_pixels: pixels of the mask.
        data_support: diagonal of F: how strongly the data see a coefficient.
    """

    evidence: Evidence
    mesh: PlacedMesh | None
    components: tuple[LightBasis, ...]
    coefficients: Float[Array, " cells"]
    source_amplitudes: Float[Array, " source_components"]
    amplitudes: Float[Array, " components"]
    source_light: Float[Array, "n_y n_x"]
    light_image: Float[Array, "n_y n_x"]
    residual: Float[Array, "n_y n_x"]
    normalized_residual: Float[Array, "n_y n_x"]
    light_components: Float[Array, "components n_y n_x"]
    n_effective: Scalar
    data_support: Float[Array, " cells"]
    extent: tuple[Any, Any, Any, Any]
    n_pixels: int = eqx.field(static=True)

    @property
    def covariance(self) -> Float[Array, "n n"]:
        """Without the bounds, `(F + H)^-1`: coefficients, amplitudes of the source, amplitudes of the lens."""
        return self.evidence.covariance

    @property
    def log_evidence(self) -> Scalar:
        """ln E."""
        return self.evidence.log_evidence

    @property
    def chi_squared(self) -> Scalar:
        """`|d - A s|^2` of the white data."""
        return self.evidence.chi_squared

    @property
    def reduced_chi_squared(self) -> Scalar:
        """Chi-squared over the pixels that are left when each effective coefficient has used up one."""
        return self.evidence.chi_squared / (self.n_pixels - self.n_effective - self.amplitudes.size)

    @property
    def model_image(self) -> Float[Array, "n_y n_x"]:
        """Lensed source and linear light."""
        return self.source_light + self.light_image

    def source_brightness(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The source in electrons / s / arcsec^2 at positions in the source plane, arcsec."""
        parts = light_components(self.components, x, y)
        total = jnp.einsum("c...,c->...", parts, self.source_amplitudes)
        return total if self.mesh is None else total + self.mesh.evaluate(self.coefficients, x, y)

    def source_deviation(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The posterior deviation of `source_brightness` without the bounds."""
        n = self.coefficients.size
        weights = jnp.moveaxis(light_components(self.components, x, y), 0, -1)
        at = jnp.broadcast_to(n + np.arange(weights.shape[-1]), weights.shape)
        if self.mesh is not None:
            taps = self.mesh.taps(x, y)
            index = taps.index()
            inside = index < n
            at = jnp.concatenate([jnp.where(inside, index, 0), at.astype(index.dtype)], -1)
            weights = jnp.concatenate([jnp.where(inside, taps.weights(), 0.0), weights], -1)
        variance = jnp.sum(
            self.covariance[at[..., :, None], at[..., None, :]] * weights[..., :, None] * weights[..., None, :],
            (-2, -1),
        )
        positive = variance > 0
        return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)

    def source_image(
        self, shape: Sequence[int], extent: Sequence[Any] | None = None, deviation: bool = False
    ) -> Float[Array, "rows columns"]:
        """An image of the source plane, electrons / s / arcsec^2.

        Args:
            shape: (rows, columns).
            extent: (left, right, bottom, top) of its outer edges in arcsec; None shows the whole mesh.
            deviation: the posterior deviation instead of the source.
        """
        left, right, bottom, top = self.extent if extent is None else extent
        rows, columns = shape
        x = left + (np.arange(columns) + 0.5) * ((right - left) / columns)
        y = bottom + (np.arange(rows) + 0.5) * ((top - bottom) / rows)
        shape = rows, columns
        return _seen(self, jnp.broadcast_to(x[None, :], shape), jnp.broadcast_to(y[:, None], shape), deviation)

    def brightness_map(self, shape: Sequence[int] = (64, 64), extent: Sequence[Any] | None = None) -> BrightnessMap:
        """The source as a `BrightnessMap` from 0 to 1, with which a prior of the next fit can be scaled."""
        edges = self.extent if extent is None else extent
        return BrightnessMap(self.source_image(shape, edges), edges)


@eqx.filter_jit
def _seen(found: Reconstruction, x: Array, y: Array, deviation: bool) -> Array:
    """The source, or its deviation: one program instead of one for each operation."""
    return (found.source_deviation if deviation else found.source_brightness)(x, y)


def _extent(mesh: PlacedMesh | None, rays: Rays, brightness: Array) -> tuple[Any, Any, Any, Any]:
    """The mesh's outer edges; without one, four deviations of the light about its centre."""
    if mesh is not None:
        ends = jnp.asarray([0.0, 1.0])
        (left, right), (bottom, top) = mesh.along_x.inverse(ends), mesh.along_y.inverse(ends)
        return left, right, bottom, top
    weights = brightness / jnp.sum(brightness)
    x, y = jnp.sum(weights * rays.source_x), jnp.sum(weights * rays.source_y)
    square = jnp.sum(weights * ((rays.source_x - x) ** 2 + (rays.source_y - y) ** 2))
    half = 4 * jnp.sqrt(0.5 * square)
    return x - half, x + half, y - half, y + half


@eqx.filter_jit
def reconstruct(
    source: Any, observation: Observation, lens: Any, light: Any, system: System, evidence: Evidence
) -> Reconstruction:
    """The reconstruction that belongs to a solution, whether that is certified or not."""
    frame = observation.frame
    placed, taps, rays = observe_rays(observation, source.mesh, lens)
    columns, _ = white_columns(observation, light, source.components, rays)
    n, n_source = system.n_cells, system.n_cells + sum(part.n_components for part in source.components)
    coefficients, own, amplitudes = jnp.split(evidence.coefficients, [n, n_source])
    brightness = jnp.einsum("c...,c->...", light_components(source.components, rays.source_x, rays.source_y), own)
    if taps is not None:
        brightness = brightness + taps.evaluate(coefficients)
    lensed = observation.blurred(brightness)
    components = columns[n_source - n :] * amplitudes[:, None, None]
    residual = observation.data - lensed - jnp.sum(components, 0)
    return Reconstruction(
        evidence=evidence,
        mesh=placed,
        components=source.components,
        coefficients=coefficients,
        source_amplitudes=own,
        amplitudes=amplitudes,
        source_light=frame.place(frame.inner(lensed)),
        light_image=frame.place(frame.inner(jnp.sum(components, 0))),
        residual=frame.place(frame.inner(residual)),
        normalized_residual=frame.place(observation.white(residual[None])[0]),
        light_components=frame.place(frame.inner(components)),
        n_effective=jnp.sum(system.curvature[:n_source] * evidence.covariance[:n_source]),
        data_support=jnp.diag(system.curvature)[:n],
        extent=_extent(placed, rays, brightness),
        n_pixels=frame.n_masked,
    )
