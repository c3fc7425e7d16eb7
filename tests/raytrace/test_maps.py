"""Maps, critical curves and time delays against lenses with closed answers."""

import jax.numpy as jnp
import numpy as np
import pytest
from scenes import COSMOLOGY, lens_scene

from lensax.halos import HaloCatalogue
from lensax.instrument import AdaptiveOverSample, Grid
from lensax.mass import ExternalShear, MassSheet, PowerLaw
from lensax.raytrace import (
    Planes,
    arrival_time,
    caustics,
    critical_curves,
    fermat_potential,
    halo_convergence,
    lens_maps,
    time_delay_distance,
)
from lensax.scene import Scene

ONE_PLANE = Planes([0.5], 0.5, 1.5, COSMOLOGY)


def isothermal(theta_e=1.1):
    return Scene(ONE_PLANE, (PowerLaw(theta_e, 2.0, 0.0, 0.0, 0.0, 0.0),))


def test_maps_of_sheet_and_shear():
    maps = lens_maps(Scene(ONE_PLANE, (MassSheet(0.3), ExternalShear(0.1, -0.05))), jnp.array([0.2]), jnp.array([1.0]))
    np.testing.assert_allclose(maps.convergence, 0.3, atol=1e-14)
    np.testing.assert_allclose(maps.shear_1, 0.1, atol=1e-14)
    np.testing.assert_allclose(maps.shear_2, -0.05, atol=1e-14)
    np.testing.assert_allclose(maps.rotation, 0.0, atol=1e-14)
    np.testing.assert_allclose(maps.magnification, 1 / (0.7**2 - 0.1**2 - 0.05**2), rtol=1e-13)


def test_magnification_of_an_isothermal_sphere():
    r = jnp.array([0.5, 1.5, 3.0])
    maps = lens_maps(isothermal(), 0.6 * r, 0.8 * r)
    np.testing.assert_allclose(maps.magnification, 1 / (1 - 1.1 / r), rtol=1e-5)


def test_the_maps_of_one_plane_are_its_convergence():
    scene = lens_scene((0, 0, 6, 0, 0))
    x, y = jnp.array([0.4, -1.2]), jnp.array([0.3, 0.9])
    expected = halo_convergence(scene, x, y)[2] + scene.macro[0].convergence(x, y)
    np.testing.assert_allclose(lens_maps(scene, x, y).convergence, expected, rtol=1e-7)


def test_halo_convergence_adds_halos_and_sheets():
    scene = lens_scene((2, 0, 3, 1, 0), sheets=np.array([0.0, -0.1, 0.0, 0.2, 0.0]))
    x, y = jnp.array([[0.4]]), jnp.array([[0.3]])
    kappa = halo_convergence(scene, x, y)
    assert kappa.shape == (5, 1, 1)
    assert float(kappa[1, 0, 0]) == pytest.approx(-0.1)
    assert float(kappa[4, 0, 0]) == 0.0
    assert float(kappa[0, 0, 0]) > 0
    assert halo_convergence(scene.without_halos(), x, y).shape == (5, 1, 1)


def test_positions_of_different_shapes_are_refused():
    scene = lens_scene((1, 0, 1, 0, 0))
    for function in (lens_maps, halo_convergence, arrival_time):
        with pytest.raises(ValueError, match=r"x has shape \(2,\), y has shape \(1,\)"):
            function(scene, jnp.zeros(2), jnp.zeros(1))


def test_critical_curve_and_caustic_of_an_isothermal_sphere():
    curves = critical_curves(isothermal(), Grid((61, 61), 0.05))
    longest = max(curves, key=lambda curve: len(curve[0]))
    np.testing.assert_allclose(np.hypot(*longest), 1.1, atol=2e-3)
    (caustic,) = caustics(isothermal(), [longest])
    assert np.hypot(*caustic).max() < 5e-3


def test_critical_curves_need_a_uniform_grid():
    with pytest.raises(ValueError, match="uniform grid"):
        critical_curves(isothermal(), Grid((4, 4), 0.5, AdaptiveOverSample((0.5,), (2, 1))))


def test_time_delay_of_an_isothermal_sphere():
    """Images of a source at beta lie at theta_E +- beta; their delay is D_dt / c * 2 theta_E beta."""
    theta_e, beta = 1.1, 0.3
    x, y = jnp.array([theta_e + beta, beta - theta_e]), jnp.zeros(2)
    phi = fermat_potential(isothermal(theta_e), x, y)
    np.testing.assert_allclose(phi[1] - phi[0], 2 * theta_e * beta, rtol=1e-5)
    arcsec, mpc_over_c = 4.84813681109536e-6, 1.02927125054e14
    days = float(time_delay_distance(ONE_PLANE)) * arcsec**2 * mpc_over_c / 86400 * 2 * theta_e * beta
    times = arrival_time(isothermal(theta_e), x, y)
    np.testing.assert_allclose(times[1] - times[0], days, rtol=1e-5)


@pytest.mark.extended
def test_halos_delay_as_the_same_profiles_in_the_macro_model_do():
    scene = lens_scene((0, 0, 3, 0, 0))
    x, y = jnp.array([1.0, -0.7]), jnp.array([0.4, 0.2])
    halos = scene.halos.halos
    profiles = [type(halos)(*(getattr(halos, n)[2, k] for n in type(halos).__dataclass_fields__)) for k in range(3)]
    moved = Scene(scene.planes, (*scene.macro, *profiles), HaloCatalogue.empty(5), scene.source)
    np.testing.assert_allclose(fermat_potential(scene, x, y), fermat_potential(moved, x, y), rtol=1e-11)
