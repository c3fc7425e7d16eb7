"""Meshes in the source plane: where the coefficients of a pixelized source stand.

A mesh is a product of two axes. Its source is `S(x, y) = sum_ij s_ij B_p(z_y(y) - i) B_p(z_x(x) - j)` with B-splines of
degree p in coordinates z that a smooth transform makes from positions. Coefficients are not values of the source at
cell centres; non-negative coefficients make a non-negative source.
"""

import abc
from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._check import check_brightness, check_extent, whole_number
from lensax._types import Array, Float, as_real
from lensax.inversion.bspline import DEGREES
from lensax.inversion.taps import Taps
from lensax.inversion.transform import KernelCDF, LinearTransform, Transform, soft_bounds

__all__ = ["AdaptiveMesh", "Mesh", "PlacedMesh", "UniformMesh"]


@final
class PlacedMesh(eqx.Module):
    """A mesh at its place in the source plane.

    Along either axis `z = first + intervals * U`, U being the transform and z the position in units of cells.

    Attributes:
        along_x, along_y: the transforms.
        shape: coefficients (n_y, n_x).
        degree: of the splines.
        first: position of the lower end of the transforms in units of cells.
        intervals: length of the mesh (y, x) in units of cells.
    """

    along_x: Transform
    along_y: Transform
    shape: tuple[int, int] = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    first: float = eqx.field(static=True)
    intervals: tuple[int, int] = eqx.field(static=True)

    @property
    def n_cells(self) -> int:
        """Number of coefficients."""
        return self.shape[0] * self.shape[1]

    def coordinates(
        self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Positions (z_x, z_y) in units of cells of positions in arcsec."""
        return (
            self.first + self.intervals[1] * self.along_x(x),
            self.first + self.intervals[0] * self.along_y(y),
        )

    def taps(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Taps:
        """The coefficients that rays at these positions see."""
        return Taps.at(*self.coordinates(x, y), self.shape, self.degree)

    def centers(self) -> tuple[Float[Array, " cells"], Float[Array, " cells"]]:
        """x and y of the splines' centres in arcsec, row by row; beyond the ends of an adaptive mesh, mirrored."""

        def along(transform: Transform, count: int, intervals: int) -> Array:
            share = (np.arange(count) - self.first) / intervals
            return transform.inverse(jnp.asarray(share, float))

        x = along(self.along_x, self.shape[1], self.intervals[1])
        y = along(self.along_y, self.shape[0], self.intervals[0])
        return jnp.tile(x, self.shape[0]), jnp.repeat(y, self.shape[1])

    def evaluate(
        self, coefficients: Float[Array, " cells"], x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """The source at positions in arcsec; zero beyond the mesh."""
        return self.taps(x, y).evaluate(coefficients)


def _shape(value: Any) -> tuple[int, int]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(f"shape of a mesh must be two whole numbers (n_y, n_x), got {value!r}")
    rows, columns = (whole_number(n, f"shape[{i}] of a mesh") for i, n in enumerate(value))
    return rows, columns


def _degree(value: Any) -> int:
    if value not in DEGREES:
        raise ValueError(f"degree of a mesh must be 1 (bilinear), 2 (quadratic) or 3 (cubic), got {value!r}")
    return int(value)


def _extent(value: Any) -> tuple[float, ...] | None:
    return None if value is None else tuple(float(edge) for edge in value)


def _check_size(mesh: "UniformMesh | AdaptiveMesh") -> None:
    if min(mesh.shape) < mesh.degree + 2:
        raise ValueError(
            f"{type(mesh).__name__}: shape must be at least {mesh.degree + 2} cells along either axis for splines of "
            f"degree {mesh.degree}, got {mesh.shape}"
        )


class Mesh(eqx.Module):
    """Where the coefficients of a source stand, given the rays that fall on it."""

    shape: eqx.AbstractVar[tuple[int, int]]
    degree: eqx.AbstractVar[int]

    @abc.abstractmethod
    def check_image(self, shape: tuple[int, int]) -> None:
        """Refuse an image that the mesh does not belong to.

        Raises:
            ValueError: the mesh has an image of its own of another shape.
        """

    @abc.abstractmethod
    def place(self, x: Array, y: Array, pixels: Any) -> PlacedMesh:
        """The mesh for rays at source positions x, y (n_pixels, rays per pixel) of the image's used pixels.

        Args:
            x, y: arcsec.
            pixels: rows and columns of the pixels in the image.
        """


@final
class UniformMesh(Mesh):
    """Cells of one size over a rectangle of the source plane.

    With an `extent` the rectangle stands still while the lens changes and each cell has its spline at its centre; the
    source falls to zero beyond it. Without, the rectangle is the smooth bounding box of the rays and follows them
    (PyAutoLens calls that mesh `RectangularUniform`).

    Args:
        shape: coefficients (n_y, n_x).
        extent: (left, right, bottom, top) in arcsec, or None.
        degree: of the B-splines: 1 bilinear, 2 quadratic (the evidence is C1 in the lens), 3 cubic (C2).

    Raises:
        ValueError: a shape too small for the degree, or an extent that is not increasing.
    """

    shape: tuple[int, int] = eqx.field(static=True, converter=_shape)
    extent: tuple[float, ...] | None = eqx.field(static=True, converter=_extent, default=None)
    degree: int = eqx.field(static=True, converter=_degree, default=2)

    def __check_init__(self) -> None:
        _check_size(self)
        if self.extent is not None:
            check_extent("UniformMesh", self.extent)

    def check_image(self, shape: tuple[int, int]) -> None:
        """Nothing to refuse: the mesh has no image of its own."""

    def place(self, x: Array, y: Array, pixels: Any) -> PlacedMesh:
        """The mesh for rays at source positions x, y of the image's used pixels."""
        if self.extent is not None:
            left, right, bottom, top = (jnp.asarray(edge, x.dtype) for edge in self.extent)
            along = LinearTransform(left, right), LinearTransform(bottom, top)
            return PlacedMesh(*along, self.shape, self.degree, -0.5, self.shape)
        along = LinearTransform(*soft_bounds(x.ravel())), LinearTransform(*soft_bounds(y.ravel()))
        return PlacedMesh(*along, self.shape, self.degree, *_inside(self))


@final
class AdaptiveMesh(Mesh):
    """Cells that follow the rays: small where many fall, through the distribution function of `KernelCDF`.

    By default every ray counts the same, so that cells are small where the lens magnifies (PyAutoLens:
    `RectangularAdaptDensity`). With a `brightness` a ray counts as much as its pixel is bright, so that cells are small
    where the source is bright (PyAutoLens: `RectangularAdaptImage`); give the lensed source of an earlier fit. The
    evidence is a smooth function of the lens in both.

    Args:
        shape: coefficients (n_y, n_x).
        degree: of the B-splines: 1 bilinear, 2 quadratic (the evidence is C1 in the lens), 3 cubic (C2).
        brightness: image (n_y, n_x) that weighs the rays, of the data's shape; negative pixels count nothing.
        background: weight of a dark pixel over that of the brightest.
        bandwidth, floor, nodes: see `KernelCDF`.

    Raises:
        ValueError: a shape too small for the degree, a parameter outside its range, or a brightness that is not an
            image or positive nowhere.
    """

    shape: tuple[int, int] = eqx.field(static=True, converter=_shape)
    degree: int = eqx.field(static=True, converter=_degree, default=2)
    brightness: Float[Array, "n_y n_x"] | None = eqx.field(converter=as_real, default=None)
    background: float = eqx.field(static=True, default=0.03)
    bandwidth: float = eqx.field(static=True, default=1.0)
    floor: float = eqx.field(static=True, default=0.05)
    nodes: int = eqx.field(static=True, default=128)

    def __check_init__(self) -> None:
        _check_size(self)
        for name, low, high in (("background", 0, 1), ("bandwidth", 0, np.inf), ("floor", 0, 1)):
            value = getattr(self, name)
            if not low < value < high:
                raise ValueError(f"AdaptiveMesh: {name} must be between {low} and {high}, got {value!r}")
        if self.brightness is not None:
            check_brightness("AdaptiveMesh", "brightness", self.brightness)

    def check_image(self, shape: tuple[int, int]) -> None:
        """Refuse an image of another shape than the brightness.

        Raises:
            ValueError: names both shapes.
        """
        if self.brightness is not None and self.brightness.shape != shape:
            raise ValueError(f"AdaptiveMesh: brightness has shape {self.brightness.shape}, the data {shape}")

    def place(self, x: Array, y: Array, pixels: Any) -> PlacedMesh:
        """The mesh for rays at source positions x, y of the image's used pixels."""
        weights = jnp.ones_like(x)
        if self.brightness is not None:
            image = jnp.maximum(self.brightness[pixels[:, 0], pixels[:, 1]], 0.0)
            weights = weights * (image / jnp.max(image) + self.background)[:, None]
        first, intervals = _inside(self)
        along_x, along_y = (
            KernelCDF(points.ravel(), weights.ravel(), cells, self.nodes, self.bandwidth, self.floor)
            for points, cells in zip((x, y), intervals[::-1])
        )
        return PlacedMesh(along_x, along_y, self.shape, self.degree, first, intervals)


def _inside(mesh: UniformMesh | AdaptiveMesh) -> tuple[float, tuple[int, int]]:
    """`first` and `intervals` with which every spline that a ray between the bounds sees has a coefficient."""
    rows, columns = (n - mesh.degree for n in mesh.shape)
    return (mesh.degree - 1) / 2, (rows, columns)
