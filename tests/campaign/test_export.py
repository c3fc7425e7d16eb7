"""Rows in the formats of other programs."""

import h5py
import jax
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from stores import NAMES, TEXT, make_store, row_values

import lensax as lx
from lensax.campaign import Campaign, CampaignRefused


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Campaign(make_store(tmp_path_factory.mktemp("rows") / "store", 50, 16))


def test_hdf5_is_what_lampe_reads(campaign, tmp_path):
    done = []
    path = campaign.to_hdf5(tmp_path / "rows.h5", progress=done.append)
    theta, _, noisy = row_values(np.arange(50))
    with h5py.File(path) as file:
        assert np.array_equal(file["theta"], theta)
        assert np.array_equal(file["x"], noisy)
        assert (file["theta"].dtype, file["x"].dtype) == (np.float32, np.float32)
        assert tuple(file["theta"].attrs["parameters"]) == NAMES
        assert tuple(file["theta"].attrs["units"]) == ("arcsec", "arcsec")
        assert file["configuration"][()].decode() == TEXT
        assert file.attrs["seed"] == 1
        assert np.array_equal(file["row"], np.arange(50))
    assert done == [16, 16, 16, 2]
    assert [found.name for found in tmp_path.iterdir()] == ["rows.h5"]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        campaign.to_hdf5(path)
    train, validation, _ = campaign.split(0.5, 0.5, 0.0)
    for part in (train, validation):
        with h5py.File(part.to_hdf5(path, overwrite=True, compression="gzip")) as file:
            assert np.array_equal(file["row"], part.numbers)
            assert np.array_equal(file["x"], noisy[part.numbers])


def test_hdf5_with_fresh_noise_repeats_with_its_seed(campaign, tmp_path):
    images = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        with h5py.File(campaign.to_hdf5(tmp_path / name, noise="fresh", seed=seed)) as file:
            images.append(file["x"][:])
            assert file["x"].attrs["noise"] == "fresh"
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    assert np.std(images[0][20:] - row_values(np.arange(20, 50))[1]) > 0.3


def test_a_configuration_of_any_length_fits(tmp_path):
    text = TEXT + "# " + 100_000 * "x"
    campaign = Campaign(make_store(tmp_path / "store", 4, 4, text=text))
    with h5py.File(campaign.to_hdf5(tmp_path / "rows.h5")) as file:
        assert file["configuration"][()].decode() == text


def test_fits_of_rows(campaign, tmp_path):
    paths = campaign.to_fits([7, 3], tmp_path / "fits")
    assert [path.name for path in paths] == ["row-00000003.fits", "row-00000007.fits"]
    with fits.open(paths[1]) as units:
        assert [unit.name for unit in units[1:]] == ["NOISELESS", "THETA"]
        theta, noiseless, noisy = row_values([7])
        assert np.array_equal(units[0].data, noisy[0])
        assert np.array_equal(units["NOISELESS"].data, noiseless[0])
        header = units[0].header
        assert (header["ROW"], header["SEED"], header["STATUS"], header["CDELT1"]) == (7, 1, 0, 0.1)
        table = Table.read(units["THETA"])
        assert [table[name][0] for name in NAMES] == theta[0].tolist()
    dataset = lx.Imaging.from_fits(data=paths[0], noise_map=tmp_path / "fits" / "row-00000003-noise-map.fits")
    expected = campaign.instrument().noise_map(jax.numpy.asarray(row_values([3])[1][0]))
    np.testing.assert_allclose(dataset.noise_map, expected, rtol=1e-5)
    assert dataset.shape == (6, 7)
    with pytest.raises(FileExistsError):
        campaign.to_fits(3, tmp_path / "fits")
    with pytest.raises(IndexError, match="row 50 is not among the 50 rows"):
        campaign.to_fits([50], tmp_path)


def test_fits_of_flagged_rows_say_so(tmp_path):
    status = np.zeros(8, np.uint8)
    status[2] = 1
    campaign = Campaign(make_store(tmp_path / "store", 8, 4, keep=("noiseless",), status=status, only=[0]))
    (path,) = campaign.to_fits(2, tmp_path)
    with fits.open(path) as units:
        assert units[0].header["STATUS"] == 1
        assert [unit.name for unit in units[1:]] == ["THETA"]
    with pytest.raises(CampaignRefused, match="1 of the 1 rows asked for are 1 not made"):
        campaign.to_fits(5, tmp_path)
