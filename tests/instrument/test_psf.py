"""Point spread functions: normalisation, size, samples against quadrature, gradients, files, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from scipy import special
from scipy.integrate import dblquad

from lensax.instrument import AdaptiveOverSample, Grid, psf
from lensax.instrument.airy import airy_pattern, enclosing_radius, jinc

GRID = Grid((10, 10), 0.05, 4)


@pytest.mark.parametrize(
    "point_spread",
    [psf.Gaussian(0.08), psf.Moffat(0.1, 3.5), psf.Airy(0.6, 2.4, 0.33), psf.Airy(0.8, 2.4)],
    ids=["Gaussian", "Moffat", "Airy obstructed", "Airy"],
)
def test_analytic_kernels_are_normalised_centred_and_symmetric(point_spread):
    kernel = point_spread.kernel(GRID)
    array = np.asarray(kernel.array)
    assert kernel.sampling == 4
    assert kernel.sample_scale == 0.0125
    assert array.shape[0] == array.shape[1]
    assert array.shape[0] % 2 == 1
    assert array.sum() == pytest.approx(1, abs=1e-14)
    assert array.min() >= 0
    assert np.unravel_index(array.argmax(), array.shape) == (array.shape[0] // 2,) * 2
    for other in (array.T, array[::-1], array[:, ::-1]):
        np.testing.assert_allclose(array, other, atol=1e-17)


def moffat(x, y, fwhm, beta):
    return (1 + (x**2 + y**2) * 4 * (2 ** (1 / beta) - 1) / fwhm**2) ** -beta


def airy(x, y, wavelength, diameter, obstruction):
    v = np.pi * np.hypot(x, y) * np.pi / 648000 * diameter / (wavelength * 1e-6)
    amplitude = [2 * special.j1(a) / a if a > 0 else 1.0 for a in (v, obstruction * v)]
    return ((amplitude[0] - obstruction**2 * amplitude[1]) / (1 - obstruction**2)) ** 2


@pytest.mark.parametrize(
    ("point_spread", "profile", "tolerance"),
    [
        (psf.Gaussian(0.08), lambda x, y: np.exp(-4 * np.log(2) * (x**2 + y**2) / 0.08**2), 1e-9),
        (psf.Gaussian(0.02), lambda x, y: np.exp(-4 * np.log(2) * (x**2 + y**2) / 0.02**2), 1e-9),
        (psf.Moffat(0.08, 2.5), lambda x, y: moffat(x, y, 0.08, 2.5), 1e-9),
        (psf.Moffat(0.02, 4.0), lambda x, y: moffat(x, y, 0.02, 4.0), 1e-4),
        (psf.Airy(0.6, 2.4, 0.33), lambda x, y: airy(x, y, 0.6, 2.4, 0.33), 1e-6),
    ],
)
def test_samples_are_integrals_over_their_area(point_spread, profile, tolerance):
    """Ratios of samples to the central one, against adaptive quadrature; the profile from its definition."""
    array, step = np.asarray(point_spread.kernel(GRID).array), 0.0125
    middle = array.shape[0] // 2
    found, expected = [], []
    for row, column in ((0, 0), (0, 1), (1, 2), (3, 0)):
        box = ((column - 0.5) * step, (column + 0.5) * step, (row - 0.5) * step, (row + 0.5) * step)
        expected.append(dblquad(lambda y, x: profile(x, y), *box, epsabs=1e-13)[0])
        found.append(array[middle + row, middle + column])
    np.testing.assert_allclose(np.array(found) / found[0], np.array(expected) / expected[0], rtol=0, atol=tolerance)


def test_a_gaussian_kernel_leaves_out_less_than_1e_4():
    for fwhm in (0.005, 0.02, 0.08, 0.15, 0.3):
        kernel = psf.Gaussian(fwhm).kernel(GRID)
        reach = (kernel.shape[0] / 2) * 0.0125
        sigma = fwhm / 2.354820045
        assert 1 - special.erf(reach / sigma / np.sqrt(2)) ** 2 < 1e-4
        wider = np.asarray(psf.Gaussian(fwhm, size=kernel.shape[0] + 40).kernel(GRID).array)
        assert wider[20:-20, 20:-20].sum() > 1 - 1e-4


def test_wings_of_moffat_and_airy_reach_their_enclosed_energy():
    """The share of a much larger kernel that lies in the circle of the default one."""
    for point_spread, larger in (
        (psf.Moffat(0.08, 4.0), psf.Moffat(0.08, 4.0, size=401)),
        (psf.Airy(0.6, 2.4, 0.33, enclosed_energy=0.93), psf.Airy(0.6, 2.4, 0.33, size=401)),
    ):
        half = point_spread.kernel(GRID).shape[0] // 2
        wide = np.asarray(larger.kernel(GRID).array)
        offset = np.arange(401) - 200
        inside = wide[np.hypot(offset[:, None], offset[None, :]) < half + 0.5].sum()
        # Beyond the larger kernel lies nothing of the Moffat profile and 0.6 % of the rings.
        assert point_spread.enclosed_energy - 2e-3 < inside < point_spread.enclosed_energy + 1e-2


def test_sizes_and_samplings_can_be_given():
    assert psf.Gaussian(0.08, sampling=2).kernel(GRID).sampling == 2
    assert psf.Gaussian(0.08, size=31).kernel(GRID).shape == (31, 31)
    assert psf.Moffat(0.08, 3.0, sampling=1, size=7).kernel(GRID).shape == (7, 7)
    adaptive = Grid((10, 10), 0.05, AdaptiveOverSample((0.1,), (4, 2)))
    assert psf.Gaussian(0.08).kernel(adaptive).sampling == 4
    # Even a width far below a sample keeps a neighbour on each side.
    assert psf.Gaussian(1e-4).kernel(GRID).shape == (3, 3)


def test_jinc_against_scipy():
    x = np.concatenate([[1e-12, 1e-6, 2.9999, 3.0001], np.linspace(0.01, 300, 5000)])
    np.testing.assert_allclose(jinc(jnp.asarray(x)), 2 * special.j1(x) / x, rtol=0, atol=3e-8)
    assert float(jinc(jnp.asarray(0.0))) == 1.0
    assert np.isfinite(jax.vmap(jax.grad(jinc))(jnp.asarray([0.0, 1.0, 3.0, 50.0]))).all()


def test_airy_pattern_has_its_first_zero_and_its_light_where_the_textbooks_say():
    first_zero = special.jn_zeros(1, 1)[0]
    assert float(airy_pattern(jnp.asarray(first_zero), jnp.asarray(0.0))) < 1e-14
    # Rayleigh: without obstruction the light within v is 1 - J0(v)^2 - J1(v)^2.
    for v in (1.0, 2.5, 5.0, 11.0):
        assert enclosing_radius(1 - special.j0(v) ** 2 - special.j1(v) ** 2, 0.0) == pytest.approx(v, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (lambda p: psf.Gaussian(p[0], size=9), [0.09]),
        (lambda p: psf.Moffat(p[0], p[1], size=9), [0.09, 3.1]),
        (lambda p: psf.Airy(p[0], p[1], p[2], size=9), [0.7, 2.4, 0.3]),
    ],
)
def test_kernels_differentiate_by_their_parameters(make, values):
    grid, values = Grid((4, 4), 0.05, 2), jnp.asarray(values)
    weights = jax.random.normal(jax.random.key(0), (9, 9))

    @eqx.filter_jit
    def loss(p):
        return jnp.vdot(weights, make(p).kernel(grid).array)

    gradient = eqx.filter_jit(jax.grad(loss))(values)
    for i, value in enumerate(values):
        step = 1e-5 * value
        finite = (loss(values.at[i].add(step)) - loss(values.at[i].add(-step))) / (2 * step)
        np.testing.assert_allclose(gradient[i], finite, rtol=1e-5)


def test_traced_widths_need_a_size():
    with pytest.raises(
        ValueError, match="Gaussian: its parameters are traced, so the size of the kernel must be given"
    ):
        jax.jit(lambda fwhm: psf.Gaussian(fwhm).kernel(GRID).array)(jnp.asarray(0.1))


def test_kernel_is_normalised_and_differentiable():
    kernel = psf.Kernel(np.arange(15.0).reshape(3, 5))
    np.testing.assert_allclose(kernel.array, np.arange(15.0).reshape(3, 5) / 105, rtol=1e-15)
    assert kernel.shape == (3, 5)
    assert kernel.margin == (1, 2)
    assert psf.Kernel(np.ones((9, 7)), 4).margin == (1, 1)
    assert psf.Kernel(np.ones((11, 7)), 4).margin == (2, 1)
    gradient = jax.grad(lambda a: psf.Kernel(a).array[1, 1])(jnp.ones((3, 3)))
    np.testing.assert_allclose(gradient[1, 1], 1 / 9 - 1 / 81, rtol=1e-12)


WITH_NAN = np.ones((3, 3))
WITH_NAN[1, 2] = np.nan
NEGATIVE = np.ones((3, 3))
NEGATIVE[2, 0] = -0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: psf.Kernel(np.ones((4, 5))), r"odd sizes.*got shape \(4, 5\)"),
        (lambda: psf.Kernel(np.ones(5)), r"two-dimensional array, got shape \(5,\)"),
        (lambda: psf.Kernel(np.ones((0, 3))), r"empty, got shape \(0, 3\)"),
        (lambda: psf.Kernel(WITH_NAN), "finite, got nan at row 1, column 2"),
        (lambda: psf.Kernel(NEGATIVE), "not be negative, got -0.25 at row 2, column 0"),
        (lambda: psf.Kernel(np.zeros((3, 3))), "positive sum, got 0.0"),
        (lambda: psf.Kernel("round"), "array of numbers, got str"),
        (lambda: psf.Kernel(np.ones((3, 3)), 0), "sampling of a PSF must be a whole number of at least 1, got 0"),
        (lambda: psf.Kernel(np.ones((3, 3)), 1, -0.1), "sample_scale .* got -0.1"),
        (lambda: psf.Gaussian(0.0), "Gaussian: fwhm must be a positive angle in arcsec, got 0.0"),
        (lambda: psf.Gaussian(0.1, size=8), "size of a PSF must be odd.*got 8"),
        (lambda: psf.Gaussian(0.1, sampling=1.5), "got 1.5"),
        (lambda: psf.Gaussian(100.0).kernel(GRID), "more than 2001"),
        (lambda: psf.Moffat(0.1, 1.0), "beta must be a number above 1, got 1.0"),
        (lambda: psf.Moffat(0.1, 3.0, enclosed_energy=1.0), "between 0 and 1, got 1.0"),
        (lambda: psf.Airy(0.6, 2.4, 1.0), r"obstruction must be in \[0, 1\), got 1.0"),
        (lambda: psf.Airy(-0.6, 2.4), "wavelength must be a positive number of micrometres, got -0.6"),
        (lambda: psf.Airy(0.6, 2.4, enclosed_energy=0.9999).kernel(GRID), "enclosed_energy 0.9999 is more than"),
    ],
)
def test_bad_point_spread_functions_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def write(path, array, **keywords):
    unit = fits.PrimaryHDU(np.asarray(array, np.float32))
    unit.header.update(keywords)
    unit.writeto(path)
    return path


def test_kernel_from_fits(tmp_path):
    array = np.random.default_rng(0).random((5, 7))
    path = write(tmp_path / "psf.fits", array, PIXSCALE=0.0125, OVERSAMP=4)
    kernel = psf.from_fits(path, sampling=4)
    np.testing.assert_allclose(kernel.array, array / array.sum(), rtol=1e-6)
    assert kernel.kernel(GRID) is kernel
    with pytest.raises(ValueError, match=r"samples of 0.0125 arcsec, but the instrument's pixel_scale 0.04 arcsec"):
        kernel.kernel(Grid((10, 10), 0.04, 4))
    with pytest.raises(
        ValueError, match=r"psf.fits: header keyword OVERSAMP says 4 samples per pixel, but sampling is 1"
    ):
        psf.from_fits(path)


@pytest.mark.parametrize(
    ("array", "keywords", "message"),
    [
        (np.ones((4, 4)), {}, r"psf.fits: a PSF kernel must have odd sizes.*\(4, 4\)"),
        (NEGATIVE, {}, "psf.fits: a PSF kernel must not be negative, got -0.25"),
        (np.ones((3, 3, 3)), {}, r"psf.fits: expected a two-dimensional image, got shape \(3, 3, 3\)"),
        (
            np.ones((3, 3)),
            {"PIXSCALE": "small"},
            "psf.fits: header keyword PIXSCALE must be a positive number, got 'small'",
        ),
    ],
)
def test_bad_psf_files_are_named(tmp_path, array, keywords, message):
    path = write(tmp_path / "psf.fits", array, **keywords)
    with pytest.raises(ValueError, match=message):
        psf.from_fits(path)


def test_the_real_psfs(shared):
    ring = psf.from_fits(shared / "data" / "hst_f390w_ring" / "psf.fits")
    assert ring.shape == (41, 41)
    assert ring.kernel(Grid((120, 120), 0.04, 2)) is ring
    fine = psf.from_fits(shared / "data" / "hst_psf_f814w_x4.fits", sampling=4)
    assert fine.kernel(Grid((120, 120), 0.04, 4)) is fine
    with pytest.raises(ValueError, match=r"samples of 0.01 arcsec"):
        fine.kernel(Grid((120, 120), 0.05, 4))
