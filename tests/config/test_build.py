"""From configurations to forward models: what the parts receive, and what they refuse."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits

from lensax import light, mass, raytrace
from lensax._types import cast
from lensax.config import ConfigError, loads
from lensax.cosmology import FlatLambdaCDM
from lensax.instrument import AdaptiveOverSample
from lensax.simulate import ForwardModel, Simulator

FILE = Path(__file__).parent / "small_lens.yaml"
TEXT = FILE.read_text()
KEY = jax.random.key(0)
HALOS = """
dark_matter: {WDM: {log10_m_hm: {Uniform: [6.0, 8.0]}}}
line_of_sight:
  planes: {front: 1, back: 1}
  cone: {geometry: double, radius: 2.0}
  mass_function: {log10_mass: [8.0, 9.0], delta_los: {Uniform: [0.5, 1.5]}}
subhalos: {mean_number: 5.0, log10_mass: [8.0, 9.0]}
"""


def replaced(*pairs: tuple[str, str]) -> str:
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_parts_have_what_the_file_says():
    prior, recipe, simulator = loads(TEXT).build()
    theta = prior.sample(KEY)
    scene = recipe(theta, KEY)
    power_law, shear = scene.macro
    assert [type(profile) for profile in scene.macro] == [mass.PowerLaw, mass.ExternalShear]
    assert power_law.einstein_radius == theta["lens.mass.PowerLaw.einstein_radius"]
    assert (float(power_law.e1), float(shear.gamma_2)) == (0.1, -0.01)
    assert [type(profile) for profile in (*scene.source, *scene.lens_light)] == [
        light.Gaussian,
        light.Gaussian,
        light.Sersic,
    ]
    knot, other = scene.source
    assert float(knot.sigma) == pytest.approx(0.1 + float(theta["parameters.width"]))
    assert float(other.center_x - knot.center_x) == pytest.approx(0.2)
    assert float(scene.planes.source_redshift) == float(theta["source.redshift"])
    assert scene.planes.n_planes == 1
    instrument = simulator.instrument
    assert (instrument.shape, instrument.pixel_scale, instrument.grid.over_sample) == ((12, 10), 0.3, 2)
    assert (float(instrument.exposure_time), float(instrument.sky_level), float(instrument.read_noise)) == (1e3, 0.1, 0)
    assert instrument.psf.sampling == 2
    assert isinstance(simulator.tracer, raytrace.Direct)


def test_a_model_from_a_file():
    model = ForwardModel.from_yaml(FILE)
    assert model.configuration.text == TEXT
    theta = model.prior.sample(KEY)
    image = model.noiseless(theta, KEY)
    assert image.shape == (12, 10)
    assert bool(jnp.all(jnp.isfinite(image)))
    assert float(image.sum()) > 10
    again = ForwardModel.from_yaml(FILE).noiseless(theta, KEY)
    np.testing.assert_array_equal(image, again)


def test_a_population_is_drawn_with_the_parameters():
    prior, recipe, _ = loads(TEXT + HALOS).build()
    assert "line_of_sight.mass_function.delta_los" in prior.names
    theta = prior.sample(KEY)
    draw = jax.jit(jax.vmap(recipe, (None, 0)))
    counts = []
    for amplitude in (0.5, 1.5):
        theta["line_of_sight.mass_function.delta_los"] = jnp.asarray(amplitude)
        scenes = draw(theta, jax.random.split(KEY, 50))
        assert scenes.planes.redshifts.shape == (50, 3)
        assert not bool(jnp.any(scenes.halos.overflow))
        counts.append(float(scenes.halos.counts[:, 2].mean()))  # a plane without subhalos
    assert counts[1] / counts[0] == pytest.approx(3, rel=0.5)


def test_float32_throughout():
    prior, recipe, _ = loads(TEXT).build()
    scene = cast(recipe, jnp.float32)(cast(prior.sample(KEY), jnp.float32), KEY)
    assert {leaf.dtype for leaf in jax.tree.leaves(scene) if eqx.is_inexact_array(leaf)} == {jnp.dtype("float32")}


def test_other_forms_of_the_sections():
    text = replaced(
        ("Planck15", "\n  FlatLambdaCDM: {H0: 70, Om0: 0.3, Tcmb0: 2.7255, m_nu: [0.0, 0.0, 0.06]}"),
        ("over_sample: 2", "over_sample: {radii: [0.9], factors: [4, 2], center: [0.1, 0]}"),
        ("Gaussian: {fwhm: 0.4}", "Moffat: {fwhm: 0.4, beta: 3, sampling: 2}"),
        ("sky_level: 0.1", "background_rms: 0.01"),
        ("{Direct: {}}", "{Direct: {chunk: 100, closed_form: true}}"),
        ("slope: {Uniform: [1.9, 2.2]}", "slope: 1.95\n        n_terms: 10"),
    )
    _, recipe, simulator = loads(text).build()
    expected = FlatLambdaCDM(70.0, 0.3, 2.7255, m_nu=(0.0, 0.0, 0.06))
    assert float(recipe.cosmology.comoving_distance(1.0)) == float(expected.comoving_distance(1.0))
    assert simulator.instrument.grid.over_sample == AdaptiveOverSample([0.9], [4, 2], (0.1, 0.0))
    assert simulator.instrument.psf.sampling == 2
    assert float(simulator.instrument.background_rms) == 0.01
    assert (simulator.tracer.chunk, simulator.tracer.closed_form) == (100, True)
    assert dict(recipe.mass[0].switches) == {"n_terms": 10}


@pytest.mark.parametrize(
    ("written", "tracer"),
    [
        ("", None),  # the simulator's own choice
        ("tracer: Direct", raytrace.Direct()),
        ("tracer: {Lattice: {tolerance: 1e-4}}", raytrace.Lattice(tolerance=1e-4)),
    ],
)
def test_ray_tracers(written, tracer):
    text = replaced(("tracer: {Direct: {}}", written), ("Gaussian: {fwhm: 0.4}", "Gaussian: {fwhm: 0.4, size: 3}"))
    simulator = loads(text).build()[2]
    assert simulator.tracer == (tracer or Simulator(simulator.instrument).tracer)


def test_a_tracer_refuses():
    with pytest.raises(ConfigError, match=r"tolerance must be a positive number of arcsec, got -1.0") as caught:
        loads(replaced(("{Direct: {}}", "{Lattice: {tolerance: -1}}"))).build()
    assert caught.value.key == "tracer.Lattice.tolerance"


class TestFiles:
    @pytest.fixture
    def kernel(self):
        return np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0])

    def build(self, folder, kernel=None, exposure=None, hdu=""):
        text = TEXT
        if kernel is not None:
            fits.writeto(folder / "psf.fits", kernel)
            text = text.replace("Gaussian: {fwhm: 0.4}", f"FITS: {{path: psf.fits, sampling: 1{hdu}}}")
        if exposure is not None:
            fits.writeto(folder / "exposure.fits", exposure)
            text = text.replace("1000.0", "exposure.fits")
        return loads(text, folder, "some.yaml").build()[2].instrument

    def test_a_kernel(self, tmp_path, kernel):
        instrument = self.build(tmp_path, kernel, hdu=", hdu: 0")
        np.testing.assert_allclose(instrument.psf.array, kernel / 16)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (
                lambda k: np.where(k == 4, np.nan, k),
                "psf.fits: a PSF kernel must be finite, got nan at row 1",
            ),
            (lambda k: -k, "must not be negative"),
            (lambda k: k[:2], "must have odd sizes"),
            (lambda k: k[None], "expected a two-dimensional image"),
            (lambda k: 0 * k, "must have a positive sum"),
        ],
    )
    def test_what_is_no_kernel(self, tmp_path, kernel, change, reason):
        with pytest.raises(ConfigError, match=reason) as caught:
            self.build(tmp_path, change(kernel))
        assert (caught.value.line, caught.value.key) == (25, "instrument.psf.FITS")

    @pytest.mark.parametrize(
        ("exposure", "reason"),
        [
            (
                np.full((10, 12), 900.0),
                r"exposure_time must be a number or a map of shape \(12, 10\), got shape \(10, 12\)",
            ),
            (np.full((12, 10), np.nan), "exposure_time must be a positive number of seconds, got nan"),
            (np.zeros((12, 10)), "exposure_time must be a positive number of seconds, got 0"),
        ],
    )
    def test_what_is_no_exposure_map(self, tmp_path, exposure, reason):
        with pytest.raises(ConfigError, match=reason) as caught:
            self.build(tmp_path, exposure=exposure)
        assert (caught.value.line, caught.value.key) == (26, "instrument.exposure_time")

    def test_what_is_no_fits_file(self, tmp_path):
        (tmp_path / "psf.fits").write_text("hello")
        with pytest.raises(ConfigError, match=r"psf.fits: cannot be read as FITS"):
            loads(replaced(("Gaussian: {fwhm: 0.4}", "FITS: {path: psf.fits}")), tmp_path).build()


# A replacement, the line and the key that are named, and what is said.
BAD = [
    ("[12, 10]", "[12, 0]", 21, "instrument.shape", "must be a whole number of at least 1, got 0"),
    ("pixel_scale: 0.3", "pixel_scale: 0", 22, "instrument.pixel_scale", "must be a positive number of arcsec, got 0"),
    ("1000.0", "0", 26, "instrument.exposure_time", "exposure_time must be a positive number of seconds, got 0"),
    (
        "fwhm: 0.4",
        "fwhm: -0.4",
        25,
        "instrument.psf.Gaussian.fwhm",
        "must be a positive angle",
    ),
    ("fwhm: 0.4", "fwhm: 0.4, sampling: 3", 23, "instrument.over_sample", "must be a multiple of the PSF's sampling"),
    ("sky_level: 0.1", "sky_level: -0.1", 27, "instrument.sky_level", "at least 0, got -0.1"),
    ("over_sample: 2", "over_sample: {radii: [1], factors: [2]}", 23, "instrument.over_sample", "one factor more than"),
    (
        "Planck15",
        "{FlatLambdaCDM: {H0: -70, Om0: 0.3}}",
        2,
        "cosmology.FlatLambdaCDM.H0",
        "H0 must be",
    ),
    ("e1: 0.1", "e1: 1.1", 8, "lens.mass.PowerLaw", "must be below 1, got 1.1"),
    ("e1: 0.1", "e1: {Normal: [0, 0.5]}", 8, "lens.mass.PowerLaw", ", which the priors allow"),
    ("[1.9, 2.2]", "[1.9, 3.2]", 10, "lens.mass.PowerLaw.slope", "slope must be between 1 and 3"),
    ("sersic_index: 2", "sersic_index: -2", 14, "lens.light.Sersic.sersic_index", "sersic_index must be"),
    (
        "0.1 + parameters",
        "sqrt(-1 * parameters.width) + parameters",
        18,
        "source.light.Gaussian.sigma",
        "gives nan for",
    ),
    ("0.1 + parameters", "-1 * parameters", 18, "source.light.Gaussian.sigma", "sigma must be a positive angle"),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "reason"), BAD, ids=[f"{bad[3]}-{bad[1][:20]}" for bad in BAD])
def test_numbers_that_a_part_refuses(old, new, line, key, reason):
    configuration = loads(replaced((old, new)), file="some.yaml")
    with pytest.raises(ConfigError) as caught:
        configuration.build()
    error = caught.value
    assert reason in error.reason
    assert (error.line, error.key) == (line, key)
    assert "\n" not in str(error)


def test_a_population_names_its_parameter():
    text = TEXT + HALOS.replace("mean_number: 5.0", "slope: {Uniform: [-3, 7]}, mean_number: 5.0")
    with pytest.raises(ConfigError, match="expected a value between -5 and 1, found -3 to 7") as caught:
        loads(text).build()
    assert (caught.value.line, caught.value.key) == (35, "subhalos.slope")


def test_thin_slices_need_fixed_redshifts():
    text = TEXT + HALOS.replace("{front: 1, back: 1}", "{scheme: thin}")
    with pytest.raises(ConfigError, match="thin slices need fixed redshifts") as caught:
        loads(text).build()
    assert (caught.value.line, caught.value.key) == (32, "line_of_sight.planes")
