"""The two-field recursion and the Fermat potential against the sum over all pairs of planes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax.cosmology import FlatLambdaCDM
from lensax.mass import MassSheet
from lensax.raytrace import Planes, time_delay_distance
from lensax.raytrace.recursion import PlaneStep, Rays, advance
from lensax.raytrace.time_delay import path_fermat_potential


@pytest.fixture(scope="module")
def reference(data):
    return json.loads((data / "multiplane_reference.json").read_text())


@pytest.fixture(scope="module")
def planes(reference):
    redshifts = reference["z"]
    return Planes(redshifts[:-1], 0.5, redshifts[-1], FlatLambdaCDM(67.74, 0.3075))


def deflectors(reference, index):
    position, strength = np.array(reference["pos_arcsec"][index]), np.array(reference["thetaE2_arcsec2"][index])
    core = reference["core2_arcsec2"]

    def offsets(x, y):
        d_x, d_y = (a[None] - jnp.asarray(position[:, k, None], a.dtype) for k, a in enumerate((x, y)))
        return d_x, d_y, d_x**2 + d_y**2 + core

    def deflection(x, y):
        d_x, d_y, r2 = offsets(x, y)
        weight = jnp.asarray(strength[:, None], x.dtype)
        return jnp.sum(weight * d_x / r2, 0), jnp.sum(weight * d_y / r2, 0)

    def potential(x, y):
        return jnp.sum(0.5 * jnp.asarray(strength[:, None], x.dtype) * jnp.log(offsets(x, y)[2]), 0)

    return deflection, potential


def follow(reference, planes, x, y):
    """The path of rays: positions on every plane and in the source, and the potentials met."""
    rays, visited, potentials = Rays.start(x, y), [], []
    for index in range(planes.n_planes):
        step = PlaneStep(
            planes.kick[index], planes.step[index], jnp.zeros((), x.dtype), jnp.asarray(index == planes.lens_index)
        )
        deflection, potential = deflectors(reference, index)
        visited.append((rays.x, rays.y))
        potentials.append(potential(rays.x, rays.y))
        rays = advance(rays, step, deflection(rays.x, rays.y), ())
    along_x, along_y = (jnp.stack([v[k] for v in visited] + [(rays.x, rays.y)[k]]) for k in (0, 1))
    return rays, along_x, along_y, jnp.stack(potentials)


def test_distances_are_those_of_the_reference(reference, planes):
    chi = np.array(reference["chi_Mpc_flatLCDM_67.74_0.3075_noRad"])
    np.testing.assert_allclose(planes.source_distance, chi[-1], rtol=1e-9)
    np.testing.assert_allclose(planes.distances, chi[:-1] / chi[-1], rtol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-12), (jnp.float32, 1e-6)])
def test_source_positions(reference, planes, dtype, tolerance):
    theta = np.array(reference["test_theta"])
    single = jax.tree.map(lambda leaf: leaf.astype(dtype), planes)
    rays, *_ = follow(reference, single, *(jnp.asarray(theta[:, k], dtype) for k in (0, 1)))
    assert rays.x.dtype == dtype
    found = np.stack([rays.x, rays.y], -1)
    np.testing.assert_allclose(found, np.array(reference["theta_s"]), atol=tolerance)


def test_fermat_potential(reference, planes):
    theta = np.array(reference["test_theta"])
    _, along_x, along_y, potentials = follow(reference, planes, jnp.asarray(theta[:, 0]), jnp.asarray(theta[:, 1]))
    found = path_fermat_potential(along_x, along_y, potentials, planes) * time_delay_distance(planes)
    np.testing.assert_allclose(found, reference["fermat_Mpc_arcsec2"], atol=2e-8)


def test_a_change_of_the_image_changes_the_fermat_potential_by_the_last_slope(reference, planes):
    """The path is stationary, so only its end matters: d phi = v . d beta / kick_lens."""
    x, y = jnp.array([0.3]), jnp.array([-0.8])

    def fermat(x):
        _, along_x, along_y, potentials = follow(reference, planes, x, y)
        return path_fermat_potential(along_x, along_y, potentials, planes)[0]

    def source(x):
        rays, *_ = follow(reference, planes, x, y)
        return jnp.stack([rays.x[0], rays.y[0]])

    rays, *_ = follow(reference, planes, x, y)
    slope = jnp.array([rays.v_x[0], rays.v_y[0]]) / planes.kick[planes.lens_index]
    expected = slope @ jax.jacfwd(source)(x)[:, 0]
    np.testing.assert_allclose(jax.grad(fermat)(x)[0], expected, rtol=1e-10)


def test_the_lens_plane_is_remembered_and_the_macro_acts_there_alone(planes):
    sheet = (MassSheet(0.2),)
    x, y = jnp.array([1.0]), jnp.array([2.0])
    for is_lens, kappa in [(True, 0.2), (False, 0.0)]:
        step = PlaneStep(jnp.array(2.0), jnp.array(0.5), jnp.array(0.1), jnp.asarray(is_lens))
        moved = advance(Rays(x, y, x, y, 0 * x, 0 * y), step, (jnp.array([0.3]), jnp.array([0.0])), sheet)
        assert float(moved.v_x[0]) == pytest.approx(1 - 2 * (0.3 + 0.1 + kappa))
        assert float(moved.x[0]) == pytest.approx(1 + 0.5 * float(moved.v_x[0]))
        assert float(moved.lens_x[0]) == (1.0 if is_lens else 0.0)
