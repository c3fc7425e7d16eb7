"""A source of light profiles whose amplitudes are solved for."""

from typing import Any, final

import equinox as eqx

from lensax._types import Scalar, real
from lensax.instrument import Imaging
from lensax.inversion.mesh import Mesh
from lensax.inversion.noise import IndependentNoise, Noise
from lensax.inversion.regularization import Regularization
from lensax.inversion.source import Source, part
from lensax.inversion.trace import linear_light

__all__ = ["ParametricSource"]


@final
class ParametricSource(Source):
    """A source that is a sum of light profiles with linear amplitudes, solved for exactly.

    The amplitudes are solved for together with those of the lens's light, without negative ones, and integrated out
    like the coefficients of a `Pixelization`; what is left is the evidence of the profiles' shapes and of the lens. A
    multi-Gaussian expansion, `GaussianBasis`, describes most galaxies; a `Sersic` of intensity 1 has its intensity as
    amplitude.

    Args:
        components: light in the source plane: a `LightBasis`, a light profile, or several of them.
        noise: whether the noise of neighbouring pixels is correlated.
        over_sample: rays per pixel and axis; a compact source needs 4 or more.
        positive: whether amplitudes must not be negative.
        light_deviation: prior deviation of the amplitudes, in units of the data's brightest pixel.
        tile: pixels per side of the tiles of the image; changes nothing here but the margin that is computed.

    Attributes:
        mesh, regularization: None: amplitudes have the prior of `light_deviation` alone.
        mixed_precision: False: nothing here would be faster.

    Raises:
        TypeError: a part of another kind.
        ValueError: no component, a count below 1, or a deviation that is not positive.
    """

    components: Any = eqx.field(converter=linear_light)
    noise: Noise = eqx.field(converter=part("ParametricSource", "noise", Noise), default_factory=IndependentNoise)
    over_sample: int = eqx.field(static=True, default=4)
    positive: bool = eqx.field(static=True, default=True)
    light_deviation: Scalar = real(default=10.0)
    tile: int = eqx.field(static=True, default=12)
    mesh: Mesh | None = eqx.field(default=None, init=False)
    regularization: Regularization | None = eqx.field(default=None, init=False)
    mixed_precision: bool = eqx.field(static=True, default=False, init=False)

    def __check_init__(self) -> None:
        if not self.components:
            raise ValueError("ParametricSource: expected at least one component, got none")

    def check_support(self, dataset: Imaging, n_pixels: int) -> None:
        """Refuse more components than used pixels.

        Raises:
            ValueError: names both numbers.
        """
        count = sum(basis.n_components for basis in self.components)
        if count > n_pixels:
            raise ValueError(
                f"{count} components have more amplitudes than the {n_pixels} pixels in the mask can support"
            )
