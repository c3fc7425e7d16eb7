"""Shear, sheet and point mass against their tables and limits."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax.mass import ExternalShear, MassSheet, PointMass


def assert_row(profile, row):
    x, y = jnp.asarray(row["x"]), jnp.asarray(row["y"])
    alpha_x, alpha_y = profile.deflection(x, y)
    np.testing.assert_allclose(alpha_x, row["alpha_x"], rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(alpha_y, row["alpha_y"], rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(profile.potential(x, y), row["psi"], rtol=1e-14, atol=1e-16)


def test_tables(data):
    tables = json.loads((data / "macro_reference.json").read_text())
    for row in tables["shear"]:
        assert_row(ExternalShear(row["g1"], row["g2"]), row)
    for row in tables["sheet"]:
        assert_row(MassSheet(row["kappa"]), row)
    for row in tables["point"]:
        assert_row(PointMass(row["thetaE"]), row)


def test_convergence_of_shear_sheet_and_point():
    x, y = jnp.array([0.0, 0.4, -3.0]), jnp.array([0.1, 0.0, 2.0])
    assert np.all(ExternalShear(0.1, 0.2).convergence(x, y) == 0)
    assert np.all(MassSheet(-0.03).convergence(x, y) == -0.03)
    assert np.all(PointMass(1.0).convergence(x, y) == 0)


def test_point_is_a_small_uniform_disc():
    """The disc holds the whole mass, and its potential joins that outside."""
    point = PointMass(0.7, 0.1, -0.2)
    inside = point.convergence(jnp.asarray(0.1), jnp.asarray(-0.2))
    np.testing.assert_allclose(inside * 1e-12, 0.7**2, rtol=1e-14)
    below, above = (point.potential(jnp.asarray(0.1 + 1e-6 * f), jnp.asarray(-0.2)) for f in (1 - 1e-8, 1 + 1e-8))
    np.testing.assert_allclose(below, above, atol=1e-7)
    assert point.deflection(jnp.asarray(0.1), jnp.asarray(-0.2)) == (0, 0)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_point_of_no_mass_does_nothing_and_has_finite_gradients(dtype):
    zero = jnp.zeros((), dtype)

    def total(point, x, y):
        return sum(point.deflection(x, y)) + point.convergence(x, y) + point.potential(x, y)

    value, gradient = jax.value_and_grad(total)(PointMass(zero, zero, zero), zero, zero)
    assert value == 0
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExternalShear(float("nan"), 0.0), "ExternalShear: gamma_1 must be a finite number, got nan"),
        (lambda: ExternalShear(0.0, float("inf")), "gamma_2 must be a finite number, got inf"),
        (lambda: MassSheet(float("-inf")), "MassSheet: kappa must be a finite number, got -inf"),
        (lambda: PointMass(-0.1), r"PointMass: einstein_radius must be an angle of at least 0 arcsec, got -0\.1"),
        (lambda: PointMass(1.0, float("nan")), "center_x must be a finite angle in arcsec, got nan"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
