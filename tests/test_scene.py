"""A scene is a pytree that refuses parts which do not fit."""

import jax
import jax.numpy as jnp
import pytest

from lensax._types import cast
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import HaloCatalogue
from lensax.light import Gaussian
from lensax.mass import ExternalShear, PowerLaw
from lensax.raytrace import Planes
from lensax.scene import Scene

PLANES = Planes([0.3, 0.5], 0.5, 1.5, FlatLambdaCDM(70.0, 0.3))
LENS, SOURCE = PowerLaw(1.2, 2.0, 0.0, 0.0, 0.0, 0.0), Gaussian(1.0, 0.1, 0.0, 0.0, 0.0, 0.0)


def test_one_profile_or_several():
    single = Scene(PLANES, LENS, None, SOURCE)
    assert single.macro == (LENS,)
    assert Scene(PLANES, [LENS, ExternalShear(0.1, 0.0)], None, (SOURCE, SOURCE)).source == (SOURCE, SOURCE)
    assert single.lens_light == ()


def test_dtype_is_that_of_the_leaves():
    scene = Scene(PLANES, LENS, HaloCatalogue.empty(2), SOURCE)
    assert scene.dtype == jnp.float64
    assert cast(scene, jnp.float32).dtype == jnp.float32


def test_a_scene_passes_through_jit_and_vmap():
    scene = Scene(PLANES, LENS, HaloCatalogue.empty(2, 3), SOURCE)
    leaves = jax.tree.leaves(jax.jit(lambda scene: scene)(scene))
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), scene)
    assert jax.vmap(lambda scene: scene.macro[0].einstein_radius)(stacked).shape == (2,)


def test_without_halos():
    scene = Scene(PLANES, LENS, HaloCatalogue.empty(2), SOURCE, SOURCE)
    bare = scene.without_halos()
    assert bare.halos is None
    assert bare.lens_light == scene.lens_light


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match=r"macro\[1\]: expected a MassProfile, found Gaussian"):
        Scene(PLANES, (LENS, SOURCE))
    with pytest.raises(TypeError, match=r"source\[0\]: expected a LightProfile, found PowerLaw"):
        Scene(PLANES, LENS, None, LENS)
    with pytest.raises(ValueError, match="catalogue has 3 planes, planes has 2"):
        Scene(PLANES, LENS, HaloCatalogue.empty(3))
