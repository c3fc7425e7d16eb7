"""Common random numbers: the same population in law, smooth in its parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax import halos
from lensax._types import cast
from lensax.cosmology import Planck15

AMPLITUDE = "line_of_sight.mass_function.delta_los"
TILT = "line_of_sight.mass_function.tilt"
LOWEST = "line_of_sight.mass_function.log10_mass_min"
WARM = "dark_matter.WDM.log10_m_hm"
BOUNDS = {AMPLITUDE: (0.0, 1.5), TILT: (-0.1, 0.1), LOWEST: (8.0, 8.5), WARM: (5.0, 8.0)}
POINT = {AMPLITUDE: 1.1, TILT: 0.05, LOWEST: 8.2, WARM: 7.0}


@pytest.fixture(scope="module")
def cold(line_of_sight, planes):
    """A population with a free amplitude, tilt, lowest mass and half-mode mass, fresh and thinned."""
    model = halos.Population(Planck15, halos.WDM(jnp.array(7.0)), line_of_sight((8.0, 10.0)))
    return model.sized(planes, BOUNDS), model.sized(planes, BOUNDS, common_random_numbers=["line_of_sight"])


@pytest.mark.extended
def test_thinning_is_the_same_population_in_law(cold, planes):
    """1200 universes each: means and variances of the counts."""
    small = cast(planes, jnp.float32)
    values = {name: jnp.array(value, jnp.float32) for name, value in POINT.items()}

    def statistics(model):
        @jax.jit
        def run(keys):
            def one(key):
                catalogue = model.draw(key, small, values)
                return catalogue.counts, catalogue.overflow

            return jax.lax.map(jax.vmap(one), keys)

        counts, overflow = run(jax.random.split(jax.random.key(7), (12, 100)))
        assert not np.asarray(overflow).any()
        return np.asarray(counts).reshape(1200, 9)

    expected = np.asarray(cold[0].expected(planes, POINT))
    for model in cold:
        counts = statistics(model)
        z = (counts.mean(0) - expected) / np.sqrt(expected / 1200)
        assert (np.abs(z) < 3.8).all()
        assert (np.abs(counts.var(0, ddof=1) / expected - 1) < 4 * np.sqrt((2 + 1 / expected) / 1200)).all()


def test_more_halos_only_add_to_those_that_exist(cold, planes, draw):
    thinned = cold[1]
    before = draw(thinned, 3, planes, **{name.replace(".", "__"): value for name, value in POINT.items()})
    for name, value in ((AMPLITUDE, 1.3), (LOWEST, 8.05), (WARM, 6.0)):
        more = {**POINT, name: value}
        after = draw(thinned, 3, planes, **{name.replace(".", "__"): v for name, v in more.items()})
        existed, exists = np.asarray(before.halos.kappa_s) > 0, np.asarray(after.halos.kappa_s) > 0
        assert exists.sum() > existed.sum()
        assert (exists | ~existed).all()
        for leaf in ("center_x", "center_y"):
            np.testing.assert_array_equal(
                np.asarray(getattr(after.halos, leaf))[existed], np.asarray(getattr(before.halos, leaf))[existed]
            )
        assert not after.overflow


def test_parameters_outside_of_the_envelope_are_reported(cold, planes, draw):
    outside = {**POINT, AMPLITUDE: 2.0}
    assert draw(cold[1], 3, planes, **{name.replace(".", "__"): v for name, v in outside.items()}).overflow


def test_relaxed_halos_have_the_gradient_of_their_differences(line_of_sight, planes):
    model = halos.Population(Planck15, halos.WDM(jnp.array(7.0)), line_of_sight((8.0, 10.0)))
    model = model.sized(planes, BOUNDS, common_random_numbers=["line_of_sight"], relaxation=0.05)
    names = list(POINT)

    @jax.jit
    def lensing(vector):
        catalogue = model.draw(jax.random.key(1), planes, dict(zip(names, vector)))
        return jnp.sum(catalogue.halos.kappa_s * catalogue.halos.scale_radius**2) * 1e3

    point = jnp.array(list(POINT.values()))
    gradient = jax.jit(jax.grad(lensing))(point)
    assert (np.abs(np.asarray(gradient)) > 1e-3).all()
    for index in range(4):
        step = 1e-5 * jnp.eye(4)[index]
        difference = (lensing(point + step) - lensing(point - step)) / 2e-5
        np.testing.assert_allclose(gradient[index], difference, rtol=1e-4)


def test_subhalos_are_thinned_too(subhalos, planes, draw):
    model = halos.Population(Planck15, halos.CDM(), None, subhalos((8.0, 10.0), mean_number=jnp.array(20.0)))
    bounds = {"subhalos.mean_number": (5.0, 50.0), "subhalos.slope": (-2.0, -1.8)}
    model = model.sized(planes, bounds, common_random_numbers=["subhalos"])
    numbers = [
        int(draw(model, 3, planes, subhalos__mean_number=number, subhalos__slope=-1.9).counts[4])
        for number in (5.0, 10.0, 20.0, 40.0, 50.0)
    ]
    assert numbers == sorted(numbers)
    assert numbers[0] < 15 < 30 < numbers[-1]
    assert not draw(model, 3, planes, subhalos__mean_number=50.0, subhalos__slope=-2.0).overflow
