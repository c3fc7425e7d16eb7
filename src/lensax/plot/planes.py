"""The halos of a universe plane by plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lensax.plot.preview import convergence_norm
from lensax.plot.style import (
    FAINT,
    INK,
    SURFACE_DENSITY,
    add_color_bar,
    asinh_ticks,
    new_figure,
    show_image,
    write,
)
from lensax.plot.substructure import PlaneMap

__all__ = ["planes_figure"]

# Inches.
PANEL = 2.1
GAP, ROW_GAP = 0.14, 0.4
LEFT, RIGHT, TOP, BOTTOM = 0.62, 1.0, 1.2, 0.75
BAR = 0.13


def planes_figure(
    maps: Sequence[PlaneMap], frame: tuple[float, float, float, float], title: str, subtitle: str = ""
) -> Any:
    """A figure with the convergence of every plane, on one scale.

    A dashed circle is the disc that field halos fill on a plane; the square is the frame of the image, undeflected.

    Args:
        maps: of planes, as `plane_maps` makes them.
        frame: left, right, bottom and top edges of the image in arcsec.
        title, subtitle: what is shown.

    Returns:
        a matplotlib `Figure`; `lensax.plot.save` writes it.
    """
    from matplotlib.patches import Circle, Rectangle

    if not maps:
        raise ValueError("a figure of planes needs at least one map, found none")
    columns = {1: 1, 2: 2, 4: 2}.get(len(maps), 3 if len(maps) <= 9 else 4)
    n_rows = -(-len(maps) // columns)
    full_width = max(LEFT + columns * PANEL + (columns - 1) * GAP + RIGHT, 5.0)
    full_height = TOP + n_rows * PANEL + (n_rows - 1) * ROW_GAP + BOTTOM
    figure = new_figure(full_width, full_height)
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    note = "square: the image, undeflected"
    if any(found.discs for found in maps):
        note += "; dashed: the disc that field halos fill"
    write(figure, LEFT, 0.12, note, 8.0, FAINT)
    norm = convergence_norm(np.stack([found.convergence for found in maps]))
    for index, found in enumerate(maps):
        row, column = divmod(index, columns)
        x = LEFT + column * (PANEL + GAP)
        y = full_height - TOP - PANEL - row * (PANEL + ROW_GAP)
        lowest = index + columns >= len(maps)
        place = (x, y, PANEL, PANEL)
        axes = show_image(figure, place, found.convergence, found.extent, norm, SURFACE_DENSITY, lowest, column == 0)
        left, right, bottom, top = frame
        axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor=INK, linewidth=0.5))
        for center_x, center_y, radius in (found.discs[0], found.discs[-1])[: len(found.discs)] if found.discs else ():
            axes.add_patch(
                Circle((center_x, center_y), radius, fill=False, edgecolor=INK, linewidth=0.6, linestyle="--")
            )
        write(figure, x, y + PANEL + 0.07, caption(found), 8.5, INK)
    height = min(n_rows * PANEL + (n_rows - 1) * ROW_GAP, 2 * PANEL + ROW_GAP)
    bar = (LEFT + columns * PANEL + (columns - 1) * GAP + 0.12, full_height - TOP - height, BAR, height)
    add_color_bar(figure, bar, norm, SURFACE_DENSITY, "convergence", asinh_ticks(norm, height), "both")
    return figure


def caption(found: PlaneMap) -> str:
    """Redshift and number of halos: "z = 0.50 (lens), 124 halos"."""
    low, high = found.redshifts[0], found.redshifts[-1]
    redshift = f"z = {low:.2f}" if len(found.redshifts) == 1 else f"z = {low:.2f} to {high:.2f}"
    lens = " (lens)" if found.is_lens and len(found.redshifts) == 1 else ""
    return f"{redshift}{lens}, {found.count} halo{'' if found.count == 1 else 's'}"
