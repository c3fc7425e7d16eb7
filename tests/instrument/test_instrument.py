"""The instrument: padding, sampling, flux, exact pixel integrals, compilation, noise, and a real telescope."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from lensax._types import cast
from lensax.instrument import AdaptiveOverSample, Imaging, Instrument, psf

observe = eqx.filter_jit(Instrument.observe)
add_noise = eqx.filter_jit(Instrument.add_noise)


def brightness(grid, dtype=jnp.float64):
    """A peak beyond the frame's right edge and another near its centre, electrons / s / arcsec^2."""
    x, y = grid.positions(dtype)
    near = 20 * jnp.exp(-((x - 0.07) ** 2 + (y + 0.11) ** 2) / 0.02)
    return near + 500 * jnp.exp(-((x - 0.75) ** 2 + y**2) / 0.005)


@pytest.mark.parametrize(("over_sample", "sampling"), [(1, 1), (4, 1), (4, 2), (4, 4), (3, 3)])
@pytest.mark.parametrize("size", [3, 11])
def test_light_from_outside_the_frame_blurs_in(over_sample, sampling, size):
    """The frame must equal the middle of a much larger frame, seen with the same kernel."""
    generator = np.random.default_rng(size)
    kernel = psf.Kernel(generator.random((size, size + 2)), sampling)
    small = Instrument((12, 10), 0.1, kernel, 1000.0, over_sample=over_sample)
    large = Instrument((30, 30), 0.1, kernel, 1000.0, over_sample=over_sample)
    image = observe(small, brightness(small.padded_grid))
    expected = observe(large, brightness(large.padded_grid))[9:21, 10:20]
    assert image.shape == (12, 10)
    np.testing.assert_allclose(image, expected, atol=1e-12)
    cropped = Instrument((12, 10), 0.1, None, 1000.0, over_sample=over_sample)
    dark_outside = observe(cropped, brightness(cropped.padded_grid))
    assert image[:, -1].sum() > 1.5 * dark_outside[:, -1].sum()


@pytest.mark.parametrize("point_spread", [None, psf.Gaussian(0.15), psf.Kernel(np.ones((3, 3))), psf.Airy(0.8, 1.0)])
def test_a_uniform_sky_keeps_its_brightness(point_spread):
    instrument = Instrument((6, 7), 0.1, point_spread, 1000.0, over_sample=2)
    image = observe(instrument, jnp.full(instrument.padded_grid.ray_shape, 3.0))
    np.testing.assert_allclose(image, np.full((6, 7), 0.03), rtol=1e-12)


def test_a_point_gives_the_integral_of_the_psf_over_each_pixel():
    """One ray alight: rays are points, kernel samples are integrals, so pixels are exact integrals of the PSF."""
    fwhm, scale = 0.12, 0.1
    instrument = Instrument((9, 9), scale, psf.Gaussian(fwhm, size=61), 1000.0, over_sample=5)
    grid = instrument.padded_grid
    middle = grid.ray_shape[0] // 2
    row, column = middle + 3, middle - 4
    ray_area = (scale / 5) ** 2
    image = observe(instrument, jnp.zeros(grid.ray_shape).at[row, column].set(1 / ray_area))
    x, y = grid.positions()
    edges = (np.arange(10) - 4.5) * scale
    line_x, line_y = (
        np.diff(erf((edges - float(at[row, column])) / (fwhm / 2.354820045 * np.sqrt(2)))) / 2 for at in (x, y)
    )
    np.testing.assert_allclose(image, line_y[:, None] * line_x[None, :], atol=1e-9)


def test_sub_sampled_kernels_converge_to_the_finely_sampled_image():
    """A Gaussian source through a Gaussian PSF is a Gaussian: the image must be its integral over pixels."""
    sigma_source, fwhm, scale = 0.06, 0.1, 0.05
    sigma = np.hypot(sigma_source, fwhm / 2.354820045)
    edges = (np.arange(17) - 8) * scale
    line = np.diff(erf(edges / (sigma * np.sqrt(2)))) / 2
    errors = []
    for over_sample in (1, 2, 4):
        instrument = Instrument((16, 16), scale, psf.Gaussian(fwhm), 1000.0, over_sample=over_sample)
        x, y = instrument.padded_grid.positions()
        light = jnp.exp(-(x**2 + y**2) / (2 * sigma_source**2)) / (2 * np.pi * sigma_source**2)
        errors.append(np.abs(observe(instrument, light) - line[:, None] * line[None, :]).max() / line.max() ** 2)
    assert errors[0] < 1e-3
    # What is left is the kernel's cut-off wings.
    assert errors[2] < 1e-4


def test_adaptive_over_sampling_agrees_with_uniform():
    kernel = psf.Gaussian(0.15, sampling=2)
    adaptive = Instrument((20, 22), 0.1, kernel, 1000.0, over_sample=AdaptiveOverSample((0.5,), (8, 4)))
    uniform = Instrument((20, 22), 0.1, kernel, 1000.0, over_sample=8)
    assert adaptive.padded_grid.n_rays < 0.4 * uniform.padded_grid.n_rays
    images = []
    for instrument in (adaptive, uniform):
        x, y = instrument.padded_grid.positions()
        images.append(observe(instrument, jnp.exp(-jnp.hypot(x - 0.07, y + 0.11) / 0.3)))
    np.testing.assert_allclose(*images, rtol=2e-3)


@pytest.mark.parametrize("size", [5, 21])
def test_float32_agrees_with_float64(size):
    kernel = psf.Kernel(np.random.default_rng(0).random((size, size)), 2)
    double = Instrument((14, 14), 0.1, kernel, 1000.0, over_sample=4)
    single = cast(double, jnp.float32)
    image = observe(single, brightness(single.padded_grid).astype(jnp.float32))
    assert image.dtype == jnp.float32
    expected = observe(double, brightness(double.padded_grid))
    np.testing.assert_allclose(image, expected, atol=1e-6 * float(expected.max()))


def test_gradient_by_the_width_of_the_psf():
    @eqx.filter_jit
    def loss(fwhm):
        instrument = Instrument((6, 6), 0.1, psf.Gaussian(fwhm, size=15), 1000.0, over_sample=2)
        return jnp.sum(instrument.observe(brightness(instrument.padded_grid)) ** 2)

    step, fwhm = 1e-5, jnp.asarray(0.2)
    finite = (loss(fwhm + step) - loss(fwhm - step)) / (2 * step)
    np.testing.assert_allclose(eqx.filter_jit(jax.grad(loss))(fwhm), finite, rtol=1e-6)


def test_one_compilation_serves_other_kernels_and_exposures():
    traces = []

    @eqx.filter_jit
    def take(instrument, light, key):
        traces.append(None)
        return instrument.add_noise(instrument.observe(light), key)

    for i in range(3):
        kernel = psf.Gaussian(0.1 + 0.05 * i, size=9)
        instrument = Instrument((6, 6), 0.1, kernel, 1000.0 + i, sky_level=0.1 * i, over_sample=2, read_noise=i)
        take(instrument, brightness(instrument.padded_grid), jax.random.key(i))
    assert len(traces) == 1


def test_noise_of_dark_corners_is_finite():
    """Fourier transforms leave values just below zero where there is no light; without sky they still have no noise."""
    instrument = Instrument((20, 20), 0.1, psf.Gaussian(0.3), 1000.0, over_sample=2)
    x, y = instrument.padded_grid.positions(jnp.float32)
    light = jnp.where((x**2 + y**2) < 0.04, 1e4, 0.0).astype(jnp.float32)
    image = observe(cast(instrument, jnp.float32), light)
    assert float(image.min()) < 0
    noisy = np.asarray(add_noise(instrument, image, jax.random.key(0)))
    assert np.isfinite(noisy).all()
    assert np.all(noisy[0] == 0)


def test_negative_light_is_an_error_outside_and_nan_inside_of_compiled_code():
    instrument = Instrument((3, 3), 0.1, None, 1000.0, sky_level=0.01)
    image = jnp.ones((3, 3)).at[1, 2].set(-0.5)
    with pytest.raises(ValueError, match=r"image of -0.5 electrons / s at row 1, column 2"):
        instrument.add_noise(image, jax.random.key(0))
    inside = np.asarray(add_noise(instrument, image, jax.random.key(0)))
    assert np.isnan(inside[1, 2])
    assert np.isnan(inside).sum() == 1


def test_noise_follows_the_noise_map():
    time = np.full((50, 60), 500.0)
    time[:25] = 5000.0
    instrument = Instrument((50, 60), 0.1, None, time, sky_level=0.2, read_noise=6.0)
    image = jnp.full((50, 60), 0.5)
    noise = np.asarray(instrument.noise_map(image))
    np.testing.assert_allclose(noise[0, 0], np.sqrt(0.7 * 5000 + 36) / 5000, rtol=1e-12)
    pull = (np.asarray(add_noise(instrument, image, jax.random.key(1))) - 0.5) / noise
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    for half in (pull[:25], pull[25:]):
        assert abs(half.std() - 1) < 4 / np.sqrt(2 * half.size)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"exposure_time": 0.0}, "exposure_time must be a positive number of seconds, got 0.0"),
        (
            {"exposure_time": np.ones((4, 5))},
            r"exposure_time must be a number or a map of shape \(5, 5\), got shape \(4, 5\)",
        ),
        ({"sky_level": -0.1}, "sky_level must be .* at least 0, got -0.1"),
        ({"read_noise": float("nan")}, "read_noise must be .* got nan"),
        ({"sky_level": 0.1, "background_rms": 0.01}, "not both"),
        ({"read_noise": 2.0, "background_rms": 0.01}, "not both"),
        ({"over_sample": 3, "psf": psf.Gaussian(0.2, sampling=2)}, "over_sample 3 and sampling 2"),
        ({"shape": (5, 0)}, r"shape\[1\], the number of columns, must be a whole number of at least 1, got 0"),
        ({"pixel_scale": -0.1}, "pixel_scale must be a positive number of arcsec, got -0.1"),
        ({"psf": psf.Kernel(np.ones((3, 3)), 1, 0.05)}, "samples of 0.05 arcsec, but the instrument's pixel_scale 0.1"),
    ],
)
def test_bad_instruments_are_named(keywords, message):
    with pytest.raises(ValueError, match=message):
        Instrument(**{"shape": (5, 5), "pixel_scale": 0.1, "psf": None, "exposure_time": 1000.0, **keywords})


def test_what_is_no_psf_is_refused():
    with pytest.raises(TypeError, match=r"psf must be a point spread function of lensax.psf or None, got 'Gaussian'"):
        Instrument((5, 5), 0.1, "Gaussian", 1000.0)


def test_light_of_another_shape_is_refused():
    instrument = Instrument((5, 5), 0.1, psf.Kernel(np.ones((3, 3))), 1000.0, over_sample=2)
    with pytest.raises(ValueError, match=r"an array of shape \(14, 14\), got \(10, 10\)"):
        instrument.observe(jnp.ones((10, 10)))


def test_a_simulated_dataset_knows_its_instrument():
    instrument = Instrument((8, 8), 0.1, psf.Gaussian(0.2), 1000.0, sky_level=0.1, over_sample=2, read_noise=5.0)
    image = observe(instrument, brightness(instrument.padded_grid))
    noisy = add_noise(instrument, image, jax.random.key(0))
    dataset = instrument.imaging(noisy, image)
    np.testing.assert_allclose(dataset.noise_map, instrument.noise_map(image), rtol=1e-12)
    background = np.sqrt(0.1 * 1000 + 25) / 1000
    assert float(dataset.background_rms) == pytest.approx(background)
    again = Instrument.from_imaging(dataset, over_sample=2)
    np.testing.assert_array_equal(again.psf.array, instrument.psf.array)
    np.testing.assert_allclose(again.noise_map(image), instrument.noise_map(image), rtol=1e-12)


def test_the_instrument_of_a_dataset_needs_exposure_and_background():
    values = np.ones((4, 4))
    with pytest.raises(ValueError, match="the dataset has no exposure_time"):
        Instrument.from_imaging(Imaging(values, values, None, 0.1))
    dataset = Imaging(values, values, None, 0.1, exposure_time=100.0)
    with pytest.raises(ValueError, match="has no background_rms"):
        Instrument.from_imaging(dataset)
    assert float(Instrument.from_imaging(dataset, background_rms=0.02).background_rms) == 0.02


@pytest.mark.parametrize("name", ["hst_f390w_ring", "hst_f475x_arc"])
def test_blank_sky_of_a_real_telescope_has_the_statistics_of_its_image(shared, name):
    folder = shared / "data" / name
    files = {key: folder / f"{key}.fits" for key in ("data", "noise_map", "psf", "exposure_time")}
    dataset = Imaging.from_fits(**files, pixel_scale=0.04)
    instrument = Instrument.from_imaging(dataset, over_sample=2)
    # The noise map that comes with the data is that of the data under this instrument.
    np.testing.assert_allclose(instrument.noise_map(dataset.data), dataset.noise_map, rtol=1e-6)
    blank = observe(instrument, jnp.zeros(instrument.padded_grid.ray_shape))
    simulated = np.asarray(add_noise(instrument, blank, jax.random.key(0)))
    # The corners hold sky alone; the median deviation there is blind to the few faint objects among them.
    n_y, n_x = dataset.shape
    y, x = np.indices((n_y, n_x))
    corners = np.hypot(x - n_x / 2, y - n_y / 2) > 0.62 * n_x
    real = np.asarray(dataset.data)[corners]
    spread = [1.4826 * np.median(np.abs(values - np.median(values))) for values in (real, simulated[corners])]
    # Both have errors of 1.17 / sqrt(2 n); combined exposures (drizzled) have correlated noise, so fewer free pixels.
    assert spread[1] == pytest.approx(float(dataset.background_rms), rel=4 * 1.65 / np.sqrt(2 * corners.sum()))
    assert spread[0] == pytest.approx(spread[1], rel=0.15)
    assert abs(simulated.mean()) < 4 * simulated.std() / np.sqrt(simulated.size)
