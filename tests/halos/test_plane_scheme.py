"""Plane schemes and cones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax import halos
from lensax.cosmology import Planck15
from lensax.raytrace.planes import Planes

LENS, SOURCE = jnp.array(0.5), jnp.array(1.5)


def test_four_and_four_make_the_nine_planes_of_the_reference(reference):
    scheme = halos.EqualRedshift(4, 4)
    assert (scheme.n_planes, scheme.lens_index) == (9, 4)
    np.testing.assert_allclose(
        scheme.redshifts(LENS, SOURCE, Planck15), [row["z"] for row in reference["planes"]], rtol=1e-14
    )
    edges = [reference["planes"][0]["z_lo"]] + [row["z_hi"] for row in reference["planes"]]
    np.testing.assert_allclose(scheme.edges(LENS, SOURCE, Planck15), edges, rtol=1e-14)


@pytest.mark.parametrize("lens", [0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
@pytest.mark.parametrize("front", [0, 1, 5, 9, 29])
def test_round_off_adds_and_drops_no_plane(lens, front):
    scheme = halos.EqualRedshift(front, 3)
    redshifts = np.asarray(scheme.redshifts(jnp.array(lens), SOURCE, Planck15))
    assert redshifts.shape == (front + 4,)
    assert redshifts[front] == lens
    edges = np.asarray(scheme.edges(jnp.array(lens), SOURCE, Planck15))
    assert (edges[:-1] < redshifts).all()
    assert (redshifts < edges[1:]).all()


def test_equal_comoving_steps():
    scheme = halos.EqualComoving(4, 4)
    redshifts = scheme.redshifts(LENS, SOURCE, Planck15)
    distance = np.asarray(Planck15.comoving_distance(redshifts))
    lens, source = float(Planck15.comoving_distance(LENS)), float(Planck15.comoving_distance(SOURCE))
    expected = np.concatenate([lens * np.arange(1, 5) / 5, lens + (source - lens) * np.arange(5) / 5])
    np.testing.assert_allclose(distance, expected, rtol=1e-10)
    assert float(redshifts[4]) == 0.5
    edges = np.asarray(scheme.edges(LENS, SOURCE, Planck15))
    np.testing.assert_allclose(np.asarray(Planck15.comoving_distance(edges[1:5])), lens * (np.arange(1, 5) + 0.5) / 5)
    assert (edges[0], edges[-1]) == (0.0, 1.5)


def test_seventy_five_thin_slices():
    scheme = halos.ThinSlices.between(0.5, 1.5)
    assert (scheme.n_planes, scheme.lens_index) == (75, 25)
    redshifts = np.asarray(scheme.redshifts(LENS, SOURCE, Planck15))
    expected = np.concatenate([0.01 + 0.02 * np.arange(25), 0.5 + 0.02 * np.arange(50)])
    np.testing.assert_allclose(redshifts, expected, rtol=1e-13)
    edges = np.asarray(scheme.edges(LENS, SOURCE, Planck15))
    assert edges.shape == (76,)
    assert (np.diff(edges) > 0).all()


def test_schemes_refuse_what_makes_no_planes():
    with pytest.raises(ValueError, match="front must be a number of planes, 0 or more, got -1"):
        halos.EqualRedshift(-1, 3)
    with pytest.raises(ValueError, match="back must be a number of planes"):
        halos.EqualComoving(1, True)
    with pytest.raises(ValueError, match="step must be a positive"):
        halos.ThinSlices.between(0.5, 1.5, 0.0)
    with pytest.raises(ValueError, match=r"start must lie between 0 and the lens at 0.5, got 0.6"):
        halos.ThinSlices.between(0.5, 1.5, 0.02, 0.6)


def test_cones_of_the_reference(planes, reference):
    for cone, name in ((halos.NarrowingCone(3.0, 1.0), "R_narrow"), (halos.DoubleCone(3.0), "R_double")):
        np.testing.assert_allclose(cone.radii(planes), [row[name] for row in reference["planes"]], rtol=1e-5)


def test_cylinder_and_lensed_cone(planes):
    distance = np.asarray(Planck15.comoving_distance(planes.redshifts))
    np.testing.assert_allclose(halos.Cylinder(3.0).radii(planes) * distance, np.full(9, 3.0 * distance[4]), rtol=1e-12)
    s = np.asarray([0] * 5 + [0.4340599903, 0.6723760270, 0.8223650410, 0.9252002321])
    lensed = halos.LensedCone(3.0, 2.0, 0.1).radii(planes)
    np.testing.assert_allclose(lensed, np.maximum(3.0 - 2.0 * s, 2.0 * s) + 0.1, rtol=1e-5)


def test_cones_refuse_what_has_no_disc():
    with pytest.raises(ValueError, match="radius must be a positive number of arcsec"):
        halos.Cylinder(0.0)
    with pytest.raises(ValueError, match=r"einstein_radius must lie between 0 and the radius of 3.0 arcsec, got 3.5"):
        halos.NarrowingCone(3.0, 3.5)
    with pytest.raises(ValueError, match=r"closing must lie between 0 and 1, got 1.2"):
        halos.DoubleCone(3.0, 1.2)


@pytest.mark.parametrize(
    "scheme", [halos.EqualRedshift(2, 2), pytest.param(halos.EqualComoving(2, 2), marks=pytest.mark.extended)]
)
def test_redshifts_may_be_traced(scheme):
    def total(lens, source):
        redshifts = scheme.redshifts(lens, source, Planck15)
        planes = Planes(redshifts, lens, source, Planck15, scheme.lens_index)
        return jnp.sum(halos.DoubleCone(3.0).radii(planes)) + jnp.sum(scheme.edges(lens, source, Planck15) ** 2)

    for argument in (0, 1):
        gradient = jax.jit(jax.grad(total, argument))(LENS, SOURCE)
        step = 1e-5
        up, down = ([LENS, SOURCE], [LENS, SOURCE])
        up[argument], down[argument] = up[argument] + step, down[argument] - step
        value = jax.jit(total)
        np.testing.assert_allclose(gradient, (value(*up) - value(*down)) / (2 * step), rtol=1e-6)
