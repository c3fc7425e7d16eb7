"""The closed forms behind `Halo`, as functions of radius, core fraction and truncation."""

import json
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from lensax.mass import (
    cored_nfw_mass,
    nfw_mass,
    projected_density,
    projected_mass,
    projected_potential,
    truncated_total_mass,
)
from lensax.mass.nfw import disc, projected_nfw_density, projected_nfw_mass, projected_nfw_potential

FUNCTIONS = {"density": projected_density, "mass": projected_mass, "potential": projected_potential}


def density(y, f, tau):
    """The halo's density over `rho_s`."""
    truncation = 1.0 if np.isinf(tau) else tau**2 / (tau**2 + y**2)
    return truncation / ((y + f) * (1 + y) ** 2)


def integral(function, low, high):
    """`int function(y) dy` between positive limits, taken over ln y."""
    edges = np.linspace(np.log(low), np.log(high), 13)
    parts = [
        quad(lambda t: function(np.exp(t)) * np.exp(t), a, b, epsabs=0, epsrel=1e-13)[0] for a, b in pairwise(edges)
    ]
    return sum(parts)


@pytest.fixture(scope="module")
def table(data):
    """Every entry of the reference table, flattened: x, f, tau, and half k, m, a quarter of p."""
    reference = json.loads((data / "profile_reference.json").read_text())
    x = np.array(reference["x"])
    rows = []
    for name in ("nfw", "tnfw", "cnfw", "tcnfw"):
        for entry in reference["profiles"][name]:
            f, tau = entry["params"].get("f_c", 0.0), entry["params"].get("tau", np.inf)
            lens = np.array(entry["kappa"]) / 2, np.array(entry["alpha"]) * x / 4, np.array(entry["psi"]) / 4
            rows.append(np.stack([x, np.full_like(x, f), np.full_like(x, tau), *lens]))
    assert len(rows) == 27
    return dict(zip(("x", "f", "tau", "density", "mass", "potential"), np.concatenate(rows, 1)))


@pytest.mark.parametrize(("name", "tolerance"), [("density", 2e-14), ("mass", 2e-14), ("potential", 2e-14)])
def test_table(table, name, tolerance):
    found = FUNCTIONS[name](*(jnp.asarray(table[key]) for key in ("x", "f", "tau")))
    np.testing.assert_allclose(found, table[name], rtol=tolerance)


@pytest.mark.parametrize(("name", "tolerance"), [("density", 1e-5), ("mass", 2e-6), ("potential", 1e-5)])
def test_table_in_float32(table, name, tolerance):
    arguments = [jnp.asarray(table[key], jnp.float32) for key in ("x", "f", "tau")]
    found = FUNCTIONS[name](*arguments)
    assert found.dtype == jnp.float32
    # Against the tested function in float64 at the same, rounded arguments.
    expected = FUNCTIONS[name](*(argument.astype(jnp.float64) for argument in arguments))
    np.testing.assert_allclose(found, expected, rtol=tolerance)


def grid():
    """Core fractions, truncations and radii between and beyond those of the table, and where formulas change."""
    rows = []
    for f in (0.0, 1e-3, 0.03, 0.2, 0.349, 0.351, 0.7, 0.97, 1.0, 1.3, 2.0):
        for tau in (0.03, 0.25, 1.0, 4.0, 40.0, np.inf):
            radii = {1e-4, 0.03, 0.6, 0.89, 1.0, 1.12, 1.4, 2.2, 9.0, 300.0} | {0.4 * f, 0.8 * f, f, 1.6 * f} - {0.0}
            radii |= set() if np.isinf(tau) else {tau, 1.45 * max(1.0, tau, f), 1.55 * max(1.0, tau, f)}
            rows += [(x, f, tau) for x in sorted(radii)]
    return np.array(rows)


@pytest.mark.parametrize(
    ("x", "f", "tau"), [(0.3, 0.0, np.inf), (0.3, 0.1, 2.0), (1.0, 1.0, 0.5), (2.5, 0.6, np.inf), (7.0, 0.05, 3.0)]
)
def test_lens_of_the_density(x, f, tau):
    """Abel integral of the density; mass as the integral of that, potential of the mass."""
    halo = [jnp.asarray(value) for value in (f, tau)]
    surface = integral(lambda z: density(np.hypot(x, z), f, tau), 1e-12 * x, 1e8 * x)
    assert float(projected_density(jnp.asarray(x), *halo)) == pytest.approx(surface, rel=1e-10)
    # t = x u^4: at the centre the integrands are logarithms.
    nodes, weights = np.polynomial.legendre.leggauss(60)
    u, w = (nodes + 1) / 2, weights / 2
    t, dt = x * u**4, 4 * x * u**3 * w
    mass = np.sum(dt * t * np.asarray(projected_density(jnp.asarray(t), *halo)))
    assert float(projected_mass(jnp.asarray(x), *halo)) == pytest.approx(mass, rel=1e-9)
    potential = np.sum(dt / t * np.asarray(projected_mass(jnp.asarray(t), *halo)))
    assert float(projected_potential(jnp.asarray(x), *halo)) == pytest.approx(potential, rel=1e-9)


def test_nfw_functions_are_the_special_case():
    x = jnp.asarray([1e-5, 0.3, 0.95, 1.0, 1.05, 4.0, 1e3])
    none, infinite = jnp.zeros_like(x), jnp.full_like(x, jnp.inf)
    np.testing.assert_allclose(projected_nfw_density(x), projected_density(x, none, infinite), rtol=1e-14)
    np.testing.assert_allclose(projected_nfw_mass(x), projected_mass(x, none, infinite), rtol=1e-14)
    np.testing.assert_allclose(projected_nfw_potential(x) / 2, projected_potential(x, none, infinite), rtol=1e-14)
    np.testing.assert_allclose(projected_nfw_mass(x[3]), 1 - np.log(2), rtol=1e-15)


@pytest.mark.parametrize("order", [1, 3, 5, 7])
@pytest.mark.parametrize("v", [1e-3, 0.5, 0.894, 0.895, 1.0, 1.095, 1.096, 3.0, 50.0])
def test_kernel_is_its_integral(order, v):
    integral, _ = quad(lambda t: t ** (order - 1) / (1 - (1 - v * v) * t * t), 0, 1, epsabs=0, epsrel=1e-12, limit=200)
    assert float(disc(jnp.asarray(v), order)) == pytest.approx(integral, rel=1e-11)
    step = 1e-4 * v
    difference = (disc(jnp.asarray(v + step), order) - disc(jnp.asarray(v - step), order)) / (2 * step)
    assert float(jax.grad(disc)(jnp.asarray(v), order)) == pytest.approx(float(difference), rel=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_step_where_the_formula_changes(name):
    """Neighbouring numbers on both sides of every seam, in x and in f, give the same value."""
    rows = []
    for f, tau in [(0.0, 5.0), (0.1, 2.0), (0.3, 0.5), (0.34, np.inf), (0.5, 20.0), (0.05, 0.05), (0.9, 3.0)]:
        seams = [0.7 * f, f, np.sqrt(0.8), 0.9, 1.0, np.sqrt(1.2), 1.25, 2.0, tau, 1.5 * max(1.0, tau, f)]
        for seam in seams:
            if 0 < seam < np.inf:
                rows.append([(np.nextafter(seam, side * np.inf), f, tau) for side in (-1, 1)])
    for x, tau in [(0.1, 3.0), (0.36, 1.0), (3.0, np.inf), (50.0, 4.0)]:
        for f in (0.35, 1e-9):
            rows.append([(x, np.nextafter(f, side * np.inf), tau) for side in (-1, 1)])
    rows = np.array(rows)
    for dtype, tolerance in [
        (jnp.float64, 2e-13),
        (jnp.float32, {"density": 5e-5, "mass": 3e-6, "potential": 5e-6}[name]),
    ]:
        below, above = (FUNCTIONS[name](*jnp.asarray(rows[:, side].T, dtype)) for side in (0, 1))
        # A core of 1e-9 scale radii is none: its whole effect is the step.
        np.testing.assert_allclose(below, above, rtol=max(tolerance, 2e-8 if dtype == jnp.float64 else 0))
        rows_in_x = np.abs(rows[:, 0, 1] - 1e-9) > 1e-10
        np.testing.assert_allclose(below[rows_in_x], above[rows_in_x], rtol=tolerance)


def test_limits():
    x = jnp.asarray(np.geomspace(1e-3, 1e3, 25))
    far, infinite = jnp.full_like(x, 1e7), jnp.full_like(x, jnp.inf)
    core = jnp.full_like(x, 0.2)
    for function in FUNCTIONS.values():
        np.testing.assert_allclose(function(x, core, far), function(x, core, infinite), rtol=1e-6)
        small, none = function(x, jnp.full_like(x, 1e-8), core), function(x, jnp.zeros_like(x), core)
        np.testing.assert_allclose(small, none, rtol=1e-4)
        assert not np.array_equal(small, none)


def test_far_away_a_halo_is_a_point():
    f, tau = jnp.asarray([0.0, 0.1, 0.8, 1.0]), jnp.asarray([1.0, 5.0, 0.3, 20.0])
    total = truncated_total_mass(f, tau)
    x = 1e7 * jnp.ones_like(f)
    np.testing.assert_allclose(projected_mass(x, f, tau), total, rtol=1e-10)
    slope = projected_potential(2 * x, f, tau) - projected_potential(x, f, tau)
    np.testing.assert_allclose(slope, total * np.log(2), rtol=1e-8)
    # The leading deficit, physics of the tail: m = m(inf) - tau^2 / (3 x^2).
    x = 1e3 * jnp.maximum(tau, 1.0)
    deficit = 1 - projected_mass(x, f, tau) / total
    np.testing.assert_allclose(deficit, tau**2 / (3 * x**2) / total, rtol=1e-2)


@pytest.mark.parametrize(("tau", "expected"), [(1.0, 0.2854), (5.0, 1.0479), (10.0, 1.5525), (20.0, 2.1321)])
def test_total_mass_of_truncated_nfw(tau, expected):
    found = float(truncated_total_mass(jnp.asarray(0.0), jnp.asarray(tau)))
    assert found == pytest.approx(expected, abs=5e-5)
    closed = tau**2 / (tau**2 + 1) ** 2 * ((tau**2 - 1) * np.log(tau) + np.pi * tau - (tau**2 + 1))
    assert found == pytest.approx(closed, rel=1e-13)


@pytest.mark.parametrize("f", [0.0, 1e-4, 0.1, 0.35, 0.8, 1.0, 1.5, 2.0])
def test_total_mass_integrates_the_density(f):
    for tau in (0.05, 1.0, 30.0):
        expected = integral(lambda y, tau=tau: y * y * density(y, f, tau), 1e-8 * tau, 1e6 * max(tau, 1.0))
        arguments = jnp.asarray(f), jnp.asarray(tau)
        assert float(truncated_total_mass(*arguments)) == pytest.approx(expected, rel=1e-9)
        single = truncated_total_mass(*(argument.astype(jnp.float32) for argument in arguments))
        assert float(single) == pytest.approx(expected, rel=1e-5)
    assert float(truncated_total_mass(jnp.asarray(f), jnp.asarray(jnp.inf))) == np.inf


@pytest.mark.parametrize("f", [0.0, 1e-6, 0.02, 0.2, 0.349, 0.351, 0.9, 0.999, 1.0, 1.001, 2.0])
def test_enclosed_mass_integrates_the_density(f):
    for c in (1.5, 12.042, 40.0):
        expected = integral(lambda y: y * y * density(y, f, np.inf), 1e-8, c)
        assert float(cored_nfw_mass(jnp.asarray(c), jnp.asarray(f))) == pytest.approx(expected, rel=1e-12)
        single = cored_nfw_mass(jnp.asarray(c, jnp.float32), jnp.asarray(f, jnp.float32))
        assert float(single) == pytest.approx(expected, rel=1e-5)


def test_enclosed_mass_of_published_cores():
    c = jnp.full(4, 12.042)
    expected = [1.635985577, 1.569802855, 1.510652593, 1.460144891]
    np.testing.assert_allclose(cored_nfw_mass(c, jnp.asarray([0.01, 0.1, 0.2, 0.3])), expected, rtol=1e-9)
    np.testing.assert_allclose(cored_nfw_mass(c, jnp.zeros(4)), nfw_mass(c), rtol=1e-15)


@pytest.mark.parametrize("function", [cored_nfw_mass, truncated_total_mass], ids=["enclosed", "total"])
def test_slopes_of_masses(function):
    """Derivatives through f = 1, and one-sided at f = 0."""
    first, second = (12.0, 0.0) if function is cored_nfw_mass else (0.0, 3.0)
    for f in (0.02, 0.2, 0.36, 0.999, 1.0, 1.001, 1.7):
        pair = (first, f) if function is cored_nfw_mass else (f, second)
        for i in (0, 1):
            steps = [tuple(v + (0.001 * k * v if i == j else 0) for j, v in enumerate(pair)) for k in (-2, -1, 1, 2)]
            v = [float(function(*map(jnp.asarray, step))) for step in steps]
            difference = (8 * (v[2] - v[1]) - (v[3] - v[0])) / (0.012 * pair[i])
            slope = float(jax.grad(function, argnums=i)(*map(jnp.asarray, pair)))
            assert slope == pytest.approx(difference, rel=1e-7)
    pair = (first, 0.0) if function is cored_nfw_mass else (0.0, second)
    core = 1 if function is cored_nfw_mass else 0
    slope = float(jax.grad(function, argnums=core)(*map(jnp.asarray, pair)))
    moved = tuple(1e-6 if i == core else v for i, v in enumerate(pair))
    difference = (float(function(*map(jnp.asarray, moved))) - float(function(*map(jnp.asarray, pair)))) / 1e-6
    assert slope == pytest.approx(difference, rel=1e-3)


@partial(jax.jit, static_argnums=0)
def slopes(name, x, f, tau):
    """Values and derivatives in x, f and tau, (3, n_points), at each point."""
    arguments = (x, f, tau)

    def along(i):
        moves = tuple(jnp.ones_like(x) if i == j else jnp.zeros_like(x) for j in range(3))
        return jax.jvp(FUNCTIONS[name], arguments, moves)

    return along(0)[0], jnp.stack([along(i)[1] for i in range(3)])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_are_differences(name):
    rows = grid()
    arguments = [jnp.asarray(column) for column in rows.T]
    value, found = (np.asarray(result) for result in slopes(name, *arguments))
    assert np.all(np.isfinite(found))
    for i in range(3):
        size = np.where(np.isinf(rows[:, i]), 0.0, rows[:, i])
        moving, step = size > 0, jnp.asarray(1e-3 * size)

        def at(k, i=i, step=step):
            moved = [argument + k * step if i == j else argument for j, argument in enumerate(arguments)]
            return np.asarray(FUNCTIONS[name](*moved))

        difference = (8 * (at(1) - at(-1)) - (at(2) - at(-2)))[moving] / (12e-3 * size[moving])
        scale = np.abs(difference) + 1e-4 * np.abs(value[moving] / size[moving])
        assert np.max(np.abs(found[i, moving] - difference) / scale) < 1e-6
    # Without truncation nothing depends on it; without a core the slope is one-sided.
    assert np.all(found[2, np.isinf(rows[:, 2])] == 0)
    bare = (rows[:, 1] == 0) & (rows[:, 0] >= 0.03)
    ahead = np.asarray(FUNCTIONS[name](arguments[0], arguments[1] + 1e-7, arguments[2]))
    np.testing.assert_allclose(found[1, bare], ((ahead - value) / 1e-7)[bare], rtol=5e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_in_float32(name):
    """Close to float64 where it matters: in units of the value for a change of the logarithm of the argument."""
    rows = grid()
    arguments = [jnp.asarray(column, jnp.float32) for column in rows.T]
    _, single = slopes(name, *arguments)
    value, double = slopes(name, *(argument.astype(jnp.float64) for argument in arguments))
    assert single.dtype == jnp.float32
    assert np.all(np.isfinite(single))
    error = np.abs(np.asarray(single, np.float64) - np.asarray(double)) / np.asarray(value)
    error *= np.where(np.isinf(rows.T), 0.0, rows.T)
    used = (rows[:, 1] <= 1) & (rows[:, 0] < 100)
    assert np.max(error[:, used]) < {"density": 2e-3, "mass": 2e-5, "potential": 1e-5}[name]


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_numbers_give_finite_positive_values(name, dtype):
    """Far beyond what halos have: cores, truncations and radii over tens of decades, or none at all."""
    generator, count = np.random.default_rng(5), len(grid())
    for _ in range(20):
        x = 10 ** generator.uniform(-10, 8, count)
        f = np.where(generator.random(count) < 0.2, 0.0, 10 ** generator.uniform(-12, 0.47, count))
        tau = np.where(generator.random(count) < 0.2, np.inf, 10 ** generator.uniform(-5, 14, count))
        value, slope = slopes(name, *(jnp.asarray(column, dtype) for column in (x, f, tau)))
        assert np.all(np.isfinite(slope))
        assert np.all(np.isfinite(value) & (np.asarray(value) >= 0))


def second_derivatives(name, rows):
    """Hessian in x, f and tau at each point, (3, 3, n_points)."""
    hessian = jax.jit(jax.vmap(jax.hessian(FUNCTIONS[name], argnums=(0, 1, 2))))(*jnp.asarray(rows.T))
    return np.asarray(jnp.stack([jnp.stack(row) for row in hessian]))


@pytest.mark.extended
@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives(name):
    """Finite, symmetric and the differences of the slopes in x."""
    rows = grid()
    found = second_derivatives(name, rows)
    assert np.all(np.isfinite(found))
    scale = np.sqrt(np.abs(found[[0, 1, 2], [0, 1, 2]])) + 1e-30
    assert np.max(np.abs(found - found.transpose(1, 0, 2)) / (scale[:, None] * scale)) < 1e-6
    x, f, tau = (jnp.asarray(column) for column in rows.T)
    far_behind, behind, here, ahead, far_ahead = (
        np.asarray(slopes(name, x * (1 + k * 1e-3), f, tau)[1][0]) for k in (-2, -1, 0, 1, 2)
    )
    difference = (8 * (ahead - behind) - (far_ahead - far_behind)) / (12e-3 * rows[:, 0])
    scale = np.abs(difference) + 1e-4 * np.abs(here) / rows[:, 0]
    assert np.max(np.abs(found[0, 0] - difference) / scale) < 1e-6


def test_mass_is_positive_and_grows(table):
    x = jnp.asarray(np.geomspace(1e-6, 1e4, 400), jnp.float32)
    for f, tau in [(0.0, 0.05), (0.0, 20.0), (0.3, 5.0), (0.9, np.inf), (1.0, 0.5)]:
        mass = np.asarray(projected_mass(x, jnp.full_like(x, f), jnp.full_like(x, tau)), np.float64)
        assert np.all(mass > 0)
        assert np.all(np.diff(mass) > -5e-7 * mass[1:])
