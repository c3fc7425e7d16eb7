"""How a fit in stages proceeds."""

import dataclasses

import numpy as np

__all__ = ["Plan"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a fit proceeds.

    Attributes:
        noise: whether the noise is estimated again, once a first fit exists.
        correlated: whether that includes the correlation of neighbouring pixels.
        passes: times, at most, that the brightness which scales the prior is taken from the pass before.
        iterations: of every search at most.
        first_mesh: cells of the first pass, if there is one.
        first_over_sample: its rays per pixel and axis.
        hold_first: parameters that stay at their start in the first pass, such as a slope.
        draft: whether the first of several such passes has half as many cells in its box at most, and as many rays as
            the first pass. Without it a mesh that follows the brightness is compiled once for all passes.
        smooth: deviation, in pixels of the data, of the smoothing of a brightness that scales a prior.
        precondition: whether the last search is made again with a Hessian of the posterior, which takes two gradients
            for each parameter: for posteriors whose valley the search has not followed to its end.
        tolerance: change of the log density within three iterations, in nats, below which the search of the last stage
            has ended; a hundred times as much in the stages before it, of which nothing is left but the noise, the
            brightness, the mesh and where the next search begins; ten times as much at least where the regularization
            is first fitted alone.

    Raises:
        ValueError: a number of passes below 0, a count below 1, fewer than 4 cells along an axis of the first mesh, or
            a smoothing or a tolerance that is not positive and finite.
    """

    noise: bool = True
    correlated: bool = True
    passes: int = 2
    iterations: int = 100
    first_mesh: tuple[int, int] = (20, 20)
    first_over_sample: int = 1
    hold_first: tuple[str, ...] = ()
    draft: bool = True
    smooth: float = 1.5
    precondition: bool = False
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        for name, least in (("passes", 0), ("iterations", 1), ("first_over_sample", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"Plan: {name} must be at least {least}, got {value!r}")
        if min(self.first_mesh) < 4:
            raise ValueError(f"Plan: first_mesh must have at least 4 cells along either axis, got {self.first_mesh!r}")
        for name, unit in (("smooth", "pixels"), ("tolerance", "nats")):
            value = getattr(self, name)
            if not 0 < value < np.inf:
                raise ValueError(f"Plan: {name} must be a positive number of {unit}, got {value!r}")
