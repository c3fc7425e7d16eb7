"""The numbers of a fit: how they hang together, how the chains ran, how the maximum was found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lensax.plot.style import EXPECTED, FAINT, FOUND, INK, graph, new_figure, write

__all__ = ["corner_figure", "history_figure", "short_names", "trace_figure"]

CHAIN_COLORS = ("#ffb454", "#6fb3ff", "#9ad06f", "#e389b9", "#c9a2ff", "#66d1c1", "#f07d6b", "#d8d36c")

# Inches.
CELL = 1.35
LEFT, RIGHT, TOP, BOTTOM = 0.95, 0.3, 1.0, 0.75
ROW, TRACE_WIDTH, HISTOGRAM_WIDTH = 1.0, 7.0, 1.9

MOST_BINS = 40
LOWEST = 1e-3
"""Nats below the best that are not told apart."""

FEWEST_FOR_CONTOURS = 200
"""With fewer draws, points are drawn instead of contours."""


def short_names(names: Sequence[str]) -> list[str]:
    """The last parts of dotted names, as many as it takes to tell them apart."""
    short = []
    for name in names:
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            ending = ".".join(parts[-count:])
            if sum(other == ending or other.endswith("." + ending) for other in names) == 1:
                break
        short.append(ending)
    return short


def corner_figure(
    draws: Mapping[str, np.ndarray],
    title: str,
    subtitle: str = "",
    best: Mapping[str, float] | None = None,
    other: Mapping[str, np.ndarray] | None = None,
    label: str = "draws",
    other_label: str = "Laplace approximation",
) -> Any:
    """Every parameter against every other, with contours that hold 39 % and 86 % of the draws (one and two deviations).

    Args:
        draws: by name, each (n,).
        title, subtitle: what is shown.
        best: values that are marked by lines, such as those of the maximum.
        other: a second set of draws, drawn behind the first.
        label, other_label: names of both sets.

    Returns:
        a matplotlib `Figure`; `lensax.plot.save` writes it.

    Raises:
        ImportError: the package `corner` is not installed.
    """
    try:
        import corner
    except ImportError:
        raise ImportError("the corner plot needs the package corner: pip install 'lensax[fit]'") from None
    names = list(draws)
    n = len(names)
    width = LEFT + n * CELL + RIGHT
    height = TOP + n * CELL + BOTTOM
    figure = new_figure(max(width, 3.6), max(height, 3.2))
    full_width, full_height = figure.get_size_inches()
    figure.subplots(n, n, squeeze=False)
    sets = [(draws, FOUND)] if other is None else [(other, EXPECTED), (draws, FOUND)]
    ranges = _ranges([found for found, _ in sets], names, best)
    for found, color in sets:
        count = len(found[names[0]])
        some = count >= FEWEST_FOR_CONTOURS
        corner.corner(
            np.stack([np.asarray(found[name], np.float64) for name in names], -1),
            fig=figure,
            color=color,
            labels=short_names(names),
            range=ranges,
            bins=int(np.clip(np.sqrt(count), 8, MOST_BINS)),
            smooth=1.0 if some else None,
            levels=(0.393, 0.865),
            plot_contours=some,
            plot_density=False,
            plot_datapoints=not some,
            fill_contours=False,
            no_fill_contours=True,
            contour_kwargs={"linewidths": 0.9},
            data_kwargs={"alpha": 0.6, "ms": 2},
            hist_kwargs={"density": True, "linewidth": 1.0},
            label_kwargs={"color": INK, "fontsize": 8},
            max_n_ticks=3,
        )
    figure.subplots_adjust(
        left=LEFT / full_width,
        right=(LEFT + n * CELL) / full_width,
        bottom=BOTTOM / full_height,
        top=(BOTTOM + n * CELL) / full_height,
        wspace=0.06,
        hspace=0.06,
    )
    _style_corner(figure, names, best)
    write(figure, 0.35, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, 0.35, full_height - 0.6, subtitle, 9.0, FAINT)
    keys = [(label, FOUND)] + ([(other_label, EXPECTED)] if other is not None else [])
    keys += [("maximum", INK)] if best is not None else []
    for index, (text, color) in enumerate(keys):
        write(figure, full_width - 0.35, full_height - 0.85 - 0.2 * index, text, 9.0, color, ha="right")
    return figure


def _ranges(
    sets: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], best: Mapping[str, float] | None
) -> list[tuple[float, float]]:
    """Axes that hold nearly all draws of every set, and the marked values."""
    ranges = []
    for name in names:
        ends = [np.quantile(found[name], (0.002, 0.998)) for found in sets]
        marked = [best[name]] if best is not None else []
        low, high = min([*(end[0] for end in ends), *marked]), max([*(end[1] for end in ends), *marked])
        margin = 0.08 * (high - low) or 1e-6 * max(abs(high), 1.0)
        ranges.append((float(low - margin), float(high + margin)))
    return ranges


def _style_corner(figure: Any, names: Sequence[str], best: Mapping[str, float] | None) -> None:
    """Quiet axes; the maximum as lines."""
    axes = np.reshape(figure.axes, (len(names), len(names)))
    for row in range(len(names)):
        for column in range(row + 1):
            one = axes[row, column]
            one.set_facecolor("none")
            if row == column:  # high enough for the histograms of every set
                heights = [patch.get_path().vertices[:, 1].max() for patch in one.patches]
                one.set_ylim(0.0, 1.1 * max(heights, default=1.0))
            one.tick_params(which="both", color=FAINT, labelcolor=INK, labelsize=7, length=2, width=0.5, pad=2)
            for spine in one.spines.values():
                spine.set_color(FAINT)
                spine.set_linewidth(0.5)
            if best is not None:
                one.axvline(best[names[column]], color=INK, linewidth=0.6, alpha=0.8)
                if row != column:
                    one.axhline(best[names[row]], color=INK, linewidth=0.6, alpha=0.8)


def trace_figure(
    chains: Mapping[str, np.ndarray], title: str, subtitle: str = "", best: Mapping[str, float] | None = None
) -> Any:
    """Every parameter along the chains, and the histogram of each chain beside it.

    Args:
        chains: by name, each (chains, draws).
        title, subtitle: what is shown.
        best: values that are marked by lines.
    """
    names = list(chains)
    full_height = TOP + len(names) * ROW + 0.25 * (len(names) - 1) + 0.5
    figure = new_figure(LEFT + TRACE_WIDTH + 0.15 + HISTOGRAM_WIDTH + RIGHT, full_height)
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    for index, (name, short) in enumerate(zip(names, short_names(names))):
        values = np.asarray(chains[name])
        y = full_height - TOP - ROW - index * (ROW + 0.25)
        last = index == len(names) - 1
        axes = graph(figure, (LEFT, y, TRACE_WIDTH, ROW), "draw" if last else "", "")
        beside = graph(figure, (LEFT + TRACE_WIDTH + 0.15, y, HISTOGRAM_WIDTH, ROW), "", "")
        axes.set_title(short, loc="left", color=INK, fontsize=8, pad=2)
        edges = np.histogram_bin_edges(values, int(np.clip(np.sqrt(values.size), 8, MOST_BINS)))
        for chain, color in zip(values, _colors(len(values))):
            axes.plot(np.arange(1, chain.size + 1), chain, color=color, linewidth=0.5, alpha=0.85)
            beside.hist(chain, edges, density=True, histtype="step", color=color, linewidth=0.9,
                        orientation="horizontal")  # fmt: skip
        if best is not None and name in best:
            for one in (axes, beside):
                one.axhline(best[name], color=INK, linewidth=0.6, linestyle=":")
        axes.set_xlim(1, values.shape[1])
        axes.ticklabel_format(axis="y", useOffset=False)
        beside.set_ylim(axes.get_ylim())
        beside.tick_params(labelleft=False, labelbottom=False, length=0)
        axes.tick_params(labelbottom=last)
    return figure


def _colors(count: int) -> list[str]:
    return [CHAIN_COLORS[index % len(CHAIN_COLORS)] for index in range(count)]


def history_figure(searches: Mapping[str, Sequence[np.ndarray]], title: str, subtitle: str = "") -> Any:
    """How far below the best of its stage each search for the maximum was, evaluation by evaluation.

    Args:
        searches: for every stage, log densities in the order of the evaluations of each start; minus infinity where a
            lens was refused.
        title, subtitle: what is shown.
    """
    figure = new_figure(LEFT + 6.4 + 1.9, TOP + 3.2 + BOTTOM)
    full_height = figure.get_size_inches()[1]
    write(figure, LEFT, full_height - 0.38, title, 15.0, weight="bold")
    write(figure, LEFT, full_height - 0.6, subtitle, 9.0, FAINT)
    axes = graph(figure, (LEFT, BOTTOM, 6.4, 3.2), "evaluation", "best log density of the stage minus log density")
    count = sum(len(curves) for curves in searches.values())
    colors = iter(_colors(count))
    for stage, curves in searches.items():
        best = max((float(np.max(values)) for values in curves if np.isfinite(values).any()), default=0.0)
        for index, values in enumerate(curves):
            below = np.maximum(best - np.where(np.isfinite(values), values, np.nan), LOWEST)
            label = f"{stage}, start {index + 1}" if len(curves) > 1 else stage
            axes.plot(np.arange(1, len(values) + 1), below, color=next(colors), linewidth=1.1, label=label)
    axes.set_yscale("log")
    axes.axhline(1.0, color=FAINT, linewidth=0.6, linestyle=":")
    axes.legend(loc="upper left", fontsize=7.5, frameon=False, labelcolor=INK, handlelength=1.4,
                bbox_to_anchor=(1.01, 1.0))  # fmt: skip
    return figure
