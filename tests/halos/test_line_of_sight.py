"""Field halos: expected numbers against the reference, draws against expected numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lensax import halos
from lensax._types import cast
from lensax.cosmology import Planck15
from lensax.halos.rendering import LensPlanes

LN10 = np.log(10)
CONES = {"narrow": halos.NarrowingCone(3.0, 1.0), "double": halos.DoubleCone(3.0)}


def population(line_of_sight, n_slots=400):
    return halos.Population(Planck15, halos.CDM(), line_of_sight, n_slots=n_slots)


def total_mass(catalogue, planes):
    """Mean convergence of every halo's whole mass over the lens plane's disc of radius 1 arcsec, per plane."""
    from lensax.mass.far_field import truncated_total_mass

    h = catalogue.halos
    filled = h.kappa_s > 0
    tau = jnp.where(filled, h.truncation_radius / h.scale_radius, 1.0)
    mass = 4 * h.kappa_s * h.scale_radius**2 * truncated_total_mass(jnp.zeros_like(tau), tau)
    return jnp.sum(jnp.where(filled, mass, 0.0), -1)


@pytest.mark.parametrize("geometry", ["narrow", "double"])
def test_expected_counts_are_those_of_the_reference(geometry, line_of_sight, planes, reference):
    wide = line_of_sight((6.0, 10.0), CONES[geometry])
    expect = jax.jit(lambda values: population(wide).expected(planes, values))
    expected = np.array([row[f"N_{geometry}"] for row in reference["planes"]])
    for decade in range(4):
        values = {
            "line_of_sight.mass_function.log10_mass_min": 6.0 + decade,
            "line_of_sight.mass_function.log10_mass_max": 7.0 + decade,
        }
        found = expect(values)
        np.testing.assert_allclose(found, expected[:, decade], rtol=1e-3)
    total = {"narrow": (7050, 854), "double": (2278, 277)}[geometry]
    assert float(expect({}).sum()) == pytest.approx(total[0], abs=1)
    above = population(line_of_sight((7.0, 10.0), CONES[geometry])).expected(planes).sum()
    assert float(above) == pytest.approx(total[1], abs=1)


def test_sheets_balance_the_truncated_masses_of_the_reference(line_of_sight, planes, reference):
    wide = line_of_sight((6.0, 10.0), scatter_dex=0.0)
    lenses = LensPlanes.of(planes, Planck15)
    law = wide.law(planes, Planck15, halos.CDM())
    sheets = wide.sheet(law, planes, lenses, halos.CDM())
    np.testing.assert_allclose(sheets, [-row["kappa_trunc"] for row in reference["planes"]], rtol=1e-3)
    assert float(sheets.sum()) == pytest.approx(-0.0286, abs=2e-4)


def test_draws_have_the_expected_counts_masses_and_convergence(line_of_sight, planes):
    """1500 universes: Poisson means and variances per plane, and halos that the sheets balance."""
    model = population(line_of_sight((7.5, 9.5)), n_slots=170)
    model = cast(model, jnp.float32)
    small = cast(planes, jnp.float32)

    @jax.jit
    def universes(keys):
        def one(key):
            catalogue = model.draw(key, small)
            area = jnp.pi * model.line_of_sight.cone.radii(small) ** 2
            return catalogue.counts, jnp.pi * total_mass(catalogue, small) / area, catalogue.sheets, catalogue.overflow

        return jax.lax.map(jax.vmap(one), keys)

    counts, kappa, sheets, overflow = (
        np.asarray(a).reshape(1500, -1) for a in universes(jax.random.split(jax.random.key(11), (15, 100)))
    )
    assert not overflow.any()
    expected = np.asarray(model.expected(small))
    z = (counts.mean(0) - expected) / np.sqrt(expected / 1500)
    assert (np.abs(z) < 3.5).all()
    assert stats.chi2(9).sf((z**2).sum()) > 1e-3
    variance = counts.var(0, ddof=1) / expected
    assert (np.abs(variance - 1) < 4 * np.sqrt((2 + 1 / expected) / 1500)).all()
    balance = (kappa + sheets).mean(0) / (kappa.std(0, ddof=1) / np.sqrt(1500))
    assert (np.abs(balance) < 3.5).all()
    whole = (kappa + sheets).sum(1)
    assert abs(whole.mean()) < 3 * whole.std(ddof=1) / np.sqrt(1500)
    assert abs(whole.mean()) < 0.02 * abs(sheets[0].sum())


def test_positions_are_uniform_in_the_cone_and_concentrations_log_normal(line_of_sight, planes, draw):
    los = line_of_sight((7.0, 10.0))
    catalogue = draw(population(los), 3, planes, line_of_sight__mass_function__delta_los=1.3)
    radii = np.asarray(los.cone.radii(planes))
    for plane in (4, 8):
        filled = np.asarray(catalogue.halos.kappa_s[plane]) > 0
        x, y = np.asarray(catalogue.halos.center_x[plane])[filled], np.asarray(catalogue.halos.center_y[plane])[filled]
        assert stats.kstest((x**2 + y**2) / radii[plane] ** 2, "uniform").pvalue > 1e-3
        assert stats.kstest((np.arctan2(y, x) / (2 * np.pi)) % 1, "uniform").pvalue > 1e-3
    lenses = LensPlanes.of(planes, Planck15)
    log_mass = jnp.full((9, 4000), 8 * LN10)
    uniform = jax.random.uniform(jax.random.key(1), (9, 4000))
    log_c = np.log10(los.structure(log_mass, uniform, uniform, lenses, halos.CDM()).concentration)
    np.testing.assert_allclose(log_c.std(1), 0.15, rtol=0.05)


def test_one_key_makes_one_universe_in_both_precisions_and_for_any_number_of_slots(line_of_sight, planes, draw):
    model = population(line_of_sight((7.0, 10.0)))
    double = draw(model, 8, planes)
    single = draw(model, 8, cast(planes, jnp.float32))
    more = draw(population(model.line_of_sight, n_slots=100), 8, planes)
    np.testing.assert_array_equal(double.counts, single.counts)
    assert single.halos.kappa_s.dtype == jnp.float32
    for name in ("kappa_s", "scale_radius", "truncation_radius", "center_x", "center_y"):
        wide, narrow = np.asarray(getattr(double.halos, name)), np.asarray(getattr(single.halos, name))
        np.testing.assert_allclose(narrow, wide, rtol=2e-4, atol=2e-5)
        np.testing.assert_array_equal(np.asarray(getattr(more.halos, name)), wide[:, :100])


def test_empty_slots_are_empty_and_overflow_is_said(line_of_sight, planes, draw):
    los = line_of_sight((7.0, 10.0))
    none = draw(population(los), 0, planes, line_of_sight__mass_function__delta_los=0.0)
    np.testing.assert_array_equal(none.counts, 0)
    np.testing.assert_array_equal(none.sheets, 0)
    assert not none.overflow
    few = draw(population(los, n_slots=100), 0, planes)
    assert few.overflow
    np.testing.assert_array_equal(few.counts[-3:], 100)


def test_nothing_is_traced_again_for_other_parameters(line_of_sight, planes):
    model = population(line_of_sight((7.0, 10.0)), n_slots=100)
    draw = jax.jit(eqx.debug.assert_max_traces(lambda key, values: model.draw(key, planes, values), max_traces=1))
    for seed in range(4):
        values = {
            "line_of_sight.mass_function.delta_los": jnp.array(0.2 * seed),
            "line_of_sight.mass_function.tilt": jnp.array(0.1 * seed),
            "line_of_sight.mass_function.log10_mass_min": jnp.array(7.0 + 0.1 * seed),
        }
        catalogue = draw(jax.random.key(seed), values)
        assert np.isfinite(np.asarray(catalogue.halos.kappa_s)).all()


def test_redshifts_of_the_planes_may_be_traced_and_differentiated(line_of_sight):
    from lensax.raytrace.planes import Planes

    model = population(line_of_sight((7.0, 10.0)), n_slots=100)

    def outcome(lens, source):
        redshifts = model.line_of_sight.planes.redshifts(lens, source, Planck15)
        catalogue = model.draw(jax.random.key(2), Planes(redshifts, lens, source, Planck15, 4))
        return jnp.sum(jnp.where(catalogue.halos.kappa_s > 0, catalogue.halos.scale_radius, 0.0)), catalogue.counts

    gradient = jax.jit(jax.grad(outcome, (0, 1), has_aux=True))
    (by_lens, by_source), counts = gradient(jnp.array(0.5), jnp.array(1.5))
    step = 1e-5
    value = jax.jit(outcome)
    up, counts_up = value(jnp.array(0.5 + step), jnp.array(1.5))
    down, counts_down = value(jnp.array(0.5 - step), jnp.array(1.5))
    np.testing.assert_array_equal(counts_up, counts_down)
    np.testing.assert_array_equal(counts, counts_up)
    np.testing.assert_allclose(by_lens, (up - down) / (2 * step), rtol=1e-4)
    assert np.isfinite(by_source)


@pytest.mark.parametrize(
    ("thickness", "lazar", "boost"),
    [(0.02, False, 0.904), (0.02, True, 1.164), (0.1, False, 0.186), (0.1, True, 0.238)],
)
def test_two_halo_boost_of_the_reference(theory, thickness, lazar, boost):
    """physics.md 3.3, for a host of 10^13.3 Msun at z = 0.5."""
    found = halos.TwoHalo.tabulate(theory, Planck15, 0.5, 0.5 + thickness, lazar).boost()
    np.testing.assert_allclose(found, boost, rtol=6e-3)


def test_the_two_halo_term_adds_halos_to_the_lens_plane_alone(theory, line_of_sight, planes):
    two_halo = halos.TwoHalo.tabulate(theory, Planck15, 0.5, 0.6)
    expect = jax.jit(lambda model: model.expected(planes))
    ratio = expect(population(line_of_sight(two_halo=two_halo))) / expect(population(line_of_sight()))
    expected = np.ones(9)
    expected[4] += float(two_halo.boost())
    np.testing.assert_allclose(ratio, expected, rtol=1e-12)


def test_halos_behind_the_lens_follow_the_deflected_axis(line_of_sight, planes, draw):
    straight = draw(population(line_of_sight()), 5, planes)
    axis = halos.DeflectedAxis(jnp.array(0.2), jnp.array(-0.1))
    bent = draw(population(line_of_sight(axis=axis)), 5, planes)
    filled = np.asarray(straight.halos.kappa_s) > 0
    s = np.array([0] * 5 + [0.4340599903, 0.6723760270, 0.8223650410, 0.9252002321])
    for name, end in (("center_x", 0.2), ("center_y", -0.1)):
        moved = np.asarray(getattr(bent.halos, name)) - np.asarray(getattr(straight.halos, name))
        np.testing.assert_allclose(moved, np.where(filled, (s * end)[:, None], 0.0), atol=1e-6)
