"""Scale radius, convergence, truncation and total mass against the reference table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize

from lensax._types import cast
from lensax.cosmology import Planck15
from lensax.halos import scales
from lensax.halos.rendering import LensPlanes, Structure
from lensax.halos.truncation import MeanDensityTruncation


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-6), (jnp.float32, 1e-5)])
def test_halos_of_the_reference_table(reference, dtype, tolerance):
    table = {name: np.array([row[name] for row in reference["halos"]]) for name in reference["halos"][0]}
    z = jnp.asarray(table["z"], dtype)
    lenses = LensPlanes(
        z,
        Planck15.critical_density(z),
        Planck15.critical_surface_density(z, jnp.full_like(z, 1.5)),
        Planck15.kpc_per_arcsec(z),
        Planck15,
    )
    log_mass = jnp.asarray(np.log(table["M"]), dtype)[:, None]
    c = jnp.asarray(table["c"], dtype)[:, None]
    tau = cast(MeanDensityTruncation(100.0), dtype).tau(c)
    structure = Structure.nfw(log_mass, c, lenses.critical_density[:, None], tau)
    zero = jnp.zeros_like(c)
    halos = structure.halos(lenses, (zero, zero), jnp.ones(c.shape, bool))
    assert halos.kappa_s.dtype == dtype
    np.testing.assert_allclose(tau[:, 0], table["tau"], rtol=tolerance)
    np.testing.assert_allclose(halos.scale_radius[:, 0], table["rs_arcsec"], rtol=tolerance)
    np.testing.assert_allclose(halos.truncation_radius[:, 0], table["rt_arcsec"], rtol=tolerance)
    np.testing.assert_allclose(halos.kappa_s[:, 0], table["kappa_s"], rtol=tolerance)
    ratio = structure.total_mass()[:, 0] / jnp.exp(log_mass[:, 0])
    np.testing.assert_allclose(ratio, table["Mtot_over_M200"], rtol=10 * tolerance)


@pytest.mark.parametrize("overdensity", [20.0, 50.0, 100.0, 150.0, 500.0])
def test_mean_density_truncation_solves_its_equation(overdensity):
    c = np.geomspace(1.0, 1999, 60)
    enclosed = lambda y: np.log1p(y) - y / (1 + y)  # noqa: E731
    expected = [
        optimize.brentq(
            lambda t, c=c: overdensity * t**3 / enclosed(t) - 200 * c**3 / enclosed(c), 1e-3, 1e5, rtol=1e-14
        )
        for c in c
    ]
    np.testing.assert_allclose(scales.mean_density_truncation(c, overdensity), expected, rtol=1e-10)
    np.testing.assert_allclose(MeanDensityTruncation(overdensity).tau(jnp.asarray(c)), expected, rtol=5e-8)


def test_mean_density_truncation_has_the_derivative_of_its_equation():
    c = np.geomspace(1.5, 100, 20)
    derivative = jax.vmap(jax.grad(MeanDensityTruncation(100.0).tau))(jnp.asarray(c))
    step = 1e-6 * c
    difference = scales.mean_density_truncation(c + step, 100.0) - scales.mean_density_truncation(c - step, 100.0)
    np.testing.assert_allclose(derivative, difference / (2 * step), rtol=1e-6)


def test_an_overdensity_out_of_range_is_refused():
    with pytest.raises(ValueError, match="the overdensity must lie between 20 and 500, got 0"):
        MeanDensityTruncation(0.0)


@pytest.mark.parametrize("core_fraction", [0.0, 0.01, 0.1, 0.3, 0.6])
def test_cored_enclosed_mass_is_the_integral_of_the_density(core_fraction):
    for c in (1.5, 12.042, 40.0):
        exact = integrate.quad(lambda y: y**2 / ((y + core_fraction) * (1 + y) ** 2), 0, c, epsrel=1e-12)[0]
        found = scales.cored_enclosed_mass(jnp.array(c), jnp.array(core_fraction))
        np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_quoted_values_of_the_cored_mass():
    found = scales.cored_enclosed_mass(jnp.full(4, 12.042), jnp.array([0.01, 0.1, 0.2, 0.3]))
    np.testing.assert_allclose(found, [1.635985577, 1.569802855, 1.510652593, 1.460144891], rtol=1e-9)
