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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mask.circular(0.0), "inner 0.0 and outer 0.0"),
        (lambda: Mask.annulus(1.0, 0.5), "inner 1.0 and outer 0.5"),
        (lambda: Mask.annulus(-0.1, 0.5), "inner -0.1"),
        (lambda: Mask.circular(float("nan")), "outer nan"),
        (lambda: Mask.circular(1.0, (0.0, float("nan"))), "center of a mask"),
        (lambda: Mask.from_array(np.ones(4)), r"of shape \(4,\)"),
        (lambda: Mask.from_array(np.array([["a"]])), "two-dimensional array of True and False"),
        (lambda: Mask.from_array(np.array([[1.0, np.nan]])), "got nan at row 0, column 1"),
    ],
)
def test_bad_masks_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
