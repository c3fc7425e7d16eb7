"""A source of free pixels behind a lens: its evidence, and its reconstruction."""

from typing import Any, final

import equinox as eqx

from lensax._types import Scalar, real
from lensax.instrument import Imaging
from lensax.inversion.mesh import Mesh
from lensax.inversion.noise import IndependentNoise, Noise
from lensax.inversion.regularization import Regularization
from lensax.inversion.source import Source, part
from lensax.inversion.trace import linear_light

__all__ = ["Pixelization"]


@final
class Pixelization(Source):
    r"""A source that is a sum of B-splines on a mesh, with a Gaussian prior, solved for exactly.

    The model of an image is linear in the source's coefficients and in the amplitudes of linear light. They are solved
    for, without negative ones, and integrated out: what is left is the evidence of the lens (formula: `Evidence`).

    Every array may be traced: all numbers of the lens and of the light, those of the regularization (strength, length,
    amplitude), `light_deviation`, and the brightness that a mesh or a prior follows. Shapes and switches are part of
    the program: sizes, degree, extent and adaptation of a mesh, `nu` and `nugget` of a kernel, `over_sample`. The
    evidence has an exact derivative in reverse mode and is computed in float64. The dataset is constant: close over it.

    Args:
        mesh: where the coefficients stand.
        regularization: the prior of the source.
        noise: whether the noise of neighbouring pixels is correlated.
        over_sample: rays per pixel and axis.
        positive: whether coefficients and amplitudes must not be negative.
        light_deviation: prior deviation of the amplitudes of linear light, in units of the data's brightest pixel.
        tile: pixels per side of the tiles in which the system is assembled; changes the speed alone.
        components: linear light in the source plane beside the mesh, such as a clump smaller than its cells; None for
            none.
        mixed_precision: blur and whiten the source in float32, everything else in float64: faster for a large PSF; the
            log evidence changes by less than 1e-4, its gradient by less than a hundred-thousandth.

    Raises:
        TypeError: a part of another kind.
        ValueError: a count below 1, or a deviation that is not positive.

    Suyu et al. (2006), MNRAS 371, 983; Warren & Dye (2003), ApJ 590, 673.
    """

    mesh: Mesh = eqx.field(converter=part("Pixelization", "mesh", Mesh))
    regularization: Regularization = eqx.field(converter=part("Pixelization", "regularization", Regularization))
    noise: Noise = eqx.field(converter=part("Pixelization", "noise", Noise), default_factory=IndependentNoise)
    over_sample: int = eqx.field(static=True, default=2)
    positive: bool = eqx.field(static=True, default=True)
    light_deviation: Scalar = real(default=10.0)
    tile: int = eqx.field(static=True, default=12)
    components: Any = eqx.field(converter=linear_light, default=None)
    mixed_precision: bool = eqx.field(static=True, default=False)

    def check_support(self, dataset: Imaging, n_pixels: int) -> None:
        """Refuse an image of another shape than the mesh's brightness, and more coefficients than used pixels.

        Raises:
            ValueError: names both numbers.
        """
        self.mesh.check_image(dataset.shape)
        cells = self.mesh.shape[0] * self.mesh.shape[1]
        if cells > n_pixels:
            raise ValueError(
                f"a mesh of {self.mesh.shape[0]} x {self.mesh.shape[1]} = {cells} cells has more coefficients than the "
                f"{n_pixels} pixels in the mask can support; use fewer cells or a larger mask"
            )
