"""Is a posterior estimator right about how much it knows?  Ranks, expected coverage, information, and their pictures.

- Ranks (simulation-based calibration, Talts et al. 2018): where the true value stands among draws of its posterior. If
  posteriors are right, every rank is as frequent as any other.
- Expected coverage (Hermans et al. 2022): how often the region of highest density that should hold the truth with some
  probability does hold it. Below the diagonal an estimator is over-confident.
- Information: the mean of log q(theta | image) - log p(theta), in nats; 0 for an estimator that has learnt nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from scipy import stats

__all__ = ["Examination", "draw_calibration", "draw_posterior", "draw_training", "examine"]

BINS = 16
TRUTH, LEARNT, PRIOR = "#c8402f", "#2a5d8f", "#9a9a9a"


@dataclass(frozen=True)
class Examination:
    """What the tests found; z are normal deviates of the prior.

    Args:
        truth: z of the test images, (n, p).
        ranks: how many of the draws lie below the truth, (n, p).
        samples: number of draws of each posterior.
        credibility: probability of the region of highest density that just holds the truth, (n,).
        gain: log q(z | image) - log p(z), (n,).
        mean, deviation: of the posterior, (n, p).
    """

    truth: np.ndarray
    ranks: np.ndarray
    samples: int
    credibility: np.ndarray
    gain: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def prior_loss(self) -> float:
        """Mean of -log p(z) of the test images: the loss of an estimator that has learnt nothing."""
        return float(-stats.norm.logpdf(self.truth).sum(axis=1).mean())

    def rank_counts(self, parameter: int) -> np.ndarray:
        """Test images in each of the bins of rank."""
        shares = (self.ranks[:, parameter] + 0.5) / (self.samples + 1)
        return np.histogram(shares, BINS, (0, 1))[0]

    def coverage(self, levels: np.ndarray) -> np.ndarray:
        """The share of test images whose truth lies inside its region of each probability."""
        return np.mean(self.credibility[:, None] <= levels, axis=0)

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """The numbers to quote."""
        count = len(self.truth)
        levels = np.linspace(0, 1, 101)
        found: dict[str, Any] = {
            "test_images": count,
            "information_nats": round(float(self.gain.mean()), 4),
            "information_error": round(float(self.gain.std() / np.sqrt(count)), 4),
            "largest_coverage_error": round(float(np.abs(self.coverage(levels) - levels).max()), 4),
            "correlation_of_means": round(float(np.corrcoef(self.mean.T)[0, -1]), 4),
            "coverage_p_value": round(float(stats.kstest(self.credibility, "uniform").pvalue), 4),
        }
        for i, name in enumerate(names):
            found[name] = {
                "rank_p_value": round(float(stats.chisquare(self.rank_counts(i)).pvalue), 4),
                "correlation": round(float(np.corrcoef(self.mean[:, i], self.truth[:, i])[0, 1]), 4),
                "deviation_over_prior": round(float(self.deviation[:, i].mean()), 4),
            }
        return found


def examine(estimator: Any, truth: jax.Array, images: jax.Array, samples: int, key: jax.Array) -> Examination:
    """Draw from the posterior of every test image and compare with its truth.

    Args:
        estimator: `log_prob(z, image)` and `sample(image, key, count)`.
        truth: z of the images (n, p).
        images: (n, n_y, n_x).
        samples: draws of each posterior.
        key: of the draws.
    """

    @eqx.filter_jit
    def one(estimator: Any, z: jax.Array, image: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
        draws, density = estimator.sample(image, key, samples)
        own = estimator.log_prob(z, image)
        ranks = jnp.sum(draws < z[None], axis=0)
        return ranks, jnp.mean(density > own), own, draws.mean(axis=0), draws.std(axis=0)

    keys = jax.random.split(key, len(images))
    found = [np.asarray(part) for part in jax.lax.map(lambda row: one(estimator, *row), (truth, images, keys))]
    ranks, credibility, own, mean, deviation = found
    z = np.asarray(truth)
    return Examination(z, ranks, samples, credibility, own - stats.norm.logpdf(z).sum(axis=1), mean, deviation)


def draw_training(history: dict[str, list[float]], path: Path) -> None:
    """The loss over the steps, and that of an estimator that knows nothing but the prior."""
    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(history["prior"][0], color=PRIOR, linewidth=1, linestyle="--", label="the prior alone")
    axes.plot(history["step"], history["train"], color=LEARNT, linewidth=1, alpha=0.5, label="training")
    axes.plot(history["step"], history["validation"], color=LEARNT, label="held out")
    axes.set(xlabel="step", ylabel=r"$-\log q(\theta\,|\,\mathrm{image})$, nats")
    axes.legend(frameon=False)
    _finish(figure, path)


def draw_calibration(found: Examination, names: Sequence[str], path: Path) -> None:
    """Ranks of each parameter, expected coverage, and estimates beside truths."""
    count = len(names)
    figure = Figure(figsize=(3.2 * (count + 1), 6.2), layout="constrained")
    panels = figure.subplots(2, count + 1)
    total = len(found.truth)
    low, middle, high = stats.binom.ppf((0.005, 0.5, 0.995), total, 1 / BINS)
    for i, name in enumerate(names):
        axes = panels[0, i]
        axes.axhspan(low, high, color=PRIOR, alpha=0.3, linewidth=0, label="99% of uniform ranks")
        axes.axhline(middle, color=PRIOR, linewidth=1)
        axes.stairs(found.rank_counts(i), np.linspace(0, 1, BINS + 1), color=LEARNT, linewidth=1.5)
        axes.set(title=name, xlabel="rank of the truth", ylabel="test images" if i == 0 else None, ylim=(0, None))
        axes.legend(frameon=False, loc="lower center", fontsize=8)
        axes = panels[1, i]
        axes.errorbar(found.truth[:, i], found.mean[:, i], found.deviation[:, i], fmt=".", color=LEARNT, markersize=3,
                      elinewidth=0.3, alpha=0.5)  # fmt: skip
        axes.axline((0, 0), slope=1, color=PRIOR, linewidth=1)
        axes.set(xlabel="truth, in deviations of the prior", ylabel="posterior mean and deviation" if i == 0 else None)
    axes, levels = panels[0, -1], np.linspace(0, 1, 101)
    spread = 2.576 * np.sqrt(levels * (1 - levels) / total)
    axes.fill_between(levels, levels - spread, levels + spread, color=PRIOR, alpha=0.3, linewidth=0)
    axes.plot(levels, levels, color=PRIOR, linewidth=1)
    axes.plot(levels, found.coverage(levels), color=LEARNT)
    axes.set(title="expected coverage", xlabel="probability of the region", ylabel="share that holds the truth")
    axes = panels[1, -1]
    axes.hist(found.gain, 30, color=LEARNT, alpha=0.7)
    axes.axvline(0, color=PRIOR, linewidth=1)
    axes.axvline(float(found.gain.mean()), color=TRUTH, linewidth=1.5)
    axes.set(title=f"information: {found.gain.mean():.2f} nats", xlabel="log posterior / prior at the truth",
             ylabel="test images")  # fmt: skip
    _finish(figure, path)


def draw_posterior(
    estimator: Any, targets: Any, theta: Any, images: jax.Array, found: Examination, key: jax.Array, path: Path
) -> None:
    """The posteriors of two held-out images: of median information, and of more than 95% of the others."""
    ranked = np.argsort(found.gain)
    chosen = {
        "an image of median information": ranked[len(ranked) // 2],
        "a telling image": ranked[int(0.95 * len(ranked))],
    }
    sample = eqx.filter_jit(lambda estimator, image: estimator.sample(image, key, 20_000)[0])
    names = list(targets.laws)[:2]
    figure = Figure(figsize=(10.5, 6.6), layout="constrained")
    for line, (title, index) in zip(figure.subplots(len(chosen), 3), chosen.items()):
        values = targets.values(sample(estimator, images[index]))
        image = np.asarray(images[index])
        scale = float(np.quantile(image, 0.995))
        line[0].imshow(np.arcsinh(image / (0.1 * scale)), origin="lower", cmap="inferno")
        line[0].set(title=title, xticks=[], yticks=[])
        for axes, name in zip(line[1:], names):
            _marginal(axes, targets.laws[name], np.asarray(values[name]), float(theta[name][index]), name)
    figure.axes[1].legend(frameon=False, fontsize=8)
    _finish(figure, path)


def _marginal(axes: Any, law: Any, values: np.ndarray, truth: float, name: str) -> None:
    """Posterior draws of one parameter beside its prior."""
    low, high = np.asarray(law.icdf(jnp.asarray([0.001, 0.999])))
    logarithmic = low > 0 and high / low > 5
    edges = np.geomspace(low, high, 30) if logarithmic else np.linspace(low, high, 30)
    shares = np.diff(np.asarray(law.cdf(jnp.asarray(edges))))
    counts, _ = np.histogram(values, edges)
    axes.stairs(counts / len(values), edges, color=LEARNT, fill=True, alpha=0.5, label="posterior")
    axes.stairs(shares, edges, color=PRIOR, linestyle="--", label="prior")
    axes.axvline(truth, color=TRUTH, label="truth")
    axes.set(xlabel=name, yticks=[], xscale="log" if logarithmic else "linear", xlim=(low, high))
    if logarithmic:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())


def _finish(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.savefig(path, dpi=130)
