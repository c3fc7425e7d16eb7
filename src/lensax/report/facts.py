"""What a report says about a campaign, read from its folder; nothing is simulated and no model is built."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lensax.campaign import Campaign, CampaignRefused, Report, Store, check
from lensax.campaign.noise import HostNoise
from lensax.campaign.source import Rows

__all__ = ["Facts", "ImageStatistics", "Law", "gather"]

SAMPLE = 2048
"""Rows whose images are measured, evenly spread: enough for a histogram of 40 bins, whatever the campaign's size."""

SHOWN = 16
"""Rows of the montage."""

NEIGHBOURS = 16
"""Sampled rows stand together in groups of so many, which are compressed together."""

LAW = re.compile(r"(\w{1,40})\(([^()]{0,400})\)")
ARGUMENT = re.compile(r"(\w{1,40})=([-+.\deE]{1,40})")


@dataclass(frozen=True)
class ImageStatistics:
    """Numbers of the sampled images, each (n,).

    Args:
        flux: sum over the pixels, electrons / s.
        peak: brightest pixel, electrons / s / pixel.
        peak_ratio: highest signal over noise of a pixel; None where the noise is not known.
        total_ratio: signal over noise of the whole image, the root of the sum of squares; or None.
    """

    flux: np.ndarray
    peak: np.ndarray
    peak_ratio: np.ndarray | None
    total_ratio: np.ndarray | None


@dataclass(frozen=True)
class Law:
    """The prior of a parameter as a curve: its distribution in words, and the density at some values, or None.

    `logarithmic` says that it is wide enough for a logarithmic axis; the density is then that of the logarithm.
    """

    words: str
    unit: str
    values: np.ndarray | None = None
    density: np.ndarray | None = None
    logarithmic: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything a report shows.

    Args:
        campaign: the reader.
        check: what comparing every file with its checksum has found.
        theta: parameters of all good rows, (n, parameters).
        laws: the priors, by name.
        halos: number of halos on each plane in all good rows, (n, planes), or None.
        error_estimate: the tracer's, of all good rows in arcsec, or None.
        tolerance: of the tracer in arcsec, or None.
        shown: numbers of the rows of the montage.
        images: their images by kind, (n, n_y, n_x).
        statistics: of the sampled images; None where no image can be read.
        finished: for every recorded shard its time of completion (ISO 8601) and its number of rows, in order of time.
    """

    campaign: Campaign
    check: Report
    theta: np.ndarray
    laws: dict[str, Law]
    halos: np.ndarray | None
    error_estimate: np.ndarray | None
    tolerance: float | None
    shown: np.ndarray
    images: dict[str, np.ndarray]
    statistics: ImageStatistics | None
    finished: list[tuple[str, int]]


def gather(campaign: Campaign, progress: Callable[[int, int], None] = lambda done, total: None) -> Facts:
    """Read what a report shows; memory is bounded by the parameters, never by the images.

    Args:
        campaign: the reader.
        progress: called with the number of shards whose checksums have been compared, and of all shards.
    """
    store = Store(campaign.path)
    checked = check(store, progress)
    damaged = np.zeros(len(campaign), bool)
    for shard in checked.damaged:
        span = campaign.plan.rows(shard)
        damaged[span.start : span.stop] = True
    good = np.flatnonzero(campaign.good & ~damaged)
    attributes = campaign.attributes
    tracer = attributes.get("tracer")
    tolerance = tracer.get("tolerance") if isinstance(tracer, dict) else None
    sample = _spread(good)
    rows = {kind: campaign.source(kind).read(sample) for kind in campaign.plan.keep}
    shown = good[np.linspace(0, len(good) - 1, min(SHOWN, len(good))).round().astype(int)] if len(good) else good
    return Facts(
        campaign=campaign,
        check=checked,
        theta=campaign.theta_matrix[good],
        laws={name: _law(attributes["prior"][name]) for name in campaign.names},
        halos=_rows_of(campaign, "halos_per_plane", good),
        error_estimate=_rows_of(campaign, "error_estimate", good),
        tolerance=float(tolerance) if isinstance(tolerance, (int, float)) and 0 < tolerance < np.inf else None,
        shown=shown,
        images={kind: campaign.source(kind).read(shown).images for kind in campaign.plan.keep},
        statistics=_statistics(campaign, rows) if len(sample) else None,
        finished=_finished(store),
    )


def _spread(good: np.ndarray) -> np.ndarray:
    """At most `SAMPLE` of the rows, in groups of neighbours that are spread evenly."""
    if len(good) <= SAMPLE:
        return good
    starts = np.linspace(0, len(good) - NEIGHBOURS, SAMPLE // NEIGHBOURS).astype(int)
    return good[np.unique((starts[:, None] + np.arange(NEIGHBOURS)).ravel())]


def _rows_of(campaign: Campaign, name: str, rows: np.ndarray) -> np.ndarray | None:
    try:
        return np.asarray(campaign.array(name)[:])[rows]
    except KeyError:
        return None


def _statistics(campaign: Campaign, rows: dict[str, Rows]) -> ImageStatistics:
    signal = rows[campaign.plan.keep[0]].images
    noise = _noise(campaign, {kind: found.images for kind, found in rows.items()})
    ratio = None if noise is None else signal / np.where(noise > 0, noise, np.inf)
    return ImageStatistics(
        flux=signal.sum(axis=(1, 2)),
        peak=signal.max(axis=(1, 2)),
        peak_ratio=None if ratio is None else ratio.max(axis=(1, 2)),
        # Only what stands out of the noise: the sum over empty pixels of a noisy image would count the noise itself.
        total_ratio=None
        if ratio is None
        else np.sqrt(np.sum(np.square(ratio, where=ratio > 1, out=np.zeros_like(ratio)), axis=(1, 2))),
    )


def _noise(campaign: Campaign, images: dict[str, np.ndarray]) -> np.ndarray | None:
    """The standard deviation of the noise in every pixel, from the stored instrument; else from the images' scatter."""
    try:
        noise = HostNoise.of(campaign.instrument())
        return noise.deviation_of(images[campaign.plan.keep[0]])
    except CampaignRefused:
        if len(images) < 2:
            return None
        # The instrument's maps are not part of the store: what noise has added is, in every pixel of the sample.
        scatter = np.std(images["noisy"] - images["noiseless"], axis=0)
        return np.broadcast_to(scatter, images["noisy"].shape)


def _law(described: Any) -> Law:
    """The curve of a prior from its words in the store, such as "Normal(loc=1.2, scale=0.05)"; never evaluated."""
    words = str(described.get("distribution", "")) if isinstance(described, dict) else ""
    unit = str(described.get("units") or "") if isinstance(described, dict) else ""
    found = LAW.fullmatch(words)
    written = [ARGUMENT.fullmatch(argument) for argument in found.group(2).split(", ")] if found else [None]
    if found is None or None in written:
        return Law(words, unit)
    from lensax.parameters import distribution

    try:
        arguments = {one.group(1): float(one.group(2)) for one in written if one}
        law = distribution.build(found.group(1), arguments)
        low, high = (distribution.quantile(law, probability) for probability in (1e-3, 1 - 1e-3))
        logarithmic = low > 0 and high / low > 10
        values = np.geomspace(low, high, 200) if logarithmic else np.linspace(low, high, 200)
        with distribution.numpyro_rules():
            density = np.exp(np.asarray(law.log_prob(values))) * (values if logarithmic else 1.0)
    except (ValueError, ArithmeticError):
        return Law(words, unit)
    return Law(words, unit, values, density, logarithmic) if np.isfinite(density).all() else Law(words, unit)


def _finished(store: Store) -> list[tuple[str, int]]:
    found = [(str(record.get("finished", "")), record["stop"] - record["start"]) for _, record in store.recorded()]
    return sorted((entry for entry in found if entry[0]), key=lambda entry: entry[0])
