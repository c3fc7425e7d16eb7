"""Figures: what is in them, that nothing overlaps, and that nothing global is touched."""

import itertools
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from toy import ToyModel

import lensax as lx
from lensax.plot import (
    HaloStatistics,
    PlaneMap,
    PopulationStatistics,
    Substructure,
    View,
    look,
    montage,
    plane_maps,
    planes_figure,
    population_figure,
    population_statistics,
    preview,
    save,
)
from lensax.plot.montage import brightness_norm, change_norm
from lensax.plot.planes import caption
from lensax.plot.statistics import FRACTIONS, Band
from lensax.plot.style import TICK_DISTANCE, asinh_norm, asinh_ticks, round_up
from lensax.plot.substructure import _groups

POPULATION = """
cosmology: Planck15
dark_matter: {WDM: {log10_m_hm: {Uniform: [5.0, 8.0]}}}
lens:
  redshift: 0.5
  mass: [{PowerLaw: {einstein_radius: 1.2, slope: 2.0, e1: 0.1, e2: 0.0, center_x: 0.0, center_y: 0.0}}]
source:
  redshift: 1.5
  light: [{Gaussian: {intensity: 10.0, sigma: 0.1, e1: 0.0, e2: 0.0, center_x: 0.1, center_y: 0.0}}]
line_of_sight:
  planes: {front: 1, back: 1}
  cone: {geometry: narrowing, radius: 2.0}
  mass_function: {log10_mass: [7.5, 9.5], delta_los: {Uniform: [0.5, 1.5]}}
subhalos: {mean_number: 12.0, log10_mass: [7.5, 9.5], positions: {model: cored_nfw, radius: 2.0}}
instrument: {shape: [16, 20], pixel_scale: 0.1, over_sample: 1, psf: {Gaussian: {fwhm: 0.2}}, exposure_time: 2000.0}
"""


def a_view(label="row 0", seed=0, shape=(30, 30), peak=1.0, change=True):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    image = peak * np.exp(-(((np.hypot(x, y) - 0.5) / 0.1) ** 2))
    noise = np.full(shape, 0.02)
    extent = (-0.05 * shape[1] / 2, 0.05 * shape[1] / 2, -0.05 * shape[0] / 2, 0.05 * shape[0] / 2)
    difference = 5 * image * np.sin(9 * x) if change else None
    return View(image, image + noise * random.normal(size=shape), noise, difference, extent, label)


def texts(figure):
    """Every text that is drawn, with its box in pixels."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    found = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts]
    for axes in figure.axes:
        labels = [axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    labels += [label for label in (tick.label1, tick.label2) if label.get_visible()]
        found += [(label.get_text(), label.get_window_extent(renderer)) for label in labels if label.get_text()]
    return found


def assert_legible(figure):
    found = texts(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in found:
        assert min(box.x0, box.y0) >= 0, f"{text!r} is cut off"
        assert max(box.x1 - width, box.y1 - height) <= 0, f"{text!r} is cut off"
    for (one, box), (other, other_box) in itertools.combinations(found, 2):
        assert not box.overlaps(other_box), f"{one!r} and {other!r} overlap"


@pytest.mark.parametrize("shape", [(30, 30), (20, 40), (41, 30)])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_montage_is_legible(shape, count):
    views = [a_view(f"row {i}", i, shape, peak=10.0 ** (i - 2)) for i in range(count)]
    figure = montage(views, "cdm_hst", "64 images, seed 4294967295")
    assert len(figure.axes) == 3 * (count + 1)
    assert_legible(figure)


def test_montage_without_substructure_has_two_rows():
    assert len(montage([a_view(change=False)] * 2, "smooth").axes) == 2 * 3


@pytest.mark.parametrize("convergence", [None, np.geomspace(1e-4, 1, 900).reshape(30, 30) - 0.01, np.zeros((30, 30))])
def test_preview_is_legible(convergence):
    circle = np.linspace(0, 2 * np.pi, 100)
    curves = [(0.5 * np.cos(circle), 0.5 * np.sin(circle))]
    view = a_view(change=convergence is not None)
    figure = preview(view, Substructure(convergence, curves, curves), "cdm_hst", "seed 1, row 5")
    assert len(figure.axes) == (4 if convergence is None else 12)
    assert_legible(figure)
    assert figure.axes[0].get_xlim() == view.extent[:2]


def test_a_view_knows_the_smooth_universe_and_what_it_leaves():
    view = a_view()
    np.testing.assert_allclose(view.smooth + view.change * view.noise, view.noiseless, atol=1e-14)
    np.testing.assert_allclose(view.residual - view.change, (view.noisy - view.noiseless) / view.noise, atol=1e-12)
    assert a_view(change=False).smooth is a_view(change=False).residual is None


def some_maps(n):
    random = np.random.default_rng(n)
    discs = [(0.0, 0.1, 1.5)]
    return [
        PlaneMap(
            np.array([0.1 + z]),
            z == 1,
            random.normal(size=(20, 20)) ** 3,
            1000,
            (-2.0, 2.0, -2.0, 2.0),
            discs * (z > 0),
        )
        for z in range(n)
    ]


@pytest.mark.parametrize("n", [1, 2, 4, 9, 12])
def test_planes_are_legible(n):
    figure = planes_figure(some_maps(n), (-1.0, 1.0, -1.5, 1.5), "cdm_hst", "row 3")
    assert len(figure.axes) == n + 1
    assert_legible(figure)


def test_captions_of_planes():
    maps = some_maps(2)
    assert caption(maps[1]) == "z = 1.10 (lens), 1000 halos"
    assert caption(PlaneMap(np.array([0.1, 0.2]), True, maps[0].convergence, 1, (-1.0, 1.0, -1.0, 1.0))) == (
        "z = 0.10 to 0.20, 1 halo"
    )
    with pytest.raises(ValueError, match="at least one map, found none"):
        planes_figure([], (-1.0, 1.0, -1.0, 1.0), "nothing")


@given(st.integers(1, 100), st.floats(0, 1))
def test_many_planes_are_grouped_with_their_neighbours(n, where):
    lens = min(int(where * n), n - 1)
    groups = _groups(n, lens)
    assert len(groups) <= 12
    np.testing.assert_array_equal(np.concatenate(groups), np.arange(n))
    assert [lens] in [list(group) for group in groups]


def some_statistics(number, places=False):
    random = np.random.default_rng(3)
    edges, grid = np.linspace(7, 10, 13), np.linspace(7, 10, 5)
    points = np.stack(
        [random.uniform(7, 10, number), random.lognormal(2.3, 0.3, number), random.uniform(0, 1.3, number)]
    )
    expected = number * np.geomspace(0.5, 1e-3, 12)
    bands = [Band(None if places else z, 7 * grid**0, 10 * grid**0, 14 * grid**0) for z in (0.1, 1.3)[: 2 - places]]
    radii = (np.sort(random.uniform(0, 3, number)), 3 * np.sqrt(FRACTIONS)) if places else (None, None)
    return HaloStatistics(edges, random.poisson(expected).astype(float), expected, points, grid, bands, *radii)


@pytest.mark.parametrize("number", [0, 20, 7000])
@pytest.mark.parametrize("kinds", ["field", "subhalos", "both"])
def test_population_is_legible(number, kinds):
    field = some_statistics(number) if kinds != "subhalos" else None
    subhalos = some_statistics(number, True) if kinds != "field" else None
    planes = np.array([0.2, 0.5, 1.0])
    counts = np.array([0.1, 0.3, 0.6]) * number
    found = PopulationStatistics(planes, np.array([0.0, 0.3, 0.7, 1.5]), 1, counts, counts + 0.2, field, subhalos)
    figure = population_figure(found, "cdm_hst", "seed 1, row 5")
    assert_legible(figure)
    shown = [text for text, _ in texts(figure)]
    for kind in (field, subhalos):
        if kind is not None:
            assert f"{kind.drawn.sum():.0f} drawn, {kind.expected.sum():.1f} expected" in shown


@pytest.fixture(scope="module")
def universe(tmp_path_factory):
    """A model with both kinds of halos, the parameters and key of one row, and its scene."""
    path = tmp_path_factory.mktemp("population") / "population.yaml"
    path.write_text(POPULATION)
    model = lx.ForwardModel.from_yaml(path)
    key = jax.random.key(4)
    theta = model.prior.sample(key)
    return model, theta, key, model.scene(theta, key)


@pytest.mark.extended
def test_statistics_are_those_of_the_scene(universe):
    model, theta, key, scene = universe
    found = population_statistics(model, theta, key)
    counts = np.asarray(scene.halos.counts)
    np.testing.assert_array_equal(found.drawn, counts)
    values = model.recipe.parameters.resolve(theta)
    np.testing.assert_allclose(found.expected, model.recipe.population.expected(scene.planes, values), rtol=1e-6)
    for kind in (found.field, found.subhalos):
        assert kind.drawn.sum() == kind.points.shape[1] > 0
        assert (kind.points[0] >= 7.5).all()
        assert len(kind.edges) == 9
    assert found.field.drawn.sum() + found.subhalos.drawn.sum() == counts.sum()
    np.testing.assert_allclose(
        found.field.expected.sum() + found.subhalos.expected.sum(), found.expected.sum(), rtol=1e-5
    )
    lens = scene.planes.lens_index
    filled = np.asarray(scene.halos.halos.kappa_s[lens]) > 0
    where = np.hypot(scene.halos.halos.center_x[lens], scene.halos.halos.center_y[lens])[filled]
    np.testing.assert_allclose(found.subhalos.radii, np.sort(where[-len(found.subhalos.radii) :]), rtol=1e-6)
    assert found.subhalos.expected_radii[-1] == pytest.approx(2.0, rel=1e-5)
    assert [band.redshift for band in found.field.bands] == pytest.approx([0.25, 1.0])
    assert_legible(population_figure(found, "population", "row 4"))


@pytest.mark.extended
def test_maps_are_those_of_the_planes(universe):
    model, theta, _, scene = universe
    maps = plane_maps(model, theta, scene)
    assert [found.count for found in maps] == list(scene.halos.counts)
    assert [found.is_lens for found in maps] == [False, True, False]
    radii = model.recipe.population.line_of_sight.cone.radii(scene.planes)
    assert [found.discs[0] for found in maps] == [(0.0, 0.0, pytest.approx(float(r))) for r in radii]
    assert plane_maps(model, theta, scene.without_halos()) == []
    left, right, _, _ = maps[1].extent
    assert right == pytest.approx(1.04 * 1.6)  # the discs of 2 arcsec are wider than the image by more than that
    x = (np.arange(120) + 0.5) / 120 * (right - left) + left
    halos = jax.tree.map(np.asarray, scene.halos.halos)
    inside = np.maximum(np.abs(halos.center_x[1]), np.abs(halos.center_y[1])) < right
    heaviest = int(np.argmax(halos.kappa_s[1] * inside))
    column, row = (int(np.argmin(np.abs(x - center[1, heaviest]))) for center in (halos.center_x, halos.center_y))
    assert maps[1].convergence[row, column] > 3 * maps[1].convergence.mean() + 1e-3


def test_pictures_are_whole_png_files(tmp_path):
    path = save(montage([a_view()], "a"), tmp_path / "a.png", dpi=50)
    save(montage([a_view()], "a"), tmp_path / "b.png", dpi=50)
    image = imread(path)
    assert image.shape[2] == 4
    assert image[..., :3].std() > 0.05
    assert path.read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_the_stretch_holds_what_it_shows():
    views = [a_view(peak=2.0), a_view(peak=0.5)]
    norm = brightness_norm(views)
    assert (norm(0.0), norm(views[0].noiseless.max())) == (0.0, 1.0)
    assert norm(0.02) > 0.05  # the noise is seen
    assert change_norm(views).vmax == -change_norm(views).vmin == 10.0


@pytest.mark.parametrize("peak", [0.0, np.nan, 1e-8, 1e6])
def test_strange_brightness_is_drawn(peak, tmp_path):
    save(montage([a_view(peak=peak)], "strange"), tmp_path / "a.png", dpi=40)


def test_a_montage_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one view, found none"):
        montage([], "nothing")


@given(st.floats(0, 0.3), st.floats(1e-6, 1e8), st.floats(1e-4, 1.0), st.floats(0.8, 5.0))
def test_ticks_are_apart_and_inside(below, peak, softening, length):
    norm = asinh_norm(-below * peak, peak, softening * peak)
    ticks = asinh_ticks(norm, length)
    places = [float(norm(tick)) * length for tick in ticks]
    assert all(0 <= place <= length for place in places)
    assert all(b - a >= TICK_DISTANCE * 0.999 for a, b in itertools.pairwise(places))
    assert 0.0 in ticks
    assert len(ticks) >= 2


@given(st.floats(1e-12, 1e12))
def test_limits_are_round_and_hold_the_value(value):
    limit = round_up(value)
    assert value * (1 - 1e-6) <= limit <= 2 * value
    assert float(f"{limit:.2g}") == pytest.approx(limit, rel=1e-12)


def test_limits_of_nothing():
    assert [round_up(value) for value in (0.0, -1.0, np.nan, np.inf)] == [1.0] * 4


def test_look_compares_with_the_smooth_universe():
    model = ToyModel((20, 20))
    theta = {name: np.asarray([1.0, 1.2]) for name in model.prior.names}
    views = look(model, theta, jax.random.split(jax.random.key(0)), ["row 3", "row 4"])
    assert [view.label for view in views] == ["row 3", "row 4"]
    for index, view in enumerate(views):
        assert view.extent == pytest.approx((-1, 1, -1, 1))
        one = {name: values[index] for name, values in theta.items()}
        smooth = model.simulator.noiseless(model.scene(one, None).without_halos())
        np.testing.assert_allclose(view.change * view.noise + smooth, view.noiseless, atol=1e-12)
        assert np.abs(view.change).max() > 0.5


def test_no_global_state():
    program = (
        "import sys, lensax.plot; assert 'matplotlib.pyplot' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
