"""Reading a campaign: rows, slices, parameters."""

import astropy.units as u
import numpy as np
import pytest

from lensax.campaign import Campaign


@pytest.fixture(scope="module")
def campaign(original):
    return Campaign(original)


@pytest.mark.parametrize(
    "rows",
    [
        0, 19, -1, -20, np.int64(4), slice(None), slice(3, 9), slice(-5, None), slice(1, 20, 3), slice(9, 3, -2),
        slice(5, 5), [4, 1, 1, -1], np.arange(20) % 2 == 0, np.array([], int),
    ],
)  # fmt: skip
def test_rows_are_those_of_numpy(campaign, rows):
    whole = campaign.noisy[:]
    assert np.array_equal(campaign[rows], whole[rows])


@pytest.mark.parametrize("row", [20, -21, 10**6])
def test_rows_that_do_not_exist(campaign, row):
    with pytest.raises(IndexError, match=f"row {row} is not among the 20 rows"):
        campaign[row]


def test_a_campaign_ends(campaign):
    assert len(campaign) == 20
    assert sum(1 for _ in campaign) == 20


def test_parameters(campaign):
    assert set(campaign.theta) == {"lens.mass.PowerLaw.einstein_radius", "blob.center_x"}
    assert campaign.names == tuple(campaign.theta)
    assert np.array_equal(campaign.theta_matrix[:, 1], campaign.theta["blob.center_x"])
    table = campaign.table()
    assert len(table) == 20
    assert table["blob.center_x"].unit == u.arcsec
    assert list(table["row"]) == list(range(20))


def test_what_it_says(campaign):
    assert repr(campaign).endswith("rows=20, made=20, keep=('noiseless', 'noisy'))")
    assert campaign.good.all()
    assert campaign.attributes["seed"] == 1
    assert campaign.configuration.startswith("lens:")
    with pytest.raises(KeyError, match="keeps no 'nosy', it has error_estimate, halos_per_plane, key"):
        campaign.array("nosy")
