"""Parts of a source that wait for an earlier fit, and what it gives them."""

from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax.numpy as jnp

from lensax.fit.preparation import SourceBox
from lensax.inversion import Adaptive, AdaptiveMesh, BrightnessAmplitude, BrightnessMap, Reconstruction, UniformMesh
from lensax.recipe import Ingredient

if TYPE_CHECKING:
    from lensax.fit.model import FitModel

__all__ = [
    "BrightnessMesh",
    "awaits_brightness",
    "is_open",
    "laid",
    "stand_in",
    "waiting",
    "with_brightness",
]


@final
class BrightnessMesh(eqx.Module):
    """An adaptive mesh whose cells are to be small where an earlier fit has found the source bright.

    Every ray counts as much as the lensed source of that fit is bright at its pixel (PyAutoLens:
    `RectangularAdaptImage`).

    Args:
        shape, degree, background, bandwidth, floor, nodes: see `AdaptiveMesh`.

    Raises:
        ValueError: what `AdaptiveMesh` refuses.
    """

    shape: tuple[int, int] = eqx.field(static=True, converter=tuple)
    degree: int = eqx.field(static=True, default=2)
    background: float = eqx.field(static=True, default=0.03)
    bandwidth: float = eqx.field(static=True, default=1.0)
    floor: float = eqx.field(static=True, default=0.05)
    nodes: int = eqx.field(static=True, default=128)

    def __check_init__(self) -> None:
        self.unadapted()

    def unadapted(self) -> AdaptiveMesh:
        """The same, following the density of rays."""
        return AdaptiveMesh(
            self.shape,
            self.degree,
            background=self.background,
            bandwidth=self.bandwidth,
            floor=self.floor,
            nodes=self.nodes,
        )

    def mesh(self, found: Reconstruction) -> AdaptiveMesh:
        """The mesh that follows the lensed source of an earlier fit."""
        even = self.unadapted()
        return AdaptiveMesh(
            even.shape, even.degree, found.source_light, even.background, even.bandwidth, even.floor, even.nodes
        )


def laid(mesh: Any, found: Reconstruction) -> Any:
    """A mesh, made with what an earlier fit has found if it waits for that."""
    return mesh.mesh(found) if isinstance(mesh, (SourceBox, BrightnessMesh)) else mesh


def awaits_brightness(regularization: Any) -> bool:
    """Whether a prior follows a brightness that is not known yet."""
    return _without_brightness(regularization) is not None


def with_brightness(regularization: Ingredient, brightness: BrightnessMap) -> Ingredient:
    """The prior with the brightness of an earlier fit."""
    part = _without_brightness(regularization)
    if part is None:
        return regularization
    filled = part.with_parts(brightness=brightness)
    return filled if part is regularization else regularization.with_parts(amplitude=filled)


def stand_in(source: Ingredient) -> Ingredient:
    """The source with parts of the same size in place of those that wait: to try its numbers, to know its memory."""
    parts = dict(source.parts)
    mesh, regularization = parts.get("mesh"), parts.get("regularization")
    if isinstance(mesh, SourceBox):
        side = int(mesh.most**0.5)
        parts["mesh"] = UniformMesh((side, side), degree=mesh.degree)
    elif isinstance(mesh, BrightnessMesh):
        parts["mesh"] = mesh.unadapted()
    if isinstance(regularization, Ingredient):
        bright = BrightnessMap(jnp.ones((3, 3)), (0.0, 1.0, 0.0, 1.0))
        parts["regularization"] = with_brightness(regularization, bright)
    return source.with_parts(**parts)


def _without_brightness(regularization: Any) -> Ingredient | None:
    """What of a prior, itself or its amplitude, waits for a brightness."""
    if not isinstance(regularization, Ingredient):
        return None
    for part in (regularization, regularization.parts.get("amplitude")):
        if isinstance(part, Ingredient) and part.profile in (Adaptive, BrightnessAmplitude):
            return None if "brightness" in part.parts else part
    return None


def waiting(source: Ingredient) -> tuple[str, ...]:
    """Names of the parts of a source that can only be known from an earlier fit."""
    mesh, regularization = (source.parts.get(name) for name in ("mesh", "regularization"))
    found = [type(mesh).__name__] if isinstance(mesh, (SourceBox, BrightnessMesh)) else []
    part: Any = _without_brightness(regularization)
    return (*found, *(() if part is None else (part.profile.__name__,)))


def is_open(model: "FitModel") -> bool:
    """Whether something of the source can only be known from an earlier fit."""
    return bool(waiting(model.source))
