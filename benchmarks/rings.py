"""Fits two real Hubble images, a ring and an arc: the numbers and the pictures of the page on real lenses.

    python benchmarks/rings.py map ring            # stages, maximum, pictures: minutes
    python benchmarks/rings.py map arc
    python benchmarks/rings.py errors ring         # Laplace approximation at the maximum
    python benchmarks/rings.py errors arc
    python benchmarks/rings.py knot                # the knot of the ring: four explanations, their evidence
    python benchmarks/rings.py sample              # NUTS on a coarser mesh, and Laplace there; goes on if stopped
    python benchmarks/rings.py table               # benchmarks/results/rings.json and .md

The models are configs/fit_hst_ring.yaml and configs/fit_hst_arc.yaml, which the command `lensax fit` fits as well; the
images lie in shared/data beside the project and are not part of it. What is found goes to --work, from where each step
takes what it needs.
"""

import argparse
import dataclasses
import json
import os
import pickle
import time
from pathlib import Path
from typing import Any

# LAPACK threads that wait for a busy core cost more than they bring for systems of this size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np
from raytrace import RESULTS, machine

import lensax as lx
from lensax.config.fit import load_fit
from lensax.fit import FitModel, Posterior, SourceBox, brightness_of, fit_in_stages, laplace, maximize, noise_of
from lensax.fit.sample import sample
from lensax.parameters import Constant, Free, Parameters
from lensax.recipe import Ingredient

ROOT = Path(__file__).resolve().parents[1]
CASES = ("ring", "arc")
KNOT = (0.56, -1.12)
COARSE_CELL, COARSE_PSF = 0.07, 25
SHORT = "lens.mass."


def clock() -> tuple[float, float]:
    """Wall clock and processor time in seconds."""
    return time.perf_counter(), time.process_time()


def since(begin: tuple[float, float]) -> dict[str, float]:
    """What has passed."""
    now = clock()
    return {"wall_s": now[0] - begin[0], "processor_s": now[1] - begin[1]}


def setup(case: str) -> Any:
    """The task of a configuration, blurring in float32: the PSFs are large."""
    task = load_fit(ROOT / "configs" / f"fit_hst_{case}.yaml").build().task
    source = task.model.source
    switches = dict(source.switches) | {"mixed_precision": True}
    source = Ingredient(source.profile, dict(source.arguments), switches, source.parts)
    return dataclasses.replace(task, model=dataclasses.replace(task.model, source=source))


def numbers(theta: Any) -> dict[str, float]:
    """Parameters as plain numbers."""
    return {name: float(value) for name, value in theta.items()}


def quality(found: Any) -> dict[str, float]:
    """How well an image is fitted."""
    white = np.asarray(found.normalized_residual)
    both = [(white[1:], white[:-1]), (white[:, 1:], white[:, :-1])]
    pairs = [(a * b)[(a != 0) & (b != 0)] for a, b in both]
    return {
        "chi_squared_per_pixel": float(found.chi_squared) / found.n_pixels,
        "reduced_chi_squared": float(found.reduced_chi_squared),
        "effective_coefficients": float(found.n_effective),
        "neighbour_correlation_of_residuals": float(np.concatenate(pairs).mean() / white[white != 0].var()),
        "largest_residual": float(np.abs(white).max()),
        "pixels": found.n_pixels,
    }


def run_map(case: str, work: Path) -> None:
    """The maximum, by stages."""
    task, begin, rows = setup(case), clock(), []
    start = {name: float(value) for name, value in task.start.items()}
    current: dict[str, Any] = {}

    def progress(name: str, count: int, best: float) -> None:
        if current.get("name") != name:
            current.update(name=name)
            print(name, {key: round(value) for key, value in since(begin).items()}, flush=True)

    stages = fit_in_stages(task.model, task.dataset, [start], task.plan, task.noise, task.positions, progress=progress)
    total = since(begin)
    for stage in stages:
        top = stage.maximum
        row = {"stage": stage.name, "log_density": top.log_density, "log_evidence": top.log_evidence}
        row |= {"converged": top.converged, "evaluations": len(top.histories[0].log_density), **quality(stage.found)}
        rows.append(row | {"theta": numbers(top.theta)})
        print(json.dumps(rows[-1]), flush=True)
    kept = [(stage.maximum.theta, np.asarray(stage.maximum.z), np.asarray(stage.maximum.free)) for stage in stages]
    (work / f"{case}.pickle").write_bytes(pickle.dumps(kept))
    save(work, f"map_{case}", {"stages": rows, **total})
    pictures(case, stages[-1])


def pictures(case: str, stage: Any) -> None:
    """Data, model, residual and source for the documentation."""
    from lensax.fit.images import fit_images
    from lensax.plot import save as save_figure
    from lensax.plot.fit import fit_figure, residual_figure, source_figure

    lens = stage.posterior.model(stage.posterior.constrain(jnp.asarray(stage.maximum.z))).lens
    images = fit_images(stage.posterior.dataset, lens, stage.found)
    folder = ROOT / "docs" / "images"
    for name, figure in (("fit", fit_figure), ("source", source_figure), ("residual", residual_figure)):
        title = {"ring": "Einstein ring, HST F390W", "arc": "Arc, HST F475X"}[case]
        save_figure(figure(images, title), folder / f"rings_{case}_{name}.png")


def final(case: str, work: Path, cell: float | None = None, psf: int | None = None) -> tuple[Posterior, dict[str, Any]]:
    """The posterior of the last stage, or one with a coarser mesh about its source; and its maximum."""
    task, kept = setup(case), pickle.loads((work / f"{case}.pickle").read_bytes())
    known = {str(i): maximum for i, maximum in enumerate(kept)}
    memory = _Kept(list(known.values()))
    stages = fit_in_stages(task.model, task.dataset, [dict(task.start)], task.plan, task.noise, memory=memory)
    last = stages[-1]
    if cell is None:
        return last.posterior, kept[-1][0]
    dataset, noise = noise_of(task.dataset, last.found)
    mesh = SourceBox(cell=cell, margin=0.12, threshold=0.1).mesh(last.found)
    source = last.posterior.model.source
    regularization = source.parts["regularization"]
    amplitude = regularization.parts["amplitude"].with_parts(brightness=brightness_of(last.found, mesh))
    coarse = source.with_parts(mesh=mesh, regularization=regularization.with_parts(amplitude=amplitude))
    switches = dict(coarse.switches) | {"over_sample": 1, "mixed_precision": True}
    coarse = Ingredient(coarse.profile, dict(coarse.arguments), switches, coarse.parts)
    if psf is not None:
        dataset = cropped(dataset, psf)
    return Posterior(dataclasses.replace(last.posterior.model, source=coarse), dataset, noise), kept[-1][0]


class _Kept:
    """The maxima of an earlier run, for `fit_in_stages`."""

    def __init__(self, maxima: list[Any]) -> None:
        self.maxima = maxima

    def load(self, name: str, posterior: Posterior) -> Any:
        theta, z, free = self.maxima.pop(0)
        from lensax.fit import Maximum

        return Maximum(theta, z, np.nan, np.nan, np.nan, True, free, ())

    def save(self, stage: Any) -> None:
        raise RuntimeError("every stage was known")


def cropped(dataset: Any, size: int) -> Any:
    """The dataset with the core of its point spread function."""
    array = np.asarray(dataset.psf.array)
    first = [(n - size) // 2 for n in array.shape]
    core = array[first[0] : first[0] + size, first[1] : first[1] + size]
    return lx.Imaging(
        dataset.data,
        dataset.noise_map,
        lx.psf.Kernel(core / core.sum()),
        dataset.pixel_scale,
        dataset.mask,
        dataset.exposure_time,
        dataset.background_rms,
    )


def run_errors(case: str, work: Path) -> None:
    """The maximum climbed to its top, and the Laplace approximation there."""
    posterior, theta = final(case, work)
    begin = clock()
    about = laplace(posterior, np.asarray(posterior.unconstrained(theta)))
    top = maximize(posterior, [theta], 60, covariance=about.covariance)
    print("top", top.log_density, len(top.histories[0].log_density), since(begin), flush=True)
    about = laplace(posterior, top.z, top.free)
    found = posterior.solution(top.theta, top.free)
    row = {"theta": numbers(top.theta), "deviation": about.deviation(), "log_density": top.log_density}
    row |= {"log_evidence": top.log_evidence, "gradient_norm": top.gradient_norm, "converged": top.converged}
    row |= {"raised": about.raised, **quality(found), **since(begin)}
    save(work, f"errors_{case}", row)
    print(json.dumps(row, indent=1))


def with_more(model: FitModel, more: dict[str, Any], **changes: Any) -> FitModel:
    """A model with further parameters and other parts."""
    entries = {name: model.parameters[name] for name in model.parameters}
    return dataclasses.replace(model, parameters=Parameters({**entries, **more}), **changes)


def run_knot(work: Path) -> None:
    """The knot of the ring: an object of its own, a clump of the source, or a dark perturber."""
    from numpyro.distributions import LogNormal, Normal, Uniform

    posterior, theta = final("ring", work)
    model, width = posterior.model, 0.02
    (x0, y0) = KNOT

    def place(x: float, y: float, spread: float) -> dict[str, Any]:
        return {"knot.x": Free("knot.x", Normal(x, spread)), "knot.y": Free("knot.y", Normal(y, spread))}

    size = {"knot.width": Constant(jnp.asarray(width))}
    at = {"center_x": ("knot.x",), "center_y": ("knot.y",), "width": "knot.width"}
    point = Ingredient(lx.light.PointSources, at)
    lens = model(theta).lens
    rays = lx.inversion.trace.trace_rays(lens, jnp.asarray([x0]), jnp.asarray([y0]))
    clump = float(rays.source_x[0]), float(rays.source_y[0])
    here = {"center_x": "knot.x", "center_y": "knot.y"}
    isothermal = Ingredient(lx.mass.PowerLaw, {"einstein_radius": "knot.radius", "slope": "knot.slope", **here})
    halo = Ingredient(
        lx.mass.Halo,
        {"kappa_s": "knot.kappa", "scale_radius": "knot.scale", "truncation_radius": "knot.truncation", **here},
    )
    radius = {"knot.radius": Free("knot.radius", Uniform(0.0, 0.1)), "knot.slope": Constant(jnp.asarray(2.0))}
    truncated = {
        "knot.kappa": Free("knot.kappa", LogNormal(-2.0, 1.5)),
        "knot.scale": Free("knot.scale", LogNormal(-2.3, 0.7)),
        "knot.truncation": Free("knot.truncation", LogNormal(-1.5, 0.7)),
    }
    trials = {
        "nothing": (model, {}),
        "unlensed point": (
            with_more(model, {**place(x0, y0, 0.04), **size}, light=(*model.light, point)),
            {"x": x0, "y": y0},
        ),
        "clump of the source": (
            with_more(model, {**place(*clump, 0.04), **size}, source=model.source.with_parts(components=point)),
            {"x": clump[0], "y": clump[1]},
        ),
        "isothermal perturber": (
            with_more(model, {**place(x0, y0, 0.15), **radius}, mass=(*model.mass, isothermal)),
            {"x": 0.46, "y": -1.20, "radius": 0.011},
        ),
        "truncated halo": (
            with_more(model, {**place(x0, y0, 0.15), **truncated}, mass=(*model.mass, halo)),
            {"x": 0.46, "y": -1.20, "kappa": 0.1, "scale": 0.1, "truncation": 0.3},
        ),
    }
    path, rows = work / "knot.json", {}
    for name, (tried, first) in trials.items():
        begin = clock()
        with_it = Posterior(tried, posterior.dataset, posterior.noise)
        values = {**theta, **{f"knot.{key}": jnp.asarray(value) for key, value in first.items()}}
        lens_held = tuple(other for other in posterior.names if other not in model.regularization_names)
        top = maximize(with_it, [values], 25, hold=lens_held)
        found = with_it.solution(top.theta, top.free)
        rows[name] = {"log_evidence": top.log_evidence, "log_density": top.log_density, **quality(found)}
        rows[name] |= {"theta": {key: value for key, value in numbers(top.theta).items() if key.startswith("knot")}}
        rows[name] |= since(begin)
        if name == "unlensed point":
            rows[name]["flux"] = float(found.amplitudes[-1])
        print(name, json.dumps(rows[name]), flush=True)
        path.write_text(json.dumps(rows, indent=1))


def run_sample(work: Path, chains: int, warmup: int, draws: int) -> None:
    """NUTS on a coarser mesh and Laplace there."""
    posterior, theta = final("ring", work, COARSE_CELL, COARSE_PSF)
    begin = clock()
    hold = tuple(name for name in posterior.names if name not in posterior.model.regularization_names)
    first = maximize(posterior, [maximize(posterior, [theta], hold=hold).theta])
    about = laplace(posterior, first.z, first.free)
    top = maximize(posterior, [first.theta], covariance=about.covariance)
    about = laplace(posterior, top.z, top.free)
    print("maximum", top.log_density, about.deviation(), since(begin), flush=True)
    found = posterior.solution(top.theta, top.free)
    steps = {"done": 0}

    def progress(done: int, text: str) -> None:
        if done >= steps["done"] + 20:
            steps["done"] = done
            print(done, text, round(since(begin)["wall_s"]), flush=True)

    samples = sample(
        posterior, about, jax.random.key(3), work / "chains", chains, warmup, draws, save_every=10, progress=progress
    )
    row = {
        "mesh": list(found.mesh.shape), "psf": COARSE_PSF, "chains": chains, "warmup": warmup, "draws": draws,
        "maximum": numbers(top.theta), "laplace": about.deviation(), **quality(found),
        "mean": {name: float(v.mean()) for name, v in samples.theta.items()},
        "deviation": {name: float(v.std()) for name, v in samples.theta.items()},
        "r_hat": samples.r_hat, "effective_draws": samples.effective_draws,
        "divergences": samples.divergences, "acceptance": samples.acceptance, "evaluations": samples.evaluations,
        **since(begin),
    }  # fmt: skip
    save(work, "sample_ring", row)
    chain_pictures(about, samples)
    print(json.dumps(row, indent=1))


def chain_pictures(about: Any, samples: Any) -> None:
    """The corner plot with the Laplace approximation."""
    from lensax.plot import save as save_figure
    from lensax.plot.fit_chains import corner_figure

    flat = {name: values.ravel() for name, values in samples.theta.items() if name.startswith(SHORT)}
    other = {name: np.asarray(v) for name, v in about.sample(jax.random.key(1), 4000).items() if name in flat}
    folder = ROOT / "docs" / "images"
    save_figure(corner_figure(flat, "The lens of the ring", other=other, label="NUTS"), folder / "rings_corner.png")


def save(work: Path, name: str, row: dict[str, Any]) -> None:
    (work / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")


def table(work: Path) -> None:
    """Everything that was measured as JSON and Markdown."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(work.glob("*.json"))}
    lines: list[str] = []
    for case in CASES:
        if f"map_{case}" not in found:
            continue
        result = found[f"map_{case}"]
        lines += [f"**{case.capitalize()}**: {result['processor_s']:.0f} s of processor time for all stages.", ""]
        lines += ["| stage | ln E | chi-squared / pixel | effective coefficients | theta_E | slope | converged |"]
        lines += ["|---|--:|--:|--:|--:|--:|---|"]
        for row in result["stages"]:
            theta = row["theta"]
            lines.append(
                f"| {row['stage']} | {row['log_evidence']:.1f} | {row['chi_squared_per_pixel']:.3f} "
                f"| {row['effective_coefficients']:.0f} | {theta[SHORT + 'PowerLaw.einstein_radius']:.4f} "
                f"| {theta[SHORT + 'PowerLaw.slope']:.3f} | {'yes' if row['converged'] else 'no'} |"
            )
        lines.append("")
        if f"errors_{case}" in found:
            row = found[f"errors_{case}"]
            lines += ["| parameter | maximum | deviation (Laplace) |", "|---|--:|--:|"]
            lines += [f"| `{n}` | {row['theta'][n]:.4f} | {row['deviation'][n]:.4f} |" for n in row["deviation"]]
            lines.append("")
    if "sample_ring" in found:
        row = found["sample_ring"]
        lines += [
            "| parameter | NUTS | Laplace | shift / deviation | R-hat | effective draws |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for n in row["mean"]:
            shift = (row["mean"][n] - row["maximum"][n]) / row["laplace"][n]
            lines.append(
                f"| `{n}` | {row['mean'][n]:.4f} +- {row['deviation'][n]:.4f} | {row['maximum'][n]:.4f} +- "
                f"{row['laplace'][n]:.4f} | {shift:+.2f} | {row['r_hat'][n]:.3f} | {row['effective_draws'][n]:.0f} |"
            )
        lines.append("")
    if "knot" in found:
        base = found["knot"]["nothing"]
        lines += ["| the knot is | gain in ln E | gain with the priors | chi-squared / pixel |", "|---|--:|--:|--:|"]
        for name, row in found["knot"].items():
            gain, density = (row[key] - base[key] for key in ("log_evidence", "log_density"))
            lines.append(f"| {name} | {gain:+.1f} | {density:+.1f} | {row['chi_squared_per_pixel']:.4f} |")
    (RESULTS / "rings.json").write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    (RESULTS / "rings.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Runs one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["map", "errors", "knot", "sample", "table"])
    parser.add_argument("case", nargs="?", choices=CASES, default="ring")
    parser.add_argument("--work", type=Path, default=Path("output/rings"))
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=30)
    parser.add_argument("--draws", type=int, default=150)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    if options.step == "map":
        run_map(options.case, work)
    elif options.step == "errors":
        run_errors(options.case, work)
    elif options.step == "knot":
        run_knot(work)
    elif options.step == "sample":
        run_sample(work, options.chains, options.warmup, options.draws)
    else:
        table(work)


if __name__ == "__main__":
    main()
