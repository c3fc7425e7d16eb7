"""What a population drew beside what it expects: masses, numbers on the planes, concentrations, places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax.halos import (
    DrawnHalos,
    abundances,
    drawn_halos,
    field_concentrations,
    subhalo_concentrations,
    subhalo_radii,
)
from lensax.recipe import Recipe

__all__ = ["HaloStatistics", "PopulationStatistics", "population_statistics"]

BINS_PER_DECADE = 4
GRID = 41  # masses at which median concentrations are shown
FRACTIONS = np.linspace(0.0, 1.0, 65)[1:]  # of the subhalos, for the expected radii
LN10 = float(np.log(10))


@dataclass(frozen=True)
class Band:
    """Median concentrations and the middle 68% of them, at `log10_mass` of the statistics; of one redshift, or of all.

    Args:
        redshift: of the halos, or None.
        low, median, high: concentrations.
    """

    redshift: float | None
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class HaloStatistics:
    """One kind of halo.

    Args:
        edges: of the bins in log10(M200 / Msun), at infall for subhalos, (n + 1,).
        drawn, expected: numbers in the bins, (n,).
        points: log10 mass, concentration and redshift of every halo, (3, n_halos).
        log10_mass: where the bands are given.
        bands: of the concentrations that are expected.
        radii: sorted distances from the lens in arcsec, of subhalos.
        expected_radii: within them lie the fractions 1/64, 2/64, ... of the subhalos.
    """

    edges: np.ndarray
    drawn: np.ndarray
    expected: np.ndarray
    points: np.ndarray
    log10_mass: np.ndarray
    bands: Sequence[Band]
    radii: np.ndarray | None = None
    expected_radii: np.ndarray | None = None


@dataclass(frozen=True)
class PopulationStatistics:
    """Both kinds of halos and their numbers on the planes.

    Args:
        redshifts: of the planes.
        edges: redshifts between which each plane stands for the halos, (n_planes + 1,).
        lens_index: of the lens plane.
        drawn, expected: numbers on every plane, subhalos included.
        field, subhalos: or None where there are none.
    """

    redshifts: np.ndarray
    edges: np.ndarray
    lens_index: int
    drawn: np.ndarray
    expected: np.ndarray
    field: HaloStatistics | None
    subhalos: HaloStatistics | None


def population_statistics(model: Any, theta: Mapping[str, Any], key: Any) -> PopulationStatistics | None:
    """The halos of `model.scene(theta, key)` beside their expectation; None for a model without a population."""
    if not isinstance(model.recipe, Recipe) or model.recipe.population is None:
        return None
    population = model.recipe.population
    values = model.recipe.parameters.resolve(theta)
    ranges = {
        name: _mass_range({**population.values, **values}, prefix)
        for name, prefix in (("line_of_sight", "line_of_sight.mass_function."), ("subhalos", "subhalos."))
        if getattr(population, name) is not None
    }
    # The halos have the first of the two keys that a row's key is split into, the noise the second.
    found = jax.tree.map(np.asarray, _evaluate(model.recipe, values, jax.random.split(key)[0], ranges))
    planes, expected, drawn = found["planes"], np.zeros_like(found["planes"]), np.zeros_like(found["planes"])
    scheme = model.recipe.scheme
    lens_index, field, subhalos = scheme.lens_index, None, None
    if "line_of_sight" in found:
        part = found["line_of_sight"]
        expected, drawn = expected + part["number"], drawn + part["drawn"].weight.sum(axis=1)
        scatter = 10 ** float({**population.values, **values}["line_of_sight.concentration.scatter_dex"])
        bands = [Band(float(planes[i]), m / scatter, m, m * scatter) for i in (0, -1) for m in [part["median"][i]]]
        field = _statistics(part, planes, bands[: len(planes)])
    if "subhalos" in found:
        part = found["subhalos"]
        expected[lens_index] += part["number"][0]
        drawn[lens_index] += part["drawn"].weight.sum()
        subhalos = _statistics(part, planes[lens_index : lens_index + 1], [Band(None, *part["quantiles"])], True)
    return PopulationStatistics(planes, found["edges"], lens_index, drawn, expected, field, subhalos)


def _mass_range(values: Mapping[str, Any], prefix: str) -> tuple[Any, Any]:
    """Edges of the bins, a whole number of them in the range of masses, and the masses of the bands."""
    low, high = (float(values[f"{prefix}log10_mass_{end}"]) for end in ("min", "max"))
    bins = max(1, round((high - low) * BINS_PER_DECADE))
    return jnp.linspace(low, high, bins + 1), jnp.linspace(low, high, GRID)


@eqx.filter_jit
def _evaluate(recipe: Recipe, values: Any, key: Any, ranges: Any) -> dict[str, Any]:
    population, planes = recipe.population, recipe.planes(values)
    assert population is not None
    edges = recipe.scheme.edges(planes.lens_redshift, planes.source_redshift, recipe.cosmology)
    found: dict[str, Any] = {"planes": planes.redshifts, "edges": edges}
    kinds = zip(ranges, [k for k in abundances(population, planes, values) if k is not None])
    for name, abundance in kinds:
        bins, grid = ranges[name]
        part = {"number": abundance.number(), "expected": abundance.between(bins).sum(axis=0), "edges": bins}
        found[name] = {**part, "grid": grid}
    field, subhalos = drawn_halos(population, key, planes, values)
    if field is not None:
        median = field_concentrations(population, planes, ranges["line_of_sight"][1], values)
        found["line_of_sight"].update(drawn=field, median=median)
    if subhalos is not None:
        quantiles = subhalo_concentrations(population, planes, ranges["subhalos"][1], values=values)
        radii = subhalo_radii(population, planes, jnp.asarray(FRACTIONS), values)
        found["subhalos"].update(drawn=subhalos, quantiles=quantiles, radii=radii)
    return found


def _statistics(
    part: Mapping[str, Any], redshifts: np.ndarray, bands: Sequence[Band], places: bool = False
) -> HaloStatistics:
    drawn: DrawnHalos = part["drawn"]
    exists = drawn.weight > 0.5
    redshift = np.broadcast_to(redshifts[:, None], exists.shape)
    log10_mass = drawn.log_mass / LN10
    numbers, _ = np.histogram(log10_mass, part["edges"], weights=drawn.weight)
    radii = np.sort(np.hypot(drawn.center_x, drawn.center_y)[exists]) if places else None
    return HaloStatistics(
        edges=part["edges"],
        drawn=numbers,
        expected=part["expected"],
        points=np.stack([log10_mass[exists], drawn.concentration[exists], redshift[exists]]),
        log10_mass=part["grid"],
        bands=bands,
        radii=radii,
        expected_radii=part["radii"] if places else None,
    )
