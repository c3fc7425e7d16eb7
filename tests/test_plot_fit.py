"""Figures of fits: what is shown of the source, names of parameters, and that every figure can be drawn."""

import numpy as np
import pytest
from matplotlib.image import imread

from lensax.fit.images import FitImages
from lensax.plot import corner_figure, fit_figure, history_figure, residual_figure, save, source_figure, trace_figure
from lensax.plot.fit import source_region
from lensax.plot.fit_chains import short_names


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    mask = np.hypot(*np.mgrid[-1:1:20j, -1:1:24j]) < 0.9
    line = np.linspace(-1.0, 1.0, 80, endpoint=False) + 1 / 80
    source = 5 * np.exp(-((line[None, :] - 0.2) ** 2 + (line[:, None] + 0.1) ** 2) / 0.02)
    angle = np.linspace(0, 2 * np.pi, 50)
    return FitImages(
        data=random.normal(1, 0.1, mask.shape), noise_map=np.full(mask.shape, 0.1), mask=mask,
        source_light=np.where(mask, 0.7, 0), lens_light=np.where(mask, 0.3, 0),
        normalized_residual=np.where(mask, random.normal(0, 1, mask.shape), 0), extent=(-1.2, 1.2, -1.0, 1.0),
        source=source, source_deviation=0.1 + 0 * source, source_extent=(-1.0, 1.0, -1.0, 1.0),
        critical_curves=[(np.cos(angle), np.sin(angle))], caustics=[(0.1 * np.cos(angle), 0.1 * np.sin(angle))],
        chi_squared=300.0, log_evidence=-10.0, n_effective=12.0,
    )  # fmt: skip


def test_the_region_of_the_source_holds_what_is_bright_at_its_place(images):
    cut, (left, right, bottom, top) = source_region(images)
    assert cut.shape[0] == cut.shape[1] < 80
    assert cut.max() == images.source.max()
    row, column = np.unravel_index(cut.argmax(), cut.shape)
    x = left + (column + 0.5) * (right - left) / cut.shape[1]
    y = bottom + (row + 0.5) * (top - bottom) / cut.shape[0]
    np.testing.assert_allclose([x, y], [0.2, -0.1], atol=0.03)
    assert left < -0.1  # with the caustics
    assert cut.sum() > 0.99 * images.source.sum()


def test_names_are_as_short_as_they_can_be():
    names = ["lens.mass.PowerLaw.e1", "lens.mass.PowerLaw.slope", "lens.light.Sersic.e1", "e2"]
    assert short_names(names) == ["PowerLaw.e1", "slope", "Sersic.e1", "e2"]
    assert short_names(["a.x", "b.a.x"]) == ["a.x", "b.a.x"]


def test_every_figure_is_drawn(images, tmp_path):
    random = np.random.default_rng(1)
    chains = {"lens.slope": random.normal(2, 0.1, (2, 150)), "lens.e1": random.normal(0, 0.1, (2, 150))}
    flat = {name: values.ravel() for name, values in chains.items()}
    best = {"lens.slope": 2.0, "lens.e1": 0.0}
    few = {name: values[:40] for name, values in flat.items()}
    searches = {"first": [np.array([-np.inf, -30.0, -5.0]), np.array([-80.0, -9.0])], "last": [np.array([-4.0, -4.0])]}
    figures = {
        "fit": fit_figure(images, "a fit", "some pixels"),
        "source": source_figure(images, "a fit"),
        "residual": residual_figure(images, "a fit"),
        "corner": corner_figure(flat, "a fit", "", best, few),
        "points": corner_figure(few, "a fit"),
        "trace": trace_figure(chains, "a fit", "", best),
        "history": history_figure(searches, "a fit"),
    }
    for name, figure in figures.items():
        picture = imread(save(figure, tmp_path / f"{name}.png", 60))
        assert picture[..., :3].std() > 0.02, name
    texts = [text.get_text() for text in figures["fit"].texts]
    assert {"data", "model", "normalized residual", "source plane, caustics"} <= set(texts)


def test_without_corner_its_absence_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "corner", None)
    with pytest.raises(ImportError, match=r"pip install 'lensax\[fit\]'"):
        corner_figure({"a": np.zeros(3)}, "a fit")
