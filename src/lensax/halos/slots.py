"""How many slots a population needs: Poisson quantiles at the upper end of its prior."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import numpy as np

from lensax._memory import check_memory
from lensax._types import as_real

if TYPE_CHECKING:
    from lensax.halos.population import Population
    from lensax.raytrace.planes import Planes

ADVICE = "raise the lowest mass, lower the amplitude or narrow the cone"
# Six leaves of a halo, and what drawing it takes: measured, 230 bytes in single precision with subhalos, all told.
FLOATS_PER_SLOT = 64
_SWEEPS = 4


class Slots(NamedTuple):
    """Slots on each plane, of these for field halos, for subhalos, and on all planes together; the probability that one
    of them does not do."""

    on_a_plane: int
    for_field_halos: int
    for_subhalos: int
    together: int
    overflow_probability: float


def universe_bytes(n_slots: int, n_planes: int) -> int:
    """Memory that drawing one universe takes, in bytes."""
    return n_slots * n_planes * FLOATS_PER_SLOT * as_real(0.0).dtype.itemsize


def needed(
    population: "Population",
    planes: "Planes | Callable[[Mapping[str, Any]], Planes]",
    bounds: Mapping[str, Sequence[float]],
    probability: float,
) -> "Slots":
    """The slots of a population, and the probability that its fullest universe needs more.

    The expected number of each plane is searched for its maximum over the corners of the box of bounds, one parameter
    at a time until nothing changes: every parameter moves it in one direction, whatever the others, but for the slopes.
    """
    from scipy.stats import poisson

    for name, ends in bounds.items():
        if len(ends) != 2 or not np.isfinite(ends).all():
            raise ValueError(f"{name}: the number of slots needs a finite range, got {list(ends)}; truncate its prior")

    @eqx.filter_jit
    def expected(values: dict[str, Any]) -> Any:
        at: Any = planes(values) if callable(planes) else planes
        return population.slots_used(at, values)

    def counts(values: Mapping[str, float]) -> np.ndarray:
        return np.asarray(expected({name: as_real(value) for name, value in values.items()}), np.float64)

    fullest = _largest(counts, bounds)
    if not np.isfinite(fullest).all():
        raise ValueError("the expected number of halos is not finite at the upper end of the prior")
    every, field, subhalos = fullest[:-2], fullest[-2], fullest[-1]
    share = probability / 4  # a quarter for the planes, their field halos, all of them together, and the subhalos
    n_slots = max(1, int(poisson.isf(share, every.max())))
    while poisson.sf(n_slots, every).sum() > share:
        n_slots += 1
    n_field = max(1, int(poisson.isf(share / len(every), field)))
    n_subhalos = max(1, int(poisson.isf(share, subhalos)))
    most = max(1, int(poisson.isf(share, every.sum())))
    check_memory(
        {f"{len(every)} planes of {n_slots} slots": universe_bytes(n_slots, len(every))},
        f"one universe of this population, with up to {every.sum():.3g} halos,",
        ADVICE,
    )
    overflow = poisson.sf(n_slots, every).sum() + len(every) * poisson.sf(n_field, field)
    overflow = overflow + poisson.sf(n_subhalos, subhalos) + poisson.sf(most, every.sum())
    return Slots(n_slots, min(n_field, n_slots), n_subhalos, most, float(overflow))


def _largest(counts: Callable[[Mapping[str, float]], np.ndarray], bounds: Mapping[str, Sequence[float]]) -> np.ndarray:
    """The largest of every expected number over the box of bounds."""
    starts = [{name: float(ends[side]) for name, ends in bounds.items()} for side in (0, 1)]
    largest = np.maximum(counts(starts[0]), counts(starts[1]))
    for entry in range(len(largest)):
        for values in starts:
            best = counts(values)[entry]
            for _ in range(_SWEEPS):
                before = best
                for name, ends in bounds.items():
                    for end in ends:
                        trial = {**values, name: float(end)}
                        found = counts(trial)
                        largest = np.maximum(largest, found)
                        if found[entry] > best:
                            values, best = trial, found[entry]
                if best == before:
                    break
    return largest
