"""The closed forms behind `Halo` are integrals of its density; its masses, and their slopes."""

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


@pytest.mark.parametrize(
    ("x", "f", "tau"), [(0.3, 0.0, np.inf), (0.3, 0.1, 2.0), (1.0, 1.0, 0.5), (2.5, 0.6, np.inf), (7.0, 0.05, 3.0)]
)
def test_lens_of_the_density(x, f, tau):
    """Abel integral of the density; mass as the integral of that, potential of the mass."""
    halo = [jnp.asarray(value) for value in (f, tau)]
    surface = integral(lambda z: density(np.hypot(x, z), f, tau), 1e-12 * x, 1e8 * x)
    # t = x u^4: at the centre the integrands are logarithms. The last radius is x itself.
    nodes, weights = np.polynomial.legendre.leggauss(60)
    u, w = (nodes + 1) / 2, weights / 2
    t, dt = x * u**4, 4 * x * u**3 * w
    radii = jnp.asarray([*t, x])
    functions = {"density": projected_density, "mass": projected_mass, "potential": projected_potential}
    found = {name: np.asarray(function(radii, *halo)) for name, function in functions.items()}
    assert found["density"][-1] == pytest.approx(surface, rel=1e-10)
    mass = np.sum(dt * t * found["density"][:-1])
    assert found["mass"][-1] == pytest.approx(mass, rel=1e-9)
    potential = np.sum(dt / t * found["mass"][:-1])
    assert found["potential"][-1] == pytest.approx(potential, rel=1e-9)


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
    core = 1 if function is cored_nfw_mass else 0
    cores = np.array([0.02, 0.2, 0.36, 0.999, 1.0, 1.001, 1.7, 0.0])
    arguments = [np.full_like(cores, 12.0 if core else 3.0)] * 2
    arguments[core] = cores
    value, *found = map(np.asarray, masses_and_slopes(function, *map(jnp.asarray, arguments)))
    for i in (0, 1):

        def moved(step, i=i):
            shifted = [argument + step if i == j else argument for j, argument in enumerate(arguments)]
            return np.asarray(masses_and_slopes(function, *map(jnp.asarray, shifted))[0])

        near, far = (moved(k * 0.001 * arguments[i]) - moved(-k * 0.001 * arguments[i]) for k in (1, 2))
        difference = (8 * near - far)[:-1] / (0.012 * arguments[i][:-1])
        np.testing.assert_allclose(found[i][:-1], difference, rtol=1e-7)
        if i == core:
            assert found[i][-1] == pytest.approx((moved(1e-6) - value)[-1] / 1e-6, rel=1e-3)


@partial(jax.jit, static_argnums=0)
def masses_and_slopes(function, first, second):
    """Values of a function of two numbers at pairs of them, and its derivatives in each."""
    value, (along_first, along_second) = jax.vmap(jax.value_and_grad(function, argnums=(0, 1)))(first, second)
    return value, along_first, along_second
