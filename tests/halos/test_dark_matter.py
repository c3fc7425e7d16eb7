"""Warm dark matter: suppression, concentrations and the cold limit."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax import halos
from lensax._types import cast
from lensax.cosmology import Planck15

LOG_MASS = jnp.log(jnp.geomspace(1e6, 1e10, 9))


def test_suppression_of_lovell():
    warm = halos.WDM(jnp.array(8.0))
    ratio = 1e8 / np.exp(LOG_MASS)
    np.testing.assert_allclose(np.exp(warm.field_log_suppression(LOG_MASS)), 1 / (1 + (2.3 * ratio) ** 0.8), rtol=1e-12)
    np.testing.assert_allclose(
        np.exp(warm.subhalo_log_suppression(LOG_MASS)), (1 + (4.2 * ratio) ** 2.5) ** -0.2, rtol=1e-12
    )


def test_concentrations_of_bose():
    z = jnp.full_like(LOG_MASS, 0.5)
    factor = (1 + 60 * 1e8 / np.exp(LOG_MASS)) ** -0.17
    plain = halos.WDM(jnp.array(8.0), redshift_factor=False).log_concentration_ratio(LOG_MASS, z)
    np.testing.assert_allclose(np.exp(plain), factor, rtol=1e-12)
    full = halos.WDM(jnp.array(8.0)).log_concentration_ratio(LOG_MASS, z)
    felt = 60 * 1e8 / (60 * 1e8 + np.exp(LOG_MASS))
    np.testing.assert_allclose(np.exp(full), factor * 1.5 ** (felt * (0.026 * 0.5 - 0.04)), rtol=1e-12)
    # As published where halos feel the cut-off, to 0.02% at the half-mode mass; gone far above it.
    np.testing.assert_allclose(
        np.exp(full)[np.log(1e8) >= LOG_MASS], (factor * 1.5**-0.027)[np.log(1e8) >= LOG_MASS], rtol=2e-4
    )


@pytest.mark.parametrize("half_mode", [0.0, 5.0, 9.0, 13.0])
def test_float32_neither_overflows_nor_underflows(half_mode):
    warm = halos.WDM(jnp.float32(half_mode))
    narrow = LOG_MASS.astype(jnp.float32)
    for name in ("field_log_suppression", "subhalo_log_suppression"):
        value = getattr(warm, name)(narrow)
        assert np.isfinite(value).all()
        np.testing.assert_allclose(value, getattr(cast(warm, jnp.float64), name)(LOG_MASS), rtol=1e-4, atol=1e-6)


def test_the_cold_limit_is_reached_inside_jit(line_of_sight, planes, draw):
    los = line_of_sight((7.0, 10.0))
    cold = halos.Population(Planck15, halos.CDM(), los, n_slots=400)
    warm = halos.Population(Planck15, halos.WDM(jnp.array(8.0)), los, n_slots=400)
    one, other = draw(cold, 4, planes), draw(warm, 4, planes, dark_matter__WDM__log10_m_hm=0.0)
    np.testing.assert_array_equal(one.counts, other.counts)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    colder = draw(warm, 4, planes, dark_matter__WDM__log10_m_hm=-8.0)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(colder), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    few = draw(warm, 4, planes, dark_matter__WDM__log10_m_hm=9.0)
    assert int(few.counts.sum()) < 0.1 * int(one.counts.sum())


def test_counts_follow_the_suppression(line_of_sight, planes):
    """Per decade, the suppressed numbers are the integral of S dn/dlnM."""
    warm = halos.Population(Planck15, halos.WDM(jnp.array(7.5)), line_of_sight((6.0, 10.0)))
    cold = halos.Population(Planck15, halos.CDM(), line_of_sight((6.0, 10.0)))
    expect = jax.jit(lambda model, values: model.expected(planes, values).sum())
    for low in (6.0, 7.0, 8.0, 9.0):
        edges = np.linspace(low, low + 1, 21)
        numbers, suppressed = 0.0, 0.0
        for a, b in itertools.pairwise(edges):
            values = {
                "line_of_sight.mass_function.log10_mass_min": jnp.array(a),
                "line_of_sight.mass_function.log10_mass_max": jnp.array(b),
            }
            number = float(expect(cold, values))
            numbers += number
            suppressed += number / (1 + (2.3 * 10**7.5 / 10 ** (0.5 * (a + b))) ** 0.8)
        values = {
            "line_of_sight.mass_function.log10_mass_min": jnp.array(low),
            "line_of_sight.mass_function.log10_mass_max": jnp.array(low + 1),
        }
        assert suppressed < numbers
        np.testing.assert_allclose(float(expect(warm, values)), suppressed, rtol=3e-3)
