"""Whether the error bars of fits with a pixelized source are right: simulated rings, fitted, compared with the truth.

    nice python benchmarks/coverage.py                   # 20 rings; writes benchmarks/results/coverage.md and .json
    nice python benchmarks/coverage.py --prior constant --out somewhere       # another prior of the source
    nice python benchmarks/coverage.py --drawn --negative --out somewhere     # sources drawn from it
    python benchmarks/coverage.py --rings 3 --cells 12 --out somewhere        # smaller and quicker

Lenses are drawn from the prior of the fit. Their sources are a disc with knots (Sersic and Gaussian profiles), the
reconstruction has B-splines on a mesh and knows nothing of profiles; images are made by the simulator with more rays
than the fit has. The posterior is that of the Laplace approximation about the maximum; `--draws` weighs as many of its
draws with the posterior itself, which makes them draws of the posterior.

Given are, for each parameter, the pulls (mean - truth) / deviation with their mean, deviation and chi-squared, and
where in the posterior the truth lies: in how many rings within the central 68 and 95 %, and how probable ranks as
uneven are (Kolmogorov & Smirnov). Parameters of a ring are correlated: their chi-squared do not add up. Together they
are compared by `D^2 = (mean - truth) . covariance^-1 . (mean - truth)`, which for a calibrated Gaussian posterior is
distributed like chi-squared with as many degrees of freedom as there are parameters. "(!)" marks what less than 1 % of
calibrated posteriors would show.
"""

import argparse
import concurrent.futures
import functools
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")  # a ring has one thread

import jax
import jax.numpy as jnp
import numpy as np
from coverage_rings import (
    PIXEL_SCALE,
    PIXELS,
    RADII,
    SIMULATED_OVER_SAMPLE,
    lens_parameters,
    ring,
    ring_of_prior,
    truth_of,
)

import lensax as lx
from lensax.fit import FitModel, Laplace, Posterior, laplace, maximize, starting_points
from lensax.parameters import Constant, Free, Parameters
from lensax.recipe import Ingredient

RESULTS = Path(__file__).resolve().parent / "results"
COMPARED = ("einstein_radius", "slope", "e1", "e2", "gamma_1", "gamma_2")
WIDER = 1.15  # than the Laplace approximation are the draws that are weighed
FEWEST = 400  # of them: with a few tens D^2 comes out twice as large
PRIORS = ("moffat", "constant")


@functools.cache
def model_of(cells: int, over_sample: int, prior: str, positive: bool = True) -> FitModel:
    """Lens and pixelized source."""
    from numpyro.distributions import LogNormal, LogUniform, Normal

    entries: dict[str, Any] = dict(lens_parameters())
    mass = (
        Ingredient(lx.mass.PowerLaw, {n: n for n in list(entries)[:6]}),
        Ingredient(lx.mass.ExternalShear, {"gamma_1": "gamma_1", "gamma_2": "gamma_2"}),
    )

    def free(name: str, law: Any) -> str:
        entries[name] = Free(name, law)
        return name

    if prior == "constant":
        regularization = Ingredient(lx.inversion.Constant, {"strength": free("strength", LogUniform(1e-3, 1e3))})
    else:
        entries["power"] = Constant(1.5)
        envelope = {
            "deviation": free("deviation", LogNormal(2.5, 1.0)),
            "radius": free("radius", LogNormal(-1.2, 0.5)),
            "center_x": free("source_x", Normal(0.0, 0.12)),
            "center_y": free("source_y", Normal(0.0, 0.12)),
            "power": "power",
        }
        amplitude = Ingredient(lx.inversion.MoffatAmplitude, envelope)
        length = free("length", LogNormal(-2.0, 0.7))
        regularization = Ingredient(lx.inversion.Matern, {"length": length}, {"nu": 1.5}, {"amplitude": amplitude})
    source = Ingredient(
        lx.inversion.Pixelization,
        {},
        {"over_sample": over_sample, "positive": positive},
        {"mesh": lx.inversion.AdaptiveMesh((cells, cells)), "regularization": regularization},
    )
    return FitModel(Parameters(entries), mass, source)


def weighed(about: Laplace, number: int, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws of the posterior and their weights: those of its Laplace approximation if `count` is 0."""
    if count == 0:
        draws = about.sample(jax.random.key(number), 4000)
        return {name: np.asarray(values) for name, values in draws.items()}, np.full(4000, 1 / 4000)
    unit = np.random.default_rng(number).normal(size=(count, len(about.z)))
    z = about.z + WIDER * unit @ np.linalg.cholesky(about.covariance).T
    free = about.posterior.evaluate(about.z).free
    height = np.array([float(about.posterior.evaluate(at, free).log_density) for at in z]) - about.log_density
    weights = np.exp(height + 0.5 * np.sum(unit**2, axis=1))
    draws = about.posterior.constrain(jnp.asarray(z))
    return {name: np.asarray(values) for name, values in draws.items()}, weights / weights.sum()


def fit_one(number: int, count: int, drawn: bool, *settings: Any) -> dict[str, Any]:
    """Maximum and error bars of one ring, whose source may be drawn from the prior of a model of these settings."""
    jax.config.update("jax_enable_x64", True)
    begin = time.process_time()
    model, truth = model_of(*settings), truth_of(number)
    theta = {name: jnp.asarray(value) for name, value in truth.items()}
    image = ring_of_prior(model, theta, number) if drawn else ring(theta, number)
    posterior = Posterior(model, image)
    middle = posterior.constrain(jnp.zeros(posterior.n_parameters))
    start = {**middle, "einstein_radius": truth["einstein_radius"] + np.random.default_rng(number).normal(0, 0.02)}
    rest = [name for name in posterior.names if name not in model.regularization_names]
    starts = [start, *starting_points(posterior, jax.random.key(number), 2)]
    starts = [maximize(posterior, [one], 200, rest).theta for one in starts]
    found = maximize(posterior, starts, 200)
    about = laplace(posterior, found.z, found.free)
    draws, weights = weighed(about, number, count)
    table = np.array([draws[name] for name in COMPARED])
    mean = table @ weights
    covariance = (table - mean[:, None]) * weights @ (table - mean[:, None]).T
    off = mean - np.array([truth[name] for name in COMPARED])
    solution = posterior.solution(found.theta)
    return {
        "ring": number,
        "truth": truth,
        "maximum": {name: float(found.theta[name]) for name in posterior.names},
        "mean": dict(zip(COMPARED, mean.tolist())),
        "covariance": covariance.tolist(),
        "pull": dict(zip(COMPARED, (off / np.sqrt(np.diag(covariance))).tolist())),
        "rank": {name: float(weights[draws[name] < truth[name]].sum()) for name in COMPARED},
        "distance_squared": float(off @ np.linalg.solve(covariance, off)),
        "effective_draws": float(1 / np.sum(weights**2)),
        "log_evidence": about.log_evidence,
        "converged": bool(found.converged),
        "raised": about.raised,
        "chi_squared_per_pixel": float(solution.chi_squared) / image.n_pixels,
        "n_effective": float(solution.n_effective),
        "seconds": time.process_time() - begin,
    }


def summary(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """How pulls and ranks of each parameter are distributed, and the distances of all together."""
    from scipy.stats import chi2, kstest

    def calibrated(total: float, degrees: int) -> bool:
        low, high = chi2.ppf((0.005, 0.995), degrees)
        return bool(low <= total <= high)

    found = []
    for i, name in enumerate(COMPARED):
        pulls, ranks = (np.array([row[key][name] for row in rows]) for key in ("pull", "rank"))
        total, even = float(np.sum(pulls**2)), float(kstest(ranks, "uniform").pvalue)
        found.append(
            {
                "parameter": name,
                "deviation": float(np.median([row["covariance"][i][i] ** 0.5 for row in rows])),
                "mean_pull": float(pulls.mean()),
                "deviation_of_pulls": float(pulls.std(ddof=1)) if len(rows) > 1 else None,
                "chi_squared": total,
                "within_68": int(np.sum(np.abs(ranks - 0.5) < 0.34)),
                "within_95": int(np.sum(np.abs(ranks - 0.5) < 0.475)),
                "rank_probability": even,
                "calibrated": calibrated(total, len(rows)) and even > 0.01,
            }
        )
    squares = np.array([row["distance_squared"] for row in rows])
    degrees = len(COMPARED) * len(rows)
    together = {
        "distance_squared": float(squares.sum()),
        "degrees": degrees,
        "probability_of_more": float(chi2.sf(squares.sum(), degrees)),
        "rank_probability": float(kstest(chi2.cdf(squares, len(COMPARED)), "uniform").pvalue),
        "within_68": int(np.sum(squares < chi2.ppf(0.68, len(COMPARED)))),
        "within_95": int(np.sum(squares < chi2.ppf(0.95, len(COMPARED)))),
        "calibrated": calibrated(float(squares.sum()), degrees),
    }
    return found, together


def table(rows: list[dict[str, Any]], about: str) -> list[str]:
    """The result as Markdown."""
    found, all_of_them = summary(rows)
    n = len(rows)
    lines = [
        about,
        "",
        f"| parameter | typical error | mean pull | deviation of pulls | chi-squared of {n} pulls | truth within 68 % "
        "| within 95 % | probability of the ranks |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        scatter = "" if one["deviation_of_pulls"] is None else f"{one['deviation_of_pulls']:.2f}"
        lines.append(
            f"| {one['parameter']} | {one['deviation']:.4f} | {one['mean_pull']:+.2f} | {scatter} "
            f"| {one['chi_squared']:.1f}{'' if one['calibrated'] else ' (!)'} "
            f"| {one['within_68']} of {n} | {one['within_95']} of {n} | {one['rank_probability']:.2f} |"
        )
    lines.append(
        f"| all six, D^2 | | | | {all_of_them['distance_squared']:.1f} for {all_of_them['degrees']}"
        f"{'' if all_of_them['calibrated'] else ' (!)'} | {all_of_them['within_68']} of {n} "
        f"| {all_of_them['within_95']} of {n} | {all_of_them['rank_probability']:.2f} |"
    )
    lines += [
        "",
        f"Of calibrated posteriors, {100 * all_of_them['probability_of_more']:.1f} % have a larger sum of D^2.",
    ]
    return lines


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rings", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first ring")
    parser.add_argument("--cells", type=int, default=20, help="of the mesh along either axis")
    parser.add_argument("--over-sample", type=int, default=2)
    parser.add_argument("--prior", choices=PRIORS, default=PRIORS[0], help="of the source")
    parser.add_argument("--negative", action="store_true", help="allow negative light: the evidence is then exact")
    parser.add_argument("--drawn", action="store_true", help="draw the sources from the prior; needs --negative")
    parser.add_argument("--draws", type=int, default=0, help="of the posterior; 0 takes its Laplace approximation")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="rings at a time")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.drawn and not options.negative:
        parser.error("--drawn: sources drawn from the prior have negative light; give --negative as well")
    if 0 < options.draws < FEWEST:
        parser.error(f"--draws: the covariance of six parameters needs at least {FEWEST}, got {options.draws}")
    settings = options.drawn, options.cells, options.over_sample, options.prior, not options.negative
    rows = []
    with concurrent.futures.ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        numbers = range(options.first, options.first + options.rings)
        for done in concurrent.futures.as_completed(
            [pool.submit(fit_one, number, options.draws, *settings) for number in numbers]
        ):
            row = done.result()
            rows.append(row)
            print(
                f"ring {row['ring']}: {row['seconds']:.0f} s, chi2 {row['chi_squared_per_pixel']:.3f}, "
                f"N {row['n_effective']:.0f}, ln Z {row['log_evidence']:.1f}, D^2 {row['distance_squared']:.1f}, "
                f"pulls {' '.join(f'{pull:+.1f}' for pull in row['pull'].values())}, "
                f"{row['effective_draws']:.0f} draws{'' if row['converged'] else ' not converged'}",
                flush=True,
            )
    rows.sort(key=lambda row: row["ring"])
    pixels = int(np.asarray(lx.Mask.annulus(*RADII).pixels(lx.Grid((PIXELS, PIXELS), PIXEL_SCALE))).sum())
    seconds = float(np.median([row["seconds"] for row in rows]))
    posterior = f"{options.draws} weighed draws" if options.draws else "Laplace approximation"
    about = (
        f"{len(rows)} rings, {pixels} pixels, {options.cells} x {options.cells} cells, over-sampling "
        f"{options.over_sample} (simulated with {SIMULATED_OVER_SAMPLE}), prior of the source: {options.prior}"
        f"{' (from which the sources were drawn)' if options.drawn else ''}; {posterior}, {seconds:.0f} processor "
        "seconds for a ring."
    )
    lines = table(rows, about)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "coverage.md").write_text("\n".join(lines) + "\n")
    parameters, together = summary(rows)
    written = {
        "settings": {key: value for key, value in vars(options).items() if key not in ("out", "processes")},
        "parameters": parameters,
        "together": together,
        "rings": rows,
    }
    (options.out / "coverage.json").write_text(json.dumps(written, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
