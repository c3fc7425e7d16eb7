"""One line of sight for all tests of populations: lens at 0.5, source at 1.5, 4 + 1 + 4 planes, R = 3 arcsec."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from lensax import halos
from lensax.cosmology import Planck15
from lensax.raytrace.planes import Planes


@pytest.fixture(scope="session")
def reference(data: Path) -> dict[str, Any]:
    return json.loads((data / "population_reference.json").read_text())


@pytest.fixture(scope="session")
def theory() -> halos.LinearTheory:
    return halos.LinearTheory.from_cosmology(Planck15)


@pytest.fixture(scope="session")
def planes() -> Planes:
    redshifts = halos.EqualRedshift(4, 4).redshifts(jnp.array(0.5), jnp.array(1.5), Planck15)
    return Planes(redshifts, 0.5, 1.5, Planck15)


@eqx.filter_jit
def _draw(model: halos.Population, key: Any, planes: Planes) -> halos.HaloCatalogue:
    return model.draw(key, planes)


@pytest.fixture(scope="session")
def draw() -> Callable[..., halos.HaloCatalogue]:
    """Draw a universe; models of one structure share one compiled program, whatever their parameters."""

    def drawn(model: halos.Population, seed: int, planes: Planes, **values: float) -> halos.HaloCatalogue:
        named = {name.replace("__", "."): value for name, value in values.items()}
        return _draw(model.with_values(named), jax.random.key(seed), planes)

    return drawn


@pytest.fixture(scope="session")
def line_of_sight(theory: halos.LinearTheory) -> Callable[..., halos.LineOfSight]:
    def make(log10_mass=(7.0, 10.0), cone=None, scatter_dex=0.15, truncation=None, **more) -> halos.LineOfSight:
        return halos.LineOfSight(
            halos.EqualRedshift(4, 4),
            halos.NarrowingCone(3.0, 1.0) if cone is None else cone,
            halos.MassFunction.tabulate(theory, 1.5, "sheth99", log10_mass),
            halos.Concentration.tabulate(theory, 1.5, "ludlow16", log10_mass, scatter_dex),
            halos.MeanDensityTruncation(100.0) if truncation is None else truncation,
            **more,
        )

    return make


@pytest.fixture(scope="session")
def subhalos(theory: halos.LinearTheory) -> Callable[..., halos.Subhalos]:
    def make(log10_mass=(7.0, 10.0), scatter_dex=0.15, **more) -> halos.Subhalos:
        keywords = {
            "positions": halos.UniformDisc(),
            "concentration": halos.Concentration.tabulate(theory, 1.5, "ludlow16", log10_mass, scatter_dex),
            "truncation": halos.FieldTides(halos.MeanDensityTruncation(100.0)),
            "infall": False,
            "log10_mass_min": log10_mass[0],
            "log10_mass_max": log10_mass[1],
        }
        return halos.Subhalos(*halos.Subhalos.grid(log10_mass), **{**keywords, **more})

    return make
