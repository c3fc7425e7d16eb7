"""What tides leave of subhalos, when they fell in, and where they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lensax import halos
from lensax.cosmology import Planck15
from lensax.halos import scales
from lensax.halos.host import Host, infall_redshift
from lensax.halos.rendering import LensPlanes
from lensax.halos.tides import BoundMassTides, ConcentrationTides, Infallen, RocheTides
from lensax.mass.far_field import truncated_total_mass

LN10 = np.log(10)


@pytest.fixture(scope="module")
def bound_mass():
    return BoundMassTides.tabulate(Planck15)


@pytest.fixture(scope="module")
def lens(planes):
    return LensPlanes.of(planes, Planck15).at(planes.lens_index)


def infallen(n=1, **changes):
    row = {
        "log_mass": 8 * LN10,
        "concentration": 12.0,
        "median_concentration": 12.0,
        "scale_radius": 0.6,
        "redshift": 1.5,
        "radius": 50.0,
        "normal": 0.0,
    }
    row.update(changes)
    leaves = {name: jnp.broadcast_to(jnp.asarray(value, float), (1, n)) for name, value in row.items()}
    return Infallen(**leaves, lens_redshift=jnp.array([0.5]), host_concentration=jnp.array(6.0))


def test_tidal_track_of_the_reference(bound_mass):
    """physics.md 3.5 for c = 13.6."""
    fraction = jnp.array([0.9, 0.5, 0.1, 0.01])
    tau, density = bound_mass.track(fraction * scales.enclosed_mass(jnp.array(13.6)))
    np.testing.assert_allclose(tau, [10.693, 4.1585, 0.79440, 0.17190], rtol=2e-4)
    np.testing.assert_allclose(density, [0.98061, 0.94086, 0.77675, 0.51471], rtol=2e-5)


def test_the_truncation_radius_is_the_one_that_holds_the_bound_mass(bound_mass):
    fraction = np.geomspace(1e-3, 1, 20)
    bound = jnp.asarray(fraction) * scales.enclosed_mass(jnp.array(10.0))
    tau, density = bound_mass.track(bound)
    np.testing.assert_allclose(density * truncated_total_mass(jnp.zeros_like(tau), tau), bound, rtol=1e-4)
    assert (np.diff(tau) > 0).all()


@pytest.mark.parametrize(
    ("concentration", "medians"),
    [(10.0, (-0.41, -0.67, -1.84)), (20.0, (-0.38, -0.54, -1.19)), (5.0, (-0.48, -0.89, -3.17))],
)
def test_medians_of_the_bound_fraction(bound_mass, concentration, medians):
    """physics.md 3.5: 1, 4 and 7 Gyr after infall into a host of concentration 6."""
    z = np.linspace(0.5, 6, 4000)
    since = np.asarray(Planck15.age(jnp.array(0.5)) - Planck15.age(jnp.asarray(z)))
    redshift = np.interp([1.0, 4.0, 7.0], since, z)
    found = bound_mass.bound_fraction(infallen(3, redshift=redshift, concentration=concentration))
    np.testing.assert_allclose(np.log10(found[0]), medians, atol=0.012)


def test_bound_fractions_never_leave_their_range(bound_mass):
    normal = jnp.linspace(-5, 5, 101)
    found = np.asarray(bound_mass.bound_fraction(infallen(101, normal=normal, redshift=3.0)))
    assert (found >= 1e-4 * (1 - 1e-9)).all()
    assert (found <= 1.0).all()
    assert (np.diff(found[0]) >= 0).all()
    gradient = jax.grad(lambda n: bound_mass.strip(infallen(101, normal=n))[0].sum())(normal)
    assert np.isfinite(gradient).all()


def test_roche_limit_and_concentrations():
    tau, density = RocheTides().strip(infallen(log_mass=7 * LN10, radius=50.0, scale_radius=0.28))
    np.testing.assert_allclose(tau, 1.4 / 0.28, rtol=1e-12)
    further, _ = RocheTides().strip(infallen(log_mass=10 * LN10, radius=400.0, scale_radius=0.28))
    np.testing.assert_allclose(further, 10 * 4 * 1.4 / 0.28, rtol=1e-12)
    np.testing.assert_array_equal(density, 1.0)
    tau, _ = ConcentrationTides().strip(infallen(concentration=18.0, median_concentration=12.0))
    np.testing.assert_allclose(tau, 2 * 1.5**3, rtol=1e-12)
    with pytest.raises(ValueError, match="normalization must be a positive number of kpc, got 0"):
        RocheTides(0.0)


def test_infall_redshifts_are_the_truncated_normal_distribution():
    uniform = jnp.linspace(0, 1, 401)[None, 1:-1]
    for log10_mass in (7.0, 9.5):
        found = infall_redshift(jnp.full_like(uniform, log10_mass * LN10), Host(), jnp.array([0.5]), uniform)
        q = min(13.3 - log10_mass, 5.0)
        mean, sigma = 3.3555 / (1 + 3.2055 * q**-2.9108), 1.9788 / (1 + 4.1739 * q**-2.1443)
        exact = stats.truncnorm.ppf(uniform, (0.5 - mean) / sigma, np.inf, mean, sigma)
        np.testing.assert_allclose(found, np.minimum(exact, 10.0), rtol=1e-6)


def test_positions_follow_the_projected_profile_of_the_host(lens):
    uniform = (jnp.arange(2000).astype(float)[None] + 0.5) / 2000
    host = Host(jnp.array(13.3), jnp.array(6.0), jnp.array(0.5))
    x, y = halos.CoredNFWDisc(jnp.array(30.0)).sample(uniform, uniform * 0, lens, host)
    r = np.asarray(jnp.hypot(x, y)[0]) * float(lens.kpc_per_arcsec[0]) / float(host.scale_radius(lens)[0])
    edge = 30.0 * float(lens.kpc_per_arcsec[0]) / float(host.scale_radius(lens)[0])
    # Surface density of 1 / [(r + f)(1 + r)^2] by quadrature along the line of sight.
    depth = np.sinh(np.linspace(0, 9, 4000)) * 1e-2
    grid = np.linspace(0, edge, 400)
    rho = lambda s: 1 / ((s + 0.5) * (1 + s) ** 2)  # noqa: E731
    surface = np.array([np.trapezoid(rho(np.hypot(R, depth)), depth) for R in grid])
    number = np.concatenate([[0], np.cumsum(0.5 * (surface[1:] * grid[1:] + surface[:-1] * grid[:-1]) * np.diff(grid))])
    np.testing.assert_allclose(np.interp(r, grid, number / number[-1]), uniform[0], atol=2e-3)


def test_depths_follow_the_profile_of_the_host(lens):
    host = Host()
    uniform = (jnp.arange(4000).astype(float)[None] + 0.5) / 4000
    projected = jnp.full_like(uniform, 10.0)
    depth = np.sqrt(np.asarray(host.radius(projected, uniform, lens))[0] ** 2 - 100.0)
    scale, edge = float(host.scale_radius(lens)[0]), float(host.virial_radius(lens)[0])
    z = np.linspace(0, edge, 20000)
    s = np.hypot(10.0, z) / scale
    number = np.cumsum(1 / ((s + 0.5) * (1 + s) ** 2))
    np.testing.assert_allclose(np.interp(depth, z, number / number[-1]), uniform[0], atol=5e-3)
