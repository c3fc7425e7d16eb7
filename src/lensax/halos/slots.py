"""How many slots a population needs: Poisson quantiles at the upper end of its prior."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np

from lensax._types import as_real

if TYPE_CHECKING:
    from lensax.halos.population import Population
    from lensax.raytrace.planes import Planes

BYTES_PER_SLOT = 6 * 8
LARGEST_CATALOGUE = 4 * 2**30  # bytes
_SWEEPS = 4


def needed(
    population: "Population",
    planes: "Planes | Callable[[Mapping[str, Any]], Planes]",
    bounds: Mapping[str, Sequence[float]],
    probability: float,
) -> tuple[int, float]:
    """Slots per plane and the probability that some plane of the fullest population needs more.

    The expected number is searched for its maximum over the corners of the box of bounds, one parameter at a time until
    nothing changes: it is a product of a power of each parameter but for the mass range, the tilt and the half-mode
    mass, which move it in one direction each.
    """
    from scipy.stats import poisson

    for name, ends in bounds.items():
        if len(ends) != 2 or not np.isfinite(ends).all():
            raise ValueError(f"{name}: the number of slots needs a finite range, got {list(ends)}; truncate its prior")

    @eqx.filter_jit
    def expected(values: dict[str, Any]) -> Any:
        at: Any = planes(values) if callable(planes) else planes
        return population.expected(at, values)

    def counts(values: Mapping[str, float]) -> np.ndarray:
        return np.asarray(expected({name: as_real(value) for name, value in values.items()}), np.float64)

    # Each plane has a maximum of its own: the slots are those of the fullest of all planes.
    fullest = np.zeros(1)
    starts = ({name: ends[0] for name, ends in bounds.items()}, {name: ends[1] for name, ends in bounds.items()})
    for start in starts:
        values = dict(start)
        best = counts(values)
        for _ in range(_SWEEPS):
            before = best.max()
            for name, ends in bounds.items():
                for end in ends:
                    trial = {**values, name: float(end)}
                    found = counts(trial)
                    if found.max() > best.max():
                        values, best = trial, found
            if best.max() == before:
                break
        if best.max() > fullest.max():
            fullest = best
    if not np.isfinite(fullest).all():
        raise ValueError("the expected number of halos is not finite at the upper end of the prior")
    n_slots = max(1, int(poisson.isf(probability / len(fullest), fullest.max())))
    while poisson.sf(n_slots, fullest).sum() > probability:
        n_slots += 1
    size = n_slots * len(fullest) * BYTES_PER_SLOT
    if size > LARGEST_CATALOGUE:
        raise ValueError(
            f"the population has up to {fullest.sum():.3g} halos and needs {size / 2**30:.3g} GiB per universe; "
            "raise the lowest mass or lower the amplitude"
        )
    return n_slots, float(poisson.sf(n_slots, fullest).sum())
