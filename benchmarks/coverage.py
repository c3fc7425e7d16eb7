"""Whether the error bars of fits with a pixelized source are right: simulated rings, fitted, compared with the truth.

    nice python benchmarks/coverage.py                  # 20 rings; writes benchmarks/results/coverage.md and .json
    python benchmarks/coverage.py --rings 3 --cells 12  # smaller and quicker

Lenses are drawn from the prior of the fit. Their sources are a disc with knots (Sersic and Gaussian profiles), the
reconstruction has B-splines on a mesh and knows nothing of profiles; images are made by the simulator with more rays
than the fit has. The posterior is that of the Laplace approximation about the maximum. Given are, for each parameter,
the pulls (mean - truth) / deviation with their mean, deviation and chi-squared, and in how many rings the truth lies in
the central 68 and 95 % of the posterior; chi-squared is marked where less than 1 % of calibrated posteriors would have
one as far from the number of rings.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np

import lensax as lx
from lensax.fit import FitModel, Posterior, laplace, maximize, starting_points
from lensax.parameters import Constant, Free, Parameters
from lensax.recipe import Ingredient

RESULTS = Path(__file__).resolve().parent / "results"
PIXELS, PIXEL_SCALE, RADII = 50, 0.08, (0.4, 1.9)
COMPARED = ("einstein_radius", "slope", "e1", "e2", "gamma_1", "gamma_2")
SIMULATED_OVER_SAMPLE = 8


def lens_parameters() -> dict[str, Free]:
    """The prior of the lenses, from which they are drawn as well."""
    from numpyro.distributions import Normal, TruncatedNormal

    laws = {
        "einstein_radius": Normal(1.2, 0.05),
        "slope": TruncatedNormal(2.05, 0.15, low=1.5, high=2.6),
        "e1": Normal(0.0, 0.08),
        "e2": Normal(0.0, 0.08),
        "center_x": Normal(0.0, 0.02),
        "center_y": Normal(0.0, 0.02),
        "gamma_1": Normal(0.0, 0.03),
        "gamma_2": Normal(0.0, 0.03),
    }
    return {name: Free(name, law) for name, law in laws.items()}


def source_of(random: np.random.Generator) -> tuple[lx.light.LightProfile, ...]:
    """A disc and four knots."""
    x, y = random.normal(0.0, 0.08, 2)
    disc = lx.light.Sersic(4.0, random.uniform(0.15, 0.25), 1.0, *random.normal(0, 0.15, 2), x, y)
    knots = [
        lx.light.Gaussian(random.uniform(4, 10), random.uniform(0.04, 0.08), 0.0, 0.0, *(np.array([x, y]) + at))
        for at in random.normal(0.0, 0.13, (4, 2))
    ]
    return (disc, *knots)


def mass_of(theta: Any) -> tuple[lx.mass.MassProfile, ...]:
    """The lens."""
    names = ("einstein_radius", "slope", "e1", "e2", "center_x", "center_y")
    return lx.mass.PowerLaw(*(theta[name] for name in names)), lx.mass.ExternalShear(theta["gamma_1"], theta["gamma_2"])


def ring(theta: Any, number: int) -> lx.Imaging:
    """A noisy image of a source behind a lens."""
    psf = lx.psf.Gaussian(0.12, sampling=1, size=9)
    instrument = lx.Instrument(
        (PIXELS, PIXELS), PIXEL_SCALE, psf, 1000.0, sky_level=0.05, over_sample=SIMULATED_OVER_SAMPLE
    )
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    scene = lx.Scene(planes, mass_of(theta), source=source_of(np.random.default_rng(number)))
    simulator = lx.Simulator(instrument, lx.raytrace.Direct())
    image = instrument.imaging(simulator(scene, jax.random.key(1000 + number)), simulator.noiseless(scene))
    return image.with_mask(lx.Mask.annulus(*RADII))


PRIORS = ("constant", "matern", "moffat")


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

    mesh: Any = lx.inversion.AdaptiveMesh((cells, cells))
    if prior == "constant":
        strength = free("strength", LogUniform(1e-3, 1e3))
        regularization = Ingredient(lx.inversion.Constant, {"strength": strength})
    else:
        if prior == "matern":
            amplitude = Ingredient(lx.inversion.UniformAmplitude, {"deviation": free("deviation", LogNormal(1.5, 1.0))})
        else:
            entries["power"] = Constant(1.5)
            amplitude = Ingredient(
                lx.inversion.MoffatAmplitude,
                {
                    "deviation": free("deviation", LogNormal(2.0, 1.0)),
                    "radius": free("radius", LogNormal(-1.2, 0.5)),
                    "center_x": free("source_x", Normal(0.0, 0.1)),
                    "center_y": free("source_y", Normal(0.0, 0.1)),
                    "power": "power",
                },
            )
        mesh = lx.inversion.UniformMesh((cells, cells), (-0.75, 0.75, -0.75, 0.75))
        length = free("length", LogNormal(-2.0, 0.7))
        regularization = Ingredient(lx.inversion.Matern, {"length": length}, {"nu": 0.5}, {"amplitude": amplitude})
    source = Ingredient(
        lx.inversion.Pixelization,
        {},
        {"over_sample": over_sample, "positive": positive},
        {"mesh": mesh, "regularization": regularization},
    )
    return FitModel(Parameters(entries), mass, source)


def fit_one(model: FitModel, truth: dict[str, float], number: int) -> dict[str, Any]:
    """Maximum and error bars of one ring."""
    begin = time.process_time()
    image = ring({name: jnp.asarray(value) for name, value in truth.items()}, number)
    posterior = Posterior(model, image)
    middle = posterior.constrain(jnp.zeros(posterior.n_parameters))
    start = {**middle, "einstein_radius": truth["einstein_radius"] + np.random.default_rng(number).normal(0, 0.02)}
    rest = [name for name in posterior.names if name not in model.regularization_names]
    starts = [start, *starting_points(posterior, jax.random.key(number), 2)]
    starts = [maximize(posterior, [one], 200, rest).theta for one in starts]
    found = maximize(posterior, starts, 200)
    about = laplace(posterior, found.z, found.free)
    draws = about.sample(jax.random.key(number), 4000)
    solution = posterior.solution(found.theta)
    return {
        "ring": number,
        "truth": truth,
        "maximum": {name: float(found.theta[name]) for name in posterior.names},
        "mean": {name: float(np.mean(draws[name])) for name in posterior.names},
        "deviation": {name: float(np.std(draws[name])) for name in posterior.names},
        "rank": {name: float(np.mean(np.asarray(draws[name]) < truth[name])) for name in truth},
        "converged": bool(found.converged),
        "raised": about.raised,
        "chi_squared_per_pixel": float(solution.chi_squared) / image.n_pixels,
        "n_effective": float(solution.n_effective),
        "seconds": time.process_time() - begin,
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each parameter, how pulls and ranks are distributed."""
    from scipy.stats import chi2

    found = []
    for name in COMPARED:
        pulls = np.array([(r["mean"][name] - r["truth"][name]) / r["deviation"][name] for r in rows])
        ranks = np.array([r["rank"][name] for r in rows])
        low, high = chi2.ppf((0.005, 0.995), len(pulls))
        total = float(np.sum(pulls**2))
        found.append(
            {
                "parameter": name,
                "deviation": float(np.median([r["deviation"][name] for r in rows])),
                "mean_pull": float(pulls.mean()),
                "deviation_of_pulls": float(pulls.std(ddof=1)),
                "chi_squared": total,
                "within_68": int(np.sum(np.abs(ranks - 0.5) < 0.34)),
                "within_95": int(np.sum(np.abs(ranks - 0.5) < 0.475)),
                "histogram": np.histogram(ranks, np.linspace(0, 1, 6))[0].tolist(),
                "calibrated": bool(low <= total <= high),
            }
        )
    return found


def table(rows: list[dict[str, Any]], found: list[dict[str, Any]], about: str) -> list[str]:
    """The result as Markdown."""
    n = len(rows)
    lines = [
        about,
        "",
        f"| parameter | typical error | mean pull | deviation of pulls | chi-squared of {n} pulls | truth within 68 % "
        "| within 95 % | truths by fifths of the posterior |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for one in found:
        lines.append(
            f"| {one['parameter']} | {one['deviation']:.4f} | {one['mean_pull']:+.2f} "
            f"| {one['deviation_of_pulls']:.2f} | {one['chi_squared']:.1f}{'' if one['calibrated'] else ' (!)'} "
            f"| {one['within_68']} of {n} | {one['within_95']} of {n} | {' '.join(map(str, one['histogram']))} |"
        )
    return lines


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rings", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first ring")
    parser.add_argument("--cells", type=int, default=20, help="of the mesh along either axis")
    parser.add_argument("--over-sample", type=int, default=2)
    parser.add_argument("--prior", choices=PRIORS, default="constant", help="of the source")
    parser.add_argument("--negative", action="store_true", help="allow negative light: the evidence is then exact")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    model = model_of(options.cells, options.over_sample, options.prior, not options.negative)
    lenses = Parameters(lens_parameters()).prior
    rows = []
    for number in range(options.first, options.first + options.rings):
        drawn = lenses.sample(jax.random.key(number))
        row = fit_one(model, {name: float(value) for name, value in drawn.items()}, number)
        rows.append(row)
        pulls = [(row["mean"][n] - row["truth"][n]) / row["deviation"][n] for n in COMPARED]
        print(
            f"ring {number}: {row['seconds']:.0f} s, chi2 {row['chi_squared_per_pixel']:.3f}, "
            f"N {row['n_effective']:.0f}, pulls {' '.join(f'{pull:+.1f}' for pull in pulls)}"
            f"{'' if row['converged'] else ' not converged'}",
            flush=True,
        )
    found = summary(rows)
    pixels = int(np.asarray(lx.Mask.annulus(*RADII).pixels(lx.Grid((PIXELS, PIXELS), PIXEL_SCALE))).sum())
    seconds = float(np.median([row["seconds"] for row in rows]))
    about = (
        f"{len(rows)} rings, {pixels} pixels, {options.cells} x {options.cells} cells, over-sampling "
        f"{options.over_sample} (simulated with {SIMULATED_OVER_SAMPLE}), prior of the source: {options.prior}; "
        f"{seconds:.0f} processor seconds for a ring."
    )
    lines = table(rows, found, about)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "coverage.md").write_text("\n".join(lines) + "\n")
    settings = {key: value for key, value in vars(options).items() if key != "out"}
    written = {"settings": settings, "parameters": found, "rings": rows}
    (options.out / "coverage.json").write_text(json.dumps(written, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
