"""Recipes: shared and free parameters, transforms, one trace for all numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from lensax import light, mass
from lensax.cosmology import Planck15
from lensax.halos import EqualRedshift
from lensax.parameters import Constant, Expression, Free, Parameters
from lensax.recipe import Ingredient, Recipe

KEY = jax.random.key(0)


def some_recipe(slope=2.0, width=0.05, source_redshift=1.5, front=2):
    parameters = Parameters(
        {
            "lens.redshift": Free("lens.redshift", dist.Uniform(0.3, 0.6)),
            "source.redshift": Constant(jnp.asarray(source_redshift)),
            "radius": Free("radius", dist.Normal(1.2, width)),
            "slope": Constant(jnp.asarray(slope)),
            "x": Free("x", dist.Normal(0.0, width)),
            "light_x": Expression("x + 0.1"),
            "one": Constant(jnp.asarray(1.0)),
        }
    )
    power_law = {"einstein_radius": "radius", "slope": "slope", "center_x": "x"}
    return Recipe(
        parameters=parameters,
        mass=(Ingredient(mass.PowerLaw, power_law, {"n_terms": 12}),),
        source=(Ingredient(light.Gaussian, {"intensity": "one", "sigma": "radius", "center_x": "light_x"}),),
        lens_light=(Ingredient(light.Gaussian, {"intensity": "one", "sigma": "one", "center_x": "x"}),),
        scheme=EqualRedshift(front, 1),
        cosmology=Planck15,
    )


THETA = {"lens.redshift": jnp.asarray(0.45), "radius": jnp.asarray(1.1), "x": jnp.asarray(0.03)}


def test_the_scene_has_the_parameters_values():
    scene = some_recipe()(THETA, KEY)
    (lens,), (source,), (lens_light,) = scene.macro, scene.source, scene.lens_light
    assert (float(lens.einstein_radius), float(lens.slope), lens.n_terms) == (1.1, 2.0, 12)
    assert float(lens.center_x) == float(lens_light.center_x) == 0.03
    assert float(source.center_x) == pytest.approx(0.13)
    assert scene.halos is None
    np.testing.assert_allclose(scene.planes.redshifts, [0.15, 0.3, 0.45, 0.975], rtol=1e-12)
    assert scene.planes.lens_index == 2


def test_a_batch_is_a_loop():
    recipe = some_recipe()
    theta = recipe.parameters.prior.sample(KEY, (3,))
    keys = jax.random.split(KEY, 3)
    scenes = jax.jit(jax.vmap(recipe))(theta, keys)
    for index in range(3):
        one = recipe({name: value[index] for name, value in theta.items()}, keys[index])
        for batched, single in zip(jax.tree.leaves(scenes), jax.tree.leaves(one)):
            np.testing.assert_allclose(batched[index], single, rtol=1e-12)


def test_gradients_reach_free_redshifts_and_shared_parameters():
    recipe = some_recipe()

    def number(theta):
        scene = recipe(theta, KEY)
        return scene.planes.distances @ jnp.arange(1.0, 5.0) + scene.source[0].center_x * scene.macro[0].center_x

    gradient = jax.grad(number)(THETA)
    for name in ("lens.redshift", "x"):
        ends = [float(number({**THETA, name: THETA[name] + step})) for step in (-1e-6, 1e-6)]
        assert float(gradient[name]) == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-7)
    assert float(gradient["radius"]) == 0


def test_other_numbers_are_the_same_program():
    traces = []

    @eqx.filter_jit
    def trace(recipe, theta, key):
        traces.append(1)
        return recipe(theta, key)

    for index, recipe in enumerate(
        [some_recipe(), some_recipe(slope=1.9), some_recipe(width=0.1, source_redshift=2.0)]
    ):
        trace(recipe, recipe.parameters.prior.sample(jax.random.key(index)), jax.random.key(index))
    assert len(traces) == 1
    trace(some_recipe(front=3), THETA, KEY)  # another number of planes is another program
    assert len(traces) == 2


def test_every_name_must_be_a_parameter():
    recipe = some_recipe()
    with pytest.raises(ValueError, match=r"unknown parameter 'radios'; did you mean 'radius'"):
        Recipe(recipe.parameters, (Ingredient(mass.PointMass, {"einstein_radius": "radios"}),), (), (), *recipe_end())
    with pytest.raises(ValueError, match=r"unknown parameter 'lens.redshift'"):
        Recipe(Parameters({"source.redshift": Constant(jnp.asarray(1.0))}), (), (), (), *recipe_end())


def recipe_end():
    return EqualRedshift(0, 0), Planck15


def test_wrong_theta():
    with pytest.raises(ValueError, match=r"theta lacks the free parameter\(s\) lens.redshift, x"):
        some_recipe()({"radius": jnp.asarray(1.0)}, KEY)
    with pytest.raises(ValueError, match=r"theta: 'slope' is not free, it is 2"):
        some_recipe()({**THETA, "slope": jnp.asarray(1.0)}, KEY)
