"""A fit, looked at: data, model and what is left over, and the source that explains them."""

from typing import Any, NamedTuple

import numpy as np

from lensax.fit.images import Curves, Extent, FitImages
from lensax.plot.style import (
    BRIGHTNESS,
    BRIGHTNESS_UNIT,
    CHANGE,
    FAINT,
    FOUND,
    INK,
    add_color_bar,
    asinh_norm,
    asinh_ticks,
    graph,
    legend,
    new_figure,
    show_image,
    write,
)

__all__ = ["fit_figure", "residual_figure", "source_figure"]

# Inches.
PANEL = 3.1
LEFT, TOP, BOTTOM = 0.62, 1.0, 0.5
BAR_GAP, BAR = 0.1, 0.13
COLUMN_GAP, ROW_GAP = 1.75, 0.5
RIGHT = 1.0

SOURCE_UNIT = "electrons s$^{-1}$ arcsec$^{-2}$"
DEVIATIONS = "standard deviations of the noise"
RESIDUAL_LIMIT = 4.0
"""Standard deviations at the ends of the colours of residuals: the same in every figure, to be compared."""

FAINTEST = 0.05
"""Of the peak: the region of the source that is shown holds everything brighter."""


class Panel(NamedTuple):
    """One image of a figure, with its colours and the curves that are drawn over it."""

    caption: str
    image: np.ndarray
    extent: Extent
    norm: Any
    colors: str
    unit: str
    curves: Curves = ()
    extend: str = "neither"


def fit_figure(images: FitImages, title: str, subtitle: str = "") -> Any:
    """A figure of a fit: data, model, normalized residual; the lensed source alone; the source with its caustics.

    Args:
        images: of the fit.
        title, subtitle: what is shown.

    Returns:
        a matplotlib `Figure`; `lensax.plot.save` writes it.
    """
    brightness = image_norm(images, images.data)
    observed = images.data - images.lens_light
    arc = image_norm(images, images.source_light)
    residual = residual_norm()
    curves = images.critical_curves
    source, extent = source_region(images)
    panels = [
        Panel("data", masked(images, images.data), images.extent, brightness, BRIGHTNESS, BRIGHTNESS_UNIT),
        Panel("model", masked(images, images.model), images.extent, brightness, BRIGHTNESS, BRIGHTNESS_UNIT),
        Panel("normalized residual", masked(images, images.normalized_residual), images.extent, residual, CHANGE,
              DEVIATIONS, extend="both"),
        Panel("data without lens light", masked(images, observed), images.extent, arc, BRIGHTNESS, BRIGHTNESS_UNIT),
        Panel("lensed source, critical curves", masked(images, images.source_light), images.extent, arc, BRIGHTNESS,
              BRIGHTNESS_UNIT, curves),
        Panel("source plane, caustics", source, extent, source_norm(images), BRIGHTNESS, SOURCE_UNIT, images.caustics),
    ]  # fmt: skip
    return _panels(panels, title, subtitle)


def source_figure(images: FitImages, title: str, subtitle: str = "") -> Any:
    """A figure of the source plane: the source with the caustics, its posterior deviation, and their ratio.

    Args:
        images: of the fit.
        title, subtitle: what is shown.
    """
    from matplotlib.colors import Normalize

    source, extent = source_region(images)
    deviation, _ = source_region(images, images.source_deviation)
    known = deviation > 0
    ratio = np.where(known, source / np.where(known, deviation, 1.0), np.nan)
    highest = max(5.0, float(np.nanquantile(ratio, 0.999)) if known.any() else 5.0)
    errors = Normalize(0.0, float(deviation.max()) or 1.0)
    panels = [
        Panel("source, caustics", source, extent, source_norm(images), BRIGHTNESS, SOURCE_UNIT, images.caustics),
        Panel("posterior deviation", deviation, extent, errors, BRIGHTNESS, SOURCE_UNIT),
        Panel("source / deviation", ratio, extent, Normalize(0.0, highest), BRIGHTNESS, "signal to noise",
              extend="max"),
    ]  # fmt: skip
    return _panels(panels, title, subtitle)


def residual_figure(images: FitImages, title: str, subtitle: str = "") -> Any:
    """A figure of the normalized residual: its map, and its histogram beside that of unit noise.

    Args:
        images: of the fit.
        title, subtitle: what is shown.
    """
    left, right, bottom, top = images.extent
    height = PANEL * (top - bottom) / (right - left)
    full_height = TOP + height + BOTTOM
    figure = new_figure(LEFT + 2 * PANEL + COLUMN_GAP + 0.4 + 0.3, full_height)
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    norm = residual_norm()
    shown = masked(images, images.normalized_residual)
    show_image(figure, (LEFT, BOTTOM, PANEL, height), shown, images.extent, norm, CHANGE)
    add_color_bar(figure, (LEFT + PANEL + BAR_GAP, BOTTOM, BAR, height), norm, CHANGE, DEVIATIONS, None, "both")
    axes = graph(figure, (LEFT + PANEL + COLUMN_GAP + 0.4, BOTTOM, PANEL, height), "standard deviations of the noise",
                 "pixels")  # fmt: skip
    values = images.normalized_residual[images.mask]
    reach = max(5.0, 1.05 * float(np.abs(values).max()))
    edges = np.linspace(-reach, reach, 2 * max(10, min(60, int(2 * len(values) ** (1 / 3)))) + 1)
    axes.hist(values, edges, color=FOUND, alpha=0.75, label="residual")
    t = np.linspace(-reach, reach, 400)
    expected = len(values) * (edges[1] - edges[0]) * np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
    axes.plot(t, expected, color=INK, linewidth=1.0, label="unit noise")
    axes.set_yscale("log")
    axes.set_ylim(0.5, 4 * float(expected.max()))
    axes.set_xlim(-reach, reach)
    per_pixel = images.chi_squared / images.n_pixels
    note = f"$\\chi^2$ per pixel {per_pixel:.3f}\nmean {values.mean():+.3f}, deviation {values.std():.3f}"
    axes.text(0.03, 0.96, note, transform=axes.transAxes, va="top", fontsize=7.5, color=INK)
    legend(axes, "upper right")
    return figure


def masked(images: FitImages, image: np.ndarray) -> np.ndarray:
    """An image with nothing where no pixel is used."""
    return np.where(images.mask, image, np.nan)


def image_norm(images: FitImages, image: np.ndarray) -> Any:
    """An asinh stretch that is linear up to three standard deviations of the faintest noise."""
    noise = float(np.quantile(images.noise_map[images.mask], 0.1))
    peak = max(float(image[images.mask].max()), 5 * noise)
    return asinh_norm(-2 * noise, peak, 3 * noise)


def residual_norm() -> Any:
    """A linear scale, the same for every fit."""
    from matplotlib.colors import Normalize

    return Normalize(-RESIDUAL_LIMIT, RESIDUAL_LIMIT)


def source_norm(images: FitImages) -> Any:
    """An asinh stretch from nothing to the source's peak."""
    peak = float(images.source.max()) or 1.0
    return asinh_norm(0.0, peak, 0.1 * peak)


def source_region(images: FitImages, image: np.ndarray | None = None) -> tuple[np.ndarray, Extent]:
    """The square part of the source plane in which the source is bright, with its caustics where these are near.

    Args:
        images: of the fit.
        image: what is cut out, the source by default.
    """
    source = images.source
    scale, (left, _, bottom, _) = images.source_pixel_scale, images.source_extent
    rows, columns = np.nonzero(source > FAINTEST * source.max())
    if rows.size == 0:
        return source if image is None else image, images.source_extent
    x = left + scale * (np.array([columns.min(), columns.max()]) + 0.5)
    y = bottom + scale * (np.array([rows.min(), rows.max()]) + 0.5)
    center, half = np.array([x.mean(), y.mean()]), 0.6 * float(max(np.ptp(x), np.ptp(y))) + 4 * scale
    for curve_x, curve_y in images.caustics:
        reach = 1.08 * float(np.max(np.abs(np.stack([curve_x, curve_y], -1) - center)))
        if half < reach < 2.7 * half:  # beyond, the source would be a dot
            half = reach
    count = int(np.ceil(2 * half / scale))
    first = np.round((center - half - [left, bottom]) / scale).astype(int)
    values = source if image is None else image
    cut = np.zeros((count, count))
    for_rows, for_columns = (np.arange(count) + first[1], np.arange(count) + first[0])
    known_rows = (for_rows >= 0) & (for_rows < values.shape[0])
    known_columns = (for_columns >= 0) & (for_columns < values.shape[1])
    cut[np.ix_(known_rows, known_columns)] = values[np.ix_(for_rows[known_rows], for_columns[known_columns])]
    x0, y0 = left + scale * first[0], bottom + scale * first[1]
    return cut, (float(x0), float(x0 + count * scale), float(y0), float(y0 + count * scale))


def _panels(panels: list[Panel], title: str, subtitle: str) -> Any:
    """A figure with three panels in a row, each with its colour bar."""
    from matplotlib.colors import AsinhNorm

    rows = -(-len(panels) // 3)
    heights = [max(_height(panel) for panel in panels[3 * row : 3 * row + 3]) for row in range(rows)]
    full_width = LEFT + 3 * PANEL + 2 * COLUMN_GAP + RIGHT
    full_height = TOP + sum(heights) + (rows - 1) * (ROW_GAP + 0.2) + BOTTOM
    figure = new_figure(full_width, full_height)
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    for index, panel in enumerate(panels):
        row, column = divmod(index, 3)
        x = LEFT + column * (PANEL + COLUMN_GAP)
        y = full_height - TOP - sum(heights[: row + 1]) - row * (ROW_GAP + 0.2)
        height = _height(panel)
        axes = show_image(figure, (x, y, PANEL, height), panel.image, panel.extent, panel.norm, panel.colors)
        write(figure, x, y + height + 0.08, panel.caption, 10.0, INK)
        ticks = asinh_ticks(panel.norm, height) if isinstance(panel.norm, AsinhNorm) else None
        bar = (x + PANEL + BAR_GAP, y, BAR, height)
        add_color_bar(figure, bar, panel.norm, panel.colors, panel.unit, ticks, panel.extend)
        for curve_x, curve_y in panel.curves:
            axes.plot(curve_x, curve_y, color="white", linewidth=0.7, alpha=0.75)
        axes.set_xlim(panel.extent[:2])
        axes.set_ylim(panel.extent[2:])
    return figure


def _height(panel: Panel) -> float:
    left, right, bottom, top = panel.extent
    return PANEL * (top - bottom) / (right - left)
