"""How figures of lensax look: dark sky, quiet axes, every number with its unit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "BACKGROUND",
    "BRIGHTNESS",
    "BRIGHTNESS_UNIT",
    "CHANGE",
    "EXPECTED",
    "FAINT",
    "FOUND",
    "INK",
    "SURFACE_DENSITY",
    "add_color_bar",
    "asinh_norm",
    "asinh_ticks",
    "graph",
    "legend",
    "new_figure",
    "round_up",
    "save",
    "show_image",
    "write",
]

BACKGROUND = "#0d0d12"
INK = "#e9e6df"
FAINT = "#8d8b94"
FOUND = "#ffb454"
EXPECTED = "#6fb3ff"

# Perceptually uniform maps: two that rise from black to white, one that leaves black in two directions.
BRIGHTNESS = "inferno"
SURFACE_DENSITY = "cividis"
CHANGE = "berlin"

BRIGHTNESS_UNIT = "electrons s$^{-1}$ pixel$^{-1}$"
TICK_DISTANCE = 0.17
"""Inches between the labels of a colour bar, at least."""


LABEL_DISTANCE = 0.55
"""Inches between a colour bar and the middle of its label."""


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches, drawn by Agg; nothing of it is global."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | Path, dpi: int = 200) -> Path:
    """Write a figure as PNG; the file is there whole or not at all."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.draft")
    figure.savefig(draft, format="png", dpi=dpi, facecolor=figure.get_facecolor())
    draft.replace(path)
    return path


def write(figure: Any, x: float, y: float, text: str, size: float = 9.0, color: str = INK, **keywords: Any) -> None:
    """Text at a place in inches from the lower left corner."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, fontsize=size, color=color, **keywords)


def axes_at(figure: Any, x: float, y: float, width: float, height: float) -> Any:
    """Axes at a place in inches from the lower left corner."""
    full_width, full_height = figure.get_size_inches()
    axes = figure.add_axes((x / full_width, y / full_height, width / full_width, height / full_height))
    axes.set_facecolor(BACKGROUND)
    return axes


def show_image(
    figure: Any,
    place: tuple[float, float, float, float],
    image: np.ndarray,
    extent: Sequence[float],
    norm: Any,
    colors: str,
    label_x: bool = True,
    label_y: bool = True,
) -> Any:
    """An image with its axes in arcsec; returns the axes.

    Args:
        figure: to draw in.
        place: left, bottom, width and height in inches.
        image: (n_y, n_x), row 0 at the bottom.
        extent: left, right, bottom and top in arcsec.
        norm: from values to colours.
        colors: name of a colour map.
        label_x, label_y: whether the axes carry numbers and their unit.
    """
    from matplotlib.ticker import MaxNLocator

    axes = axes_at(figure, *place)
    axes.imshow(image, origin="lower", extent=tuple(extent), norm=norm, cmap=colors, interpolation="nearest")
    for axis, labelled in ((axes.xaxis, label_x), (axes.yaxis, label_y)):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], prune="both"))
        axis.set_tick_params(color=FAINT, labelcolor=INK, labelsize=8, length=2.5, width=0.6, direction="out", pad=2.5)
        if not labelled:
            axis.set_tick_params(labelleft=False, labelbottom=False, length=0)
    if label_x:
        axes.set_xlabel("arcsec", color=FAINT, fontsize=8, labelpad=2)
    if label_y:
        axes.set_ylabel("arcsec", color=FAINT, fontsize=8, labelpad=2)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.5)
    return axes


def graph(figure: Any, place: tuple[float, float, float, float], x: str, y: str) -> Any:
    """Empty axes with the names of what they show."""
    axes = axes_at(figure, *place)
    axes.set_xlabel(x, color=FAINT, fontsize=8, labelpad=2)
    axes.set_ylabel(y, color=FAINT, fontsize=8, labelpad=2)
    axes.tick_params(which="both", color=FAINT, labelcolor=INK, labelsize=8, length=2.5, width=0.6, pad=2.5)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.5)
    return axes


def legend(axes: Any, where: str, top: float = 1.0) -> None:
    """The names of what is drawn, in a corner of the axes or below `top`."""
    axes.legend(loc=where, fontsize=7.5, frameon=False, labelcolor=INK, handlelength=1.4, borderaxespad=0.6,
                bbox_to_anchor=(0.0, 0.0, 1.0, top))  # fmt: skip


def add_color_bar(
    figure: Any,
    place: tuple[float, float, float, float],
    norm: Any,
    colors: Any,
    label: str,
    ticks: Sequence[float] | None = None,
    extend: str = "neither",
) -> Any:
    """A vertical colour bar with its label; returns its axes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes = axes_at(figure, *place)
    bar = figure.colorbar(ScalarMappable(norm, colors), cax=axes, extend=extend, extendfrac=0.03)
    bar.outline.set_edgecolor(FAINT)
    bar.outline.set_linewidth(0.5)
    if ticks is not None:
        axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}")))
    axes.tick_params(color=FAINT, labelcolor=INK, labelsize=8, length=2.5, width=0.6, pad=2.5)
    # At one distance from every bar, however wide its numbers are.
    axes.text(1 + LABEL_DISTANCE / place[2], 0.5, label, transform=axes.transAxes, rotation=90, color=FAINT,
              fontsize=8, ha="center", va="center")  # fmt: skip
    return axes


def asinh_norm(low: float, high: float, softening: float) -> Any:
    """An asinh stretch: linear where values are smaller than `softening`, logarithmic above."""
    from matplotlib.colors import AsinhNorm

    return AsinhNorm(linear_width=softening, vmin=low, vmax=high)


def asinh_ticks(norm: Any, length: float) -> list[float]:
    """Round numbers for the colour bar of an asinh stretch, `length` inches long, never so close that they touch."""
    apart = TICK_DISTANCE / length
    largest = max(abs(norm.vmin), abs(norm.vmax))
    decade = 10.0 ** np.floor(np.log10(largest))
    sizes = [step * decade * 10.0**-power for power in range(7) for step in (5, 2, 1)]
    chosen: list[float] = []
    # Zero first, then large before small: the bright end of the bar is the longer one.
    for value in [0.0, *(sign * size for size in sizes for sign in (1, -1))]:
        inside = norm.vmin <= value <= norm.vmax
        if inside and all(abs(float(norm(value) - norm(other))) >= apart for other in chosen):
            chosen.append(value)
    return sorted(chosen)


def round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 5, 7 times a power of ten."""
    if not (np.isfinite(value) and value > 0):
        return 1.0
    decade = 10.0 ** np.floor(np.log10(value))
    return float(decade * next(step for step in (1, 1.5, 2, 3, 5, 7, 10) if step * decade >= value * (1 - 1e-9)))
