"""What a population expects to draw, and which masses and concentrations it drew."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax import halos
from lensax.cosmology import Planck15
from lensax.halos.rendering import LensPlanes

AMPLITUDE = "line_of_sight.mass_function.delta_los"
NUMBER = "subhalos.mean_number"


@pytest.fixture(scope="module")
def models(line_of_sight, subhalos, planes):
    """One population, drawn afresh and thinned from an envelope."""
    model = halos.Population(
        Planck15, halos.CDM(), line_of_sight((8.0, 10.0)), subhalos((8.0, 10.0), mean_number=jnp.array(20.0))
    )
    bounds = {AMPLITUDE: (0.0, 2.0), NUMBER: (5.0, 40.0)}
    return model.sized(planes, bounds), model.sized(planes, bounds, common_random_numbers=["line_of_sight", "subhalos"])


def test_expected_numbers_in_bins_add_up(models, planes):
    values = {AMPLITUDE: 1.4, NUMBER: 30.0}
    for model in models:
        field, subhalo = halos.abundances(model, planes, values)
        total = np.asarray(field.number()) + np.eye(9)[4] * float(subhalo.number()[0])
        np.testing.assert_allclose(total, model.expected(planes, values), rtol=1e-12)
        edges = jnp.linspace(7.5, 10.5, 13)  # wider than the range of masses: nothing lies outside of it
        np.testing.assert_allclose(np.asarray(field.between(edges)).sum(1), field.number(), rtol=1e-12)
        bins = np.asarray(subhalo.between(edges))[0]
        np.testing.assert_array_equal(bins[[0, 1, -2, -1]], 0.0)
        # dN/dM ~ M^-1.9: each bin of a quarter dex holds 10^(-0.9/4) of the one before it.
        np.testing.assert_allclose(bins[3:10] / bins[2:9], 10 ** (-0.9 / 4), rtol=1e-9)
    nothing, _ = halos.abundances(models[0], planes, {AMPLITUDE: 0.0})
    np.testing.assert_array_equal(nothing.between(edges), 0.0)


@pytest.mark.parametrize("thinned", [False, True])
def test_drawn_masses_and_concentrations_are_those_of_the_catalogue(models, planes, thinned):
    model, key = models[thinned], jax.random.key(4)
    values = {AMPLITUDE: jnp.array(1.4), NUMBER: jnp.array(30.0)}

    @eqx.filter_jit
    def both(model, key):
        return model.draw(key, planes, values), halos.drawn_halos(model, key, planes, values)

    catalogue, (field, subhalo) = both(model, key)
    counts = np.asarray(field.weight).sum(1) + np.eye(9)[4] * np.asarray(subhalo.weight).sum()
    np.testing.assert_array_equal(counts, catalogue.counts)
    assert subhalo.weight.sum() > 10
    # r_s = r200 / c and rho_s of NFW give the lenses back.
    lenses = LensPlanes.of(planes, Planck15)
    mass, c = np.exp(np.asarray(field.log_mass)), np.asarray(field.concentration)
    density = np.asarray(lenses.critical_density)[:, None]
    scale = np.cbrt(3 * mass / (800 * np.pi * density)) / c
    rho = density * 200 / 3 * c**3 / (np.log1p(c) - c / (1 + c))
    kappa_s = rho * scale / np.asarray(lenses.critical_surface_density)[:, None]
    plane = np.arange(9) != 4  # subhalos stand behind the field halos of the lens plane
    filled = np.asarray(field.weight)[plane] > 0
    found = catalogue.halos
    np.testing.assert_allclose(np.asarray(found.kappa_s)[plane], np.where(filled, kappa_s[plane], 0.0), rtol=1e-10)
    theirs = np.asarray(found.scale_radius)[plane][filled]
    for leaf in ("center_x", "center_y"):
        ours, theirs_there = (np.asarray(getattr(o, leaf))[plane][filled] for o in (field, found))
        np.testing.assert_allclose(ours, theirs_there, rtol=1e-12)
    np.testing.assert_allclose(theirs, (scale / np.asarray(lenses.kpc_per_arcsec)[:, None])[plane][filled], rtol=1e-10)


@pytest.mark.extended
def test_concentrations_scatter_about_the_expected_ones(line_of_sight, subhalos, planes):
    warm = halos.WDM(jnp.array(8.0))
    model = halos.Population(
        Planck15, warm, line_of_sight((8.0, 10.0)), subhalos((8.0, 10.0), mean_number=jnp.array(1e4))
    ).sized(planes)
    _, subhalo = halos.drawn_halos(model, jax.random.key(1), planes)
    grid = jnp.linspace(8.0, 10.0, 41)
    median = np.asarray(halos.field_concentrations(model, planes, grid))
    _, middle, high = np.asarray(halos.subhalo_concentrations(model, planes, grid))
    np.testing.assert_allclose(
        np.log10(high / middle), 0.15 * 0.9945, rtol=0.01
    )  # the quantile 0.84 lies at 0.9945 sigma
    np.testing.assert_allclose(middle, median[4], rtol=2e-3)  # without infall: field halos of the lens redshift
    kept = np.asarray(subhalo.weight)[0] > 0
    radii = np.sort(np.hypot(subhalo.center_x, subhalo.center_y)[0][kept])
    fractions = np.linspace(0.1, 0.9, 9)
    inside = np.searchsorted(radii, halos.subhalo_radii(model, planes, jnp.asarray(fractions))) / kept.sum()
    assert (np.abs(inside - fractions) < 3.5 * np.sqrt(fractions * (1 - fractions) / kept.sum())).all()
    log10_mass, c = np.asarray(subhalo.log_mass)[0][kept] / np.log(10), np.asarray(subhalo.concentration)[0][kept]
    residual = np.log10(c / np.interp(log10_mass, grid, median[4])) / 0.15
    assert kept.sum() > 5000
    assert abs(residual.mean()) < 3.5 / np.sqrt(kept.sum())
    assert abs(residual.std() - 1) < 3.5 / np.sqrt(2 * kept.sum())


def test_what_is_not_there_is_said(line_of_sight, subhalos, planes):
    field = halos.Population(Planck15, halos.CDM(), line_of_sight((8.0, 10.0)), n_slots=5)
    lens = halos.Population(Planck15, halos.CDM(), None, subhalos((8.0, 10.0), mean_number=jnp.array(1.0)), n_slots=5)
    assert halos.abundances(field, planes)[1] is None
    assert halos.drawn_halos(lens, jax.random.key(0), planes)[0] is None
    with pytest.raises(ValueError, match="has no subhalos"):
        halos.subhalo_concentrations(field, planes, jnp.array([8.0]))
    with pytest.raises(ValueError, match="has no field halos"):
        halos.field_concentrations(lens, planes, jnp.array([8.0]))
