"""One universe, looked at closely."""

from typing import Any, NamedTuple

import numpy as np

from lensax.plot.montage import CHANGE_CAPTION, brightness_norm, change_norm
from lensax.plot.style import (
    BRIGHTNESS,
    BRIGHTNESS_UNIT,
    CHANGE,
    FAINT,
    INK,
    SURFACE_DENSITY,
    add_color_bar,
    asinh_norm,
    asinh_ticks,
    new_figure,
    round_up,
    show_image,
    write,
)
from lensax.plot.substructure import Curves, Substructure
from lensax.plot.view import View

__all__ = ["convergence_norm", "preview"]

# Inches.
PANEL = 3.1
LEFT, TOP, BOTTOM = 0.62, 1.0, 0.5
BAR_GAP, BAR = 0.1, 0.13
COLUMN_GAP, ROW_GAP = 1.75, 0.5
RIGHT = 1.0


DIFFERENCE = "(with \N{MINUS SIGN} without) / noise"
RESIDUAL = "(noisy \N{MINUS SIGN} without) / noise"


class Panel(NamedTuple):
    """One image of the figure, with its colours and the curves that are drawn over it."""

    caption: str
    image: np.ndarray
    norm: Any
    colors: str
    unit: str
    extend: str = "neither"
    curves: Curves = ()


def convergence_norm(convergence: np.ndarray) -> Any:
    """An asinh stretch for convergence that is mostly near zero and has sharp peaks."""
    low, middle, high = (float(q) for q in np.quantile(convergence, (0.001, 0.75, 0.9995)))
    width = max(middle - low, 1e-3 * (high - low), 1e-12)
    return asinh_norm(low, max(high, low + width), width)


def residual_norm(view: View) -> Any:
    """A linear scale from -n to n standard deviations, n at least 3: noise alone looks like noise."""
    from matplotlib.colors import Normalize

    residual = view.residual
    found = 0.0 if residual is None else float(np.quantile(np.abs(residual[np.isfinite(residual)]), 0.998))
    return Normalize(-max(3.0, round_up(found)), max(3.0, round_up(found)))


def preview(view: View, found: Substructure, title: str, subtitle: str = "") -> Any:
    """A figure of one universe: with and without substructure and their difference, noisy image, convergence, residual.

    Args:
        view: its images.
        found: its halos and critical curves.
        title, subtitle: what is shown.

    Returns:
        a matplotlib `Figure`; `lensax.plot.save` writes it.
    """
    left, right, bottom, top = view.extent
    width, height = PANEL, PANEL * (top - bottom) / (right - left)
    brightness = brightness_norm([view])
    panels: list[Panel] = [
        Panel("noiseless, with critical curves", view.noiseless, brightness, BRIGHTNESS, BRIGHTNESS_UNIT,
              curves=found.critical_curves),
        Panel("noisy", view.noisy, brightness, BRIGHTNESS, BRIGHTNESS_UNIT),
    ]  # fmt: skip
    if view.change is not None and view.smooth is not None and view.residual is not None:
        without = Panel(
            "the same without substructure",
            view.smooth,
            brightness,
            BRIGHTNESS,
            BRIGHTNESS_UNIT,
            curves=found.smooth_curves,
        )
        change = Panel(CHANGE_CAPTION, view.change, change_norm([view]), CHANGE, DIFFERENCE, "both")
        caption = "what a perfect smooth model leaves"
        residual = Panel(caption, view.residual, residual_norm(view), CHANGE, RESIDUAL, "both")
        panels = [panels[0], without, change, panels[1], residual]
        if found.convergence is not None:
            norm = convergence_norm(found.convergence)
            caption = "convergence of the halos on all planes"
            panels.insert(4, Panel(caption, found.convergence, norm, SURFACE_DENSITY, "convergence", "both"))
    columns = min(len(panels), 3)
    n_rows = -(-len(panels) // columns)
    full_width = LEFT + columns * width + (columns - 1) * COLUMN_GAP + RIGHT
    full_height = TOP + n_rows * height + (n_rows - 1) * ROW_GAP + BOTTOM
    figure = new_figure(full_width, full_height)
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        x = LEFT + column * (width + COLUMN_GAP)
        y = full_height - TOP - height - row * (height + ROW_GAP)
        last = row == n_rows - 1
        axes = show_image(
            figure, (x, y, width, height), panel.image, view.extent, panel.norm, panel.colors, label_x=last
        )
        write(figure, x, y + height + 0.08, panel.caption, 10.0, INK)
        ticks = None if panel.colors == CHANGE else asinh_ticks(panel.norm, height)
        bar = (x + width + BAR_GAP, y, BAR, height)
        add_color_bar(figure, bar, panel.norm, panel.colors, panel.unit, ticks, panel.extend)
        for curve_x, curve_y in panel.curves:
            axes.plot(curve_x, curve_y, color="white", linewidth=0.7, alpha=0.75)
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
    return figure
