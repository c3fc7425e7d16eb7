"""Halos of self-interacting dark matter against quadratures of the reference, and from masses and cross-sections."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax._types import cast
from lensax.cosmology import Planck15
from lensax.mass import Halo, IsothermalCore, MixedHalos, ParametricSIDM, gravothermal
from lensax.mass.core_shapes import ISOTHERMAL, QUARTIC, isothermal_extent


@jax.jit
def lens(halos, x):
    """alpha, kappa and psi at distances x from halos with leaves (n,), which stand at the origin."""
    of_one = lambda halo: (halo.deflection(x, 0 * x)[0], halo.convergence(x, 0 * x), halo.potential(x, 0 * x))  # noqa: E731
    return jax.vmap(of_one)(halos)


def family(kind, cores, tau=np.inf):
    full = np.ones(len(cores))
    return kind(full, full, tau * full, np.asarray(cores), 0 * full, 0 * full)


@pytest.mark.parametrize(
    ("kind", "name", "key", "double"),
    [(ParametricSIDM, "yang24_beta4", "f", 2e-9), (IsothermalCore, "kaplinghat", "y1", 1e-7)],
)
def test_untruncated_halos_of_the_reference(data, kind, name, key, double):
    """Rows 10 and 12: alpha, kappa, psi from x = 1e-6 to 1e4."""
    table = json.loads((data / "profile_reference_sidm.json").read_text())
    rows = [row for row in table["profiles"][name] if row["params"][key] > 0]
    halos = family(kind, [row["params"][key] for row in rows])
    x = np.array(table["x"])[::3]
    expected = [np.array([row[column] for row in rows])[:, ::3] for column in ("alpha", "kappa", "psi")]
    for dtype, tolerance in ((jnp.float64, double), (jnp.float32, 2e-5)):
        for found, true in zip(lens(cast(halos, dtype), jnp.asarray(x, dtype)), expected, strict=True):
            assert found.dtype == dtype
            np.testing.assert_allclose(np.asarray(found, float), true, rtol=tolerance)


def test_isothermal_cores_are_matched_and_leave_the_outside_alone(data):
    table = json.loads((data / "profile_reference_sidm.json").read_text())
    parameters = [row["params"] for row in table["profiles"]["kaplinghat"]]
    found = isothermal_extent(jnp.array([row["y1"] for row in parameters]))
    np.testing.assert_allclose(found, [row["x1"] for row in parameters], rtol=1e-8)
    core, nfw = IsothermalCore(1.0, 1.0, matching_radius=0.5), Halo(1.0, 1.0)
    x = jnp.geomspace(0.5, 100.0, 9)
    np.testing.assert_allclose(core.deflection(x, 0 * x)[0], nfw.deflection(x, 0 * x)[0], rtol=1e-9)


def test_truncated_parametric_halos(data):
    """Row 11: 300 random radii, cores and truncations."""
    points = json.loads((data / "yang24_check.json").read_text())["points"]
    x, f, tau, alpha, kappa, psi = (
        np.array([p[k] for p in points]) for k in ("x", "f", "tau", "alpha", "kappa", "psi")
    )
    for dtype, tolerance in ((jnp.float64, 5e-9), (jnp.float32, 1e-5)):
        arguments = [jnp.asarray(a, dtype) for a in (x, f, tau)]
        found = 4 * QUARTIC.mass(*arguments) / arguments[0], 2 * QUARTIC.density(*arguments)
        for values, true in zip((*found, 4 * QUARTIC.potential(*arguments)), (alpha, kappa, psi), strict=True):
            np.testing.assert_allclose(np.asarray(values, float), true, rtol=tolerance)


@pytest.mark.parametrize("shape", [QUARTIC, ISOTHERMAL], ids=["quartic", "isothermal"])
def test_total_masses_are_those_far_out(shape):
    f, tau = jnp.array([0.05, 0.3, 0.6]), jnp.array([20.0, 5.0, 1.0])
    np.testing.assert_allclose(shape.total_mass(f, tau), shape.mass(jnp.full(3, 1e8), f, tau), rtol=1e-9)
    assert np.isinf(shape.total_mass(f, jnp.full(3, jnp.inf))).all()


def test_halos_from_mass_and_cross_section():
    arguments = (1e9, 12.0, 0.5, 1.5, Planck15)
    nfw = Halo.from_mass(*arguments, truncation_radius=2.0)
    old = ParametricSIDM.from_mass(*arguments, time=0.5, truncation_radius=2.0)
    evolution = gravothermal.evolve(jnp.array(0.5))
    np.testing.assert_allclose(old.scale_radius / nfw.scale_radius, evolution.radius_ratio, rtol=1e-12)
    np.testing.assert_allclose(old.core_radius / old.scale_radius, 0.5326, atol=6e-5)
    density = (old.kappa_s / old.scale_radius) / (nfw.kappa_s / nfw.scale_radius)
    np.testing.assert_allclose(density, evolution.density_ratio, rtol=1e-12)
    np.testing.assert_allclose(old.truncation_radius, 2.0)
    # physics.md 1.4: 1440 Gyr at 1 cm^2 / g, for 1e9 Msun at z = 0.5.
    made = ParametricSIDM.from_cross_section(*arguments, cross_section=144.0, age=5.0, truncation_radius=2.0)
    same = ParametricSIDM.from_mass(*arguments, time=0.5, truncation_radius=2.0)
    np.testing.assert_allclose(made.core_radius, same.core_radius, rtol=0.02)
    core = IsothermalCore.from_cross_section(*arguments, cross_section=jnp.array([1.0, 5.0, 25.0]))
    assert (np.diff(core.matching_radius) > 0).all()
    assert (np.asarray(core.kappa_s) == float(nfw.kappa_s)).all()
    # A time of nothing is the NFW halo but for a core of 0.3% of the scale radius.
    young = ParametricSIDM.from_mass(*arguments, time=0.0)
    ring = jnp.array([0.5]), jnp.array([0.0])
    np.testing.assert_allclose(young.deflection(*ring)[0], Halo.from_mass(*arguments).deflection(*ring)[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ParametricSIDM(0.1, 0.1, 0.5, 0.2),
            "ParametricSIDM: core_radius / scale_radius must be at most 1, got 2",
        ),
        (
            lambda: ParametricSIDM(0.1, -0.1),
            "ParametricSIDM: scale_radius must be a positive number of arcsec, got -0.1",
        ),
        (
            lambda: IsothermalCore(0.1, 0.1, 0.5, 0.3),
            "IsothermalCore: matching_radius / scale_radius must be at most 2.5",
        ),
        (lambda: IsothermalCore(np.nan, 0.1), "IsothermalCore: kappa_s must be a finite number, got nan"),
        (
            lambda: ParametricSIDM.from_mass(1e9, 12.0, 0.5, 1.5, Planck15, time=-0.1),
            "ParametricSIDM: time must be at least 0, in collapse times, got -0.1",
        ),
        (
            lambda: IsothermalCore.from_cross_section(1e9, 12.0, 0.5, 1.5, Planck15, cross_section=-1.0),
            "IsothermalCore: cross_section must be at least 0",
        ),
        (
            lambda: ParametricSIDM.from_cross_section(1e9, 12.0, 0.5, 1.5, Planck15, cross_section=1.0, power=9.0),
            "ParametricSIDM: power must be from 0 to below 8, got 9",
        ),
        (
            lambda: MixedHalos(*np.ones((6, 2)), [0, 3]),
            r"MixedHalos: family must be one of 0 \(cored_nfw\).* at index \(1,\)",
        ),
    ],
)
def test_numbers_that_make_no_halo_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
