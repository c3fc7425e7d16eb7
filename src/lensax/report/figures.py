"""The pictures of a report; text from the store is drawn as it stands, never as a formula."""

import datetime
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from lensax.plot.style import BACKGROUND, BRIGHTNESS, FAINT, INK, asinh_norm
from lensax.report.facts import Facts, Law

__all__ = ["corner", "data_of", "distributions", "error_estimates", "halo_counts", "montage", "progress", "short"]

ACCENT = "#e8a33d"
CURVE = "#7fb2e5"
BINS = 40
MOST = 6
"""Parameters of a corner plot, at most: more could not be read."""

FIRST = ("dark_matter", "subhalos", "line_of_sight")
"""Sections whose parameters come first in a corner plot: they are what most campaigns are made for."""


def short(name: str) -> str:
    """The last two parts of a dotted name, cut where it is endless."""
    text = ".".join(name.split(".")[-2:])
    return text if len(text) <= 34 else f"{text[:33]}…"


def label(name: str, law: Law) -> str:
    """A name with its unit."""
    return f"{short(name)} [{law.unit[:24]}]" if law.unit else short(name)


def data_of(figure: Any, vector: bool) -> tuple[str, bytes]:
    """Media type and bytes of a figure: SVG for lines, PNG for images."""
    import matplotlib as mpl

    file = io.BytesIO()
    kind = "svg" if vector else "png"
    # Glyphs become outlines, and nothing depends on the day.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "lensax"}):
        metadata = {"Date": None, "Creator": None} if vector else {"Software": None}
        figure.savefig(file, format=kind, dpi=180, facecolor=BACKGROUND, metadata=metadata)
    return ("image/svg+xml" if vector else "image/png"), file.getvalue()


def montage(facts: Facts) -> Any:
    """Rows of the campaign, the noiseless image above the noisy one, all on one asinh scale."""
    columns = min(8, len(facts.shown))
    lines = -(-len(facts.shown) // columns)
    kinds = facts.campaign.plan.keep
    n_y, n_x = next(iter(facts.images.values())).shape[1:]
    width = 11.0 / 8
    height = width * n_y / n_x
    figure = _figure(columns * width, lines * (len(kinds) * height + 0.24))
    finite = [images[np.isfinite(images)] for images in facts.images.values()]
    peak = max(float(np.quantile(values, 0.9995)) for values in finite)
    scatter = float(np.median([np.median(np.abs(images[:, [0, -1]])) for images in facts.images.values()]))
    norm = asinh_norm(0.0, max(peak, 1e-30), max(2 * scatter, 1e-3 * peak, 1e-30))
    full = lines * (len(kinds) * height + 0.24)
    for index, row in enumerate(facts.shown):
        line, column = divmod(index, columns)
        top = full - line * (len(kinds) * height + 0.24) - 0.24
        left = column / columns
        figure.text(left + 0.004, (top + 0.06) / full, f"{row}", color=FAINT, fontsize=7.5)
        for level, kind in enumerate(kinds):
            place = (left, (top - (level + 1) * height) / full, 0.985 / columns, 0.985 * height / full)
            axes = figure.add_axes(place)
            axes.imshow(facts.images[kind][index], origin="lower", norm=norm, cmap=BRIGHTNESS, interpolation="nearest")
            axes.set_axis_off()
    return figure


def corner(facts: Facts, names: Sequence[str] | None = None) -> Any:
    """Two parameters against each other for all pairs, the prior's coverage; None with fewer than two parameters."""
    all_names = facts.campaign.names
    if names is None:
        names = sorted(all_names, key=lambda name: (not name.startswith(FIRST), all_names.index(name)))[:MOST]
    count = len(names)
    if count < 2 or not len(facts.theta):
        return None
    columns = [facts.theta[:, all_names.index(name)] for name in names]
    laws = [facts.laws[name] for name in names]
    spans = [_span(values, law) for values, law in zip(columns, laws)]
    size = min(1.75, 10.2 / count)
    figure = _figure(count * size + 0.8, count * size + 0.75)
    panels = figure.subplots(
        count, count, squeeze=False,
        gridspec_kw={
            "left": 0.72 / (count * size + 0.8), "right": 0.995, "bottom": 0.62 / (count * size + 0.75), "top": 0.985,
            "wspace": 0.06, "hspace": 0.06,
        },
    )  # fmt: skip
    for i, j in np.ndindex(count, count):
        axes = panels[i, j]
        if j > i:
            axes.set_axis_off()
            continue
        _quiet(axes)
        if i == j:
            _histogram(axes, columns[i], facts.laws[names[i]], spans[i])
        else:
            bins = int(np.clip(np.sqrt(len(facts.theta)) / 4, 8, BINS))
            edges = [_edges(spans[k], laws[k], bins) for k in (j, i)]
            axes.hist2d(columns[j], columns[i], bins=edges, cmap="cividis", rasterized=True)
            _scale(axes, laws[i], "y", 3)
            _scale(axes, laws[j], "x", 3)
        axes.set_xlim(spans[j])
        axes.tick_params(labelbottom=i == count - 1, labelleft=j == 0 and i > 0, left=j == 0 and i > 0, labelsize=6.5)
        if i == count - 1:
            _write(axes.set_xlabel, label(names[j], laws[j]), 7.5)
        if j == 0 and i > 0:
            _write(axes.set_ylabel, label(names[i], laws[i]), 7.5)
    return figure


def distributions(panels: Sequence[tuple[str, np.ndarray, Law | None]]) -> Any:
    """A histogram for each (label, values, prior): with the prior's density where it is known."""
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure = _figure(11.0, 1.9 * lines)
    for index, (text, values, law) in enumerate(panels):
        axes = figure.add_subplot(lines, columns, index + 1)
        _quiet(axes)
        values = values[np.isfinite(values)]
        _histogram(axes, values, law, _span(values, law))
        _write(axes.set_xlabel, text, 8)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.42 / (1.9 * lines), top=0.985, wspace=0.08, hspace=0.5)
    return figure


def halo_counts(facts: Facts) -> Any:
    """How many halos the universes have, in all and on each plane; None where none are counted."""
    if facts.halos is None or not len(facts.halos) or not facts.halos.size:
        return None
    figure = _figure(11.0, 2.5)
    left, right = figure.subplots(1, 2, gridspec_kw={"left": 0.01, "right": 0.99, "bottom": 0.23, "wspace": 0.12})
    _quiet(left)
    total = facts.halos.sum(axis=1)
    _histogram(left, total, None, _span(total, None))
    _write(left.set_xlabel, "halos in a universe", 8)
    _quiet(right, spine="left")
    planes = np.arange(facts.halos.shape[1])
    low, middle, high = np.quantile(facts.halos, (0.05, 0.5, 0.95), axis=0)
    right.vlines(planes, low, high, color=ACCENT, linewidth=5, alpha=0.45)
    right.plot(planes, middle, "o", color=ACCENT, markersize=4)
    right.set_ylim(0, None)
    right.xaxis.set_major_locator(_ticks(12))
    _write(right.set_xlabel, "plane, from the observer to the source: median, and where 90% of the universes lie", 8)
    return figure


def error_estimates(facts: Facts) -> Any:
    """The tracer's own error of every row beside its tolerance; None where it gives none."""
    errors = facts.error_estimate
    if errors is None or not np.any(positive := np.isfinite(errors) & (errors > 0)):
        return None
    values = np.log10(errors[positive])
    figure = _figure(11.0, 2.2)
    axes = figure.add_axes((0.01, 0.27, 0.98, 0.7))
    _quiet(axes)
    axes.hist(values, BINS, color=ACCENT, alpha=0.75, histtype="stepfilled")
    if facts.tolerance is not None:
        axes.axvline(np.log10(facts.tolerance), color=CURVE, linewidth=1.4)
        axes.annotate(
            "tolerance", (np.log10(facts.tolerance), 1), (4, -2), xycoords=("data", "axes fraction"),
            textcoords="offset points", color=CURVE, fontsize=8, va="top",
        )  # fmt: skip
    axes.xaxis.set_major_formatter(lambda power, _: f"{10**power:.1e}")
    _write(axes.set_xlabel, "rms error of a ray in the source, arcsec", 8)
    return figure


def progress(facts: Facts) -> Any:
    """Rows on the disk over time; None with fewer than two shards."""
    times, counts = [], []
    for text, rows in facts.finished:
        try:
            times.append(datetime.datetime.fromisoformat(text))
        except ValueError:
            continue
        counts.append(rows)
    if len(times) < 2 or len({time.tzinfo is None for time in times}) > 1 or max(times) == min(times):
        return None
    begin = min(times)
    seconds = np.asarray([(time - begin).total_seconds() for time in times])
    unit, scale = next(
        (unit for unit in (("days", 86400), ("hours", 3600), ("minutes", 60)) if seconds.max() > 2 * unit[1]),
        ("seconds", 1),
    )
    figure = _figure(11.0, 2.2)
    axes = figure.add_axes((0.065, 0.25, 0.925, 0.7))
    _quiet(axes, spine="left")
    order = np.argsort(seconds)
    axes.step(seconds[order] / scale, np.cumsum(counts)[np.arange(len(counts))], where="post", color=ACCENT)
    axes.set_ylim(0, len(facts.campaign))
    _write(axes.set_xlabel, f"{unit} since the first shard", 8)
    _write(axes.set_ylabel, "rows on the disk", 8)
    return figure


def _figure(width: float | int, height: float | int) -> Any:
    from lensax.plot.style import new_figure

    return new_figure(width, height)


def _ticks(count: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, steps=[1, 2, 5, 10], prune="both")


def _quiet(axes: Any, spine: str = "bottom") -> None:
    axes.set_facecolor(BACKGROUND)
    for name, line in axes.spines.items():
        line.set_visible(name in ("bottom", spine))
        line.set_color(FAINT)
        line.set_linewidth(0.6)
    axes.tick_params(color=FAINT, labelcolor=INK, labelsize=7.5, length=2.5, width=0.6, pad=2)
    if spine == "bottom":
        axes.set_yticks([])


def _write(place: Any, text: str, size: float | int) -> None:
    place(text, color=FAINT, fontsize=size, parse_math=False)


def _span(values: np.ndarray, law: Law | None) -> tuple[float, float]:
    """Where the values are, and the prior; never empty."""
    ends = [values.min(), values.max()] if len(values) else []
    if law is not None and law.values is not None:
        ends += [law.values[0], law.values[-1]]
    if law is not None and law.logarithmic:
        ends = [end for end in ends if end > 0]
    low, high = (float(min(ends)), float(max(ends))) if ends else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5 * abs(low) - 0.5, high + 0.5 * abs(high) + 0.5)


def _histogram(axes: Any, values: np.ndarray, law: Law | None, span: tuple[float, float]) -> None:
    bins = int(np.clip(np.sqrt(len(values)), 6, BINS))
    edges = _edges(span, law, bins)
    counts, _ = np.histogram(values, edges)
    widths = np.diff(np.log(edges)) if law is not None and law.logarithmic else np.diff(edges)
    axes.stairs(counts / max(1, counts.sum()) / widths, edges, fill=True, color=ACCENT, alpha=0.75, linewidth=0)
    if law is not None and law.values is not None and law.density is not None:
        axes.plot(law.values, law.density, color=CURVE, linewidth=1.3)
    axes.set_yscale("linear")
    _scale(axes, law, "x")
    axes.set_xlim(span)
    axes.set_ylim(0, None)
    axes.set_yticks([])


def _edges(span: tuple[float, float], law: Law | None, bins: int) -> np.ndarray:
    """Edges of bins, as the axis of the parameter goes."""
    return np.geomspace(*span, bins + 1) if law is not None and law.logarithmic else np.linspace(*span, bins + 1)


def _scale(axes: Any, law: Law | None, axis: str, ticks: int = 4) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    one = axes.xaxis if axis == "x" else axes.yaxis
    if law is not None and law.logarithmic:
        (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
        one.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=ticks + 2))
        one.set_major_formatter(lambda value, _: f"{value:g}")
        one.set_minor_locator(NullLocator())
        one.set_minor_formatter(NullFormatter())
    else:
        one.set_major_locator(_ticks(ticks))
