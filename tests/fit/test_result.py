"""What a fit leaves: images with critical curves, tables, folders."""

import json
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

import lensax as lx
from lensax.fit.folder import FitFolder, FitRefused
from lensax.fit.images import fit_images
from lensax.fit.result import report_numbers, write_draws, write_images, write_report, write_table
from lensax.fit.run import Found
from lensax.fit.summary import summary_table
from lensax.instrument.fits import read_sky
from lensax.inversion import CorrelatedNoise
from lensax.parameters import Constant, Expression, Free, Parameters


@pytest.fixture(scope="module")
def images():
    """An isothermal sphere of 0.7 arcsec off the centre, with a Gaussian source."""
    shape = (30, 34)
    random = np.random.default_rng(0)
    dataset = lx.Imaging(random.normal(0, 1, shape), np.ones(shape), None, 0.1, lx.Mask.circular(1.2))
    used = np.asarray(dataset.mask)

    def source_image(shape, extent, deviation=False):
        left, right, bottom, top = extent
        x = left + (np.arange(shape[1]) + 0.5) * (right - left) / shape[1]
        y = bottom + (np.arange(shape[0]) + 0.5) * (top - bottom) / shape[0]
        if deviation:
            return jnp.full(shape, 0.1)
        return jnp.asarray(np.exp(-((x[None, :] - 0.3) ** 2 + (y[:, None] + 0.1) ** 2) / 0.02))

    solution = SimpleNamespace(
        source_light=np.where(used, 0.5, 0.0),
        light_image=np.where(used, 0.25, 0.0),
        normalized_residual=np.where(used, np.asarray(dataset.data) - 0.75, 0.0),
        extent=(-0.5, 0.9, -0.6, 0.4),
        source_image=source_image,
        chi_squared=jnp.asarray(400.0),
        log_evidence=jnp.asarray(-3.0),
        n_effective=jnp.asarray(7.0),
    )
    return fit_images(dataset, (lx.mass.PowerLaw(0.7, 2.0, 0.0, 0.0, 0.2, -0.1),), solution)


def test_the_critical_curve_of_a_sphere_is_its_einstein_ring_and_its_caustic_a_point(images):
    (ring,) = [curve for curve in images.critical_curves if np.ptp(curve[0]) > 0.5]
    np.testing.assert_allclose(np.hypot(ring[0] - 0.2, ring[1] + 0.1), 0.7, atol=0.01)
    folds = [c for curve, c in zip(images.critical_curves, images.caustics) if np.ptp(curve[0]) > 0.5]
    assert len(images.caustics) == len(images.critical_curves)
    assert np.hypot(folds[0][0] - 0.2, folds[0][1] + 0.1).max() < 0.01


def test_a_lens_without_critical_curves_has_none():
    dataset = lx.Imaging(np.ones((8, 8)), np.ones((8, 8)), None, 0.1)
    zero = np.zeros((8, 8))
    solution = SimpleNamespace(
        source_light=zero, light_image=zero, normalized_residual=zero, extent=(0, 1, 0, 1), chi_squared=1.0,
        log_evidence=1.0, n_effective=1.0, source_image=lambda shape, extent, deviation=False: jnp.zeros(shape),
    )  # fmt: skip
    found = fit_images(dataset, lx.mass.ExternalShear(0.1, 0.0), solution)
    assert (found.critical_curves, found.caustics) == ([], [])


def test_images_fit_together(images):
    assert images.model[~images.mask].max() == 0
    np.testing.assert_allclose(images.residual[images.mask], images.data[images.mask] - 0.75)
    assert images.pixel_scale == pytest.approx(0.1)
    assert images.source_pixel_scale == pytest.approx(0.025)
    assert images.source.shape == (40, 56)
    height = images.source_extent[3] - images.source_extent[2]
    assert height / images.source.shape[0] == pytest.approx(images.source_pixel_scale)
    assert images.n_pixels == images.mask.sum()


def test_the_source_is_where_its_header_says(images, tmp_path):
    write_images(images, tmp_path)
    header = fits.getheader(tmp_path / "source.fits")
    row, column = np.unravel_index(fits.getdata(tmp_path / "source.fits").argmax(), images.source.shape)
    at = [header[f"CRVAL{i}"] + (k + 1 - header[f"CRPIX{i}"]) * header[f"CDELT{i}"] for i, k in ((1, column), (2, row))]
    np.testing.assert_allclose(at, [0.3, -0.1], atol=0.02)
    assert fits.getdata(tmp_path / "mask.fits").sum() == images.n_pixels
    assert not list(tmp_path.glob(".*"))  # no drafts are left


def test_images_are_where_the_data_are_on_the_sky(images, tmp_path):
    """Rotated and off the middle; the source plane is nowhere on the sky."""
    written = WCS(naxis=2)
    written.wcs.ctype, written.wcs.crval, written.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.1, 2.2], [10.0, 12.0]
    written.wcs.cd = 0.1 / 3600 * np.array([[-0.8, 0.6], [0.6, 0.8]])
    header = written.to_header()
    header["HISTORY"] = "drizzled"
    fits.PrimaryHDU(np.asarray(images.data), header).writeto(tmp_path / "sky.fits")
    fits.PrimaryHDU(np.asarray(images.data)).writeto(tmp_path / "nowhere.fits")
    assert read_sky(tmp_path / "nowhere.fits") == {}
    write_images(images, tmp_path, read_sky(tmp_path / "sky.fits"))
    header = fits.getheader(tmp_path / "model.fits")
    pixels = [[0.0, 0.0], [20.0, 5.0]]
    np.testing.assert_allclose(WCS(header).wcs_pix2world(pixels, 0), written.wcs_pix2world(pixels, 0), rtol=1e-12)
    assert (header["CTYPE1A"], header["CUNIT1A"], header["CRPIX1A"]) == ("X", "arcsec", 17.5)
    assert "RA---TAN" not in fits.getheader(tmp_path / "source.fits").values()


@pytest.fixture(scope="module")
def parameters():
    from numpyro.distributions import Normal

    return Parameters(
        {
            "lens.mass.PowerLaw.einstein_radius": Free("lens.mass.PowerLaw.einstein_radius", Normal(1.0, 0.1)),
            "lens.mass.PowerLaw.slope": Constant(2.0),
            "twice": Expression("2 * lens.mass.PowerLaw.einstein_radius"),
        }
    )


def test_the_summary_is_of_free_and_derived_parameters(parameters, tmp_path):
    name = "lens.mass.PowerLaw.einstein_radius"
    random = np.random.default_rng(1)
    draws = random.normal(1.0, 0.1, (2, 5000))
    rows = summary_table(
        parameters, {name: 1.01}, {name: draws[0]}, {name: draws}, {name: 1.001}, {name: 900.0}, {name: 0.98}
    )
    assert list(rows["parameter"]) == [name, "twice"]
    assert rows["median"][0] == pytest.approx(1.0, abs=0.01)
    assert rows["q84"][1] - rows["q16"][1] == pytest.approx(0.4, abs=0.02)
    assert rows["maximum"][1] == pytest.approx(2.02)
    assert np.ma.is_masked(rows["truth"][1])
    write_table(rows, tmp_path)
    again = Table.read(tmp_path / "summary.ecsv", format="ascii.ecsv")
    assert again.colnames == rows.colnames
    assert again["median"][0] == rows["median"][0]
    text = (tmp_path / "summary.txt").read_text()
    assert name in text
    assert "Normal(loc=1, scale=0.1)" in text
    assert summary_table(parameters, {name: 1.0}).colnames == ["parameter", "unit", "prior", "maximum"]


def test_draws_are_read_back(tmp_path):
    path = write_draws({"a.b": np.arange(6.0).reshape(2, 3)}, np.zeros((2, 3)), tmp_path)
    with np.load(path) as read:
        np.testing.assert_array_equal(read["a.b"], [[0, 1, 2], [3, 4, 5]])
        assert read["log_density"].shape == (2, 3)


@pytest.mark.parametrize("noise", [None, CorrelatedNoise([[0.05, 0.2, 0.1], [0.3, 1.0, 0.3], [0.1, 0.2, 0.05]])])
def test_the_numbers_that_are_not_parameters(images, noise, tmp_path):
    given = lx.Imaging(images.data, images.noise_map, None, 0.1, images.mask)
    fitted = given.with_noise_map(np.where(images.mask, 1.5, 9.0))
    top = SimpleNamespace(log_evidence=-2.0, log_density=-3.0, converged=np.True_)
    first, last = (
        SimpleNamespace(name=name, maximum=top, posterior=SimpleNamespace(dataset=fitted, noise=noise))
        for name in ("first pass", "all")
    )
    about = SimpleNamespace(log_evidence=-9.0, raised=1)
    samples = None if noise is None else SimpleNamespace(divergences=jnp.asarray(2))
    path = write_report(report_numbers(Found([first, last], about, samples, {"all": 1.5}), given, images), tmp_path)
    assert json.loads(path.read_text()) == {
        "log_evidence": -2.0,
        "log_density": -3.0,
        "log_model_evidence": -9.0,
        "chi_squared": 400.0,
        "pixels": images.n_pixels,
        "effective_source_parameters": 7.0,
        "noise_over_given": 1.5,
        "correlation_of_neighbours": 0.0 if noise is None else 0.25,
        "converged": True,
        "directions_held_by_prior": 1,
        "divergences": None if noise is None else 2,
        "seconds": {"all": 1.5},
        "stages": {name: {"log_evidence": -2.0, "log_density": -3.0} for name in ("first pass", "all")},
    }


def test_a_folder_belongs_to_one_fit(tmp_path):
    folder = FitFolder(tmp_path / "fit")
    with folder.open("one", None, "text: 1\n") as seed:
        assert seed == 0
        folder.write("stage.json", {"z": [1.5]})
        with pytest.raises(ValueError, match="is being written by process"), FitFolder(folder.path).open("one", 0, ""):
            pass
    again = FitFolder(tmp_path / "fit")
    assert again.read("stage.json") == {"z": [1.5]}
    assert again.read("other.json") is None
    assert (again.path / "configuration.yaml").read_text() == "text: 1\n"
    with pytest.raises(FitRefused, match="another configuration"), again.open("two", 0, ""):
        pass
    with pytest.raises(FitRefused, match="seed 0, not 1"), again.open("one", 1, ""):
        pass
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    with pytest.raises(FitRefused, match="holds no fit"):
        FitFolder(tmp_path / "full")
    with pytest.raises(FitRefused, match="is a file"):
        FitFolder(tmp_path / "full" / "a")


def test_an_older_layout_is_named(tmp_path):
    with FitFolder(tmp_path).open("one", 3, ""):
        pass
    path = tmp_path / ".lensax" / "fit.json"
    path.write_text(path.read_text().replace('"lensax_fit": 1', '"lensax_fit": 0'))
    with pytest.raises(FitRefused, match="has layout 0, this lensax reads layout 1"):
        FitFolder(tmp_path)
