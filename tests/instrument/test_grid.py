"""The pixel grid: positions, extents, binning, adaptive over-sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensax.instrument import AdaptiveOverSample, Grid


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.01, 1.0), st.integers(1, 5))
def test_positions_follow_the_convention(n_y, n_x, scale, over_sample):
    grid = Grid((n_y, n_x), scale, over_sample)
    x, y = grid.positions()
    fine_scale = scale / over_sample
    columns, rows = np.arange(n_x * over_sample), np.arange(n_y * over_sample)
    expected_x = (columns - (n_x * over_sample - 1) / 2) * fine_scale
    expected_y = (rows - (n_y * over_sample - 1) / 2) * fine_scale
    assert x.shape == y.shape == grid.ray_shape == (rows.size, columns.size)
    assert grid.n_rays == x.size
    np.testing.assert_allclose(x, np.broadcast_to(expected_x, x.shape), rtol=1e-15, atol=1e-16)
    np.testing.assert_allclose(y, np.broadcast_to(expected_y[:, None], y.shape), rtol=1e-15, atol=1e-16)
    np.testing.assert_array_equal(x, -x[:, ::-1])
    x_centers, y_centers = grid.pixel_centers()
    np.testing.assert_allclose(grid.bin(x), x_centers, atol=1e-14)
    np.testing.assert_allclose(grid.bin(y), y_centers, atol=1e-14)


def test_first_row_has_the_smallest_y_and_extent_is_the_outer_edge():
    grid = Grid((4, 6), 0.5, 2)
    x, y = grid.pixel_centers()
    assert float(y[0, 0]) == -0.75
    assert float(y[-1, 0]) == 0.75
    assert float(x[0, 0]) == -1.25
    assert grid.extent == (-1.5, 1.5, -1.0, 1.0)


def test_float32_positions_are_the_rounded_float64_ones():
    for over_sample in (3, AdaptiveOverSample((0.2,), (3, 2))):
        grid = Grid((7, 11), 0.05, over_sample)
        for single, double in zip(grid.positions(jnp.float32), grid.positions(jnp.float64)):
            assert single.dtype == jnp.float32
            np.testing.assert_array_equal(single, np.asarray(double).astype(np.float32))


def test_bin_to_samples_and_its_gradient():
    grid = Grid((3, 2), 0.1, 4)
    fine = jax.random.normal(jax.random.key(0), grid.ray_shape)
    np.testing.assert_allclose(grid.bin(fine), np.asarray(fine).reshape(3, 4, 2, 4).mean((1, 3)), rtol=1e-14)
    twice = grid.bin(fine, 2)
    assert twice.shape == (6, 4)
    np.testing.assert_allclose(np.asarray(twice).reshape(3, 2, 2, 2).mean((1, 3)), grid.bin(fine), rtol=1e-13)
    np.testing.assert_array_equal(grid.bin(fine, 4), fine)
    np.testing.assert_allclose(jax.grad(lambda f: grid.bin(f)[1, 1])(fine)[4:8, 4:], 1 / 16, rtol=1e-15)


def test_adaptive_levels_divide_the_pixels_by_radius():
    over_sample = AdaptiveOverSample(radii=(0.3, 0.7), factors=(4, 2, 1), center=(0.1, -0.05))
    grid = Grid((20, 18), 0.1, over_sample)
    assert not grid.uniform
    assert [level.factor for level in grid.levels] == [4, 2, 1]
    x, y = grid.pixel_centers()
    radius = np.hypot(np.asarray(x) - 0.1, np.asarray(y) + 0.05).ravel()
    assert np.array_equal(np.sort(np.concatenate([level.pixels for level in grid.levels])), np.arange(360))
    for level, low, high in zip(grid.levels, (0.0, 0.3, 0.7), (0.3, 0.7, np.inf)):
        assert np.all((radius[level.pixels] >= low) & (radius[level.pixels] < high))
    assert grid.ray_shape == (sum(level.pixels.size * level.factor**2 for level in grid.levels),)


@pytest.mark.parametrize("sampling", [1, 2, 4])
def test_adaptive_bin_is_the_uniform_one_level_by_level(sampling):
    """Every pixel must equal that of the uniform grid with the pixel's own factor."""
    grid = Grid((9, 12), 0.1, AdaptiveOverSample((0.25, 0.5), (8, 4, 2)))

    def brightness(x, y):
        return jnp.exp(-2.0 * x) + 0.3 * y + x * y

    image = np.asarray(grid.bin(brightness(*grid.positions()), sampling)).reshape(9, sampling, 12, sampling)
    for level in grid.levels:
        alone = Grid((9, 12), 0.1, level.factor)
        samples = min(level.factor, sampling)
        expected = np.asarray(alone.bin(brightness(*alone.positions()), samples))
        expected = np.kron(expected, np.ones((sampling // samples,) * 2)).reshape(9, sampling, 12, sampling)
        rows, columns = np.divmod(level.pixels, 12)
        np.testing.assert_allclose(image[rows, :, columns], expected[rows, :, columns], rtol=1e-13)


def test_adaptive_with_one_level_equals_uniform():
    adaptive, uniform = Grid((5, 4), 0.1, AdaptiveOverSample((), (3,))), Grid((5, 4), 0.1, 3)
    value, expected = (grid.bin(jnp.sin(grid.positions()[0] + 2 * grid.positions()[1])) for grid in (adaptive, uniform))
    np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_padded_grid_keeps_the_positions_of_the_frame():
    for over_sample in (2, AdaptiveOverSample((0.2,), (2, 1))):
        grid = Grid((5, 6), 0.1, over_sample)
        padded = grid.padded((2, 3))
        assert padded.shape == (9, 12)
        for outer, inner in zip(padded.pixel_centers(), grid.pixel_centers()):
            np.testing.assert_allclose(outer[2:-2, 3:-3], inner, rtol=1e-14)


def test_grid_is_static():
    grid = Grid((5, 6), 0.1, AdaptiveOverSample((0.2,), (2, 1)))
    assert jax.tree.leaves(grid) == []
    assert hash(grid) == hash(Grid((5, 6), 0.1, AdaptiveOverSample((0.2,), (2, 1))))


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: Grid((0, 3), 0.1), "got 0"),
        (lambda: Grid((3,), 0.1), r"got \(3,\)"),
        (lambda: Grid((3, 2.5), 0.1), "got 2.5"),
        (lambda: Grid(7, 0.1), "got 7"),
        (lambda: Grid((3, 3), 0.0), "got 0.0"),
        (lambda: Grid((3, 3), float("nan")), "got nan"),
        (lambda: Grid((3, 3), "wide"), "got 'wide'"),
        (lambda: Grid((3, 3), 0.1, 0), "got 0"),
        (lambda: Grid((3, 3), 0.1, 1.5), "got 1.5"),
        (lambda: AdaptiveOverSample((1.0,), (2,)), "1 radii and 1 factors"),
        (lambda: AdaptiveOverSample((1.0, 0.5), (4, 2, 1)), r"got \(1.0, 0.5\)"),
        (lambda: AdaptiveOverSample((1.0,), (2, 0)), "got 0"),
        (lambda: AdaptiveOverSample((1.0,), (2, 1), (0.0,)), r"got \(0.0,\)"),
        (lambda: Grid((3, 3), 0.1, 3).bin(jnp.ones((9, 9)), 2), "over_sample 3 and sampling 2"),
        (lambda: Grid((3, 3), 0.1, AdaptiveOverSample((0.1,), (4, 3))).check_sampling(2), "factor 3 and sampling 2"),
        (lambda: Grid((3, 3), 0.1, 3).bin(jnp.ones((9, 3))), r"shape \(9, 9\), got \(9, 3\)"),
    ],
)
def test_bad_input_is_named(make, found):
    with pytest.raises(ValueError, match=found):
        make()
