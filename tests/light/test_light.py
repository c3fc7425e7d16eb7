"""Light profiles: the battery, tables, fluxes, and the half-light constant."""

import json

import battery
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery import Case
from scipy.integrate import quad
from scipy.special import gammaincinv

from lensax.light import CoredSersic, Gaussian, Sersic
from lensax.light.sersic import cored_sersic_law, half_light_constant, sersic_law


def brightness(profile, x, y):
    return profile.surface_brightness(x, y)[None]


def light(name, profile, radii, tolerance=2e-6):
    return Case(name, profile, brightness, radii, (tolerance,))


CASES = [
    light("exponential disc", Sersic(20.0, 0.3, 1.0), (0.01, 0.3, 1.0)),
    light("elliptical de Vaucouleurs", Sersic(5.0, 0.6, 4.0, 0.2, -0.3, 0.02, -0.03), (0.01, 0.6, 2.0)),
    light("flat centre", Sersic(5.0, 0.6, 0.4, 0.2, -0.3, 0.02, -0.03), (0.01, 0.3, 0.6)),
    light("cored", CoredSersic(20.0, 0.15, 1.5, 0.1, 0.0, 0.02, -0.03), (0.01, 0.025, 0.15)),
    light("flat core", CoredSersic(20.0, 0.3, 4.0, -0.1, 0.2, 0.02, -0.03, 0.05, 0.01, 8.0), (0.01, 0.05, 0.5)),
    light("Gaussian", Gaussian(3.0, 0.4, 0.1, 0.3, 0.02, -0.03), (0.01, 0.4, 0.8)),
]
FIRST_OF_ITS_CLASS = list({type(case.profile): case for case in reversed(CASES)}.values())

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_class = pytest.mark.parametrize("case", FIRST_OF_ITS_CLASS, ids=lambda case: case.name)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@each_case
def test_finite_everywhere(case, dtype):
    battery.check_finite(case, dtype)


@each_case
def test_derivatives(case):
    battery.check_derivatives(case)


@each_class
def test_batch_is_a_loop(case):
    battery.check_vmap(case)


@each_class
def test_eager_and_any_shape(case):
    battery.check_eager_and_shapes(case)


@each_case
def test_float32(case):
    battery.check_float32(case)


def test_half_light_constant_is_exact():
    index = np.concatenate([np.geomspace(0.2, 50.0, 301), [0.5, 1.0, 4.0]])
    found = jax.jit(half_light_constant)(jnp.asarray(index))
    np.testing.assert_allclose(found, gammaincinv(2 * index, 0.5), rtol=1e-12)
    single = jax.jit(half_light_constant)(jnp.asarray(index, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, gammaincinv(2 * index.astype(np.float32).astype(float), 0.5), rtol=1e-6)


def test_half_light_constant_of_the_table(data):
    for row in json.loads((data / "macro_reference.json").read_text())["sersic_bn"]:
        np.testing.assert_allclose(half_light_constant(jnp.asarray(row["n"])), row["b_exact"], rtol=1e-12)


@pytest.mark.parametrize("index", [0.3, 1.0, 4.0, 10.0])
def test_half_light_constant_has_its_derivative(index):
    step = 1e-4 * index
    expected = (gammaincinv(2 * (index + step), 0.5) - gammaincinv(2 * (index - step), 0.5)) / (2 * step)
    np.testing.assert_allclose(jax.grad(half_light_constant)(jnp.asarray(index)), expected, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-13), (jnp.float32, 2e-6)])
def test_laws_of_the_table(data, dtype, tolerance):
    """The table was made with the constant of Ciotti & Bertin (1999), which the laws take as an argument."""
    rows = json.loads((data / "macro_reference.json").read_text())["core_sersic"]
    column = {
        name: jnp.asarray([row[name] for row in rows], dtype)
        for name in ("n", "r", "r_eff", "r_break", "gamma", "alpha")
    }
    n = np.array([row["n"] for row in rows])
    b = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2) + 131 / (1148175 * n**3) - 2194697 / (30690717750 * n**4)
    arguments = (column["r"] ** 2, column["r_eff"], column["n"], jnp.asarray(b, dtype))
    plain = jax.jit(jax.vmap(sersic_law))(*arguments)
    cored = jax.jit(jax.vmap(cored_sersic_law))(*arguments, column["r_break"], column["gamma"], column["alpha"])
    np.testing.assert_allclose(plain, [row["sersic"] for row in rows], rtol=tolerance)
    outside = [row["core_sersic"] is not None for row in rows]
    assert sum(outside) == 21
    np.testing.assert_allclose(
        np.asarray(cored)[outside],
        [row["core_sersic"] for row in rows if row["core_sersic"] is not None],
        rtol=tolerance,
    )


def test_intensity_is_the_brightness_at_the_effective_and_at_the_break_radius():
    zero = jnp.zeros(())
    sersic = Sersic(3.0, 0.4, 2.2)
    cored = CoredSersic(3.0, 0.4, 2.2, break_radius=0.05, inner_slope=0.3, sharpness=5.0)
    np.testing.assert_allclose(sersic.surface_brightness(jnp.asarray(0.4), zero), 3.0, rtol=1e-14)
    np.testing.assert_allclose(cored.surface_brightness(zero, jnp.asarray(0.05)), 3.0, rtol=1e-14)
    np.testing.assert_allclose(Gaussian(3.0, 0.4).surface_brightness(zero, zero), 3.0, rtol=1e-14)


@pytest.mark.parametrize("index", [0.3, 1.0, 4.0])
def test_half_of_the_light_is_inside_the_effective_radius(index):
    """Also of an ellipse: the effective radius is on the intermediate axis."""
    profile = Sersic(2.0, 0.7, index, 0.2, -0.1)
    law = jax.jit(
        lambda r: sersic_law(
            r * r, profile.effective_radius, profile.sersic_index, half_light_constant(profile.sersic_index)
        )
    )
    inside = quad(lambda r: float(law(r)) * r, 0, 0.7, epsrel=1e-9)[0]
    outside = quad(lambda u: float(law(np.exp(u))) * np.exp(2 * u), np.log(0.7), np.log(0.7) + 12, epsrel=1e-9)[0]
    np.testing.assert_allclose(inside, outside, rtol=1e-6)


def test_flux_does_not_depend_on_ellipticity():
    step = 0.02
    axis = jnp.arange(-3.0, 3.0, step) + step / 2
    x, y = jnp.meshgrid(axis, axis)
    flux = [
        float(Gaussian(3.0, 0.4, e1, e2).surface_brightness(x, y).sum()) * step**2 for e1, e2 in ((0, 0), (0.2, -0.2))
    ]
    np.testing.assert_allclose(flux, 2 * np.pi * 0.4**2 * 3.0, rtol=1e-8)


def test_ellipse_is_elongated_along_its_position_angle():
    angle, q = 0.6, 0.5
    size = (1 - q) / (1 + q)
    profile = Gaussian(1.0, 0.5, size * np.cos(2 * angle), size * np.sin(2 * angle))
    for length, direction in ((0.5 / np.sqrt(q), angle), (0.5 * np.sqrt(q), angle + np.pi / 2)):
        x, y = jnp.asarray(length * np.cos(direction)), jnp.asarray(length * np.sin(direction))
        np.testing.assert_allclose(profile.surface_brightness(x, y), np.exp(-0.5), rtol=1e-13)


def test_core_leaves_the_outside_alone_and_no_inner_slope_is_flat():
    x, y = jnp.array([0.2, 0.5, 1.0]), jnp.zeros(3)
    cored, plain = CoredSersic(1.0, 0.3, 2.0), Sersic(1.0, 0.3, 2.0)
    ratio = cored.surface_brightness(x, y) / plain.surface_brightness(x, y)
    np.testing.assert_allclose(ratio, ratio[-1], rtol=3e-3)
    flat = CoredSersic(1.0, 0.3, 2.0, break_radius=0.1, inner_slope=0.0, sharpness=6.0)
    centre = flat.surface_brightness(jnp.array([0.0, 0.01]), jnp.zeros(2))
    np.testing.assert_allclose(centre[0], centre[1], rtol=1e-5)


@pytest.mark.parametrize("sharpness", [0.5, 3.0, 200.0])
def test_any_sharpness_stays_in_the_range_of_float32(sharpness):
    numbers = [jnp.asarray(v, jnp.float32) for v in (1.0, 0.3, 2.0, 0.0, 0.0, 0.0, 0.0, 0.025, 0.25, sharpness)]
    x = jnp.asarray([0.0, 1e-5, 0.02, 0.025, 1.0, 30.0], jnp.float32)

    def total(profile):
        return profile.surface_brightness(x, jnp.zeros_like(x)).sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(CoredSersic(*numbers))
    assert np.isfinite(value)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sersic(float("nan"), 0.3, 1.0), "Sersic: intensity must be a finite brightness"),
        (lambda: Sersic(1.0, 0.0, 1.0), r"effective_radius must be a positive angle in arcsec, got 0\.0"),
        (lambda: Sersic(1.0, 0.3, 0.1), r"sersic_index must be between 0\.2 and 50, got 0\.1"),
        (lambda: Sersic(1.0, 0.3, 1.0, 1.2), r"ellipticity .* must be below 1, got 1\.2"),
        (lambda: CoredSersic(1.0, 0.3, 1.0, center_x=float("nan")), "CoredSersic: center_x must be a finite angle"),
        (lambda: CoredSersic(1.0, 0.3, 1.0, break_radius=0.0), "break_radius must be a positive angle"),
        (lambda: CoredSersic(1.0, 0.3, 1.0, inner_slope=2.0), r"inner_slope must be at least 0 and below 2, got 2\.0"),
        (lambda: CoredSersic(1.0, 0.3, 1.0, sharpness=-1.0), r"sharpness must be a positive number, got -1\.0"),
        (lambda: Gaussian(1.0, -0.3), r"Gaussian: sigma must be a positive angle in arcsec, got -0\.3"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
