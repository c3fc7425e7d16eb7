"""One universe, looked at closely."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax.plot.montage import CHANGE_CAPTION, CHANGE_UNIT, brightness_norm, change_norm
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
    show_image,
    write,
)
from lensax.plot.view import View

__all__ = ["Substructure", "preview", "substructure"]

CURVES_OVER_SAMPLE = 2
"""Critical curves are followed on a grid this much finer than the pixels."""

# Inches.
PANEL = 3.1
LEFT, TOP, BOTTOM = 0.62, 1.0, 0.5
BAR_GAP, BAR = 0.1, 0.13
COLUMN_GAP, ROW_GAP = 1.75, 0.5
RIGHT = 1.0


@dataclass(frozen=True)
class Substructure:
    """Where the dark halos of a universe are, and where its lens magnifies without bound.

    Arguments
    ---------
    convergence: of all halos and sheets, summed over the planes, each scaled to the source, (n_y, n_x); or None.
    critical_curves: pieces, each x and y in arcsec.
    """

    convergence: np.ndarray | None
    critical_curves: Sequence[tuple[np.ndarray, np.ndarray]]


def substructure(model: Any, scene: Any) -> Substructure:
    """The convergence of a scene's halos in the pixels of the model's instrument, and the critical curves."""
    from lensax.instrument import Grid
    from lensax.raytrace import critical_curves, halo_convergence

    frame = model.simulator.instrument.grid
    fine = Grid(frame.shape, frame.pixel_scale, CURVES_OVER_SAMPLE)
    x, y = frame.pixel_centers(scene.dtype)
    convergence = None
    if scene.halos is not None:
        scene = _without_empty_slots(scene)
        convergence = np.asarray(jnp.sum(halo_convergence(scene, x, y), axis=0))
    return Substructure(convergence, critical_curves(scene, fine))


def _without_empty_slots(scene: Any) -> Any:
    """The same scene with as many slots as its fullest plane uses: a population reserves several times more."""
    used = np.flatnonzero(np.any(np.asarray(scene.halos.halos.kappa_s) != 0, axis=0))
    slots = int(used[-1]) + 1 if used.size else 1
    halos = jax.tree.map(lambda leaf: leaf[:, :slots], scene.halos.halos)
    return eqx.tree_at(lambda whole: whole.halos.halos, scene, halos)


def convergence_norm(convergence: np.ndarray) -> Any:
    """An asinh stretch for convergence that is mostly near zero and has sharp peaks."""
    low, middle, high = (float(q) for q in np.quantile(convergence, (0.001, 0.75, 0.9995)))
    width = max(middle - low, 1e-3 * (high - low), 1e-12)
    return asinh_norm(low, max(high, low + width), width)


def preview(view: View, found: Substructure, title: str, subtitle: str = "") -> Any:
    """A figure of one universe: noiseless with critical curves, noisy, convergence of its halos, what they change.

    Arguments
    ---------
    view: its images.
    found: its halos and critical curves.
    title, subtitle: what is shown.

    Returns a matplotlib `Figure`; `lensax.plot.save` writes it.
    """
    left, right, bottom, top = view.extent
    width, height = PANEL, PANEL * (top - bottom) / (right - left)
    brightness = brightness_norm([view])
    panels: list[tuple[str, np.ndarray, Any, str, str, str]] = [
        ("noiseless, with critical curves", view.noiseless, brightness, BRIGHTNESS, BRIGHTNESS_UNIT, "neither"),
        ("noisy", view.noisy, brightness, BRIGHTNESS, BRIGHTNESS_UNIT, "neither"),
    ]
    if found.convergence is not None:
        norm = convergence_norm(found.convergence)
        caption = "convergence of the halos on all planes"
        panels.append((caption, found.convergence, norm, SURFACE_DENSITY, "convergence", "both"))
    if view.change is not None:
        caption = CHANGE_CAPTION
        panels.append((caption, view.change, change_norm([view]), CHANGE, CHANGE_UNIT, "both"))
    n_rows = (len(panels) + 1) // 2
    full_width = LEFT + 2 * width + COLUMN_GAP + RIGHT
    full_height = TOP + n_rows * height + (n_rows - 1) * ROW_GAP + BOTTOM
    figure = new_figure(full_width, full_height)
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    for index, (caption, image, norm, colors, unit, extend) in enumerate(panels):
        row, column = divmod(index, 2)
        x = LEFT + column * (width + COLUMN_GAP)
        y = full_height - TOP - height - row * (height + ROW_GAP)
        last = row == n_rows - 1
        axes = show_image(figure, (x, y, width, height), image, view.extent, norm, colors, label_x=last)
        write(figure, x, y + height + 0.08, caption, 10.0, INK)
        ticks = None if colors == CHANGE else asinh_ticks(norm, height)
        add_color_bar(figure, (x + width + BAR_GAP, y, BAR, height), norm, colors, unit, ticks, extend)
        if index == 0:
            for curve_x, curve_y in found.critical_curves:
                axes.plot(curve_x, curve_y, color="white", linewidth=0.7, alpha=0.75)
            axes.set_xlim(left, right)
            axes.set_ylim(bottom, top)
    return figure
