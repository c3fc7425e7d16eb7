"""Configurations of fits: what they build, and that everything wrong is named with file, line and key."""

# ruff: noqa: E501 (a line for each mistake)

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits

import lensax as lx
from lensax import inversion
from lensax.config import ConfigError, load
from lensax.config.fit import FitConfiguration, StagesSection, load_fit, loads_fit
from lensax.fit import Plan, Posterior, SourceBox
from lensax.fit.waiting import waiting
from lensax.instrument.fits import write_image
from lensax.inversion import BrightnessAmplitude, CorrelatedNoise

LEANING = [[0.05, 0.2, 0.1], [0.25, 1.0, 0.25], [0.1, 0.2, 0.05]]
SPOT = np.exp(-0.5 * np.hypot(*np.meshgrid(np.arange(9) - 6.0, np.arange(7) - 2.0)) ** 2)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

TEXT = """data:
  FITS: {image: data.fits, noise_map: noise.fits, psf: {Gaussian: {fwhm: 0.2, size: 5}}, pixel_scale: 0.1, exposure_time: 1000.0, background_rms: 0.05}
mask: {Annulus: {inner: 0.2, outer: 0.9}}
parameters:
  width: {LogUniform: [0.05, 0.5]}
lens:
  mass:
    - PowerLaw: {einstein_radius: {Normal: [0.6, 0.1]}, slope: 2.0, e1: {Normal: [0.0, 0.1]}}
  light:
    - GaussianBasis: {sigmas: {low: 0.1, high: 0.8, count: 4}, e1: "= lens.mass.PowerLaw.e1"}
    - Sersic: {effective_radius: "= parameters.width", sersic_index: 2.0}
    - PointSources: {center_x: [0.5, {Normal: [0.1, 0.05]}], center_y: [0.5, 0.3]}
    - Sky
source:
  Pixelization:
    mesh: {AdaptiveMesh: {shape: [6, 6]}}
    regularization: {Constant: {strength: {LogUniform: [0.01, 100]}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of an image of 20 x 24 pixels."""
    path = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    fits.PrimaryHDU(random.normal(0.1, 0.05, (20, 24))).writeto(path / "data.fits")
    fits.PrimaryHDU(np.full((20, 24), 0.05)).writeto(path / "noise.fits")
    fits.PrimaryHDU(np.full((20, 22), 0.05)).writeto(path / "narrow.fits")
    zero = np.full((20, 24), 0.05)
    zero[10, 5] = 0.0
    fits.PrimaryHDU(zero).writeto(path / "zero.fits")
    broken = np.full((20, 24), 0.05)
    broken[10, 5] = np.nan
    fits.PrimaryHDU(broken).writeto(path / "nan.fits")
    fits.PrimaryHDU(np.zeros((20, 24))).writeto(path / "empty.fits")
    fits.PrimaryHDU(np.ones((31, 31))).writeto(path / "wide_psf.fits")
    levels = np.linspace(0.04, 0.06, 480).reshape(20, 24)
    fits.PrimaryHDU(levels).writeto(path / "levels.fits")
    fits.PrimaryHDU(levels, fits.Header({"BUNIT": "adu"})).writeto(path / "adu.fits")
    fits.PrimaryHDU(np.array(LEANING)).writeto(path / "leaning.fits")
    write_image(path / "source.fits", SPOT, {}, 0.1, False, center=(0.05, -0.05))
    fits.PrimaryHDU(SPOT).writeto(path / "plain.fits")
    units = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(random.normal(0.1, 0.05, (20, 24)), name="SCI")])
    units.append(fits.ImageHDU(np.full((20, 24), 0.07), name="ERR"))
    units.writeto(path / "both.fits")
    return path


def build(folder, *changes, text=TEXT):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return loads_fit(text, folder, "fit.yaml").build()


def test_a_fit_is_built(folder):
    setup = build(folder)
    model, dataset = setup.task.model, setup.task.dataset
    assert model.prior.names == (
        "parameters.width",
        "lens.mass.PowerLaw.einstein_radius",
        "lens.mass.PowerLaw.e1",
        "lens.light.PointSources.center_x[1]",
        "source.Pixelization.regularization.Constant.strength",
    )
    theta = model.prior.sample(jax.random.key(0))
    parts = model(theta)
    assert [type(part).__name__ for part in parts.lens] == ["PowerLaw"]
    basis, sersic, points, sky = parts.light
    np.testing.assert_allclose(basis.sigmas, np.geomspace(0.1, 0.8, 4))
    assert float(basis.e1) == float(theta["lens.mass.PowerLaw.e1"])
    assert float(sersic.profiles[0].intensity) == 1.0
    assert float(sersic.profiles[0].effective_radius) == float(theta["parameters.width"])
    np.testing.assert_allclose(points.center_x, [0.5, theta["lens.light.PointSources.center_x[1]"]])
    assert float(points.width) == pytest.approx(0.05)  # as far as its rays are apart
    assert isinstance(sky, lx.light.Sky)
    assert parts.source.mesh.shape == (6, 6)
    assert parts.source.over_sample == 2
    radius = np.hypot(*np.meshgrid((np.arange(24) - 11.5) * 0.1, (np.arange(20) - 9.5) * 0.1))
    np.testing.assert_array_equal(dataset.mask, (radius >= 0.2) & (radius <= 0.9))
    assert float(dataset.exposure_time) == 1000.0
    assert setup.task.noise is None
    assert not setup.task.plan.noise
    assert setup.truth == {}


def test_extensions_masks_noise_and_limits(folder):
    setup = build(
        folder,
        ("image: data.fits", "image: {path: both.fits, hdu: SCI}"),
        ("noise_map: noise.fits", "noise_map: {path: both.fits, hdu: ERR}"),
        ("mask: {Annulus: {inner: 0.2, outer: 0.9}}", "mask: [{Circular: {radius: 0.8}}, {Without: {radius: 0.3, center: [0.4, 0.1]}}, {Threshold: {level: 0.5, grow: 1}}]"),
        ("parameters:\n", "noise: {Correlated: {mixing: 0.1, scale: 0.5}}\npositions: {x: [0.6, -0.6], y: [0.0, 0.1], tolerance: 0.05}\nminimum_magnification: 2.0\nparameters:\n"),
        ("    regularization:", "    positive: false\n    over_sample: 3\n    regularization:"),
    )  # fmt: skip
    task = setup.task
    np.testing.assert_allclose(task.dataset.noise_map, 0.035, rtol=1e-6)
    assert isinstance(task.noise, CorrelatedNoise)
    x, y = (np.asarray(axis) for axis in task.dataset.grid.pixel_centers())
    used = np.asarray(task.dataset.mask)
    assert 0 < used.sum() < (np.hypot(x, y) <= 0.8).sum()
    assert not used[np.hypot(x, y) > 0.81].any()
    assert not used[np.hypot(x - 0.4, y - 0.1) < 0.29].any()
    assert float(task.positions.tolerance) == 0.05
    assert task.minimum_magnification == 2.0
    source = task.model(task.model.prior.sample(jax.random.key(0))).source
    assert (source.positive, source.over_sample) == (False, 3)


def test_what_only_an_earlier_pass_can_tell_is_left_open(folder):
    setup = build(
        folder,
        ("{AdaptiveMesh: {shape: [6, 6]}}", "{SourceBox: {cell: 0.05, margin: 0.1}}"),
        ("{Constant: {strength: {LogUniform: [0.01, 100]}}}", "{Matern: {length: 0.1, nu: 1.5, amplitude: {BrightnessAmplitude: {deviation: {LogUniform: [0.1, 10]}}}}}"),
        ("parameters:\n", "noise: Estimated\nstages: {passes: 3, first_mesh: [8, 9], hold_first: [lens.mass.PowerLaw.e1], precondition: true, draft: false, smooth: 2.0, tolerance: 0.5, first_over_sample: 2}\nstart: {lens.mass.PowerLaw.e1: 0.05}\nmaximum: {iterations: 7, starts: 4}\nparameters:\n"),
    )  # fmt: skip
    mesh = setup.task.model.source.parts["mesh"]
    assert isinstance(mesh, SourceBox)
    assert float(mesh.cell) == pytest.approx(0.05)
    amplitude = setup.task.model.source.parts["regularization"].parts["amplitude"]
    assert amplitude.profile is BrightnessAmplitude
    assert "brightness" not in amplitude.parts
    plan = setup.task.plan
    assert (plan.noise, plan.correlated, plan.passes, plan.first_mesh, plan.iterations) == (True, True, 3, (8, 9), 7)
    assert plan.hold_first == ("lens.mass.PowerLaw.e1",)
    assert (plan.precondition, plan.draft, plan.smooth, plan.tolerance) == (True, False, 2.0, 0.5)
    assert plan.first_over_sample == 2
    assert setup.task.starts == 4
    assert setup.task.start == {"lens.mass.PowerLaw.e1": 0.05}


@pytest.mark.parametrize(("first", "width"), [(1, 0.05), (2, 0.025)])
def test_a_point_is_wide_enough_for_the_rays_of_every_pass(folder, first, width):
    """Half as wide as the rays of a first pass are apart, or as wide as the others are."""
    setup = build(
        folder,
        ("{AdaptiveMesh: {shape: [6, 6]}}", "{BrightnessMesh: {shape: [6, 6]}}"),
        ("    regularization:", "    over_sample: 4\n    regularization:"),
        ("parameters:\n", f"stages: {{first_mesh: [8, 8], first_over_sample: {first}}}\nparameters:\n"),
    )
    points = setup.task.model.light[2]
    assert dict(points.switches)["width"] == pytest.approx(width)


def test_every_field_of_the_plan_has_a_key():
    elsewhere = {"noise", "correlated", "iterations"}  # sections `noise` and `maximum`, above
    assert set(StagesSection.model_fields) | elsewhere == {field.name for field in dataclasses.fields(Plan)}


@pytest.mark.parametrize(
    ("mesh", "regularization", "names"),
    [
        ("{BrightnessMesh: {shape: [6, 7], degree: 3, background: 0.1}}", "{Constant: {strength: {LogUniform: [0.01, 100]}}}", ("BrightnessMesh",)),
        ("{UniformMesh: {shape: [6, 6]}}", "{Adaptive: {inner: {LogUniform: [0.01, 1]}, outer: 10.0, power: 2.0, floor: 1.0e-3}}", ("Adaptive",)),
        ("{BrightnessMesh: {shape: [6, 6]}}", "{GaussianKernel: {length: 0.1, amplitude: {BrightnessAmplitude: {deviation: {LogUniform: [0.1, 10]}}}}}", ("BrightnessMesh", "BrightnessAmplitude")),
    ],
    ids=["mesh", "regularization", "mesh and kernel"],
)  # fmt: skip
def test_what_follows_the_brightness_waits_for_a_pass(folder, mesh, regularization, names):
    changes = (
        ("{AdaptiveMesh: {shape: [6, 6]}}", mesh),
        ("{Constant: {strength: {LogUniform: [0.01, 100]}}}", regularization),
    )
    rough = ("parameters:\n", "stages: {first_mesh: [8, 8]}\nparameters:\n")
    setup = build(folder, *changes, rough)
    assert waiting(setup.task.model.source) == names
    with pytest.raises(
        ValueError, match=f"Posterior: {' and '.join(names)} can only be known from an earlier fit; use fit_in_stages"
    ):
        Posterior(setup.task.model, setup.task.dataset)
    with pytest.raises(
        ConfigError, match=rf"fit.yaml:4: stages.passes.*{names[-1]} can only be known from an earlier pass"
    ):
        build(folder, *changes, ("parameters:\n", "stages: {passes: 0}\nparameters:\n"))


@pytest.mark.parametrize(
    "regularization",
    [
        "{Zeroth: {strength: {LogUniform: [0.01, 100]}}}",
        "{Curvature: {strength: {LogUniform: [0.01, 100]}, floor: 1.0e-3}}",
        "{Matern: {length: {LogUniform: [0.01, 1]}, nu: 2.5, nugget: 1.0e-5, amplitude: {MoffatAmplitude: {deviation: 2.0, radius: {LogUniform: [0.1, 1]}}}}}",
        "{GaussianKernel: {length: {LogUniform: [0.01, 1]}, amplitude: {UniformAmplitude: {deviation: 2.0}}}}",
    ],
    ids=["zeroth", "curvature", "matern", "gaussian"],
)  # fmt: skip
def test_every_prior_is_made(folder, regularization):
    model = build(folder, ("{Constant: {strength: {LogUniform: [0.01, 100]}}}", regularization)).task.model
    made = model(model.prior.sample(jax.random.key(0))).source.regularization
    precision = made.precision(
        inversion.UniformMesh((4, 5), (0.0, 1.0, 0.0, 1.0)).place(
            jnp.zeros((1, 1)), jnp.zeros((1, 1)), np.zeros((1, 2), int)
        )
    )
    np.testing.assert_allclose(precision.log_determinant, np.linalg.slogdet(precision.matrix)[1], rtol=1e-9)


def test_the_correlation_of_blank_sky(folder):
    sky = "noise: {BlankSky: {mask: [{Circular: {radius: 0.5, center: [0.6, 0.4]}}, {Without: {radius: 0.1, center: [0.6, 0.4]}}], scale: 2.0}}\n"
    task = build(folder, ("parameters:\n", sky + "parameters:\n")).task
    used = lx.Mask.circular(0.5, (0.6, 0.4)) & ~lx.Mask.circular(0.1, (0.6, 0.4))
    expected = CorrelatedNoise.estimate(task.dataset.data / 0.05, used.pixels(task.dataset.grid))
    np.testing.assert_allclose(task.noise.correlation, expected.correlation)
    np.testing.assert_allclose(task.dataset.noise_map, 0.1, rtol=1e-6)
    with pytest.raises(ConfigError, match=r"fit.yaml:4: noise.BlankSky.mask.Circular: a mask needs radii"):
        build(folder, ("parameters:\n", "noise: {BlankSky: {mask: {Circular: {radius: -1.0}}}}\nparameters:\n"))


@pytest.mark.parametrize("written", [f"{LEANING}", "leaning.fits", "{path: leaning.fits, hdu: 0}"])
def test_any_correlation_is_read(folder, written):
    noise = f"noise: {{Correlated: {{correlation: {written}, scale: 2.0}}}}\n"
    task = build(folder, ("parameters:\n", noise + "parameters:\n")).task
    np.testing.assert_array_equal(task.noise.correlation, np.pad(LEANING, 1))
    np.testing.assert_allclose(task.dataset.noise_map, 0.1, rtol=1e-6)


@pytest.mark.parametrize("written", ["levels.fits", "{path: levels.fits, hdu: 0}"])
def test_a_map_of_the_background_is_read(folder, written):
    levels = fits.getdata(folder / "levels.fits")
    dataset = build(folder, ("background_rms: 0.05", f"background_rms: {written}")).task.dataset
    np.testing.assert_array_equal(dataset.background_rms, levels)
    masked = build(folder, ("background_rms: 0.05", "background_rms: nan.fits"), ("outer: 0.9", "outer: 0.5"))
    assert np.isnan(masked.task.dataset.background_rms[10, 5])  # outside of the mask


OWN_SOURCE = "{Matern: {length: {LogNormal: [-2.3, 0.7]}, amplitude: {BrightnessAmplitude: {deviation: 2.0, brightness: BRIGHT}}}}"
OWN_CONSTANT = "{Constant: {strength: {LogUniform: [0.01, 100]}}}"


@pytest.mark.parametrize(
    ("written", "extent"),
    [
        ("source.fits", (-0.4, 0.5, -0.4, 0.3)),
        ("{path: source.fits, hdu: 0}", (-0.4, 0.5, -0.4, 0.3)),
        ("{path: source.fits, extent: [-1, 1, -0.5, 1]}", (-1.0, 1.0, -0.5, 1.0)),
        ("{path: plain.fits, extent: [-1, 1, -0.5, 1]}", (-1.0, 1.0, -0.5, 1.0)),
    ],
)
def test_the_brightness_of_a_file_scales_the_prior(folder, written, extent):
    """Nothing waits for an earlier pass then; the spot is where file or configuration say."""
    model = build(folder, (OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", written))).task.model
    assert waiting(model.source) == ()
    amplitude = model(model.prior.sample(jax.random.key(0))).source.regularization.amplitude
    np.testing.assert_allclose(amplitude.brightness.extent, extent, atol=1e-12)
    left, right, bottom, top = extent
    x, y = (jnp.asarray(v) for v in (left + 6.5 / 9 * (right - left), bottom + 2.5 / 7 * (top - bottom)))
    around = [float(amplitude.brightness(x + dx, y)) for dx in (-0.1, 0.0, 0.1)]
    assert max(around) == around[1] > 0.7
    rows = {
        row.name: row.value
        for row in loads_fit(TEXT.replace(OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", written)), folder).summary()
    }
    assert rows["source.Pixelization.regularization.Matern.amplitude.BrightnessAmplitude.brightness.path"].endswith(
        ".fits"
    )


def test_the_brightness_of_a_file_weighs_an_adaptive_prior_and_the_cells_of_a_mesh(folder):
    adaptive = "{Adaptive: {inner: {LogUniform: [0.01, 1]}, outer: 10.0, brightness: source.fits}}"
    mesh = "{AdaptiveMesh: {shape: [6, 6], brightness: {path: levels.fits}}}"
    model = build(folder, (OWN_CONSTANT, adaptive), ("{AdaptiveMesh: {shape: [6, 6]}}", mesh)).task.model
    assert waiting(model.source) == ()
    source = model(model.prior.sample(jax.random.key(0))).source
    np.testing.assert_allclose(source.regularization.brightness.image.max(), 1.0)
    np.testing.assert_array_equal(source.mesh.brightness, fits.getdata(folder / "levels.fits"))


def test_a_fit_with_a_file_of_brightness_means_its_content(folder, tmp_path):
    text = TEXT.replace(OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", "source.fits"))
    assert loads_fit(text, folder) != loads_fit(
        text.replace("source.fits", "{path: plain.fits, extent: [0, 1, 0, 1]}"), folder
    )
    assert loads_fit(text, folder) != loads_fit(
        TEXT.replace(OWN_CONSTANT, OWN_SOURCE.replace("brightness: BRIGHT", "dark: 0.01")), folder
    )


def test_a_header_whose_coordinates_cannot_be_read_is_remarked_on(folder, tmp_path):
    assert build(folder).remarks == ()
    for name in ("data.fits", "noise.fits"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with fits.open(tmp_path / "data.fits", mode="update") as units:
        units[0].header.update({"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"})
    setup = build(tmp_path)
    assert setup.sky == {}
    (remark,) = setup.remarks
    assert remark.startswith("the images of the fit will have no coordinates on the sky: ")
    assert remark.endswith(
        "data.fits: the coordinates on the sky cannot be read (Unrecognized projection code (XYZ in CTYPE1))"
    )


def test_parametric_sources(folder):
    old = TEXT[TEXT.index("source:") :]
    new = """source:
  ParametricSource:
    over_sample: 4
    components:
      - Sersic: {effective_radius: {LogUniform: [0.05, 0.5]}, sersic_index: 1.0, center_x: {Normal: [0.0, 0.1]}}
      - GaussianBasis: {sigmas: [0.05, 0.1], center_x: "= source.ParametricSource.components.Sersic.center_x"}
"""
    model = build(folder, (old, new)).task.model
    theta = model.prior.sample(jax.random.key(1))
    sersic, basis = model(theta).source.components
    assert float(basis.center_x) == float(theta["source.ParametricSource.components.Sersic.center_x"])
    assert sersic.n_components + basis.n_components == 3


BAD = [
    # what is changed, line and key, what is said
    (("mass:\n    - PowerLaw", "mas:\n    - PowerLaw"), "fit.yaml:7: lens.mas: ", "unknown key 'mas'; did you mean 'mass'?"),
    (("PowerLaw: {einstein_radius", "PowerLow: {einstein_radius"), "fit.yaml:8: lens.mass.PowerLow", "unknown mass profile 'PowerLow'; did you mean 'PowerLaw'?"),
    (("slope: 2.0", "slop: 2.0"), "fit.yaml:8: lens.mass.PowerLaw.slop", "did you mean 'slope'?"),
    (("{Normal: [0.6, 0.1]}", "{Normol: [0.6, 0.1]}"), "fit.yaml:8: lens.mass.PowerLaw.einstein_radius", "Normol"),
    (("{Normal: [0.6, 0.1]}", "{Normal: [0.6, -0.1]}"), "fit.yaml:8: lens.mass.PowerLaw.einstein_radius", ""),
    (('"= lens.mass.PowerLaw.e1"', '"= lens.mass.PowerLaw.e3"'), "fit.yaml:10: lens.light.GaussianBasis.e1", "e3"),
    (("Sersic: {effective", "Sersic: {intensity: 3.0, effective"), "fit.yaml:11: lens.light.Sersic", "a fit solves for the intensity: leave it out"),
    (("center_y: [0.5, 0.3]", "center_y: [0.5]"), "fit.yaml:12: lens.light.PointSources.center_y", "same number of entries, found 2 and 1"),
    (("count: 4", "count: 1"), "fit.yaml:10: lens.light.GaussianBasis.sigmas.count", "at least 2, found 1"),
    (("image: data.fits", "image: nowhere.fits"), "fit.yaml:2: data.FITS.image.path", "'nowhere.fits' does not exist"),
    (("noise_map: noise.fits", "noise_map: narrow.fits"), "fit.yaml:2: data.FITS.noise_map", "shape (20, 22), the data (20, 24)"),
    (("noise_map: noise.fits", "noise_map: zero.fits"), "fit.yaml:2: data.FITS.noise_map", "positive and finite in the pixels that are used, got 0.0 at row 10, column 5"),
    (("noise_map: noise.fits", "noise_map: nan.fits"), "fit.yaml:2: data.FITS.noise_map", "got nan at row 10, column 5"),
    (("image: data.fits", "image: nan.fits"), "fit.yaml:2: data.FITS", "data must be finite"),
    (("image: data.fits", "image: {path: both.fits, hdu: 7}"), "fit.yaml:2: data.FITS.image", "both.fits"),
    (("{Gaussian: {fwhm: 0.2, size: 5}}", "{FITS: {path: wide_psf.fits}}"), "fit.yaml:2: data.FITS.psf", "the PSF covers 31 x 31 pixels, more than the image's 20 x 24"),
    (("pixel_scale: 0.1, ", ""), "fit.yaml:2: data.FITS", "no header keyword PIXSCALE; give pixel_scale in arcsec"),
    (("outer: 0.9", "outer: 0.1"), "fit.yaml:3: mask.Annulus", "inner 0.2 and outer 0.1"),
    (("{Annulus: {inner: 0.2, outer: 0.9}}", "{Annulus: {inner: 5.0, outer: 6.0}}"), "fit.yaml:3: mask", "the mask leaves no pixel of the image"),
    (("{Annulus: {inner: 0.2, outer: 0.9}}", "{FITS: empty.fits}"), "fit.yaml:3: mask", "the mask leaves no pixel of the image"),
    (("{Annulus: {inner: 0.2, outer: 0.9}}", "[{Circular: {radius: 0.9}}, {FITS: narrow.fits}]"), "fit.yaml:3: mask", "mask of shape (20, 22) does not fit an image of shape (20, 24)"),
    (("{Annulus: {inner: 0.2, outer: 0.9}}", "{Threshold: {level: 900}}"), "fit.yaml:3: mask", "exceed the level 900, the brightest pixel has"),
    (("shape: [6, 6]", "shape: [30, 30]"), "fit.yaml:15: source.Pixelization", "30 x 30 = 900 cells has more coefficients than the"),
    (("shape: [6, 6]", "shape: [2, 2]"), "fit.yaml:16: source.Pixelization.mesh.AdaptiveMesh", "at least 4 cells along either axis"),
    (("strength: {LogUniform: [0.01, 100]}", "strength: -1.0"), "fit.yaml:17: source.Pixelization.regularization", "strength must be a positive number"),
    (("{Constant: {strength: {LogUniform: [0.01, 100]}}}", "{Matern: {length: 0.1}}"), "source.Pixelization.regularization.Matern.amplitude", "is missing"),
    (("parameters:\n", "start: {lens.mass.PowerLaw.radius: 1.0}\nparameters:\n"), "fit.yaml:4: start.lens.mass.PowerLaw.radius", "unknown free parameter"),
    (("parameters:\n", "start: {lens.mass.PowerLaw.slope: 2.0}\nparameters:\n"), "fit.yaml:4: start.lens.mass.PowerLaw.slope", "expected a free parameter; 'lens.mass.PowerLaw.slope' is 2"),
    (("parameters:\n", "start: {parameters.width: 2.0}\nparameters:\n"), "fit.yaml:4: start.parameters.width", "2 lies outside of the prior LogUniform(low=0.05, high=0.5)"),
    (("parameters:\n", "stages: {hold_first: [lens.mass.PowerLaw.slope]}\nparameters:\n"), "fit.yaml:4: stages.hold_first", "is 2"),
    (("parameters:\n", "stages: {tolerance: 0.0}\nparameters:\n"), "fit.yaml:4: stages.tolerance", "tolerance must be a positive number of nats, got 0.0"),
    (("parameters:\n", "stages: {smooth: -1.5}\nparameters:\n"), "fit.yaml:4: stages.smooth", "smooth must be a positive number of pixels, got -1.5"),
    (("parameters:\n", "stages: {draft: 1}\nparameters:\n"), "fit.yaml:4: stages.draft", "found 1"),
    (("parameters:\n", "stages: {passes: -1}\nparameters:\n"), "fit.yaml:4: stages.passes", "passes must be at least 0, got -1"),
    (("parameters:\n", "stages: {first_over_sample: 0}\nparameters:\n"), "fit.yaml:4: stages.first_over_sample", "must be at least 1, got 0"),
    (("parameters:\n", "stages: {first_mesh: [3, 8]}\nparameters:\n"), "fit.yaml:4: stages.first_mesh", "at least 4 cells along either axis, got (3, 8)"),
    (("parameters:\n", "parameters:\n  unused: {Normal: [0, 1]}\n"), "fit.yaml:5: parameters.unused", "no part of the model uses this free parameter"),
    (("parameters:\n", "positions: {x: [1.0, 2.0], y: [1.0, 2.0, 3.0]}\nparameters:\n"), "fit.yaml:4: positions", "same number of entries, found 2 and 3"),
    (("exposure_time: 1000.0, background_rms: 0.05}\n", "exposure_time: 1000.0}\nnoise: Estimated\n"), "fit.yaml:3: noise", "noise can only be estimated where background_rms is known"),
    (("parameters:\n", "noise: {Correlated: {mixing: 0.7}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.mixing", "less than 0.5, found 0.7"),
    (("background_rms: 0.05", "background_rms: narrow.fits"), "fit.yaml:2: data.FITS.background_rms", "background_rms has shape (20, 22), the data (20, 24)"),
    (("background_rms: 0.05", "background_rms: nan.fits"), "fit.yaml:2: data.FITS.background_rms", "got nan at row 10, column 5"),
    (("background_rms: 0.05", "background_rms: zero.fits"), "fit.yaml:2: data.FITS.background_rms", "positive and finite in the pixels that are used, got 0.0 at row 10, column 5"),
    (("background_rms: 0.05", "background_rms: -0.05"), "fit.yaml:2: data.FITS.background_rms", "must be positive and finite, got -0.05"),
    (("background_rms: 0.05", "background_rms: adu.fits"), "fit.yaml:2: data.FITS.background_rms", "BUNIT must be 'electron / s', got 'adu'"),
    (("background_rms: 0.05", "background_rms: [0.05]"), "fit.yaml:2: data.FITS.background_rms", "expected a number, found [0.05]"),
    (("parameters:\n", "noise: {Correlated: {scale: 2.0}}\nparameters:\n"), "fit.yaml:4: noise.Correlated", "expected either mixing or correlation, found neither"),
    (("parameters:\n", "noise: {Correlated: {mixing: 0.1, correlation: [[1.0]]}}\nparameters:\n"), "fit.yaml:4: noise.Correlated", "expected either mixing or correlation, found both"),
    (("parameters:\n", "noise: {Correlated: {correlation: [[0.1, 1.0], [1.0, 0.1]]}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "odd sides of at most 5 pixels, got shape (2, 2)"),
    (("parameters:\n", "noise: {Correlated: {correlation: [[0.1, 1.0, 0.2]]}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "point-symmetric, got 0.1 at row 0, column 0 and 0.2 opposite"),
    (("parameters:\n", "noise: {Correlated: {correlation: [[0.1, 2.0, 0.1]]}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "1 in its middle, got 2"),
    (("parameters:\n", "noise: {Correlated: {correlation: [[0.9, 1.0, 0.9]]}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "power spectrum that is nowhere negative"),
    (("parameters:\n", "noise: {Correlated: {correlation: [[0.1], [1.0, 0.1], [0.1]]}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "rows of one length, found 1, 2, 1 entries"),
    (("parameters:\n", "noise: {Correlated: {correlation: 0.1}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "expected a list, found 0.1"),
    (("parameters:\n", "noise: {Correlated: {correlation: data.fits}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "got shape (20, 24)"),
    (("parameters:\n", "noise: {Correlated: {correlation: gone.fits}}\nparameters:\n"), "fit.yaml:4: noise.Correlated.correlation", "'gone.fits' does not exist"),
    ((OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", "plain.fits")), "fit.yaml:17: source.Pixelization.regularization.Matern.amplitude.BrightnessAmplitude.brightness", "expected linear coordinates in arcsec in the header"),
    ((OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", "{path: source.fits, extent: [1, -1, 0, 1]}")), "fit.yaml:17: source.Pixelization.regularization.Matern.amplitude.BrightnessAmplitude.brightness", "extent must be (left, right, bottom, top) in arcsec"),
    ((OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", "{path: source.fits, extent: [1, -1]}")), "BrightnessAmplitude.brightness.extent", "entries or more, found 2"),
    ((OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", "{path: empty.fits, extent: [0, 1, 0, 1]}")), "BrightnessAmplitude.brightness", "must be a finite image that is positive somewhere, got at most 0"),
    ((OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", "{path: nan.fits, extent: [0, 1, 0, 1]}")), "BrightnessAmplitude.brightness", "got nan at row 10, column 5"),
    ((OWN_CONSTANT, OWN_SOURCE.replace("BRIGHT", "gone.fits")), "BrightnessAmplitude.brightness", "'gone.fits' does not exist"),
    (("shape: [6, 6]}", "shape: [6, 6], brightness: narrow.fits}"), "fit.yaml:15: source.Pixelization", "brightness has shape (20, 22), the data (20, 24)"),
    (("shape: [6, 6]}", "shape: [6, 6], brightness: empty.fits}"), "fit.yaml:16: source.Pixelization.mesh.AdaptiveMesh", "brightness must be a finite image that is positive somewhere, got at most 0"),
    (("parameters:\n", "sampling: {chains: 0}\nparameters:\n"), "fit.yaml:4: sampling.chains", "at least 1, found 0"),
    (("data:\n  FITS:", "instrument: {}\ndaten:\n  FITS:"), "fit.yaml:1: instrument", "this describes a model to simulate; a fit has the section `data` instead"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place", "reason"), BAD, ids=[f"{change[1][:40]}" for change, _, _ in BAD])
def test_what_is_wrong_is_named(folder, change, place, reason):
    with pytest.raises(ConfigError) as caught:
        build(folder, change)
    assert place in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_psf_of_finer_samples_needs_as_many_rays(folder):
    with pytest.raises(ConfigError, match=r"fit.yaml:15: source.Pixelization.*over_sample 2 and sampling 3"):
        build(folder, ("size: 5", "size: 15, sampling: 3"))


def test_a_model_without_free_parameters_is_refused(folder):
    text = TEXT.replace("{LogUniform: [0.05, 0.5]}", "0.1").replace("{Normal: [0.6, 0.1]}", "0.6")
    text = text.replace("{Normal: [0.0, 0.1]}", "0.0").replace("{Normal: [0.1, 0.05]}", "0.1")
    with pytest.raises(ConfigError, match="a fit needs a free parameter"):
        loads_fit(text.replace("{LogUniform: [0.01, 100]}", "1.0"), folder)


def test_meaning_decides_whether_two_configurations_are_equal(folder):
    one = loads_fit(TEXT, folder)
    assert one == loads_fit(TEXT.replace("0.6, 0.1", "0.60, 1.0e-1") + "# a remark\n", folder)
    assert one != loads_fit(TEXT.replace("slope: 2.0", "slope: 2.1"), folder)
    assert one != loads_fit(TEXT.replace("data.fits", "both.fits"), folder)
    assert isinstance(one, FitConfiguration)
    rows = {row.name: row for row in one.summary()}
    assert rows["lens.mass.PowerLaw.e1"].kind == "free"
    assert rows["lens.light.GaussianBasis.e1"].kind == "derived"
    assert rows["lens.light.GaussianBasis.sigmas.low"].value == "0.1"


@pytest.mark.extended
def test_a_simulated_image_is_the_one_that_preview_shows(tmp_path):
    model = load(Path(__file__).parent / "small_lens.yaml")
    (tmp_path / "small.yaml").write_text(model.text)
    data = TEXT[TEXT.index("  FITS") : TEXT.index("mask:")]
    text = TEXT.replace(data, "  Simulation: {configuration: small.yaml, seed: 3, row: 1}\n")
    text = text.replace("mask: {Annulus: {inner: 0.2, outer: 0.9}}", "mask: {Circular: {radius: 1.5}}")
    text = text.replace("over_sample", "over_sample").replace("shape: [6, 6]}}", "shape: [6, 6]}}\n    over_sample: 2")
    setup = loads_fit(text, tmp_path).build()
    from lensax.campaign.rows import draw
    from lensax.simulate import ForwardModel

    with jax.enable_x64(False):
        forward = ForwardModel.from_configuration(load(Path(__file__).parent / "small_lens.yaml"))
        theta, keys = draw(forward.prior, jax.random.key(3), jnp.asarray([1], jnp.uint32))
        seen = forward.both({name: values[0] for name, values in theta.items()}, keys[0])
        noisy = np.asarray(seen.noisy)
    np.testing.assert_allclose(setup.task.dataset.data, noisy, rtol=1e-6)
    assert setup.task.dataset.data.dtype == jnp.float64
    assert setup.truth["lens.mass.PowerLaw.einstein_radius"] == float(theta["lens.mass.PowerLaw.einstein_radius"][0])
    digest = loads_fit(text, tmp_path).digest
    (tmp_path / "small.yaml").write_text(model.text + "# a remark\n")
    assert loads_fit(text, tmp_path).digest == digest
    (tmp_path / "small.yaml").write_text(model.text.replace("exposure_time: 1000.0", "exposure_time: 900.0"))
    assert loads_fit(text, tmp_path).digest != digest


@pytest.mark.parametrize("name", ["sersic", "gaussians", "pixels"])
def test_shipped_fits_of_a_simulated_ring_load(name):
    configuration = load_fit(CONFIGS / f"fit_simulated_{name}.yaml")
    assert set(configuration.parameters.prior.names) >= {"lens.mass.PowerLaw.slope", "lens.mass.ExternalShear.gamma_1"}


@pytest.mark.parametrize(("name", "pixels"), [("ring", 9016), ("arc", 5892)])
def test_shipped_fits_of_real_lenses_load(shared, name, pixels):
    configuration = load_fit(CONFIGS / f"fit_hst_{name}.yaml")
    assert configuration.build().task.dataset.n_pixels == pixels


def test_a_configuration_of_the_other_kind_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="this describes a model to simulate"):
        load_fit(CONFIGS / "cdm_hst.yaml")
    with pytest.raises(ConfigError, match="this describes a fit"):
        load(CONFIGS / "fit_simulated_sersic.yaml")
