"""Cores and collapse: mass is kept, the chance is the one asked for."""

import jax.numpy as jnp
import numpy as np
from scipy import integrate

from lensax import halos
from lensax.cosmology import Planck15
from lensax.halos.rendering import LensPlanes, Structure

LN10 = np.log(10)


def structure(n=5, concentration=12.0):
    log_mass = jnp.linspace(7, 10, n)[None] * LN10
    c, tau = jnp.full((1, n), concentration), jnp.full((1, n), 16.0)
    return Structure.nfw(log_mass, c, jnp.full((1, n), 220.829), tau)


def mass_inside_virial_radius(evolved, index):
    """4 pi rho_s r_s^3 int y^2 dy / [(y + f)(1 + y)^2] up to r200, over M200."""
    ratio, f = float(evolved.radius_ratio[0, index]), float(evolved.core_fraction[0, index])
    c = 12.0
    density = c**3 / (np.log1p(c) - c / (1 + c)) * float(evolved.density_ratio[0, index])
    y = integrate.quad(lambda y: y**2 / ((y + f) * (1 + y) ** 2), 0, c / ratio, epsrel=1e-11)[0]
    return density * (ratio / c) ** 3 * y


def test_cored_and_collapsed_halos_keep_their_mass():
    cored = halos.SIDM(jnp.array(0.2)).field_structure(structure(), jnp.full((1, 5), 0.5))
    np.testing.assert_allclose(cored.core_fraction, 0.2)
    np.testing.assert_allclose(mass_inside_virial_radius(cored, 2), 1.0, rtol=1e-9)
    always = halos.SIDM(subhalo_probability=jnp.array(1.0))
    collapsed = always.subhalo_structure(structure(), jnp.full((1, 5), 0.5))
    np.testing.assert_allclose(collapsed.core_fraction, 0.05)
    np.testing.assert_allclose(collapsed.radius_ratio, 0.25)
    np.testing.assert_allclose(collapsed.tau * collapsed.radius_ratio, 16.0)
    np.testing.assert_allclose(mass_inside_virial_radius(collapsed, 2), 1.0, rtol=1e-9)


def test_the_published_normalisation_error_is_not_made():
    """physics.md 1.3: a factor (1 + f)^2 for (1 - f)^2 would inflate kappa_s 50 times at f = 0.2."""
    lenses = LensPlanes(*(jnp.array([v]) for v in (0.5, 220.829, 2.266648e9, 6.28823)))
    center = (jnp.zeros((1, 5)), jnp.zeros((1, 5)))
    bare = structure(concentration=12.042)
    plain = bare.halos(lenses, center, jnp.ones((1, 5), bool)).kappa_s
    cored = halos.SIDM(jnp.array(0.2)).field_structure(bare, jnp.full((1, 5), 0.5))
    ratio = np.asarray(cored.halos(lenses, center, jnp.ones((1, 5), bool)).kappa_s / plain)
    np.testing.assert_allclose(ratio, (np.log1p(12.042) - 12.042 / 13.042) / 1.510652593, rtol=1e-8)


def test_the_chance_of_collapse_depends_on_mass():
    model = halos.SIDM(
        field_probability=jnp.array(0.1),
        subhalo_probability=jnp.array(0.5),
        subhalo_slope=jnp.array(-0.2),
    )
    uniform = (jnp.arange(1000).astype(float)[None] + 0.5) / 1000
    for log10_mass, chance in ((7.0, 0.7), (8.0, 0.5), (9.0, 0.3), (11.0, 0.0)):
        full = jnp.full_like(uniform, 12.0)
        row = Structure.nfw(jnp.full_like(uniform, log10_mass * LN10), full, full, full)
        collapsed = np.asarray(model.subhalo_structure(row, uniform).radius_ratio) < 1
        assert collapsed.mean() == np.round(chance, 10)
        field = np.asarray(model.field_structure(row, uniform).radius_ratio) < 1
        assert field.mean() == 0.1


def test_a_mixed_population_is_balanced_by_its_sheets(line_of_sight, planes, draw):
    model = halos.SIDM(jnp.array(0.3), field_probability=jnp.array(0.3))
    population = halos.Population(Planck15, model, line_of_sight((7.0, 10.0)), n_slots=400)
    catalogue = draw(population, 1, planes)
    filled = np.asarray(catalogue.halos.kappa_s) > 0
    core = np.asarray(catalogue.halos.core_radius / catalogue.halos.scale_radius)[filled]
    collapsed = np.isclose(core, 0.05)
    assert np.isclose(core[~collapsed], 0.3).all()
    assert abs(collapsed.mean() - 0.3) < 4 * np.sqrt(0.21 / filled.sum())
    cold = draw(halos.Population(Planck15, halos.CDM(), line_of_sight((7.0, 10.0)), n_slots=400), 1, planes)
    np.testing.assert_array_equal(catalogue.counts, cold.counts)
    np.testing.assert_array_equal(catalogue.halos.center_x, cold.halos.center_x)
    # Cores and collapse move mass about inside r200; outside, up to the truncation, a little is gained or lost.
    np.testing.assert_allclose(catalogue.sheets, cold.sheets, rtol=0.1)
