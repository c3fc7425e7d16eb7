"""Cores and collapse: mass is kept, halos have the ages, cores and chances asked for, sheets balance them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from lensax import halos
from lensax._types import cast
from lensax.cosmology import Planck15
from lensax.halos.rendering import LensPlanes, Structure
from lensax.mass import MixedHalos, gravothermal

LN10 = np.log(10)
LENSES = LensPlanes(*(jnp.array([v]) for v in (0.5, 220.829, 2.266648e9, 6.28823)), Planck15)
HALF = jnp.full((1, 5), 0.5)


def structure(n=5, concentration=12.0):
    log_mass = jnp.linspace(7, 10, n)[None] * LN10
    c, tau = jnp.full((1, n), concentration), jnp.full((1, n), 16.0)
    return Structure.nfw(log_mass, c, jnp.full((1, n), 220.829), tau)


def cored(core_fraction=0.2, **collapse):
    model = halos.CoredNFW(jnp.array(core_fraction))
    chances = halos.Collapse(**{name: jnp.array(value) for name, value in collapse.items()})
    return halos.SIDM(model, model, collapse=chances)


def mass_inside_virial_radius(evolved, index):
    """4 pi rho_s r_s^3 int y^2 dy / [(y + f)(1 + y)^2] up to r200, over M200."""
    ratio, f = float(evolved.radius_ratio[0, index]), float(evolved.core_fraction[0, index])
    c = 12.0
    density = c**3 / (np.log1p(c) - c / (1 + c)) * float(evolved.density_ratio[0, index])
    y = integrate.quad(lambda y: y**2 / ((y + f) * (1 + y) ** 2), 0, c / ratio, epsrel=1e-11)[0]
    return density * (ratio / c) ** 3 * y


def test_cored_and_collapsed_halos_keep_their_mass():
    found = cored().field_structure(structure(), HALF, LENSES)
    np.testing.assert_allclose(found.core_fraction, 0.2)
    np.testing.assert_allclose(mass_inside_virial_radius(found, 2), 1.0, rtol=1e-9)
    always = cored(subhalo_probability=1.0)
    collapsed = always.subhalo_structure(structure(), HALF, LENSES, jnp.ones((1, 5)))
    np.testing.assert_allclose(collapsed.core_fraction, 0.05)
    np.testing.assert_allclose(collapsed.radius_ratio, 0.25)
    np.testing.assert_allclose(collapsed.tau * collapsed.radius_ratio, 16.0)
    np.testing.assert_allclose(mass_inside_virial_radius(collapsed, 2), 1.0, rtol=1e-9)


def test_the_published_normalisation_error_is_not_made():
    """physics.md 1.3: a factor (1 + f)^2 for (1 - f)^2 would inflate kappa_s 50 times at f = 0.2."""
    center = (jnp.zeros((1, 5)), jnp.zeros((1, 5)))
    bare = structure(concentration=12.042)
    plain = bare.halos(LENSES, center, jnp.ones((1, 5), bool)).kappa_s
    found = cored().field_structure(bare, HALF, LENSES)
    ratio = np.asarray(found.halos(LENSES, center, jnp.ones((1, 5), bool)).kappa_s / plain)
    np.testing.assert_allclose(ratio, (np.log1p(12.042) - 12.042 / 13.042) / 1.510652593, rtol=1e-8)


def test_the_chance_of_collapse_depends_on_mass():
    model = cored(field_probability=0.1, subhalo_probability=0.5, subhalo_slope=-0.2)
    uniform = (jnp.arange(1000).astype(float)[None] + 0.5) / 1000
    for log10_mass, chance in ((7.0, 0.7), (8.0, 0.5), (9.0, 0.3), (11.0, 0.0)):
        full = jnp.full_like(uniform, 12.0)
        row = Structure.nfw(jnp.full_like(uniform, log10_mass * LN10), full, full, full)
        collapsed = np.asarray(model.subhalo_structure(row, uniform, LENSES, full / full).radius_ratio) < 1
        assert collapsed.mean() == np.round(chance, 10)
        field = np.asarray(model.field_structure(row, uniform, LENSES).radius_ratio) < 1
        assert field.mean() == 0.1


def parametric(cross_section=100.0, speed=20.0, power=2.0, boost=1.0, formation=10.0):
    model = halos.Parametric(jnp.array(boost))
    return halos.SIDM(model, model, *(jnp.array(v) for v in (cross_section, speed, power, formation)))


def expected_time(log_mass, c, age, cross_section=100.0, speed=20.0, power=2.0):
    """t/t_c by the formulas of physics.md 1.4, in NumPy and with units of its own."""
    gravity, critical = 4.300917270036e-6, 220.829
    mass = np.exp(log_mass)
    mu = np.log1p(c) - c / (1 + c)
    density = critical * 200 / 3 * c**3 / mu
    radius = np.cbrt(3 * mass / (800 * np.pi * critical)) / c
    dispersion = 0.64 * 1.64 * np.sqrt(gravity * density) * radius
    sigma = cross_section * (speed / (2 * dispersion)) ** power * {0: 6, 2: 2, 4: 1}[power] / 6  # Gamma(4 - a/2)
    per_mass = sigma * 0.1 * 1.98841e30 / 3.0856775814914e19**2  # cm^2 / g in kpc^2 / Msun
    time = 200 / (per_mass * density * radius * np.sqrt(4 * np.pi * gravity * density))  # kpc / (km / s)
    return age / (time * 0.9777922216807892)


def test_ages_and_collapse_times_of_field_halos_and_subhalos():
    bare = structure()
    now, formed, fell = (float(Planck15.age(jnp.array(z))) for z in (0.5, 10.0, 2.0))
    field = parametric(boost=1.5).field_structure(bare, HALF, LENSES)
    expected = gravothermal.evolve(jnp.asarray(expected_time(bare.log_mass, 12.0, 1.5 * (now - formed))))
    np.testing.assert_allclose(field.core_fraction, expected.core_fraction, rtol=1e-4)
    np.testing.assert_allclose(field.density_ratio, expected.density_ratio, rtol=1e-4)
    np.testing.assert_allclose(field.tau * field.radius_ratio, 16.0)  # the truncation radius stays
    sub = parametric(boost=3.0).subhalo_structure(bare, HALF, LENSES, jnp.full((1, 5), 2.0))
    expected = gravothermal.evolve(jnp.asarray(expected_time(bare.log_mass, 12.0, fell - formed + 3 * (now - fell))))
    np.testing.assert_allclose(sub.core_fraction, expected.core_fraction, rtol=1e-4)
    # A halo that forms after its infall evolves in the host alone.
    late = parametric(boost=3.0, formation=1.0).subhalo_structure(bare, HALF, LENSES, jnp.full((1, 5), 2.0))
    since = 3 * (now - float(Planck15.age(jnp.array(1.0))))
    expected = gravothermal.evolve(jnp.asarray(expected_time(bare.log_mass, 12.0, since)))
    np.testing.assert_allclose(late.core_fraction, expected.core_fraction, rtol=1e-4)


def test_isothermal_cores_end_where_particles_have_collided_once():
    model = halos.SIDM(halos.Isothermal(), halos.Isothermal(), *(jnp.array(v) for v in (20.0, 20.0, 0.0, 10.0)))
    bare = structure()
    found = model.field_structure(bare, HALF, LENSES)
    y, c = np.asarray(found.core_fraction), 12.0
    density = 220.829 * 200 / 3 * c**3 / (np.log1p(c) - c / (1 + c))
    radius = np.asarray(bare.scale_radius())
    speed = radius * np.sqrt(4 * np.pi * 4.300917270036e-6 * density * (np.log1p(y) - y / (1 + y)) / y)
    age = float(Planck15.age(jnp.array(0.5)) - Planck15.age(jnp.array(10.0))) / 0.9777922216807892
    collisions = 20 * 2.08836e-10 * density / (y * (1 + y) ** 2) * speed * age
    np.testing.assert_allclose(collisions, 1.0, rtol=1e-4)
    np.testing.assert_allclose(found.density_ratio, 1.0)


@pytest.fixture(scope="module")
def mixed(line_of_sight, subhalos, planes):
    """Parametric field halos, parametric subhalos of which some have collapsed, of a few hundred halos."""
    model = halos.SIDM(
        halos.Parametric(jnp.array(1.0)),
        halos.Isothermal(),
        *(jnp.array(v) for v in (30.0, 10.0, 2.0, 10.0)),
        halos.Collapse(subhalo_probability=jnp.array(0.4), field_probability=jnp.array(0.1)),
    )
    parts = line_of_sight((8.0, 10.0)), subhalos((8.0, 10.0), mean_number=jnp.array(40.0), infall=True)
    return cast(halos.Population(Planck15, model, *parts), jnp.float32).sized(cast(planes, jnp.float32))


@pytest.fixture(scope="module")
def universes(mixed, planes):
    """A thousand of them."""
    small = cast(planes, jnp.float32)
    keys = jax.random.split(jax.random.key(5), (10, 100))
    many = jax.jit(lambda keys: jax.lax.map(jax.vmap(lambda key: mixed.draw(key, small)), keys))(keys)
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(1000, *leaf.shape[2:]), many)


@pytest.mark.extended
def test_sheets_balance_a_mixed_population(universes, planes):
    halo = jax.tree.map(jnp.asarray, universes.halos)
    assert isinstance(halo, MixedHalos)
    radius = np.asarray(halos.NarrowingCone(3.0, 1.0).radii(planes))
    mean = np.asarray(jax.jit(lambda h: h.total_mass)(halo), float).sum(-1) / radius**2  # (1000, 9)
    error = mean.std(0, ddof=1) / np.sqrt(1000)
    z = (mean.mean(0) + universes.sheets.mean(0)) / error
    assert (np.abs(z) < 3.5).all(), z
    assert (error < 0.1 * np.abs(universes.sheets.mean(0))).all()  # so that a missing family would show


@pytest.mark.extended
def test_the_cores_drawn_are_those_expected(universes, planes, mixed):
    """Chi-squared of the core sizes, and so of t/t_c, of the field halos of one plane, against a sum over masses."""
    plane = 2
    found = universes.halos
    filled = (found.kappa_s[:, plane] > 0) & (found.family[:, plane] == 1)
    core = (found.core_radius / found.scale_radius)[:, plane][filled]
    collapsed = (found.kappa_s[:, plane] > 0) & (found.family[:, plane] == 0)
    assert abs(collapsed.sum() / (collapsed.sum() + filled.sum()) - 0.1) < 4 * np.sqrt(0.09 / filled.sum())
    los, z = cast(mixed.line_of_sight, jnp.float64), planes.redshifts[plane : plane + 1]
    grid = jnp.linspace(8 * LN10, 10 * LN10, 400)[None]
    rate = np.exp(np.asarray(los.law(planes, Planck15, halos.CDM()).log_rate_at(grid[0])))[plane]
    normal = stats.norm.ppf((np.arange(60) + 0.5) / 60)
    c = np.exp(np.asarray(los.concentration.log_median(z, grid)).T + LN10 * 0.15 * normal[None])
    age = float(Planck15.age(z[0]) - Planck15.age(jnp.array(10.0)))
    critical = float(Planck15.critical_density(z[0]))
    # The formulas of `expected_time` are for z = 0.5: with mass and age in its units the critical density drops out.
    ratio = critical / 220.829
    time = expected_time(np.asarray(grid).T * np.ones_like(c), c, age, 30.0, 10.0, 2)
    time = time * ratio ** (1.5 - 1 / 3) / ratio ** (2 * (0.5 - 1 / 3))  # rho r sqrt(rho), over dispersion^2
    expected_core = np.asarray(gravothermal.evolve(jnp.asarray(time)).core_fraction)
    weights = np.repeat(rate, 60)
    order = np.argsort(expected_core.ravel())
    cumulative = np.cumsum(weights[order]) / weights.sum()
    edges = np.interp(np.linspace(0, 1, 13)[1:-1], cumulative, expected_core.ravel()[order])
    counts = np.histogram(core, np.concatenate([[0], edges, [1]]))[0]
    assert stats.chisquare(counts).pvalue > 1e-3, counts


def test_halos_follow_every_parameter_smoothly(mixed, planes):
    """Derivatives of a sum over the halos against central differences."""
    model = cast(mixed, jnp.float64)
    names = ("cross_section", "speed", "power", "formation_redshift", "field.Parametric.boost", "collapse.compactness")
    names = tuple(f"dark_matter.SIDM.{name}" for name in names)
    assert set(names) <= set(model.names)

    @jax.jit
    @jax.value_and_grad
    def total(values):
        catalogue = model.draw(jax.random.key(2), planes, dict(zip(names, values)))
        halo = catalogue.halos
        return jnp.sum(halo.kappa_s * (1 + halo.core_radius)) + jnp.sum(catalogue.sheets)

    at = [float(model.values[name]) for name in names]
    found = total([jnp.array(v) for v in at])[1]
    for index, value in enumerate(at):
        step = 1e-5 * value
        ends = [total([jnp.array(v + side * step * (i == index)) for i, v in enumerate(at)])[0] for side in (1, -1)]
        np.testing.assert_allclose(found[index], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, err_msg=names[index])


def test_no_collisions_leave_cold_halos(line_of_sight, planes, draw):
    model = halos.SIDM(halos.NFW(), halos.NFW(), jnp.array(0.0))
    with jax.disable_jit():  # compiled, two programs may round their last digit differently
        found = draw(halos.Population(Planck15, model, line_of_sight((8.0, 10.0)), n_slots=80), 1, planes)
        cold = draw(halos.Population(Planck15, halos.CDM(), line_of_sight((8.0, 10.0)), n_slots=80), 1, planes)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(cold), strict=True):
        np.testing.assert_array_equal(one, other)
