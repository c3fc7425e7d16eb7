"""Halos with cores as mixtures of Plummer discs: what the fast tracers see, against the quadratures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax._types import cast
from lensax.mass import Halo, IsothermalCore, MixedHalos, ParametricSIDM
from lensax.mass.plummer import PlummerMixture, mixture_slope

X = np.geomspace(1e-4, 300.0, 60)


@jax.jit
def by_mixture(halo, x):
    mixture = PlummerMixture.from_halo(halo)
    x = jnp.broadcast_to(x, (halo.kappa_s.shape[0], x.size))
    return mixture_slope(mixture.inverse_square_reach[:, None], mixture.numerators[..., None], x * x) * x


@jax.jit
def exactly(halo, x):
    return jax.vmap(lambda one: one.deflection(x, 0 * x)[0])(halo)


def random_halos(kind, cores, tau, seed, count=60):
    random = np.random.default_rng(seed)
    truncation = np.exp(random.uniform(*np.log(tau), count))
    full = np.ones(count)
    return kind(full, full, truncation, random.uniform(*cores, count), 0 * full, 0 * full)


def errors(halo):
    """Largest error of each halo's deflection in float32, in units of its largest deflection."""
    narrow, x = cast(halo, jnp.float32), jnp.asarray(X, jnp.float32)
    found, true = (
        np.asarray(by_mixture(narrow, x), float),
        np.asarray(exactly(cast(narrow, jnp.float64), x.astype(float))),
    )
    return np.abs(found - true).max(1) / true.max(1)


@pytest.mark.parametrize(
    ("kind", "cores", "bar", "median"),
    [(ParametricSIDM, (0.01, 0.65), 1e-4, 6e-5), (IsothermalCore, (0.02, 1.5), 8e-4, 5e-4)],
)
def test_mixtures_in_float32(kind, cores, bar, median):
    for tau in ((1.0, 40.0), (0.05, 1.0), (40.0, 300.0)):
        found = errors(random_halos(kind, cores, tau, 3))
        assert found.max() < bar, (tau, found.max())
        assert np.median(found) < median


def test_each_of_mixed_halos_is_what_its_family_says():
    random = np.random.default_rng(1)
    parts = [np.full(6, 0.05), random.uniform(0.1, 0.3, 6), random.uniform(0.5, 3.0, 6), random.uniform(0.02, 0.06, 6)]
    mixed = MixedHalos(*parts, np.zeros(6), np.zeros(6), [0, 1, 2, 0, 1, 2])
    x = jnp.asarray(np.geomspace(1e-3, 5.0, 9))
    for index, kind in ((1, ParametricSIDM), (2, IsothermalCore)):
        leaves = [jnp.asarray(part[index : index + 1]) for part in parts]
        alone = kind(*leaves, jnp.zeros(1), jnp.zeros(1))
        np.testing.assert_allclose(exactly(mixed, x)[index], exactly(alone, x)[0], rtol=1e-12)
        np.testing.assert_allclose(by_mixture(mixed, x)[index], by_mixture(alone, x)[0], rtol=1e-12)
        np.testing.assert_allclose(mixed.total_mass[index], alone.total_mass[0], rtol=1e-12)


def test_far_from_a_compact_halo_it_is_a_point():
    """In float32, where powers of the distance would overflow, and on either side of where it is taken for a point."""
    halo = Halo(*(jnp.asarray([value]) for value in (0.3, 1e-3, 3e-3, 0.0, 0.0, 0.0)))
    x = np.array([0.5, 5.0, 9.4, 9.6, 30.0, 300.0, 3e4])
    found, slope = jax.jit(lambda h, x: jax.jvp(lambda a: by_mixture(h, a)[0], (x,), (jnp.ones_like(x),)))(
        cast(halo, jnp.float32), jnp.asarray(x, jnp.float32)
    )
    expected = exactly(halo, jnp.asarray(x))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, -expected / x, rtol=1e-4)
    by_mass = jax.jit(jax.grad(lambda k: by_mixture(with_strength(halo, k), jnp.asarray(x, jnp.float32)).sum()))(
        jnp.float32(0.3)
    )
    np.testing.assert_allclose(by_mass, expected.sum() / 0.3, rtol=1e-5)


def with_strength(halo, kappa_s):
    narrow = cast(halo, jnp.float32)
    return type(halo)(kappa_s[None], *(getattr(narrow, field.name) for field in dataclasses.fields(halo)[1:]))


def test_second_derivatives_at_the_centre_are_finite():
    """In float32, of the slope by the squared distance, where denominators are smallest."""
    halo = cast(Halo(*(jnp.asarray([value]) for value in (0.01, 0.1, 1.0, 0.0, 0.0, 0.0))), jnp.float32)
    mixture = PlummerMixture.from_halo(halo)

    def slope(square):
        return mixture_slope(mixture.inverse_square_reach, mixture.numerators, square)[0]

    def along(x):
        return jax.jvp(lambda a: slope(a * a)[None] * a, (x,), (jnp.ones_like(x),))[1].sum()

    for x in (0.0, 1e-12, 1e-7, 1e-3):
        assert np.isfinite(jax.grad(along)(jnp.full(1, x, jnp.float32))).all(), x


def test_derivatives_of_mixtures_are_finite_and_right():
    """Of the deflection in core and truncation, forward and reverse, over the bands of the table."""
    halo = random_halos(ParametricSIDM, (0.05, 0.6), (0.5, 30.0), 5, count=8)
    x = jnp.asarray([0.05, 0.3, 2.0])

    def total(core, truncation):
        moved = ParametricSIDM(halo.kappa_s, halo.scale_radius, truncation, core, halo.center_x, halo.center_y)
        return by_mixture(moved, x)

    at = (halo.core_radius, halo.truncation_radius)
    forward = jax.jit(jax.jacfwd(lambda *a: total(*a).sum(1), (0, 1)))(*at)
    for index in (0, 1):
        step = 1e-6 * at[index]
        ends = [total(*(v + side * step * float(i == index) for i, v in enumerate(at))) for side in (1, -1)]
        difference = ((ends[0] - ends[1]).sum(1) / (2 * step)).astype(float)
        np.testing.assert_allclose(jnp.diagonal(forward[index]), difference, rtol=1e-5, atol=1e-6)
    reverse = jax.jit(jax.grad(lambda *a: total(*a).sum(), (0, 1)))(*at)
    for one, other in zip(reverse, forward, strict=True):
        np.testing.assert_allclose(one, jnp.diagonal(other), rtol=1e-9)
    # Beyond the ends of the table halos stay finite.
    odd = ParametricSIDM([1.0, 1.0], [1.0, 1.0], [1e-4, np.inf], [0.9, 1e-9], [0.0, 0.0], [0.0, 0.0])
    assert np.isfinite(by_mixture(odd, x)).all()
