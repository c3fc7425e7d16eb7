"""Thousands of universes of every kind of population: counts, masses, concentrations, places, and sheets that balance.

Each case takes a plane scheme, a cone, a kind of dark matter, positions and tides of its own. Keys are fixed.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lensax import halos
from lensax._types import cast
from lensax.cosmology import Planck15
from lensax.raytrace.planes import Planes

MASSES = (7.5, 9.5)
EDGES = np.linspace(*MASSES, 6)
UNIVERSES, TOGETHER = 1000, 100
LEAST = 1e-3  # p-value: about thirty are looked at, of fixed keys


def parametric() -> halos.SIDM:
    """Cores that grow and contract, and some halos that have collapsed."""
    return halos.SIDM(
        halos.Parametric(jnp.array(1.0)),
        halos.Parametric(jnp.array(2.0)),
        *(jnp.array(value) for value in (60.0, 10.0, 1.0, 10.0)),
        halos.Collapse(subhalo_probability=jnp.array(0.4), field_probability=jnp.array(0.2)),
    )


def isothermal_and_cored() -> halos.SIDM:
    """Isothermal cores of one collision in the field, a fixed share of the scale radius in subhalos."""
    parts = halos.Isothermal(), halos.CoredNFW(jnp.array(0.3))
    return halos.SIDM(*parts, *(jnp.array(value) for value in (20.0, 20.0, 0.0, 10.0)))


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of universe."""

    scheme: halos.PlaneScheme
    cone: halos.Cone
    dark_matter: Callable[[], halos.DarkMatter] = halos.CDM
    tides: Callable[[], halos.Tides] = halos.RocheTides
    positions: Callable[[Any], halos.Positions] = halos.UniformDisc
    two_halo: bool = False
    deflected: bool = False
    infall: bool = False
    thinned: bool = False


CASES = {
    "comoving, double cone, CDM, two-halo, cored NFW disc, infall, Roche": Case(
        halos.EqualComoving(1, 2),
        halos.DoubleCone(2.0),
        positions=halos.CoredNFWDisc,
        two_halo=True,
        infall=True,
    ),
    "thin slices, cylinder, WDM, deflected axis, concentration tides, thinned": Case(
        halos.ThinSlices.between(0.5, 1.5, 0.3, 0.2),
        halos.Cylinder(1.5),
        lambda: halos.WDM(jnp.array(7.5)),
        halos.ConcentrationTides,
        deflected=True,
        thinned=True,
    ),
    "redshift, lensed cone, parametric SIDM with collapse, infall, bound mass": Case(
        halos.EqualRedshift(1, 1),
        halos.LensedCone(2.0, 1.2, 0.1),
        parametric,
        lambda: halos.BoundMassTides.tabulate(Planck15),
        halos.CoredNFWDisc,
        infall=True,
    ),
    "comoving, narrowing cone, isothermal and cored SIDM, bound mass, infall, thinned": Case(
        halos.EqualComoving(1, 1),
        halos.NarrowingCone(2.0, 1.0),
        isothermal_and_cored,
        lambda: halos.BoundMassTides.tabulate(Planck15),
        infall=True,
        thinned=True,
    ),
}


IN_SHORT = "redshift, lensed cone"  # tides, collapse and mixed families


@pytest.fixture(
    scope="module",
    params=[case if case.startswith(IN_SHORT) else pytest.param(case, marks=pytest.mark.extended) for case in CASES],
)
def drawn(request: pytest.FixtureRequest, theory: halos.LinearTheory) -> dict[str, Any]:
    """Many universes of one case, what was drawn for them, and the model."""
    case = CASES[request.param]
    redshifts = case.scheme.redshifts(jnp.array(0.5), jnp.array(1.5), Planck15)
    planes = Planes(redshifts, 0.5, 1.5, Planck15, case.scheme.lens_index)
    relation = halos.Concentration.tabulate(theory, 10.0, "ludlow16", MASSES)
    los = halos.LineOfSight(
        case.scheme,
        case.cone,
        halos.MassFunction.tabulate(theory, 1.5, "sheth99", MASSES),
        relation,
        halos.MeanDensityTruncation(100.0),
        halos.TwoHalo.tabulate(theory, Planck15, 0.5, 0.7) if case.two_halo else None,
        halos.DeflectedAxis(jnp.array(0.4), jnp.array(-0.3)) if case.deflected else None,
    )
    subhalos = halos.Subhalos(
        *halos.Subhalos.grid(MASSES),
        case.positions(jnp.array(2.0)),
        relation,
        case.tides(),
        mean_number=jnp.array(15.0),
        infall=case.infall,
        log10_mass_min=jnp.array(MASSES[0]),
        log10_mass_max=jnp.array(MASSES[1]),
    )
    model = halos.Population(Planck15, case.dark_matter(), los, subhalos)
    bounds = {"line_of_sight.mass_function.delta_los": (0.5, 1.5), "subhalos.mean_number": (10.0, 20.0)}
    common = ("line_of_sight", "subhalos") if case.thinned else ()
    model = cast(model.sized(planes, bounds if case.thinned else {}, common_random_numbers=common), jnp.float32)
    small = cast(planes, jnp.float32)

    @jax.jit
    def universes(keys: Any) -> Any:
        def one(key: Any) -> Any:
            catalogue = model.draw(key, small)
            found = halos.drawn_halos(model, key, small)
            mass = jnp.sum(catalogue.halos.total_mass, -1)
            return found, catalogue.counts, mass, catalogue.sheets, catalogue.overflow

        return jax.lax.map(jax.vmap(one), keys)

    keys = jax.random.split(jax.random.key(21), (UNIVERSES // TOGETHER, TOGETHER))
    found = jax.tree.map(lambda a: np.asarray(a).reshape(UNIVERSES, *a.shape[2:]), universes(keys))
    (field, sub), counts, mass, sheets, overflow = found
    assert not overflow.any()
    expected = halos.abundances(model, small)
    names = ("model", "planes", "field", "sub", "counts", "mass", "sheets", "expected")
    return dict(zip(names, (model, small, field, sub, counts, mass, sheets, expected), strict=True))


def test_counts_are_poisson(drawn: dict[str, Any]) -> None:
    field, subhalo = drawn["expected"]
    expected = np.asarray(field.number(), float)
    expected[drawn["planes"].lens_index] += float(subhalo.number()[0])
    counts = drawn["counts"]
    z = (counts.mean(0) - expected) / np.sqrt(expected / UNIVERSES)
    assert stats.chi2(len(z)).sf((z**2).sum()) > LEAST
    dispersion = UNIVERSES * counts.var(0) / expected
    assert (stats.chi2(UNIVERSES - 1).sf(dispersion) > LEAST / len(z)).all()
    assert (stats.chi2(UNIVERSES - 1).cdf(dispersion) > LEAST / len(z)).all()


def test_masses_follow_the_mass_function_on_every_plane(drawn: dict[str, Any]) -> None:
    for found, abundance in zip((drawn["field"], drawn["sub"]), drawn["expected"], strict=True):
        expected = UNIVERSES * np.asarray(eqx.filter_jit(abundance.between)(jnp.asarray(EDGES)), float)
        for plane, row in enumerate(expected):
            log10_mass = found.log_mass[:, plane][found.weight[:, plane] > 0] / np.log(10)
            numbers, _ = np.histogram(log10_mass, np.append(EDGES[:-1], EDGES[-1] + 1e-4))
            assert numbers.sum() == len(log10_mass)
            assert stats.chi2(len(row)).sf(((numbers - row) ** 2 / row).sum()) > LEAST


def test_concentrations_scatter_about_their_median(drawn: dict[str, Any]) -> None:
    model, planes, grid = drawn["model"], drawn["planes"], jnp.linspace(*MASSES, 65)
    medians = np.asarray(halos.field_concentrations(model, planes, grid))
    field = drawn["field"]
    for plane, median in enumerate(medians):
        filled = field.weight[:, plane] > 0
        log10_mass = field.log_mass[:, plane][filled] / np.log(10)
        free = np.interp(log10_mass, grid, median) > 2.5  # no concentration is below 1.2
        residual = np.log10(field.concentration[:, plane][filled] / np.interp(log10_mass, grid, median))[free] / 0.15
        assert abs(residual.mean()) < 3.7 / np.sqrt(len(residual))
        assert abs(residual.var() - 1) < 3.7 * np.sqrt(2 / len(residual))
    quantiles = (0.1, 0.3, 0.5, 0.7, 0.9)
    curves = np.asarray(halos.subhalo_concentrations(model, planes, grid, quantiles))
    sub, filled = drawn["sub"], drawn["sub"].weight[:, 0] > 0
    log10_mass, c = sub.log_mass[:, 0][filled] / np.log(10), sub.concentration[:, 0][filled]
    inside = np.diff([0, *(np.mean(c < np.interp(log10_mass, grid, curve)) for curve in curves), 1])
    share = np.diff([0, *quantiles, 1])
    assert stats.chi2(5).sf(len(c) * ((inside - share) ** 2 / share).sum()) > LEAST


def test_halos_fill_their_discs(drawn: dict[str, Any]) -> None:
    model, planes = drawn["model"], drawn["planes"]
    los = model.line_of_sight
    radii = np.asarray(los.cone.radii(planes))
    zero = np.zeros(planes.n_planes)
    middle = (zero, zero) if los.axis is None else map(np.asarray, los.axis.offset(planes))
    field = drawn["field"]
    for plane, (x, y, radius) in enumerate(zip(*middle, radii, strict=True)):
        filled = field.weight[:, plane] > 0
        dx, dy = field.center_x[:, plane][filled] - x, field.center_y[:, plane][filled] - y
        assert stats.kstest((dx**2 + dy**2) / radius**2, "uniform").pvalue > LEAST
        assert stats.kstest((np.arctan2(dy, dx) / (2 * np.pi)) % 1, "uniform").pvalue > LEAST
    sub = drawn["sub"]
    filled = sub.weight[:, 0] > 0
    fractions = np.linspace(0.05, 0.95, 19)
    edges = np.asarray(halos.subhalo_radii(model, planes, jnp.asarray(fractions)))
    r = np.hypot(sub.center_x[:, 0], sub.center_y[:, 0])[filled]
    numbers, _ = np.histogram(r, [0, *edges, 2.0 + 1e-5])
    expected = np.full(20, len(r) / 20)
    assert stats.chi2(19).sf(((numbers - expected) ** 2 / expected).sum()) > LEAST


def test_sheets_balance_the_halos(drawn: dict[str, Any]) -> None:
    model, planes = drawn["model"], drawn["planes"]
    radii = np.asarray(model.line_of_sight.cone.radii(planes))
    field, sub = drawn["field"], drawn["sub"]
    assert (drawn["sheets"] < 0).all()
    # Mass in a plane over the disc that its halos fill; on the lens plane two discs, that of subhalos being 2 arcsec.
    for plane in range(planes.n_planes):
        kappa = drawn["mass"][:, plane] / radii[plane] ** 2
        if plane == planes.lens_index and radii[plane] != 2.0:
            continue
        total = kappa + drawn["sheets"][:, plane]
        assert abs(total.mean()) < 3.7 * total.std() / np.sqrt(UNIVERSES)
        assert total.std() / np.sqrt(UNIVERSES) < 0.1 * abs(drawn["sheets"][0, plane])
    assert field.weight.sum() + sub.weight.sum() == drawn["counts"].sum()
