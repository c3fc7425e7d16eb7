"""The montage of a campaign: noiseless beside noisy, and what the substructure changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lensax.plot.style import (
    BACKGROUND,
    BRIGHTNESS,
    BRIGHTNESS_UNIT,
    CHANGE,
    FAINT,
    INK,
    add_color_bar,
    asinh_norm,
    asinh_ticks,
    new_figure,
    round_up,
    show_image,
    write,
)
from lensax.plot.view import View

__all__ = ["CHANGE_CAPTION", "CHANGE_UNIT", "brightness_norm", "change_norm", "montage"]

CHANGE_CAPTION = "what the substructure changes"
CHANGE_UNIT = "standard deviations"

# Inches.
PANEL = 1.62
GAP = 0.07
ROW_GAP = 0.36
LEFT, RIGHT, TOP, BOTTOM = 0.62, 0.95, 0.98, 0.5
BAR = 0.11
NARROWEST = 3.6
"""The title needs this much."""


def brightness_norm(views: Sequence[View]) -> Any:
    """One asinh stretch for the noiseless and noisy images of some views: black at zero, linear at the noise."""
    sky = float(np.median([np.min(view.noise) for view in views]))
    peak = max(float(np.max(v.noiseless, where=np.isfinite(v.noiseless), initial=0.0)) for v in views) or 1.0
    return asinh_norm(0.0, peak, max(1.5 * sky, 1e-3 * peak))


def change_norm(views: Sequence[View]) -> Any:
    """A linear scale, the same for both signs, that one pixel in five hundred may exceed."""
    from matplotlib.colors import Normalize

    changes = np.concatenate([np.abs(view.change).ravel() for view in views if view.change is not None])
    changes = changes[np.isfinite(changes)]
    limit = round_up(float(np.quantile(changes, 0.998)) if changes.size else 1.0)
    return Normalize(-limit, limit)


def montage(views: Sequence[View], title: str, subtitle: str = "") -> Any:
    """A figure with a column for every view.

    Args:
        views: at least one, all of the same shape; six fit well.
        title, subtitle: what is shown.

    Returns a matplotlib `Figure`; `lensax.plot.save` writes it.
    """
    if not views:
        raise ValueError("a montage needs at least one view, found none")
    left, right, bottom, top = views[0].extent
    width, height = PANEL, PANEL * (top - bottom) / (right - left)
    rows: list[tuple[str, list[np.ndarray | None], Any, str, str, str]] = []
    brightness = brightness_norm(views)
    rows.append(("noiseless", [v.noiseless for v in views], brightness, BRIGHTNESS, BRIGHTNESS_UNIT, "neither"))
    rows.append(("noisy", [v.noisy for v in views], brightness, BRIGHTNESS, BRIGHTNESS_UNIT, "neither"))
    if any(view.change is not None for view in views):
        changes = [view.change for view in views]
        rows.append((CHANGE_CAPTION, changes, change_norm(views), CHANGE, CHANGE_UNIT, "both"))
    n = len(views)
    full_width = max(LEFT + n * width + (n - 1) * GAP + RIGHT, NARROWEST)
    full_height = TOP + len(rows) * height + (len(rows) - 1) * ROW_GAP + BOTTOM
    figure = new_figure(full_width, full_height)
    write(figure, LEFT, full_height - 0.36, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.58, subtitle, 9.0, FAINT)
    for index, (caption, images, norm, colors, label, extend) in enumerate(rows):
        y = full_height - TOP - height - index * (height + ROW_GAP)
        write(figure, LEFT, y + height + 0.07, caption, 9.5, INK)
        for column, image in enumerate(images):
            if image is None:
                continue
            place = (LEFT + column * (width + GAP), y, width, height)
            last = index == len(rows) - 1
            axes = show_image(figure, place, image, views[0].extent, norm, colors, label_x=last, label_y=column == 0)
            if index == 0:
                tag = axes.text(0.05, 0.93, views[column].label, transform=axes.transAxes, va="top", fontsize=7.5)
                tag.set_color(INK)
        bar = (LEFT + n * width + (n - 1) * GAP + 0.12, y, BAR, height)
        ticks = asinh_ticks(norm, height) if colors == BRIGHTNESS else None
        add_color_bar(figure, bar, norm, colors, label, ticks, extend)
    figure.set_facecolor(BACKGROUND)
    return figure
