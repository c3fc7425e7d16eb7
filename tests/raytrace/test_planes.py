"""Lens planes: distances, the numbers of the recursion, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax.cosmology import FlatLambdaCDM
from lensax.raytrace import Planes

COSMOLOGY = FlatLambdaCDM(70.0, 0.3)


def test_one_plane_is_the_thin_lens_equation():
    planes = Planes([0.5], 0.5, 1.5, COSMOLOGY)
    np.testing.assert_allclose(planes.kick * planes.step, 1.0, rtol=1e-14)
    assert planes.n_planes == 1
    assert planes.lens_index == 0


def test_critical_surface_density_is_to_the_source():
    planes = Planes([0.2, 0.5, 1.0], 0.5, 1.5, COSMOLOGY)
    expected = [COSMOLOGY.critical_surface_density(jnp.asarray(z), jnp.asarray(1.5)) for z in (0.2, 0.5, 1.0)]
    np.testing.assert_allclose(planes.critical_surface_density, np.array(expected), rtol=1e-12)
    np.testing.assert_array_equal(planes.is_lens, [False, True, False])


def test_redshifts_may_be_traced():
    def kick(z_lens, z_source):
        redshifts = jnp.stack([0.5 * z_lens, z_lens])
        return Planes(redshifts, z_lens, z_source, COSMOLOGY, lens_index=1).kick[1]

    eager = kick(jnp.asarray(0.5), jnp.asarray(1.5))
    np.testing.assert_allclose(jax.jit(kick)(0.5, 1.5), eager, rtol=1e-12)
    step = 1e-5
    difference = (kick(jnp.asarray(0.5 + step), jnp.asarray(1.5)) - kick(jnp.asarray(0.5 - step), jnp.asarray(1.5))) / (
        2 * step
    )
    np.testing.assert_allclose(jax.grad(kick)(jnp.asarray(0.5), jnp.asarray(1.5)), difference, rtol=1e-6)


@pytest.mark.parametrize(
    ("redshifts", "lens", "source", "message"),
    [
        ([0.5, 0.2], 0.5, 1.5, "strictly increasing"),
        ([0.2, 0.2, 0.5], 0.5, 1.5, "strictly increasing"),
        ([0.2, np.nan], 0.2, 1.5, "strictly increasing"),
        ([0.2, 0.5, 1.6], 0.5, 1.5, "1.6 is not in front of the source at 1.5"),
        ([0.2, 0.6], 0.5, 1.5, "0.5 is not among"),
        ([], 0.5, 1.5, "at least one"),
    ],
)
def test_bad_redshifts_are_named(redshifts, lens, source, message):
    with pytest.raises(ValueError, match=message):
        Planes(redshifts, lens, source, COSMOLOGY)


def test_traced_redshifts_need_the_lens_plane():
    with pytest.raises(ValueError, match="lens_index"):
        jax.jit(lambda z: Planes(z, z[0], 2.0, COSMOLOGY).kick)(jnp.array([0.3, 0.5]))
    with pytest.raises(ValueError, match="expected 0 to 1, found 2"):
        Planes([0.2, 0.5], 0.5, 1.5, COSMOLOGY, lens_index=2)
