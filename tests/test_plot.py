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

from lensax.plot import Substructure, View, look, montage, preview, save
from lensax.plot.montage import brightness_norm, change_norm
from lensax.plot.style import TICK_DISTANCE, asinh_norm, asinh_ticks, round_up


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
    found = Substructure(convergence, [(0.5 * np.cos(circle), 0.5 * np.sin(circle))])
    view = a_view(change=convergence is not None)
    figure = preview(view, found, "cdm_hst", "seed 1, row 5")
    assert len(figure.axes) == (4 if convergence is None else 8)
    assert_legible(figure)
    assert figure.axes[0].get_xlim() == view.extent[:2]


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
