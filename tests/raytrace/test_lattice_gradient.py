"""Gradients through the lattice: those of the image that it returns, close to the exact tracer's, within memory."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_scenes import EXACT, GRID, LATTICE, RAYS, random_scene, start_of, with_halo

from lensax._types import cast
from lensax.instrument import Grid
from lensax.light import Sersic
from lensax.raytrace import Lattice

FIELDS = (("kappa_s", "scale_radius"), ("truncation_radius", "core_radius"), ("center_x", "center_y"))
MACRO = (
    lambda scene: scene.macro[0].einstein_radius,
    lambda scene: scene.macro[0].slope,
    lambda scene: scene.macro[0].e1,
    lambda scene: scene.macro[0].center_x,
    lambda scene: scene.macro[1].gamma_1,
    lambda scene: scene.macro[1].gamma_2,
)


def of_halos(*names):
    """Leaves of the halos."""
    return lambda scene: [getattr(scene.halos.halos, name) for name in names]


def loss(scene, tracer, corrections=None, grid=GRID):
    """A weighted sum of the image."""
    trace = tracer.trace(scene, grid) if corrections is None else tracer.trace(scene, grid, corrections)
    brightness = scene.source[0].surface_brightness(trace.source_x, trace.source_y)
    x, y = grid.positions(brightness.dtype)
    return jnp.mean(brightness * (1 + 0.5 * jnp.sin(3 * x + 1) * jnp.cos(2 * y)) + 0.1 * trace.lens_x)


@pytest.fixture(scope="module")
def scene():
    return random_scene(400, seed=11)


@eqx.filter_jit
def gradient_of(tracer, scene):
    return eqx.filter_grad(lambda scene: loss(scene, tracer))(scene)


@pytest.fixture(scope="module")
def gradient(scene):
    return gradient_of(LATTICE, scene)


@pytest.fixture(scope="module")
def exact(scene):
    return gradient_of(EXACT, scene)


def test_is_the_finite_difference_of_the_image(scene, gradient):
    corrections = eqx.filter_jit(LATTICE.corrections)(scene, GRID)
    value = eqx.filter_jit(lambda scene: loss(scene, LATTICE, corrections))
    halos = scene.halos.halos
    filled = np.asarray(halos.kappa_s != 0) & np.isfinite(halos.truncation_radius) & np.asarray(halos.core_radius > 0)
    step = 1e-6
    for leaves in (*(of_halos(*names) for names in FIELDS), lambda scene: [where(scene) for where in MACRO]):
        found = leaves(scene)
        directions = [jnp.where(filled, leaf, 0.0) if leaf.ndim else jnp.ones_like(leaf) for leaf in found]
        up, down = (
            value(eqx.tree_at(leaves, scene, [leaf + sign * step * d for leaf, d in zip(found, directions)]))
            for sign in (1, -1)
        )
        automatic = sum(jnp.sum(jnp.where(d != 0, g, 0.0) * d) for g, d in zip(leaves(gradient), directions))
        np.testing.assert_allclose(automatic, (up - down) / (2 * step), rtol=1e-5)


def distances(found, exact, scene):
    """Relative rms error of the macro gradient; of the 100 strongest halos' gradients; 1 - cosine over all halos."""
    macro = [np.array([float(where(gradient)) for where in MACRO]) for gradient in (found, exact)]
    strength = np.asarray(scene.halos.halos.kappa_s * scene.halos.halos.scale_radius**2).ravel()
    strongest = np.argsort(-strength)[:100]
    halos, angles = {}, {}
    for name in ("kappa_s", "center_x", "center_y"):
        mine, truth = (np.asarray(getattr(gradient.halos.halos, name)).ravel() for gradient in (found, exact))
        halos[name] = np.linalg.norm((mine - truth)[strongest]) / np.linalg.norm(truth[strongest])
        angles[name] = 1 - mine @ truth / (np.linalg.norm(mine) * np.linalg.norm(truth))
    return np.linalg.norm(macro[0] - macro[1]) / np.linalg.norm(macro[1]), halos, angles


def test_agrees_with_the_exact_tracer(scene, gradient, exact):
    macro, halos, angles = distances(gradient, exact, scene)
    assert macro < 1e-3
    assert halos["kappa_s"] < 0.02
    assert angles["kappa_s"] < 1e-3
    # Positions of light halos, which are interpolated, are the last to be exact: a smaller tolerance is for them.
    assert max(halos["center_x"], halos["center_y"]) < 0.05


@pytest.mark.extended
def test_comes_closer_with_the_tolerance(scene, exact):
    closer = gradient_of(Lattice(tolerance=LATTICE.tolerance / 10), scene)
    macro, halos, angles = distances(closer, exact, scene)
    assert macro < 1e-4
    assert max(halos.values()) < 5e-3
    assert max(angles.values()) < 1e-4


@pytest.mark.extended
def test_the_same_in_a_batch_and_when_made_again():
    """`vmap` of the gradient, and `checkpoint`, which forgets the way there; with two sources."""
    scenes = [random_scene(60, seed) for seed in (1, 2)]
    scenes = [
        dataclasses.replace(scene, source=(*scene.source, Sersic(5.0, 0.2, 1.0, 0.0, 0.0, 0.3, 0.2)))
        for scene in scenes
    ]

    def both(scene):
        trace = LATTICE.trace(scene, GRID)
        weight = 1 + 0.5 * jnp.sin(3 * trace.lens_x)
        return sum(
            jnp.mean(weight * light.surface_brightness(trace.source_x, trace.source_y)) for light in scene.source
        )

    alone = [eqx.filter_jit(eqx.filter_grad(both))(scene) for scene in scenes]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenes)
    batched = eqx.filter_jit(eqx.filter_vmap(eqx.filter_grad(eqx.filter_checkpoint(both))))(stacked)
    for index, expected in enumerate(alone):
        for found, one in zip(jax.tree.leaves(batched), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(found[index], one, rtol=1e-7, atol=1e-9 * float(jnp.abs(one).max()))


@pytest.mark.extended
def test_finite_in_single_precision(scene):
    scene = cast(scene, jnp.float32)
    found = gradient_of(LATTICE, scene)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    empty = np.asarray(scene.halos.halos.kappa_s == 0)
    assert not np.asarray(found.halos.halos.center_x)[empty].any()


@pytest.mark.extended
def test_finite_where_a_halo_stands_on_a_ray(scene):
    found = gradient_of(LATTICE, cast(with_halo(scene, 1e9, plane=0, **start_of(RAYS, 61, 40)), jnp.float32))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert all(
        np.asarray(getattr(found.halos.halos, name))[0, 0]
        for names in FIELDS
        for name in names
        if name != "core_radius"
    )


@pytest.mark.extended
def test_memory_of_reverse_mode(scene):
    """Some fields of rays for every plane; nothing of the size of halos times rays, nor of all the room for pairs."""
    grid, slots = Grid((64, 64), 0.05, 4), scene.halos.n_slots * scene.planes.n_planes
    assert slots > 800

    def fields_of_rays(capacity: int) -> float:
        tracer = Lattice(tile_pixels=4, cells=1, capacity=capacity)
        function = eqx.filter_grad(lambda scene: loss(scene, tracer, grid=grid))
        compiled = eqx.filter_jit(function).lower(cast(scene, jnp.float32)).compile().compiled
        return compiled.memory_analysis().temp_size_in_bytes / (4 * grid.n_rays)

    small, large = fields_of_rays(4096), fields_of_rays(8192)
    more_room = 4096 * scene.planes.n_planes * 16**2 / grid.n_rays
    assert small < slots / 3
    assert large - small < more_room / 4
