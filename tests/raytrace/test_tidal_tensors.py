"""Rays that are not where interpolation takes them to be: tidal tensors, and what they mend."""

import jax
import jax.numpy as jnp
import numpy as np
from lattice_scenes import assert_accurate, random_scene, with_halo

from lensax.raytrace.recursion import PlaneStep
from lensax.raytrace.tides import Tensor, Tides, tidal_tensor
from lensax.raytrace.transfer import Transfer

SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])  # the order of the corners


def test_the_tensor_of_a_linear_field_is_found_in_tiles_of_any_shape():
    random = np.random.default_rng(0)
    maps = np.eye(2) + 0.3 * random.normal(size=(20, 2, 2))
    corners = 0.1 * np.einsum("tij,kj->tki", maps, SQUARE)
    tensors = random.normal(size=(20, 2, 2))
    tensors = tensors + tensors.swapaxes(1, 2)
    alpha = np.einsum("tij,tkj->tki", tensors, corners) + random.normal(size=(20, 1, 2))
    found = tidal_tensor(*(jnp.asarray(part) for part in (*np.moveaxis(corners, 2, 0), *np.moveaxis(alpha, 2, 0))))
    size = np.abs(tensors).max()
    for name, (i, j) in {"xx": (0, 0), "xy": (0, 1), "yy": (1, 1)}.items():
        np.testing.assert_allclose(getattr(found, name), tensors[:, i, j], atol=0.05 * size)


def test_nothing_explodes_where_the_corners_fall_on_a_line_or_a_point():
    line = jnp.asarray(0.1 * SQUARE @ np.array([[1.0, 0.5], [0.0, 0.0]]))

    def size(corners, alpha):
        found = tidal_tensor(*corners.T, *alpha.T)
        return found.xx**2 + found.xy**2 + found.yy**2

    for corners in (line, jnp.zeros((4, 2))):
        value, gradient = jax.value_and_grad(size)(corners, 0.2 * corners)
        assert np.isfinite(value)
        assert value <= 2 * 0.2**2
        assert np.isfinite(gradient).all()


def planes_with_tensors(size):
    random = np.random.default_rng(1)
    kick, step, sheet = jnp.asarray(random.uniform(0.2, 0.8, (3, 5)))
    steps = PlaneStep(kick, step, 0.1 * sheet, jnp.zeros(5, bool))
    return steps, Tensor(*(size * jnp.asarray(random.normal(size=(5, 1))) for _ in range(3)))


def carried(steps, tensor, theta, v, kicks):
    """A ray from plane to plane, (2,) and (2,): the sheets, the tides and a kick on each of them."""
    for j in range(5):
        field = jnp.array([[tensor.xx[j, 0], tensor.xy[j, 0]], [tensor.xy[j, 0], tensor.yy[j, 0]]])
        v = v - steps.kick[j] * (steps.sheet[j] * theta + field @ theta) + kicks[j]
        theta = theta + steps.step[j] * v
    return theta


def test_to_first_order_they_do_what_the_planes_do():
    zero, errors = jnp.zeros(2), []
    for size in (1e-2, 1e-3):
        steps, tensor = planes_with_tensors(size)
        transfer = Transfer.through(steps)
        tides = Tides.of(tensor, transfer.arrival, steps.kick)
        worst = 0.0
        for plane in range(5):
            kick = jnp.array([0.3, -0.7])
            truth = carried(steps, tensor, zero, zero, jnp.zeros((5, 2)).at[plane].set(kick))
            theta, v = (t[plane] @ (kick[0], kick[1]) for t in (tides.theta, tides.v))
            found = [transfer.end[0, 0] * a[0] + transfer.end[0, 1] * b[0] for a, b in zip(theta, v)]
            worst = max(worst, float(np.abs(np.array(found) - truth).max()))
        start = jnp.array([0.5, -0.2]), jnp.array([-0.4, 0.6])
        columns = [tuple(part[i].reshape(1, 1) for i in (0, 1)) for part in start]
        further = tides.displaced(*columns)
        truth = carried(steps, tensor, *start, jnp.zeros((5, 2)))
        end = [[a + d for a, d in zip(part, more)] for part, more in zip(columns, further)]
        found = [transfer.end[0, 0] * a[0, 0] + transfer.end[0, 1] * b[0, 0] for a, b in zip(*end)]
        errors.append(max(worst, float(np.abs(np.array(found) - truth).max())))
    assert errors[0] < 0.1 * 1e-2  # of second order, so that a tenth of the field leaves a hundredth of the error
    assert errors[1] < 0.02 * errors[0]


def test_a_halo_in_front_tears_the_field_behind_it():
    """The rays beside a collapsed halo meet the massive halos behind it elsewhere than interpolation has it."""
    scene = random_scene(300, seed=11)
    for plane, x, y in ((2, 0.5, 0.4), (3, -0.6, 0.5), (4, 0.5, -0.6), (6, -0.5, -0.55)):
        scene = with_halo(scene, 1e10, x, y, plane=plane, concentration=8.0)
    for slot, (x, y) in enumerate(((0.43, 0.31), (-0.52, 0.38), (0.41, -0.47), (-0.37, -0.61)), start=1):
        scene = with_halo(scene, 1e8, x, y, plane=0, collapse=0.02, slot=slot)
    assert_accurate(scene)


def test_a_massive_halo_close_behind_the_lens():
    assert_accurate(with_halo(random_scene(seed=3), 3e10, 0.1, 0.05, plane=5, concentration=8.0))
