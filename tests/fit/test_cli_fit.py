"""`lensax fit` from the configuration to the folder: what it leaves, that it goes on after a kill, what it refuses."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from matplotlib.image import imread
from typer.testing import CliRunner

from lensax.cli import app

RING = """
lens:
  redshift: 0.5
  mass:
    - PowerLaw: {einstein_radius: {Normal: [0.8, 0.02]}, slope: 2.0, e1: 0.1, e2: -0.05}
source:
  redshift: 1.5
  light:
    - Sersic: {intensity: 20.0, effective_radius: 0.15, sersic_index: 1.0, center_x: 0.05, center_y: 0.02}
instrument:
  {shape: [26, 28], pixel_scale: 0.1, over_sample: 2, psf: {Gaussian: {fwhm: 0.15, size: 3, sampling: 1}}, exposure_time: 1000.0, sky_level: 0.1}
tracer: {Direct: {}}
"""  # noqa: E501

FIT = """
data:
  Simulation: {configuration: ring.yaml, seed: 2}
mask: {Annulus: {inner: 0.3, outer: 1.2}}
lens:
  mass:
    - PowerLaw: {einstein_radius: {Normal: [0.8, 0.1]}, slope: 2.0, e1: {Normal: [0.05, 0.1]}, e2: "= -0.5 * lens.mass.PowerLaw.e1"}
source:
  Pixelization:
    mesh: {AdaptiveMesh: {shape: [10, 10]}}
    regularization: {Constant: {strength: {LogUniform: [1.0e-3, 1.0e+2]}}}
    over_sample: 1
maximum: {starts: 1, iterations: 60}
sampling: {chains: 2, warmup: 8, draws: 14, save_every: 4}
"""  # noqa: E501

PICTURES = ("fit", "source", "residual", "maximum", "corner", "trace")
IMAGES = ("data", "noise_map", "mask", "model", "lens_light", "source_light", "residual", "normalized_residual")


def lensax(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two configurations: of a ring, and of its fit."""
    path = tmp_path_factory.mktemp("fit")
    (path / "ring.yaml").write_text(RING)
    (path / "fit.yaml").write_text(FIT)
    return path


@pytest.fixture(scope="module")
def made(folder):
    """The fit, undisturbed: what the command said, and its folder."""
    out = folder / "whole"
    return lensax("fit", folder / "fit.yaml", "--out", out, "--seed", 5), out


@pytest.fixture(scope="module")
def summary(made):
    return Table.read(made[1] / "summary.ecsv", format="ascii.ecsv")


def test_the_command_says_what_it_found(made):
    result, out = made
    assert result.exit_code in (0, 1), result.output  # few draws: the chains may differ, and then it says so
    assert "Traceback" not in result.output
    assert re.search(r"lens\.mass\.PowerLaw\.einstein_radius +0\.[78]", result.stdout)
    assert re.search(r"log evidence \d+\.\d+, chi-squared .* per pixel", result.stdout)
    assert f"results: {out}" in result.stdout.replace("\n", "")
    if result.exit_code == 1:
        assert re.search(r"R-hat|effective draws|diverged", result.stderr)
    assert not jax.config.read("jax_enable_x64") or jax.numpy.zeros(()).dtype == jax.numpy.float64


def test_the_summary_has_every_parameter_with_its_errors(summary):
    assert list(summary["parameter"]) == [
        "lens.mass.PowerLaw.einstein_radius",
        "lens.mass.PowerLaw.e1",
        "lens.mass.PowerLaw.e2",
        "source.Pixelization.regularization.Constant.strength",
    ]
    radius, e1, e2, strength = summary
    assert radius["unit"] == "arcsec"
    assert radius["prior"] == "Normal(loc=0.8, scale=0.1)"
    for row in summary:
        assert row["q025"] < row["q16"] < row["median"] < row["q84"] < row["q975"]
        assert row["laplace_deviation"] > 0
    assert e2["maximum"] == pytest.approx(-0.5 * e1["maximum"])
    assert e2["median"] == pytest.approx(-0.5 * e1["median"])
    assert abs(radius["truth"] - 0.8) < 0.1
    assert abs(radius["median"] - radius["truth"]) < 5 * radius["deviation"] + 0.01
    assert np.ma.is_masked(strength["truth"])
    assert np.ma.is_masked(e2["r_hat"])
    assert 0.9 < radius["r_hat"] < 3


def test_draws_are_those_of_the_summary(made, summary):
    with np.load(made[1] / "samples.npz") as draws:
        assert set(draws.files) == {
            "lens.mass.PowerLaw.einstein_radius",
            "lens.mass.PowerLaw.e1",
            "source.Pixelization.regularization.Constant.strength",
            "log_density",
        }
        assert draws["log_density"].shape == (2, 14)
        radius = draws["lens.mass.PowerLaw.einstein_radius"]
    assert np.median(radius) == pytest.approx(summary["median"][0])
    assert len(np.unique(radius)) > 10


def test_images_have_coordinates_and_units(made):
    shapes = set()
    for name in IMAGES:
        with fits.open(made[1] / f"{name}.fits") as units:
            header, image = units[0].header, units[0].data
        shapes.add(image.shape)
        wcs = WCS(header)
        assert (header["CTYPE1"], header["CUNIT1"], header["PIXSCALE"]) == ("X", "arcsec", 0.1)
        scale = {"arcsec": 1.0, "deg": 3600.0}[str(wcs.wcs.cunit[0])]
        np.testing.assert_allclose(np.array(wcs.wcs_pix2world([[13.5, 12.5]], 0)) * scale, 0.0, atol=1e-9)
        np.testing.assert_allclose(np.array(wcs.wcs_pix2world([[0, 0]], 0)) * scale, [[-1.35, -1.25]], atol=1e-9)
    assert shapes == {(26, 28)}
    read = {name: fits.getdata(made[1] / f"{name}.fits") for name in IMAGES}
    used = read["mask"] > 0
    np.testing.assert_allclose((read["model"] + read["residual"])[used], read["data"][used], rtol=1e-12)
    assert not read["model"][~used].any()
    np.testing.assert_allclose(
        read["normalized_residual"][used], (read["residual"] / read["noise_map"])[used], rtol=1e-8, atol=1e-10
    )
    about = json.loads((made[1] / "fit.json").read_text())
    assert about["chi_squared"] == pytest.approx(float((read["normalized_residual"] ** 2).sum()))
    assert about["pixels"] == used.sum()
    assert about["noise_over_given"] == 1
    assert about["correlation_of_neighbours"] == 0


def test_the_source_has_its_coordinates_and_its_error(made):
    source, header = fits.getdata(made[1] / "source.fits", header=True)
    deviation = fits.getdata(made[1] / "source_deviation.fits")
    assert source.shape == deviation.shape
    assert header["BUNIT"] == "electron / (s arcsec2)"
    row, column = np.unravel_index(source.argmax(), source.shape)
    wcs = WCS(header)
    scale = {"arcsec": 1.0, "deg": 3600.0}[str(wcs.wcs.cunit[0])]
    x, y = np.array(wcs.wcs_pix2world([[column, row]], 0))[0] * scale
    assert np.hypot(x - 0.05, y - 0.02) < 0.15  # where the simulated source is
    assert 0 < deviation[row, column] < source.max()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_drawn(made, name):
    picture = imread(made[1] / f"{name}.png")
    assert min(picture.shape[:2]) > 200
    assert picture[..., :3].std() > 0.02


def test_the_same_command_again_changes_nothing(folder, made):
    files = ("samples.npz", "summary.ecsv", "model.fits", "source.fits")
    before = {name: (made[1] / name).read_bytes() for name in files}
    begin = time.monotonic()
    result = lensax("fit", folder / "fit.yaml", "--out", made[1])
    assert result.exit_code == made[0].exit_code, result.output
    assert {name: (made[1] / name).read_bytes() for name in files} == before
    assert time.monotonic() - begin < 60


@pytest.mark.extended
def test_a_fit_that_broke_off_goes_on_to_the_same_draws(folder, made, monkeypatch):
    from lensax.campaign import files

    out, replace = folder / "broken", os.replace
    written = []

    def dies(draft, path):
        if Path(path).name.startswith("chain"):
            written.append(path)
            if len(written) > 5:  # the draft has been written, the chain is still the one of before
                raise RuntimeError("the machine went away")
        return replace(draft, path)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", dies)
        result = lensax("fit", folder / "fit.yaml", "--out", out, "--seed", 5)
    assert result.exit_code == 1, result.output
    assert "the machine went away" in result.stderr
    assert not (out / "samples.npz").exists()
    early = Table.read(out / "summary.ecsv", format="ascii.ecsv")  # what was known before the sampling
    assert (early["laplace_deviation"] > 0).all()
    assert "median" not in early.colnames
    assert (out / "fit.png").exists()
    result = lensax("fit", folder / "fit.yaml", "--out", out)
    assert result.exit_code == made[0].exit_code, result.output
    with np.load(out / "samples.npz") as resumed, np.load(made[1] / "samples.npz") as undisturbed:
        for name in undisturbed.files:
            np.testing.assert_array_equal(resumed[name], undisturbed[name])


OPEN_SOURCE = """source:
  Pixelization:
    mesh: {SourceBox: {cell: 0.08, margin: 0.1, most: 64}}
    regularization:
      Matern:
        length: {LogNormal: [-1.5, 0.7]}
        amplitude: {BrightnessAmplitude: {deviation: {LogNormal: [1.0, 1.0]}, size: {LogNormal: [0.0, 0.2]}}}
    over_sample: 1
noise: {Estimated: {correlated: false}}
stages: {passes: 2, first_mesh: [8, 8]}
maximum: {starts: 0, iterations: 12}
"""


@pytest.mark.extended
def test_a_fit_in_passes_that_was_interrupted_goes_on_to_the_same_maximum(folder, monkeypatch):
    """No pass that is finished is made again, and the last one begins with the same noise, box and brightness."""
    from lensax.fit import stages

    (folder / "open.yaml").write_text(FIT[: FIT.index("source:")] + OPEN_SOURCE)
    passes, climbed, climb = ("first pass", "pass 2", "pass 3"), [], stages._climb

    def noted(name, *arguments):
        if name == interrupted:
            raise KeyboardInterrupt
        climbed.append(name)
        return climb(name, *arguments)

    def run(out):
        climbed.clear()
        return lensax("fit", folder / "open.yaml", "--out", out, "--map-only", "--seed", 3)

    monkeypatch.setattr(stages, "_climb", noted)
    interrupted, whole, broken = None, folder / "open_whole", folder / "open_broken"
    undisturbed = run(whole)
    assert undisturbed.exit_code in (0, 1), undisturbed.output  # few iterations: it may say that it did not converge
    assert tuple(climbed) == passes
    interrupted = "pass 3"
    result = run(broken)
    assert result.exit_code == 1, result.output
    assert "interrupted" in result.stderr
    assert tuple(climbed) == passes[:2]
    assert not (broken / "fit.json").exists()
    kept = {path: path.read_bytes() for path in (broken / ".lensax").glob("stage_*.json")}
    assert sorted(path.stem for path in kept) == ["stage_first_pass", "stage_pass_2"]
    interrupted = None
    result = run(broken)
    assert result.exit_code == undisturbed.exit_code, result.output
    assert climbed == ["pass 3"]
    assert {path: path.read_bytes() for path in kept} == kept
    found, expected = (json.loads((out / "fit.json").read_text()) for out in (broken, whole))
    assert tuple(found["stages"]) == passes
    for name in passes:
        assert found["stages"][name] == pytest.approx(expected["stages"][name], abs=1e-6)
    assert found["noise_over_given"] == pytest.approx(expected["noise_over_given"], rel=1e-9)
    one, other = (Table.read(out / "summary.ecsv", format="ascii.ecsv") for out in (broken, whole))
    assert list(one["parameter"]) == list(other["parameter"])
    np.testing.assert_allclose(one["maximum"], other["maximum"], rtol=1e-6)
    np.testing.assert_allclose(one["laplace_deviation"], other["laplace_deviation"], rtol=1e-4)
    for name in ("source", "model"):
        images = [fits.getdata(out / f"{name}.fits") for out in (broken, whole)]
        np.testing.assert_allclose(*images, rtol=1e-5, atol=1e-6 * images[1].max())
    run(broken)
    assert climbed == []  # nothing is left to do


def test_more_draws_go_on_with_the_chains(folder, made):
    """How it is sampled does not make another fit: neither maximum nor draws are made again."""
    out = Path(shutil.copytree(made[1], folder / "more"))
    begun = json.loads((out / "fit.json").read_text())["seconds"]
    with np.load(out / "samples.npz") as draws:
        before = {name: draws[name] for name in draws.files}
    longer = folder / "longer.yaml"
    longer.write_text(FIT.replace("draws: 14", "draws: 17"))
    result = lensax("fit", longer, "--out", out)
    assert result.exit_code in (0, 1), result.output
    with np.load(out / "samples.npz") as draws:
        for name, values in before.items():
            assert draws[name].shape == (2, 17)
            np.testing.assert_array_equal(draws[name][:, :14], values)
    seconds = json.loads((out / "fit.json").read_text())["seconds"]
    assert seconds.pop("sampling") > begun.pop("sampling")
    assert seconds == begun
    assert "draws: 17" in (out / "configuration.yaml").read_text()


def refused(result, code, *words):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    message = " ".join(result.stderr.split())
    assert message.startswith("error: ")
    for word in words:
        assert word in message


def test_another_fit_in_the_folder_is_refused(folder, made):
    before = {path: path.read_bytes() for path in made[1].rglob("*") if path.is_file()}
    other = folder / "other.yaml"
    other.write_text(FIT.replace("slope: 2.0", "slope: 2.1"))
    refused(lensax("fit", other, "--out", made[1]), 2, "holds the fit of another configuration", "configuration.yaml")
    refused(lensax("fit", folder / "fit.yaml", "--out", made[1], "--seed", 6), 2, "holds a fit with seed 5, not 6")
    refused(lensax("fit", folder / "fit.yaml", "--out", made[1], "--no-resume"), 2, "holds a fit already")
    refused(lensax("fit", folder / "fit.yaml", "--out", made[1], "--quick"), 2, "holds the fit of another")
    assert {path: path.read_bytes() for path in made[1].rglob("*") if path.is_file()} == before
    (folder / "something").mkdir()
    (folder / "something" / "notes.txt").write_text("mine")
    refused(lensax("fit", folder / "fit.yaml", "--out", folder / "something"), 2, "is not empty and holds no fit")
    refused(lensax("fit", folder / "fit.yaml", "--out", folder / "fit.yaml"), 2, "is a file, not a folder")


def test_two_processes_never_write_one_fit(folder, made):
    from lensax.campaign.lock import writer_lock

    with writer_lock(made[1] / ".lensax" / "lock"):
        refused(lensax("fit", folder / "fit.yaml", "--out", made[1]), 2, "is being written by process")


def test_mistakes_in_the_configuration_are_named(folder):
    other = folder / "mistake.yaml"
    other.write_text(FIT.replace("regularization", "regularisation"))
    refused(lensax("fit", other, "--out", folder / "new"), 2, "mistake.yaml:11:", "did you mean 'regularization'?")
    refused(lensax("fit", folder / "ring.yaml", "--out", folder / "new"), 2, "this describes a model to simulate")
    refused(lensax("fit", folder / "nowhere.yaml", "--out", folder / "new"), 2, "nowhere.yaml", "cannot be read")
    assert not (folder / "new").exists()


def test_without_samples_the_error_bars_are_those_of_the_maximum(folder):
    result = lensax("fit", folder / "fit.yaml", "--out", folder / "map", "--map-only", "--seed", 5)
    assert result.exit_code == 0, result.output
    assert not (folder / "map" / "samples.npz").exists()
    assert not (folder / "map" / "trace.png").exists()
    assert (folder / "map" / "corner.png").exists()
    table = Table.read(folder / "map" / "summary.ecsv", format="ascii.ecsv")
    assert "median" not in table.colnames
    assert (table["laplace_deviation"] > 0).all()


def test_info_says_what_will_be_fitted(folder):
    result = lensax("info", folder / "fit.yaml", "--no-memory")
    assert result.exit_code == 0, result.output
    for words in ("3 free", "LogUniform(low=0.001, high=100)", "follows from", "Simulation ring.yaml, row 0",
                  "28 × 26 pixels", "pixels are used", "PowerLaw", "AdaptiveMesh, 10 × 10 cells", "Constant",
                  "everything, from 2 starts", "2 chains of 8 + 14 steps", "100 that are solved for"):  # fmt: skip
        assert words in result.stdout, words
    assert "memory" not in result.stdout


def test_info_of_stages_and_memory(folder):
    """Of a source that waits for an earlier pass; the memory of one without a mesh, which compiles sooner."""
    mesh, prior = "{AdaptiveMesh: {shape: [10, 10]}}", "{Constant: {strength: {LogUniform: [1.0e-3, 1.0e+2]}}}"
    waits = FIT.replace(mesh, "{BrightnessMesh: {shape: [9, 10]}}").replace(
        prior, "{Adaptive: {inner: 0.1, outer: {LogUniform: [0.1, 10]}}}"
    )
    (folder / "waits.yaml").write_text(waits + "noise: Estimated\nstages: {passes: 2, first_mesh: [9, 9]}\n")
    result = lensax("info", folder / "waits.yaml", "--no-memory")
    assert result.exit_code == 0, result.output
    for words in ("BrightnessMesh, 9 × 10 cells", "BrightnessMesh, Adaptive", "9 × 9 cells that follow the rays",
                  "pass 2, 3", "the noise from its residuals, with its correlation"):  # fmt: skip
        assert words in result.stdout, words
    source = FIT[FIT.index("source:") : FIT.index("maximum:")]
    simple = "source: {ParametricSource: {over_sample: 1, components: [{Gaussian: {sigma: 0.1}}]}}\n"
    (folder / "simple.yaml").write_text(FIT.replace(source, simple))
    result = lensax("info", folder / "simple.yaml")
    assert result.exit_code == 0, result.output
    assert re.search(r"memory +[\d.]+ [kM]B for the posterior and its gradient", result.stdout)


def test_coordinates_on_the_sky_that_cannot_be_read_are_said(folder):
    sky = {"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ", "PIXSCALE": 0.1}
    fits.PrimaryHDU(np.ones((26, 28)), fits.Header(sky)).writeto(folder / "sky.fits")
    files = "data:\n  FITS: {image: sky.fits, noise_map: sky.fits}\n"
    (folder / "sky.yaml").write_text(files + FIT[FIT.index("mask:") :])
    result = lensax("info", folder / "sky.yaml", "--no-memory")
    assert result.exit_code == 0, result.output
    assert "the images of the fit will have no coordinates on the sky" in result.stderr
    assert "sky.fits: the coordinates on the sky cannot be read (Unrecognized projection code" in result.stderr


def test_cite_prints_the_papers_of_a_fit(folder):
    text = lensax("cite", folder / "fit.yaml").stdout
    for key in ("Tessore2015", "Suyu2006", "Warren2003", "Hoffman2014", "deBoor1978"):
        assert f"{{{key},\n" in text
    assert "Vecchia1988" not in text
    assert "Sersic1968" not in text  # of the simulated image, not of the fit


@pytest.mark.parametrize("command", ["info", "cite"])
def test_info_and_cite_name_what_is_wrong_with_a_fit(folder, command):
    (folder / "bad.yaml").write_text(FIT.replace("strength:", "strenght:"))
    result = lensax(command, folder / "bad.yaml")
    assert result.exit_code == 2
    assert "did you mean 'strength'?" in result.stderr
    assert "\n" not in result.stderr.strip()
