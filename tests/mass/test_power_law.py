"""The elliptical power law against tables, the Gauss series, closed forms and its limits."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax._types import cast
from lensax.mass import PowerLaw
from lensax.mass.power_law import angular_function

TERMS = {jnp.float32: 20, jnp.float64: 40}


@jax.jit
def everything(profile, x, y):
    alpha_x, alpha_y = profile.deflection(x, y)
    return {
        "alpha_x": alpha_x,
        "alpha_y": alpha_y,
        "kappa": profile.convergence(x, y),
        "psi": profile.potential(x, y),
    }


def table(data):
    rows = json.loads((data / "macro_reference.json").read_text())["epl"]
    assert len(rows) == 150
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def of_table(columns, angle, dtype):
    """The table's lenses, turned by an angle, and its positions turned with them."""
    columns = {name: jnp.asarray(column, dtype) for name, column in columns.items()}
    size, zero = (1 - columns["q"]) / (1 + columns["q"]), jnp.zeros_like(columns["q"])
    e1, e2 = size * float(np.cos(2 * angle)), size * float(np.sin(2 * angle))
    lenses = jax.vmap(PowerLaw)(columns["b"], columns["t"] + 1, e1, e2, zero, zero)
    return lenses, *turned(columns["x"], columns["y"], angle)


def turned(x, y, angle):
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    return cosine * x - sine * y, sine * x + cosine * y


@pytest.mark.parametrize("angle", [0.0, 0.7, -1.9])
def test_table(data, angle):
    columns = table(data)
    found = jax.vmap(everything)(*of_table(columns, angle, jnp.float64))
    alpha = turned(columns["alpha_x"], columns["alpha_y"], angle)
    size = np.hypot(*alpha)
    for name, expected in zip(("alpha_x", "alpha_y"), alpha, strict=True):
        np.testing.assert_array_less(np.abs(found[name] - expected) / size, 1e-14)
    np.testing.assert_allclose(found["kappa"], columns["kappa"], rtol=1e-14)
    np.testing.assert_allclose(found["psi"], columns["psi"], rtol=1e-14)


def test_table_in_float32(data):
    lenses, x, y = of_table(table(data), 0.0, jnp.float32)
    found = jax.vmap(everything)(lenses, x, y)
    expected = jax.vmap(everything)(cast(lenses, jnp.float64), x.astype(float), y.astype(float))
    size = np.hypot(expected["alpha_x"], expected["alpha_y"])
    for name in ("alpha_x", "alpha_y"):
        assert found[name].dtype == jnp.float32
        np.testing.assert_array_less(np.abs(found[name].astype(float) - expected[name]) / size, 2e-6)
    np.testing.assert_allclose(found["kappa"], expected["kappa"], rtol=2e-6)
    np.testing.assert_allclose(found["psi"], expected["psi"], rtol=2e-6)


def test_shear_of_the_table_is_the_derivative_of_the_deflection(data):
    columns = table(data)
    lenses, x, y = of_table(columns, 0.0, jnp.float64)

    def jacobian(lens, x, y):
        return jax.jacfwd(lambda z: jnp.stack(lens.deflection(z[0], z[1])))(jnp.stack([x, y]))

    found = jax.jit(jax.vmap(jacobian))(lenses, x, y)
    scale = np.hypot(columns["gamma1"], columns["gamma2"]) + columns["kappa"]
    np.testing.assert_array_less(np.abs((found[:, 0, 0] - found[:, 1, 1]) / 2 - columns["gamma1"]) / scale, 1e-13)
    np.testing.assert_array_less(np.abs(found[:, 0, 1] - columns["gamma2"]) / scale, 1e-13)


def gauss_series(b, u):
    """2F1(1, b; 2 - b; u), summed slowly in extended precision."""
    term = total = np.ones_like(u, np.clongdouble)
    for n in range(1, 700):
        term = term * u * ((n - 1 + b) / (n + 1 - b))
        total = total + term
    return total


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-14), (jnp.float32, 5e-7)])
@pytest.mark.parametrize("axis_ratio", [0.98, 0.5, 0.2, 0.1])
def test_series_holds_down_to_an_axis_ratio_of_a_tenth(axis_ratio, dtype, tolerance):
    size = (1 - axis_ratio) / (1 + axis_ratio)
    angles = np.linspace(-np.pi, np.pi, 41)
    slopes = np.array([1.02, 1.5, 2.0, 2.4, 2.98])
    evaluate = jax.jit(jax.vmap(angular_function, (0, None, None, None)), static_argnums=3)
    b = jnp.asarray((slopes - 1) / 2, dtype)
    real, imaginary = (jnp.asarray(size * part(angles), dtype) for part in (np.cos, np.sin))
    found = evaluate(b, real, imaginary, TERMS[dtype])
    u = np.asarray(real, np.longdouble) + 1j * np.asarray(imaginary, np.longdouble)
    for row, exponent in enumerate(np.asarray(b, np.longdouble)):
        expected = gauss_series(exponent, u)
        error = np.abs(np.asarray(found[0][row], float) + 1j * np.asarray(found[1][row], float) - expected)
        assert np.max(error / np.abs(expected)) < tolerance


def test_isothermal_ellipse_has_its_closed_form():
    b, q, x, y = 1.3, 0.6, jnp.array([0.3, -1.1, 2.0, 0.0]), jnp.array([0.8, 0.2, 0.0, -0.7])
    lens = PowerLaw(b, 2.0, (1 - q) / (1 + q))
    psi = np.sqrt(q**2 * x**2 + y**2)
    focal = np.sqrt(1 - q**2)
    expected = (
        b * np.sqrt(q) / focal * np.arctan(focal * x / psi),
        b * np.sqrt(q) / focal * np.arctanh(focal * y / psi),
    )
    np.testing.assert_allclose(jnp.stack(lens.deflection(x, y)), np.stack(expected), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("slope", [1.05, 1.7, 2.0, 2.6, 2.95])
def test_sphere_has_its_closed_form_and_mass(slope):
    x, y = jnp.array([0.1, -0.4, 3.0]), jnp.array([0.0, 0.9, 4.0])
    radius = np.hypot(x, y)
    alpha_x, alpha_y = PowerLaw(1.2, slope).deflection(x, y)
    size = 1.2 * (radius / 1.2) ** (2 - slope)
    np.testing.assert_allclose(alpha_x, size * x / radius, rtol=1e-13)
    np.testing.assert_allclose(alpha_y, size * y / radius, rtol=1e-13)


def test_mean_convergence_inside_the_critical_ellipse_is_one():
    """The intermediate-axis convention: the ellipse R = theta_E encloses a mean convergence of 1."""
    lens = PowerLaw(1.1, 2.3, 0.2, -0.3)
    angle = np.linspace(0, 2 * np.pi, 2001)[:-1]
    q = (1 - np.hypot(0.2, 0.3)) / (1 + np.hypot(0.2, 0.3))
    along, across = 1.1 / np.sqrt(q) * np.cos(angle), 1.1 * np.sqrt(q) * np.sin(angle)
    x, y = turned(along, across, 0.5 * np.arctan2(-0.3, 0.2))
    alpha_x, alpha_y = lens.deflection(jnp.asarray(x), jnp.asarray(y))
    dx, dy = np.gradient(np.r_[x[-1], x, x[0]])[1:-1], np.gradient(np.r_[y[-1], y, y[0]])[1:-1]
    mass = 0.5 * np.sum(alpha_x * dy - alpha_y * dx)
    np.testing.assert_allclose(mass / (np.pi * 1.1**2), 1.0, rtol=1e-4)


def test_derivative_in_ellipticity_exists_for_a_sphere():
    """Both directions through e = 0, where a position angle would not be defined."""
    x, y = jnp.array([0.7, -0.2]), jnp.array([0.4, 1.1])

    def deflection(e):
        return jnp.stack(PowerLaw(1.2, 2.1, e[0], e[1]).deflection(x, y))

    found = jax.jit(jax.jacrev(deflection))(jnp.zeros(2))
    for axis in (0, 1):
        step = jnp.zeros(2).at[axis].set(1e-5)
        expected = (deflection(step) - deflection(-step)) / 2e-5
        np.testing.assert_allclose(found[..., axis], expected, rtol=1e-7, atol=1e-9)


def test_a_lens_of_no_strength_does_nothing_and_has_finite_gradients():
    x, y = jnp.array([0.0, 0.3]), jnp.array([0.0, -0.2])
    lens = PowerLaw(0.0, 1.6, 0.1, 0.2)
    found, gradient = jax.jit(jax.value_and_grad(lambda lens: sum(map(jnp.sum, everything(lens, x, y).values()))))(lens)
    assert found == 0
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(gradient))


def test_second_derivatives_are_finite_at_the_centre():
    """The gradient of a magnification map takes them; float32 has the smaller range."""

    def jacobian(lens, z):
        return jax.jacfwd(lambda z: jnp.stack(lens.deflection(z[0], z[1])))(z)

    differentiate = jax.jit(jax.jacrev(jacobian, (0, 1)))
    for slope in (1.3, 2.0, 2.5):
        lens = cast(PowerLaw(1.2, slope, 0.1, 0.2), jnp.float32)
        derivatives = differentiate(lens, jnp.zeros(2, jnp.float32))
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(derivatives))


def test_more_terms_for_a_flatter_lens():
    size = (1 - 0.03) / (1 + 0.03)
    x, y = jnp.array([0.7, 0.0, 0.3]), jnp.array([0.0, 0.4, -0.1])
    coarse = jnp.stack(PowerLaw(1.2, 2.5, size).deflection(x, y))
    fine, finer = (jnp.stack(PowerLaw(1.2, 2.5, size, n_terms=n).deflection(x, y)) for n in (120, 160))
    np.testing.assert_allclose(fine, finer, rtol=1e-12, atol=1e-14)
    assert np.max(np.abs(coarse - fine)) > 1e-9


def test_one_compilation_for_all_parameters():
    traces = []

    @jax.jit
    def deflection(lens, x, y):
        traces.append(None)
        return lens.deflection(x, y)

    for lens in (PowerLaw(1.2, 2.0), PowerLaw(0.9, 2.4, 0.3, 0.1, 0.2, 0.3), PowerLaw(1, 2, 0, 0)):
        deflection(lens, jnp.array([0.3]), jnp.array([0.4]))
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"einstein_radius": -1.0}, r"PowerLaw: einstein_radius must be an angle of at least 0 arcsec, got -1\.0"),
        ({"einstein_radius": float("nan")}, "einstein_radius must be.*got nan"),
        ({"einstein_radius": 1.0, "slope": 3.0}, r"slope must be between 1 and 3.*got 3\.0"),
        ({"einstein_radius": 1.0, "slope": 0.5}, r"slope must be between 1 and 3.*got 0\.5"),
        ({"einstein_radius": 1.0, "e1": 0.8, "e2": 0.6}, r"ellipticity .* must be below 1, got 1\.0"),
        ({"einstein_radius": 1.0, "center_y": float("inf")}, "center_y must be a finite angle in arcsec, got inf"),
        ({"einstein_radius": 1.0, "n_terms": 2}, "n_terms must be a whole number of at least 4, got 2"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        PowerLaw(**parameters)
