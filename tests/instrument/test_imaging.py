"""The dataset: checks, FITS in and out, masks, damaged files."""

import tempfile
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lensax.instrument import Imaging, Mask, psf
from lensax.instrument.fits import SkyError, read_extent, read_image, read_sky, write_image


def dataset(**keywords):
    generator = np.random.default_rng(0)
    values = {
        "data": generator.normal(size=(6, 8)),
        "noise_map": generator.uniform(0.5, 1, (6, 8)),
        "psf": psf.Kernel(generator.random((5, 5)), 1, 0.05),
        "pixel_scale": 0.05,
        "mask": Mask.circular(0.15),
        "exposure_time": generator.uniform(900, 1100, (6, 8)),
        "background_rms": 0.02,
        **keywords,
    }
    return Imaging(**values)


def read_back(paths, **keywords):
    names = {name: path for name, path in paths.items() if name != "mask"}
    return Imaging.from_fits(**names, mask=paths["mask"], **keywords)


def test_a_dataset_and_its_grid():
    image = dataset()
    assert image.shape == (6, 8)
    assert image.grid.shape == (6, 8)
    assert image.grid.pixel_scale == 0.05
    np.testing.assert_array_equal(image.mask, Mask.circular(0.15).pixels(image.grid))
    assert image.n_pixels == int(np.asarray(image.mask).sum())
    assert dataset(mask=None).n_pixels == 48


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_round_trip(tmp_path, dtype):
    image = dataset()
    image = Imaging(
        image.data.astype(dtype),
        image.noise_map.astype(dtype),
        image.psf,
        0.05,
        image.mask,
        image.exposure_time.astype(dtype),
        image.background_rms,
    )
    again = read_back(image.to_fits(tmp_path / "new" / "folder"))
    for name in ("data", "noise_map", "mask", "exposure_time", "background_rms"):
        np.testing.assert_array_equal(getattr(again, name), getattr(image, name))
    np.testing.assert_allclose(again.psf.array, image.psf.array, rtol=1e-15)
    assert again.psf.sample_scale == 0.05
    assert again.pixel_scale == 0.05


@settings(deadline=None, max_examples=15)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-1e30, 1e30)),
    st.floats(1e-3, 10),
    st.one_of(st.none(), st.floats(1e-3, 1e7)),
    st.one_of(st.none(), st.integers(1, 5)),
)
def test_any_dataset_survives_a_round_trip(values, scale, time, sampling):
    kernel = None if sampling is None else psf.Kernel(np.ones((3, 5)), sampling)
    image = Imaging(values, np.abs(values) + 1, kernel, scale, exposure_time=time)
    with tempfile.TemporaryDirectory() as folder:
        again = read_back(image.to_fits(folder), psf_sampling=sampling or 1)
    np.testing.assert_array_equal(again.data, image.data)
    np.testing.assert_array_equal(again.noise_map, image.noise_map)
    # A card of a FITS header holds 16 significant digits.
    assert again.pixel_scale == pytest.approx(scale, rel=1e-15)
    assert (again.exposure_time is None) == (time is None)
    assert time is None or float(again.exposure_time) == pytest.approx(time, rel=1e-15)
    assert (again.psf is None) == (sampling is None)
    if sampling is not None:
        assert again.psf.sampling == sampling
        assert again.psf.sample_scale == pytest.approx(scale / sampling)


def test_headers_carry_unit_scale_and_coordinates(tmp_path):
    paths = dataset().to_fits(tmp_path)
    header = fits.getheader(paths["data"])
    assert header["BUNIT"] == "electron / s"
    assert header["PIXSCALE"] == 0.05
    assert header["BKGRMS"] == 0.02
    image = dataset()
    x, y = image.grid.pixel_centers()
    coordinates = WCS(header).pixel_to_world_values(*np.meshgrid(np.arange(8), np.arange(6)))
    np.testing.assert_allclose(coordinates[0], x, atol=1e-15)
    np.testing.assert_allclose(coordinates[1], y, atol=1e-15)
    assert fits.getheader(paths["psf"])["OVERSAMP"] == 1
    assert fits.getheader(paths["exposure_time"])["BUNIT"] == "s"


def test_nothing_is_replaced_silently(tmp_path):
    first = dataset()
    paths = first.to_fits(tmp_path)
    paths["data"].unlink()
    before = {name: path.read_bytes() for name, path in paths.items() if path.exists()}
    with pytest.raises(FileExistsError, match=r"noise_map.fits.*overwrite=True"):
        dataset(data=np.zeros((6, 8))).to_fits(tmp_path)
    assert not paths["data"].exists()
    assert all(paths[name].read_bytes() == content for name, content in before.items())
    dataset(data=np.zeros((6, 8))).to_fits(tmp_path, overwrite=True)
    assert not fits.getdata(paths["data"]).any()


def test_with_mask_replaces_the_mask_alone():
    image = dataset()
    other = image.with_mask(Mask.annulus(0.05, 0.2))
    np.testing.assert_array_equal(other.mask, Mask.annulus(0.05, 0.2).pixels(image.grid))
    np.testing.assert_array_equal(other.data, image.data)
    assert other.psf.sample_scale == image.psf.sample_scale
    np.testing.assert_array_equal(image.with_mask(np.ones((6, 8), bool)).mask, np.ones((6, 8)))


def test_with_noise_map_replaces_the_noise_alone():
    image = dataset()
    other = image.with_noise_map(2 * image.noise_map)
    np.testing.assert_array_equal(other.noise_map, 2 * image.noise_map)
    assert eqx.tree_equal(other.with_noise_map(image.noise_map), image)
    with pytest.raises(ValueError, match=r"noise_map has shape \(2, 2\), the data \(6, 8\)"):
        image.with_noise_map(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"noise_map must be positive and finite.*got -1.0 at row 2, column 3"):
        image.with_noise_map(changed(-1.0))


def test_with_psf_replaces_the_psf_alone():
    image = dataset()
    assert image.with_psf(None).psf is None
    assert image.with_psf(psf.Gaussian(0.1, size=3)).psf.shape == (3, 3)
    assert eqx.tree_equal(image.with_psf(None).with_psf(image.psf), image)
    with pytest.raises(ValueError, match=r"samples of 0.04 arcsec, but the instrument's pixel_scale 0.05"):
        image.with_psf(psf.Kernel(np.ones((3, 3)), 1, 0.04))
    with pytest.raises(TypeError, match="psf must be a point spread function"):
        image.with_psf(np.ones((3, 3)))


def test_a_map_of_the_background_goes_to_files_and_back(tmp_path):
    levels = np.random.default_rng(1).uniform(0.01, 0.02, (6, 8))
    paths = dataset(background_rms=levels).to_fits(tmp_path)
    np.testing.assert_array_equal(read_back(paths).background_rms, levels)
    assert "BKGRMS" not in fits.getheader(paths["data"])
    rewrite(paths["background_rms"], BUNIT="adu")
    with pytest.raises(
        ValueError, match=r"background_rms.fits: header keyword BUNIT must be 'electron / s', got 'adu'"
    ):
        read_back(paths)


def changed(value, row=2, column=3):
    image = np.ones((6, 8))
    image[row, column] = value
    return image


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"data": np.ones(5)}, r"data must be a two-dimensional image, got shape \(5,\)"),
        ({"data": np.ones((0, 4))}, r"got shape \(0, 4\)"),
        ({"data": changed(np.nan)}, "data must be finite in the pixels that are used, got nan at row 2, column 3"),
        ({"noise_map": changed(0.0)}, "noise_map must be positive and finite.*got 0.0 at row 2, column 3; a mask"),
        ({"noise_map": changed(np.inf)}, "noise_map must be positive and finite.*got inf"),
        ({"noise_map": np.ones((8, 6))}, r"noise_map has shape \(8, 6\), the data \(6, 8\)"),
        ({"exposure_time": np.ones((8, 6))}, r"exposure_time has shape \(8, 6\), the data \(6, 8\)"),
        ({"exposure_time": -1.0}, "exposure_time must be positive and finite.*got -1.0"),
        ({"background_rms": 0.0}, "background_rms must be positive and finite, got 0.0"),
        ({"background_rms": np.ones((8, 6))}, r"background_rms has shape \(8, 6\), the data \(6, 8\)"),
        ({"background_rms": changed(np.nan)}, "background_rms must be positive and finite.*got nan at row 2, column 3"),
        ({"background_rms": changed(-1.0)}, "background_rms must be positive and finite.*got -1.0 at row 2, column 3"),
        ({"mask": np.zeros((6, 8), bool)}, "the mask leaves no pixel"),
        ({"mask": np.ones((8, 6), bool)}, r"mask of shape \(8, 6\) does not fit an image of shape \(6, 8\)"),
        ({"pixel_scale": 0.0}, "pixel_scale must be a positive number of arcsec, got 0.0"),
        ({"pixel_scale": 0.04}, "samples of 0.05 arcsec, but the instrument's pixel_scale 0.04"),
    ],
)
def test_bad_datasets_are_named(keywords, message):
    with pytest.raises(ValueError, match=message):
        dataset(**keywords)


def test_what_is_no_psf_is_refused():
    with pytest.raises(TypeError, match="psf must be a point spread function"):
        dataset(psf=np.ones((3, 3)))


def test_masked_pixels_may_hold_anything():
    image = dataset(data=changed(np.nan, 0, 0), noise_map=changed(0.0, 5, 7), background_rms=changed(np.nan, 0, 7))
    assert np.isnan(image.data[0, 0])
    with pytest.raises(ValueError, match="got nan at row 0, column 0"):
        image.with_mask(np.ones((6, 8), bool))


@pytest.fixture
def files(tmp_path):
    paths = dataset().to_fits(tmp_path)
    return {name: paths[name] for name in ("data", "noise_map", "psf", "exposure_time")}


def rewrite(path, array=None, **keywords):
    with fits.open(path) as units:
        values, header = units[0].data if array is None else array, units[0].header
        header.update(keywords)
    fits.PrimaryHDU(values, header).writeto(path, overwrite=True)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({"BUNIT": "adu"}, {}, "data.fits: header keyword BUNIT must be 'electron / s', got 'adu'"),
        ({}, {"pixel_scale": 0.04}, "data.fits: header keyword PIXSCALE is 0.05 arcsec, but pixel_scale is 0.04"),
        ({"array": changed(np.nan)}, {}, "data.fits: Imaging: data must be finite.*got nan at row 2, column 3"),
        ({"array": np.ones((3, 6, 8))}, {}, r"data.fits: expected a two-dimensional image, got shape \(3, 6, 8\)"),
        ({"PIXSCALE": -1.0}, {}, "data.fits: header keyword PIXSCALE must be a positive number, got -1.0"),
        ({}, {"psf_sampling": 2}, "psf.fits: header keyword OVERSAMP says 1 samples per pixel, but sampling is 2"),
    ],
)
def test_bad_files_are_named(files, change, keywords, message):
    rewrite(files["data"], **change)
    with pytest.raises(ValueError, match=message):
        Imaging.from_fits(**files, **keywords)


def test_missing_and_foreign_files_are_named(files, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.fits: no such FITS file"):
        Imaging.from_fits(**{**files, "noise_map": tmp_path / "nothing.fits"})
    text = tmp_path / "notes.fits"
    text.write_text("not an image")
    with pytest.raises(ValueError, match=r"notes.fits: cannot be read as FITS"):
        Imaging.from_fits(**{**files, "data": text})
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "empty.fits")
    with pytest.raises(ValueError, match=r"empty.fits: no extension holds an image"):
        read_image(tmp_path / "empty.fits")
    with pytest.raises(ValueError, match=r"data.fits: cannot be read as FITS"):
        read_image(files["data"], hdu=4)


def test_an_image_in_an_extension_is_found(tmp_path):
    values = np.arange(6.0).reshape(2, 3)
    path = tmp_path / "extension.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(values, name="SCI"), fits.ImageHDU(-values)]).writeto(path)
    np.testing.assert_array_equal(read_image(path)[0], values)
    np.testing.assert_array_equal(read_image(path, "SCI")[0], values)
    np.testing.assert_array_equal(read_image(path, 2)[0], -values)


ON_THE_SKY = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    **{f"{name}{axis}": value for axis in (1, 2) for name, value in (("CRPIX", 3.0), ("CRVAL", 9.0), ("CDELT", 1e-5))},
}


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"}, "Unrecognized projection code (XYZ in CTYPE1)"),
        ({"CTYPE2": "LINEAR"}, "Unmatched celestial axes"),
        ({"CUNIT1": "apples"}, "In CUNIT1"),
        ({"CDELT1": 0.0}, "matrix is singular"),
        ({"A_ORDER": 2, "A_0_2": 1e-5}, "A_ORDER provided without corresponding B_ORDER"),
        ({"A_ORDER": "two", "B_ORDER": 2}, "not supported between instances of 'str' and 'int'"),
        ({"CPDIS1": "LOOKUP"}, "HDUList is required"),
        ({"CPDIS1": 3.0}, "has no attribute 'lower'"),
    ],
)
def test_coordinates_on_the_sky_that_cannot_be_read_are_an_error_of_their_own(tmp_path, keywords, reason):
    path = tmp_path / "sky.fits"
    unit = fits.PrimaryHDU(np.ones((6, 8)))
    unit.header.update(ON_THE_SKY)
    unit.writeto(path)
    assert read_sky(path)["CTYPE1"] == "RA---TAN"
    unit.header.update(keywords)
    unit.writeto(path, overwrite=True)
    with pytest.raises(SkyError, match=r"sky.fits: the coordinates on the sky cannot be read") as caught:
        read_sky(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_fails_for_another_reason_than_the_header_is_no_error_of_the_sky(tmp_path, monkeypatch):
    path = tmp_path / "sky.fits"
    fits.PrimaryHDU(np.ones((6, 8))).writeto(path)

    def breaks(*arguments, **keywords):
        raise RuntimeError("something else")

    monkeypatch.setattr("astropy.wcs.WCS", breaks)
    with pytest.raises(RuntimeError, match="something else"):
        read_sky(path)


def test_edges_are_those_of_the_header(tmp_path):
    path = tmp_path / "source.fits"
    write_image(path, np.ones((4, 6)), {}, 0.05, False, center=(0.2, -0.1))
    image, header = read_image(path)
    np.testing.assert_allclose(read_extent(header, image.shape, path), (0.05, 0.35, -0.2, 0.0), atol=1e-12)
    for change, found in (
        ({"CUNIT1": "deg"}, "CUNIT1 'deg'"),
        ({"CTYPE2": "DEC--TAN"}, "CTYPE2 'DEC--TAN'"),
        ({"CDELT1": -0.05}, "CDELT1 -0.05"),
        ({"CRVAL2": "up"}, "CRVAL2 'up'"),
        ({"CD1_2": 0.01}, "CD1_2 0.01"),
        ({"PC1_1": -1.0}, "PC1_1 -1.0"),
        ({"CRPIX1": None}, "CRPIX1 None"),
    ):
        with pytest.raises(ValueError, match=r"source.fits: expected linear coordinates in arcsec") as caught:
            read_extent({**header, **change}, image.shape, path)
        assert found in str(caught.value)
        assert "give extent instead" in str(caught.value)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_files_are_read_or_refused(data):
    """Cut or overwritten bytes give an image or a ValueError with the file's name, nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.fits"
        fits.PrimaryHDU(np.ones((3, 4), np.float32)).writeto(path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 6))):
            content[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        try:
            outcome = read_image(path)[0].ndim
        except ValueError as error:
            outcome = str(error)
    assert outcome == 2 or "damaged.fits: " in outcome


def test_a_real_dataset(shared):
    folder = shared / "data" / "hst_f390w_ring"
    image = Imaging.from_fits(
        data=folder / "data.fits",
        noise_map=folder / "noise_map.fits",
        psf=folder / "psf.fits",
        pixel_scale=0.04,
        exposure_time=folder / "exposure_time.fits",
    ).with_mask(Mask.annulus(0.4, 2.2))
    assert image.shape == (120, 120)
    assert float(image.background_rms) == pytest.approx(0.001734827645123)
    assert image.psf.shape == (41, 41)
    assert 9000 < image.n_pixels < 9300
    assert float(jnp.max(image.data / image.noise_map)) == pytest.approx(18, abs=0.5)
