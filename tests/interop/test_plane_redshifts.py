"""Redshifts that rounding tells apart share a plane; those that are apart do not; what is no redshift is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensax.interop.plane_redshifts import merged_redshifts, read_redshifts, require_in_front

TOLERANCE = 1e-6
# Around a few redshifts, so that many stand close together.
REDSHIFT = st.builds(
    lambda base, steps: base + steps * 1e-7, st.sampled_from([0.1, 0.3, 0.5, 7.9]), st.integers(-30, 30)
)


@settings(deadline=None)
@given(st.lists(REDSHIFT, max_size=30), REDSHIFT)
def test_planes_are_apart_and_hold_every_row(rows: list[float], lens_redshift: float) -> None:
    redshifts = np.array(rows, float)
    planes, own = merged_redshifts(redshifts, lens_redshift)
    assert lens_redshift in planes
    assert (np.diff(planes) > TOLERANCE).all()
    assert (np.diff(planes.astype(np.float32)) > 0).all()
    assert own.shape == redshifts.shape
    assert np.isin(own, planes).all()
    assert (np.abs(own - redshifts) <= TOLERANCE).all()
    assert set(planes) == {*own, lens_redshift}
    near_the_lens = np.abs(redshifts - lens_redshift) <= TOLERANCE
    np.testing.assert_array_equal(own[near_the_lens], lens_redshift)


@settings(deadline=None)
@given(st.lists(REDSHIFT, max_size=30), REDSHIFT)
def test_merging_twice_changes_nothing(rows: list[float], lens_redshift: float) -> None:
    planes, own = merged_redshifts(np.array(rows, float), lens_redshift)
    again, same = merged_redshifts(own, lens_redshift)
    np.testing.assert_array_equal(again, planes)
    np.testing.assert_array_equal(same, own)


def test_redshifts_that_are_apart_stay_as_they_are() -> None:
    planes, own = merged_redshifts(np.array([0.9, 0.2, 0.500002, 0.9]), 0.5)
    assert planes.tolist() == [0.2, 0.5, 0.500002, 0.9]
    assert own.tolist() == [0.9, 0.2, 0.500002, 0.9]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5], "redshift_array: expected 2 entries as in lens_model_list, found 1"),
        (0.5, "redshift_array: expected 2 entries as in lens_model_list, found 1"),
        ([0.5, "near"], "redshift_array: expected a list of numbers"),
        ([0.5, np.nan], r"redshift_array\[1\] = nan, expected a positive redshift"),
        ([0.0, 0.5], r"redshift_array\[0\] = 0, expected a positive redshift"),
    ],
)
def test_what_is_no_list_of_redshifts_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_redshifts("redshift_array", values, 2)


@pytest.mark.parametrize("behind", [1.5, 1.6, 1.4999999, -0.1, np.nan])
def test_what_is_not_in_front_of_the_source_is_refused(behind: float) -> None:
    with pytest.raises(
        ValueError, match=rf"galaxy 1: redshift = {behind:.9g}, expected above 0 and in front of the so"
    ):
        require_in_front(np.array([0.5, behind]), 1.5, lambda row: f"galaxy {row}")
