"""What waits for an earlier fit, and what it is given: meshes and priors that follow the brightness."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fit_problem import posterior, start

from lensax.fit import BrightnessMesh, Plan, SourceBox, brightness_of, fit_in_stages
from lensax.fit.preparation import brightness_extent, smoothed_map
from lensax.fit.waiting import awaits_brightness, is_open, laid, waiting, with_brightness
from lensax.inversion import Adaptive, AdaptiveMesh, BrightnessAmplitude, Matern, UniformMesh
from lensax.recipe import Ingredient


@pytest.fixture(scope="module")
def found():
    made = posterior("pixelized")
    return made.solution(start(made))


@pytest.mark.extended
def test_a_mesh_follows_the_brightness_of_an_earlier_fit(found):
    mesh = laid(BrightnessMesh((7, 8), background=0.1, nodes=100), found)
    assert isinstance(mesh, AdaptiveMesh)
    assert (mesh.shape, mesh.background, mesh.nodes) == ((7, 8), 0.1, 100)
    np.testing.assert_array_equal(mesh.brightness, found.source_light)
    even = BrightnessMesh((7, 8)).unadapted()
    assert even.brightness is None
    assert laid(even, found) is even


def test_a_brightness_has_the_extent_that_is_asked_for(found):
    """Wherever the next source may have light: beyond the map its prior is dark."""
    half = [0.5 * float(edge) for edge in found.extent]
    whole, part = (brightness_of(found, extent, 0.1) for extent in (found.extent, half))
    np.testing.assert_array_equal(whole.extent, jnp.stack(found.extent))
    np.testing.assert_array_equal(part.extent, half)
    beyond = jnp.asarray(1.5 * half[0]), jnp.asarray(0.0)
    assert float(whole(*beyond)) > 0
    assert float(part(*beyond)) == 0


def test_a_source_has_light_on_its_mesh_or_wherever_there_are_rays(found):
    box = (-0.4, 0.5, -0.3, 0.2)
    assert brightness_extent(UniformMesh((6, 6), box), found) == box
    for mesh in (UniformMesh((6, 6)), AdaptiveMesh((6, 6))):
        np.testing.assert_array_equal(brightness_extent(mesh, found), found.extent)


@pytest.mark.parametrize("extent", [(0.5, -0.5, 0, 1), (0, 1, 0, np.nan), (0, 1, 2)])
def test_a_brightness_of_no_extent_is_refused(found, extent):
    with pytest.raises(ValueError, match=r"brightness_of: extent must be \(left, right, bottom, top\)"):
        brightness_of(found, extent, 0.1)


def test_a_box_has_no_more_cells_than_the_fit_had_pixels(found):
    box = SourceBox(cell=0.001, most=5000)
    mesh = box.mesh(found)
    assert 0.9 * found.n_pixels < mesh.shape[0] * mesh.shape[1] <= found.n_pixels
    assert "no more than there are pixels" in box.remark(mesh)


def spot(shape, extent):
    """A source that is one round Gaussian of 0.1 arcsec."""
    left, right, bottom, top = extent
    y, x = (low + (np.arange(n) + 0.5) * (high - low) / n for n, low, high in zip(shape, (bottom, left), (top, right)))
    return np.exp(-0.5 * (x[None, :] ** 2 + y[:, None] ** 2) / 0.1**2)


@pytest.mark.parametrize("smooth", [0.05, 0.1])
def test_a_brightness_is_smoothed_by_an_angle(smooth):
    """Variances add: of the source, of the smoothing, and of the map's quadratic splines, 1/4 of a pixel squared."""
    width, height = 4.2, 1.6
    bright = smoothed_map(spot, (-width / 2, width / 2, -height / 2, height / 2), smooth)
    x = np.linspace(-0.79, 0.79, 200)
    image = np.asarray(bright(*jnp.meshgrid(jnp.asarray(x), jnp.asarray(x))))
    for axis, length in ((0, width), (1, height)):
        share = image.sum(axis) / image.sum()
        pixel = length / bright.image.shape[1 - axis]
        expected = 0.1**2 + smooth**2 + 0.25 * pixel**2
        np.testing.assert_allclose(np.sum(share * x**2), expected, rtol=0.002)


def test_maps_of_nearly_the_same_extent_are_one_program():
    near, far = (smoothed_map(spot, (-half, half, -0.8, 0.8), 0.1) for half in (0.9, 1.1))
    assert jax.tree.structure(near) == jax.tree.structure(far)
    assert near.image.shape == far.image.shape


def test_a_prior_is_given_the_brightness_of_an_earlier_fit(found):
    bright = brightness_of(found, (-0.5, 0.5, -0.5, 0.5), 0.1)
    adaptive = Ingredient(Adaptive, {"inner": "inner", "outer": "outer"})
    amplitude = Ingredient(BrightnessAmplitude, {"deviation": "deviation"})
    kernel = Ingredient(Matern, {"length": "length"}, parts={"amplitude": amplitude})
    values = {name: jnp.asarray(0.5) for name in ("inner", "outer", "deviation", "length")}
    for prior in (adaptive, kernel):
        assert awaits_brightness(prior)
        filled = with_brightness(prior, bright)
        assert not awaits_brightness(filled)
        assert with_brightness(filled, bright) is filled
        made = filled.make(values)
        mine = made.brightness if isinstance(made, Adaptive) else made.amplitude.brightness
        np.testing.assert_array_equal(mine.image, bright.image)


def test_a_source_that_waits_needs_a_pass_before():
    closed = posterior("pixelized").model
    assert not is_open(closed)
    model = dataclasses.replace(closed, source=closed.source.with_parts(mesh=BrightnessMesh((6, 6))))
    assert waiting(model.source) == ("BrightnessMesh",)
    with pytest.raises(ValueError, match="BrightnessMesh can only be known from an earlier pass; passes must be at le"):
        fit_in_stages(model, posterior("pixelized").dataset, [{}], Plan(passes=0))
    boxed = dataclasses.replace(closed, source=closed.source.with_parts(mesh=SourceBox()))
    assert waiting(boxed.source) == ("SourceBox",)
    with pytest.raises(ValueError, match="at least 4 cells"):
        BrightnessMesh((2, 2))
