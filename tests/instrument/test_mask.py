"""Masks: regions, arrays, files."""

import numpy as np
import pytest
from astropy.io import fits

from lensax.instrument import Grid, Mask

GRID = Grid((9, 11), 0.1)


def test_regions_hold_the_pixels_whose_centres_lie_in_them():
    x, y = (np.asarray(axis) for axis in GRID.pixel_centers())
    for center in ((0.0, 0.0), (0.12, -0.07)):
        radius = np.hypot(x - center[0], y - center[1])
        np.testing.assert_array_equal(Mask.circular(0.33, center).pixels(GRID), radius < 0.33)
        ring = Mask.annulus(0.15, 0.37, center).pixels(GRID)
        np.testing.assert_array_equal(ring, (radius > 0.15) & (radius < 0.37))


def test_a_centre_on_the_radius_is_used():
    for radius in (0.1, 0.2, 0.3):
        column = round(5 + radius / 0.1)
        assert Mask.circular(radius).pixels(GRID)[4, column]
        assert Mask.annulus(radius, 0.4).pixels(GRID)[4, column]


def test_masks_from_arrays_and_files(tmp_path):
    used = np.random.default_rng(0).random((9, 11)) > 0.5
    path = tmp_path / "mask.fits"
    fits.PrimaryHDU(used.astype(np.int16) * 3).writeto(path)
    for mask in (Mask.from_array(used), Mask.from_array(used.astype(float)), Mask.from_fits(path)):
        np.testing.assert_array_equal(mask.pixels(GRID), used)
    with pytest.raises(ValueError, match=r"mask of shape \(9, 11\) does not fit an image of shape \(11, 9\)"):
        Mask.from_fits(path).pixels(Grid((11, 9), 0.1))


def test_masks_are_combined():
    ring, companion = Mask.annulus(0.1, 0.4), Mask.circular(0.15, (0.3, 0.0))
    both = (ring & ~companion).pixels(GRID)
    np.testing.assert_array_equal(both, ring.pixels(GRID) & ~companion.pixels(GRID))
    assert 0 < both.sum() < ring.pixels(GRID).sum()
    with pytest.raises(TypeError, match="unsupported operand"):
        ring & 3


def test_a_threshold_finds_the_pixels_above_it_and_those_around_them():
    data, noise = np.zeros((9, 11)), np.full((9, 11), 0.5)
    data[4, 5], data[0, 0] = 2.0, 1.4
    used = Mask.threshold(data, noise, level=3.0, smoothing=0, grow=1).pixels(GRID)
    cross = np.zeros((9, 11), bool)
    cross[3:6, 5], cross[4, 4:7] = True, True
    np.testing.assert_array_equal(used, cross)
    np.testing.assert_array_equal(Mask.threshold(data, noise, 3.0, 0, 0).pixels(GRID), data == 2.0)
    assert Mask.threshold(data, noise, 2.5, 0, 0).pixels(GRID)[0, 0]


def test_small_islands_and_unknown_pixels_are_left_out():
    data, noise = np.zeros((9, 11)), np.ones((9, 11))
    data[4, 4:8], data[1, 1] = 10.0, 10.0
    data[4, 5], noise[4, 6], noise[5, 4] = np.nan, 0.0, np.inf
    used = Mask.threshold(data, noise, 5.0, 0, 1, smallest=1).pixels(GRID)
    assert used[1, 1]
    assert not used[4, 5]
    assert not used[4, 6]
    assert not used[5, 4]
    data[4, 8] = 10.0
    assert not Mask.threshold(data, noise, 5.0, 0, 1, smallest=2).pixels(GRID)[1, 1]


def test_the_signal_to_noise_of_a_smoothed_image_is_that_of_many_draws():
    random = np.random.default_rng(3)
    noise = random.uniform(0.5, 2.0, GRID.shape)
    drawn = [
        Mask.threshold(random.normal(0, noise), noise, smoothing=1.3).signal_to_noise() for _ in range(2000)
    ]  # of nothing but noise: unit variance in every pixel, also at the edges
    np.testing.assert_allclose(np.std(drawn, axis=0), 1.0, atol=0.09)
    np.testing.assert_allclose(np.mean(drawn, axis=0), 0.0, atol=0.12)


def test_thresholds_that_leave_nothing_and_images_that_do_not_fit():
    data = np.random.default_rng(1).normal(1.0, 1.0, GRID.shape)
    used = Mask.threshold(data, np.ones(GRID.shape), 2.0).pixels(GRID)
    np.testing.assert_array_equal(Mask.threshold(data.tolist(), np.ones(GRID.shape), 2).pixels(GRID), used)
    with pytest.raises(ValueError, match=r"mask of shape \(9, 11\) does not fit an image of shape \(11, 9\)"):
        Mask.threshold(data, np.ones(GRID.shape)).pixels(Grid((11, 9), 0.1))
    with pytest.raises(ValueError, match="exceed the level 50, the brightest pixel has"):
        Mask.threshold(data, np.ones(GRID.shape), 50.0).pixels(GRID)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mask.circular(0.0), "inner 0.0 and outer 0.0"),
        (lambda: Mask.annulus(1.0, 0.5), "inner 1.0 and outer 0.5"),
        (lambda: Mask.annulus(-0.1, 0.5), "inner -0.1"),
        (lambda: Mask.circular(float("nan")), "outer nan"),
        (lambda: Mask.circular(1.0, (0.0, float("nan"))), "center of a mask"),
        (lambda: Mask.threshold(np.ones(4), np.ones(4)), "data of a threshold mask must be a two-dimensional image"),
        (lambda: Mask.threshold(np.ones((2, 3)), np.ones((3, 2))), r"data \(2, 3\) and a noise map \(3, 2\)"),
        (lambda: Mask.threshold(np.ones((2, 2)), np.ones((2, 2)), -1.0), "level of a threshold mask .* got -1.0"),
        (lambda: Mask.threshold(np.ones((2, 2)), np.ones((2, 2)), 1, np.nan), "smoothing .* got nan"),
        (lambda: Mask.from_array(np.ones(4)), r"of shape \(4,\)"),
        (lambda: Mask.from_array(np.array([["a"]])), "two-dimensional array of True and False"),
        (lambda: Mask.from_array(np.array([[1.0, np.nan]])), "got nan at row 0, column 1"),
    ],
)
def test_bad_masks_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
