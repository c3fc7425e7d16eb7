"""The closed forms behind `Halo`, as functions of radius, core fraction and truncation."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from lensax.mass import projected_density, projected_mass, projected_potential, truncated_total_mass
from lensax.mass.nfw import disc, projected_nfw_density, projected_nfw_mass, projected_nfw_potential

FUNCTIONS = {"density": projected_density, "mass": projected_mass, "potential": projected_potential}
# Points are evaluated in rows of this length, so that a function is compiled once for each precision.
ROW = 1040


def at(name, x, f, tau):
    """The function at any points, each with a core and a truncation of its own; the precision is that of x."""
    columns = [np.broadcast_to(np.asarray(column, x.dtype), np.shape(x)) for column in (x, f, tau)]
    found = []
    for start in range(0, len(x), ROW):
        rows = [column[start : start + ROW] for column in columns]
        padded = [jnp.asarray(np.pad(row, (0, ROW - len(row)), mode="edge")) for row in rows]
        found.append(np.asarray(FUNCTIONS[name](*padded))[: len(rows[0])])
    return np.concatenate(found)


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
    found = at(name, *(table[key] for key in ("x", "f", "tau")))
    np.testing.assert_allclose(found, table[name], rtol=tolerance)


@pytest.mark.parametrize(("name", "tolerance"), [("density", 1e-5), ("mass", 2e-6), ("potential", 1e-5)])
def test_table_in_float32(table, name, tolerance):
    arguments = [np.asarray(table[key], np.float32) for key in ("x", "f", "tau")]
    found = at(name, *arguments)
    assert found.dtype == np.float32
    # Against the tested function in float64 at the same, rounded arguments.
    expected = at(name, *(argument.astype(np.float64) for argument in arguments))
    np.testing.assert_allclose(found, expected, rtol=tolerance)


def grid():
    """Core fractions, truncations and radii between and beyond those of the table, and where formulas change."""
    rows = []
    for f in (0.0, 1e-3, 0.03, 0.2, 0.349, 0.351, 0.7, 0.97, 1.0, 1.3, 2.0):
        for tau in (0.03, 0.25, 1.0, 4.0, 40.0, np.inf):
            radii = {1e-4, 0.03, 0.6, 0.89, 1.0, 1.12, 1.4, 2.2, 9.0, 300.0} | {0.4 * f, 0.8 * f, f, 1.6 * f} - {0.0}
            radii |= set() if np.isinf(tau) else {tau, 1.45 * max(1.0, tau, f), 1.55 * max(1.0, tau, f)}
            rows += [(x, f, tau) for x in sorted(radii)]
    assert len(rows) <= ROW
    return np.pad(np.array(rows), ((0, ROW - len(rows)), (0, 0)), mode="edge")


def test_nfw_functions_are_the_special_case():
    x = jnp.asarray([1e-5, 0.3, 0.95, 1.0, 1.05, 4.0, 1e3])
    np.testing.assert_allclose(projected_nfw_density(x), at("density", x, 0.0, np.inf), rtol=1e-14)
    np.testing.assert_allclose(projected_nfw_mass(x), at("mass", x, 0.0, np.inf), rtol=1e-14)
    np.testing.assert_allclose(projected_nfw_potential(x) / 2, at("potential", x, 0.0, np.inf), rtol=1e-14)
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
        (np.float64, 2e-13),
        (np.float32, {"density": 5e-5, "mass": 3e-6, "potential": 5e-6}[name]),
    ]:
        below, above = (at(name, *rows[:, side].T.astype(dtype)) for side in (0, 1))
        # A core of 1e-9 scale radii is none: its whole effect is the step.
        np.testing.assert_allclose(below, above, rtol=max(tolerance, 2e-8 if dtype == np.float64 else 0))
        rows_in_x = np.abs(rows[:, 0, 1] - 1e-9) > 1e-10
        np.testing.assert_allclose(below[rows_in_x], above[rows_in_x], rtol=tolerance)


def test_limits():
    x = np.geomspace(1e-3, 1e3, 25)
    for name in FUNCTIONS:
        np.testing.assert_allclose(at(name, x, 0.2, 1e7), at(name, x, 0.2, np.inf), rtol=1e-6)
        small, none = at(name, x, 1e-8, 0.2), at(name, x, 0.0, 0.2)
        np.testing.assert_allclose(small, none, rtol=1e-4)
        assert not np.array_equal(small, none)


def test_far_away_a_halo_is_a_point():
    f, tau = np.array([0.0, 0.1, 0.8, 1.0]), np.array([1.0, 5.0, 0.3, 20.0])
    total = np.asarray(truncated_total_mass(jnp.asarray(f), jnp.asarray(tau)))
    x = 1e7 * np.ones_like(f)
    np.testing.assert_allclose(at("mass", x, f, tau), total, rtol=1e-10)
    slope = at("potential", 2 * x, f, tau) - at("potential", x, f, tau)
    np.testing.assert_allclose(slope, total * np.log(2), rtol=1e-8)
    # The leading deficit, physics of the tail: m = m(inf) - tau^2 / (3 x^2).
    x = 1e3 * np.maximum(tau, 1.0)
    deficit = 1 - at("mass", x, f, tau) / total
    np.testing.assert_allclose(deficit, tau**2 / (3 * x**2) / total, rtol=1e-2)


@partial(jax.jit, static_argnums=0)
def slopes(name, x, f, tau):
    """Values and derivatives in x, f and tau, (3, n_points), at each point."""
    value, linear = jax.linearize(FUNCTIONS[name], x, f, tau)
    moves = jnp.eye(3, dtype=x.dtype)[:, :, None] * jnp.ones_like(x)[None, None]
    return value, jnp.stack([linear(*move) for move in moves])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_are_differences(name):
    rows = grid()
    arguments = [jnp.asarray(column) for column in rows.T]
    value, found = (np.asarray(result) for result in slopes(name, *arguments))
    assert np.all(np.isfinite(found))
    for i in range(3):
        size = np.where(np.isinf(rows[:, i]), 0.0, rows[:, i])
        moving, step = size > 0, jnp.asarray(1e-3 * size)

        def moved(k, i=i, step=step):
            shifted = [argument + k * step if i == j else argument for j, argument in enumerate(arguments)]
            return np.asarray(FUNCTIONS[name](*shifted))

        difference = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2)))[moving] / (12e-3 * size[moving])
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
    x = np.geomspace(1e-6, 1e4, 400).astype(np.float32)
    for f, tau in [(0.0, 0.05), (0.0, 20.0), (0.3, 5.0), (0.9, np.inf), (1.0, 0.5)]:
        mass = at("mass", x, f, tau).astype(np.float64)
        assert np.all(mass > 0)
        assert np.all(np.diff(mass) > -5e-7 * mass[1:])
