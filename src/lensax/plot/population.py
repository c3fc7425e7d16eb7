"""A drawn population beside what is expected of it."""

from typing import Any

import numpy as np

from lensax.plot.statistics import FRACTIONS, HaloStatistics, PopulationStatistics
from lensax.plot.style import EXPECTED, FAINT, INK, add_color_bar, graph, legend, new_figure, write
from lensax.plot.style import FOUND as DRAWN

__all__ = ["population_figure"]

DARKEST = 0.3  # of viridis: below it, colours vanish on the dark background

# Inches.
WIDTH, HEIGHT = 3.1, 2.7
LEFT, TOP, BOTTOM = 0.7, 1.15, 0.6
COLUMN_GAP, ROW_GAP = 0.75, 0.95
RIGHT = 1.1
BAR = 0.11

NOTE = "bands: 68% and 95% of Poisson draws"


def population_figure(found: PopulationStatistics, title: str, subtitle: str = "") -> Any:
    """A figure of one draw of a population and its expectation.

    For field halos: numbers by mass, numbers on the planes, concentrations. For subhalos: numbers by mass at infall,
    numbers by distance from the lens, concentrations at infall.

    Args:
        found: as `population_statistics` makes it.
        title, subtitle: what is shown.

    Returns:
        a matplotlib `Figure`; `lensax.plot.save` writes it.
    """
    kinds = [(name, kind) for name, kind in (("field", found.field), ("subhalos", found.subhalos)) if kind is not None]
    full_width = LEFT + 3 * WIDTH + 2 * COLUMN_GAP + RIGHT
    full_height = TOP + len(kinds) * HEIGHT + (len(kinds) - 1) * ROW_GAP + BOTTOM
    figure = new_figure(full_width, full_height)
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    for row, (name, kind) in enumerate(kinds):
        y = full_height - TOP - HEIGHT - row * (HEIGHT + ROW_GAP)
        places = [(LEFT + column * (WIDTH + COLUMN_GAP), y, WIDTH, HEIGHT) for column in range(3)]
        infall = " at infall" if name == "subhalos" else ""
        captions = [
            f"{'field halos' if name == 'field' else 'subhalos'} by mass{infall}",
            "halos on each plane, subhalos included" if name == "field" else "subhalos by distance from the lens",
            "concentrations of field halos" if name == "field" else "concentrations at infall",
        ]
        for place, caption in zip(places, captions):
            write(figure, place[0], y + HEIGHT + 0.09, caption, 10.0, INK)
        mass = f"log$_{{10}}$ $M_{{200}}$ / M$_\\odot${infall}"
        show_masses(graph(figure, places[0], mass, "halos in a bin"), kind)
        if name == "field":
            show_planes(graph(figure, places[1], "redshift", "halos on a plane"), found)
        else:
            show_radii(graph(figure, places[1], "distance from the lens [arcsec]", "subhalos within"), kind)
        axes = graph(figure, places[2], mass, "concentration $c_{200}$")
        bar = (places[2][0] + WIDTH + 0.1, y, BAR, HEIGHT) if name == "field" else None
        show_concentrations(figure, axes, kind, bar)
    return figure


def poisson_bands(axes: Any, edges: np.ndarray, mean: np.ndarray) -> float:
    """Expected numbers as steps, with what 68% and 95% of Poisson draws keep to; returns the highest of these."""
    from scipy.stats import poisson

    for chance, alpha in ((0.95, 0.16), (0.68, 0.28)):
        low, high = (poisson.ppf(0.5 + side * chance / 2, mean) for side in (-1, 1))
        axes.stairs(high, edges, baseline=low, fill=True, color=EXPECTED, alpha=alpha, linewidth=0)
    axes.stairs(mean, edges, color=EXPECTED, linewidth=1.2, label="expected", baseline=None)
    return float(poisson.ppf(0.975, mean).max())


def count_axis(axes: Any, largest: float) -> None:
    """A logarithmic axis of numbers that has a place for none: linear from 0 to 1."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_yscale("symlog", linthresh=1.0, linscale=0.5)
    top = max(2.0, 1.5 * largest)
    axes.set_ylim(-0.08, top)
    steps = (1, 2, 5) if top < 60 else (1,)
    ticks = [0, *(step * 10**n for n in range(8) for step in steps if step * 10**n <= top)]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def show_masses(axes: Any, kind: HaloStatistics) -> None:
    """Numbers in bins of mass."""
    middle = 0.5 * (kind.edges[1:] + kind.edges[:-1])
    highest = poisson_bands(axes, kind.edges, kind.expected)
    axes.plot(middle, kind.drawn, "o", color=DRAWN, markersize=4, label="drawn", clip_on=False)
    count_axis(axes, max(highest, float(kind.drawn.max())))
    axes.set_xlim(kind.edges[0], kind.edges[-1])
    numbers = f"{kind.drawn.sum():.0f} drawn, {kind.expected.sum():.1f} expected"
    axes.text(0.965, 0.945, numbers, transform=axes.transAxes, ha="right", va="top", fontsize=7.5, color=INK)
    legend(axes, "upper right", 0.92)


def show_planes(axes: Any, found: PopulationStatistics) -> None:
    """Numbers on the planes, each over the stretch of redshift that the plane stands for."""
    highest = poisson_bands(axes, found.edges, found.expected)
    size = 4 if len(found.redshifts) <= 20 else 2
    axes.plot(found.redshifts, found.drawn, "o", color=DRAWN, markersize=size, label="drawn", clip_on=False)
    axes.axvline(found.redshifts[found.lens_index], color=FAINT, linewidth=0.7, linestyle=":", label="lens plane")
    axes.set_xlim(0.0, found.edges[-1])
    axes.set_ylim(0.0, 1.08 * max(float(found.drawn.max()), highest, 1.0))
    legend(axes, "upper left")
    axes.text(0.975, 0.03, NOTE, transform=axes.transAxes, ha="right", fontsize=7, color=FAINT)


def show_radii(axes: Any, kind: HaloStatistics) -> None:
    """Number of subhalos within a distance from the lens, given how many were drawn."""
    from scipy.stats import binom

    assert kind.radii is not None and kind.expected_radii is not None  # noqa: PT018
    total = len(kind.radii)
    radii, fractions = np.append(0.0, kind.expected_radii), np.append(0.0, FRACTIONS)
    for chance, alpha in ((0.95, 0.16), (0.68, 0.28)):
        low, high = (binom.ppf(0.5 + side * chance / 2, total, fractions) for side in (-1, 1))
        axes.fill_between(
            radii, np.nan_to_num(low).clip(0), np.nan_to_num(high).clip(0), color=EXPECTED, alpha=alpha, linewidth=0
        )
    axes.plot(radii, total * fractions, color=EXPECTED, linewidth=1.2, label="expected")
    steps = np.append(kind.radii, radii[-1])
    axes.step(np.append(0.0, steps), [0, *range(1, total + 1), total], where="post", color=DRAWN, linewidth=1.2,
              label="drawn")  # fmt: skip
    axes.set_xlim(0.0, radii[-1])
    axes.set_ylim(0.0, 1.05 * max(total, 1))
    legend(axes, "upper left")


def show_concentrations(figure: Any, axes: Any, kind: HaloStatistics, bar: Any) -> None:
    """Concentrations of the drawn halos over the median and the scatter that are expected."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    log10_mass, concentration, redshift = kind.points
    norm = Normalize(0.0, max((band.redshift or 0.0 for band in kind.bands), default=1.0) or 1.0)
    colors = ListedColormap(colormaps["viridis"](np.linspace(DARKEST, 1, 256)))
    if bar is not None:
        axes.scatter(log10_mass, concentration, c=redshift, norm=norm, cmap=colors, s=4, linewidths=0, alpha=0.75)
        add_color_bar(figure, bar, norm, colors, "redshift")
    else:
        axes.plot(log10_mass, concentration, "o", color=DRAWN, markersize=4, label="drawn")
    for band in kind.bands:
        color = EXPECTED if band.redshift is None else colors(norm(band.redshift))
        where = "median" if band.redshift is None else f"median at z = {band.redshift:.1f}"
        axes.fill_between(kind.log10_mass, band.low, band.high, color=color, alpha=0.16, linewidth=0)
        axes.plot(kind.log10_mass, band.median, color=color, linewidth=1.4, label=f"{where}, 68% of halos")
    axes.set_yscale("log")
    axes.set_xlim(kind.edges[0], kind.edges[-1])
    everything = [concentration, *(edge for band in kind.bands for edge in (band.low, band.high))]
    low = min(float(part.min()) for part in everything if len(part))
    high = max(float(part.max()) for part in everything if len(part))
    axes.set_ylim(0.8 * low, 1.7 * high)
    axes.yaxis.set_major_locator(
        FixedLocator([v for v in (1, 2, 5, 10, 20, 50, 100, 200) if 0.8 * low < v < 1.7 * high])
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend(axes, "upper right")
