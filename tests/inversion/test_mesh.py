"""Meshes and their splines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax.inversion import AdaptiveMesh, UniformMesh
from lensax.inversion.bspline import cubic_integrals, spline_weights

RANDOM = np.random.default_rng(3)
X, Y = jnp.asarray(RANDOM.normal(0, 0.3, (50, 4))), jnp.asarray(RANDOM.normal(0.2, 0.1, (50, 4)))
PIXELS = jnp.asarray(np.argwhere(np.ones((5, 10), bool)), jnp.int32)
MESHES = {
    "adaptive": AdaptiveMesh((7, 9)),
    "adaptive bilinear": AdaptiveMesh((7, 9), degree=1),
    "adaptive cubic": AdaptiveMesh((7, 9), degree=3),
    "bright": AdaptiveMesh((7, 9), brightness=RANDOM.uniform(0, 1, (5, 10))),
    "uniform": UniformMesh((7, 9)),
    "fixed": UniformMesh((7, 9), (-1.5, 1.5, -1.0, 1.0)),
}
each_mesh = pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES.keys())


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_splines_are_smooth_to_their_degree(degree):
    from scipy.interpolate import BSpline

    z = np.linspace(3.0, 5.0, 101)
    first, weights = spline_weights(jnp.asarray(z), degree)
    for center in range(1, 8):
        knots = center + np.arange(degree + 2) - (degree + 1) / 2
        expected = np.nan_to_num(BSpline.basis_element(knots, extrapolate=False)(z))
        mine = sum(np.where(first + i == center, weights[:, i], 0.0) for i in range(degree + 1))
        np.testing.assert_allclose(mine, expected, atol=2e-8)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-15)


def test_cubic_integrals_are_integrals():
    t = jnp.linspace(0.0, 1.0, 5)
    slope = jnp.stack(jax.vmap(jax.jacfwd(cubic_integrals))(t), -1)
    np.testing.assert_allclose(slope, spline_weights(jnp.clip(t, 0, 1 - 1e-6), 3)[1], atol=1e-5)
    np.testing.assert_allclose(cubic_integrals(jnp.asarray(1.0))[1:], cubic_integrals(jnp.asarray(0.0))[:3])


@each_mesh
def test_rays_inside_see_weights_that_sum_to_one(mesh):
    placed = mesh.place(X, Y, PIXELS)
    taps = placed.taps(X, Y)
    outside = np.asarray(taps.index() == placed.n_cells)
    assert np.abs(np.asarray(taps.weights())[outside]).max(initial=0.0) < 1e-14
    np.testing.assert_allclose(taps.weights().sum(-1), 1, rtol=1e-13)
    coefficients = jnp.asarray(RANDOM.normal(size=63))
    by_hand = jnp.sum(taps.weights() * jnp.pad(coefficients, (0, 1))[taps.index()], -1)
    np.testing.assert_allclose(placed.evaluate(coefficients, X, Y), by_hand, rtol=1e-12)


@each_mesh
def test_far_away_there_is_no_source(mesh):
    placed = mesh.place(X, Y, PIXELS)
    far = jnp.asarray([[1e3, -1e3]])
    assert np.all(placed.evaluate(jnp.ones(63), far, far) == 0)
    assert np.all(placed.taps(far, far).index()[placed.taps(far, far).weights() > 0] == 63)


@each_mesh
def test_centers_have_their_own_coordinates(mesh):
    placed = mesh.place(X, Y, PIXELS)
    x, y = placed.centers()
    z_x, z_y = placed.coordinates(x, y)
    grid_y, grid_x = np.divmod(np.arange(63), 9)
    inner = (grid_x > 0) & (grid_x < 8) & (grid_y > 0) & (grid_y < 6)
    np.testing.assert_allclose(z_x[inner], grid_x[inner], atol=1e-9)
    np.testing.assert_allclose(z_y[inner], grid_y[inner], atol=1e-9)
    assert np.all(np.diff(np.asarray(x).reshape(7, 9), axis=1) > 0)


def test_cells_follow_rays_and_brightness():
    spread = jnp.linspace(-1, 1, 200).reshape(50, 4) ** 3
    density, uniform = (m((9, 9)).place(spread, spread, PIXELS) for m in (AdaptiveMesh, UniformMesh))
    at_zero = [jnp.diff(p.centers()[0][:9])[4] for p in (density, uniform)]
    assert at_zero[0] < 0.7 * at_zero[1]
    image = np.zeros((5, 10))
    image[4, 8:] = 1  # the last pixels: rays near +1
    bright = AdaptiveMesh((9, 9), brightness=image).place(spread, spread, PIXELS)
    assert bright.along_x(jnp.asarray(0.5)) < density.along_x(jnp.asarray(0.5)) - 0.2


def test_halves_of_a_symmetric_model_are_consistent_when_compiled():
    """Positions exactly between two cells have one cell in every program, whatever the compiler does."""
    x = jnp.concatenate([jnp.linspace(-1, 1, 101), -jnp.linspace(-1, 1, 101)]).reshape(-1, 1)

    def taps(x, what):
        placed = AdaptiveMesh((8, 8)).place(x, x, PIXELS)
        return what(placed, placed.taps(x, x))

    choices = (lambda m, t: t.along_x, lambda m, t: (m, t), lambda m, t: t.evaluate(jnp.arange(64.0) % 7))
    for what in choices:
        compiled, plain = jax.jit(lambda x, what=what: taps(x, what))(x), taps(x, what)
        for a, b in zip(jax.tree.leaves(compiled), jax.tree.leaves(plain)):
            np.testing.assert_allclose(a, b, atol=1e-11)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformMesh((3, 9)), r"shape must be at least 4 cells .* degree 2, got \(3, 9\)"),
        (lambda: UniformMesh((9, 9), degree=4), r"degree of a mesh must be 1 .*, got 4"),
        (lambda: UniformMesh((9, 9), (1, 0, 0, 1)), r"extent must be \(left, right, bottom, top\)"),
        (lambda: UniformMesh((9, 9.5)), r"shape\[1\] of a mesh"),
        (lambda: AdaptiveMesh((9, 9), floor=0.0), "floor must be between 0 and 1, got 0.0"),
        (lambda: AdaptiveMesh((9, 9), brightness=np.zeros((3, 3))), "positive somewhere"),
    ],
)
def test_bad_meshes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
