"""Fits two real Hubble images, a ring and an arc: the numbers and the pictures of the page on real lenses.

    python benchmarks/rings.py map ring            # stages, maximum, pictures: minutes
    python benchmarks/rings.py map arc
    python benchmarks/rings.py errors ring         # Laplace approximation at the maximum
    python benchmarks/rings.py errors arc
    python benchmarks/rings.py knot                # the knot of the ring: four explanations, their evidence
    python benchmarks/rings.py sample ring         # NUTS on a coarser mesh, and Laplace there; goes on if stopped
    python benchmarks/rings.py sample arc
    python benchmarks/rings.py slope               # which choice moves the slope of the ring; goes on if stopped
    python benchmarks/rings.py table               # benchmarks/results/rings.json and .md

The models are configs/fit_hst_ring.yaml and configs/fit_hst_arc.yaml, which the command `lensax fit` fits as well; the
images lie in shared/data beside the project and are not part of it. What is found goes to --work, from where each step
takes what it needs.
"""

import argparse
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from raytrace import RESULTS, machine
from rings_common import ROOT, SHORT, SLOPE, by_radius, clock, final, numbers, quality, save, setup, since
from rings_studies import run_knot, run_sample, run_slope

from lensax.fit import fit_in_stages, laplace

CASES = ("ring", "arc")
STUDIES = ("slope.json", "knot.json")  # of the ring


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
        row |= {"cells": list(stage.found.mesh.shape), "extent": [float(edge) for edge in stage.found.extent]}
        rows.append(row | {"theta": numbers(top.theta)})
        print(json.dumps(rows[-1]), flush=True)
    last = stages[-1]
    # What was made of an earlier maximum.
    shutil.rmtree(work / f"chains_{case}", ignore_errors=True)
    for name in (f"coarse_{case}.pickle", f"sample_{case}.json", *(STUDIES if case == "ring" else ())):
        (work / name).unlink(missing_ok=True)
    (work / f"{case}.pickle").write_bytes(pickle.dumps((last.posterior, last.maximum, last.found)))
    save(work, f"map_{case}", {"stages": rows, **total})
    pictures(case, last)


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


def run_errors(case: str, work: Path) -> None:
    """The Laplace approximation at the maximum, and how far below the top of that Gaussian the search has stopped."""
    posterior, top, found = final(case, work)
    begin = clock()
    about = laplace(posterior, top.z, top.free, covariance=top.covariance)
    gradient = np.asarray(posterior.evaluate(top.z, top.free).gradient)
    row = {"theta": numbers(top.theta), "deviation": about.deviation(), "log_density": top.log_density}
    row |= {"log_evidence": top.log_evidence, "converged": top.converged, "raised": about.raised}
    row |= {"below_the_top": float(0.5 * gradient @ about.covariance @ gradient), **quality(found), **since(begin)}
    row |= {"by_radius": by_radius(posterior, found)}
    width = np.sqrt(np.diag(about.covariance))
    row |= {"names": list(posterior.names), "correlation": (about.covariance / np.outer(width, width)).tolist()}
    save(work, f"errors_{case}", row)
    print(json.dumps({key: value for key, value in row.items() if key != "correlation"}, indent=1))


def table(work: Path) -> None:
    """Everything that was measured as JSON and Markdown."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(work.glob("*.json"))}
    lines: list[str] = []
    for case in CASES:
        if f"map_{case}" not in found:
            continue
        result = found[f"map_{case}"]
        lines += [f"**{case.capitalize()}**: {result['processor_s']:.0f} s of processor time for all stages.", ""]
        lines += [
            "| stage | cells | evaluations | ln E | reduced chi-squared | effective coefficients | theta_E | slope |"
        ]
        lines += ["|---|--:|--:|--:|--:|--:|--:|--:|"]
        for row in result["stages"]:
            theta = row["theta"]
            lines.append(
                f"| {row['stage']} | {row['cells'][1]} x {row['cells'][0]} | {row['evaluations']} "
                f"| {row['log_evidence']:.1f} | {row['reduced_chi_squared']:.3f} "
                f"| {row['effective_coefficients']:.0f} | {theta[SHORT + 'PowerLaw.einstein_radius']:.4f} "
                f"| {theta[SLOPE]:.3f}{'' if row['converged'] else ' (not converged)'} |"
            )
        lines.append("")
        if f"errors_{case}" in found:
            row = found[f"errors_{case}"]
            lines += ["| parameter | maximum | deviation (Laplace) |", "|---|--:|--:|"]
            lines += [f"| `{n}` | {row['theta'][n]:.4f} | {row['deviation'][n]:.4f} |" for n in row["deviation"]]
            ends = [f"{part['inner']} to {part['outer']}" for part in row["by_radius"]]
            values = [f"{part['chi_squared_per_pixel']:.2f}" for part in row["by_radius"]]
            lines += ["", f"| arcsec from the middle | {' | '.join(ends)} |", "|---|" + "--:|" * len(ends)]
            lines += [f"| chi-squared per pixel | {' | '.join(values)} |", ""]
    for case in CASES:
        if f"sample_{case}" not in found:
            continue
        row = found[f"sample_{case}"]
        what = f"{row['chains']} chains of {row['draws']} draws after {row['warmup']}, {row['divergences']} diverged"
        lines += [f"**{case.capitalize()}, sampled** on {row['mesh'][1]} x {row['mesh'][0]} cells: {what}.", ""]
        lines += [
            "| parameter | NUTS | Laplace | shift / deviation | R-hat | effective draws |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for n in row["mean"]:
            shift = (row["mean"][n] - row["maximum"][n]) / row["laplace"][n]
            lines.append(
                f"| `{n}` | {row['mean'][n]:.4f} ± {row['deviation'][n]:.4f} | {row['maximum'][n]:.4f} ± "
                f"{row['laplace'][n]:.4f} | {shift:+.2f} | {row['r_hat'][n]:.3f} | {row['effective_draws'][n]:.0f} |"
            )
        lines.append("")
    if "slope" in found:
        lines += ["**Ring, its slope**: each line changes one choice on the coarser mesh.", ""]
        lines += [
            "| what is changed | cells | slope | theta_E | ln E |",
            "|---|--:|--:|--:|--:|",
        ]
        for name, row in found["slope"].items():
            theta, sigma = row["theta"], row["deviation"]
            radius = SHORT + "PowerLaw.einstein_radius"
            lines.append(
                f"| {name} | {row['cells'][1]} x {row['cells'][0]} | {theta[SLOPE]:.3f} ± {sigma[SLOPE]:.3f} "
                f"| {theta[radius]:.4f} ± {sigma[radius]:.4f} | {row['log_evidence']:.1f} |"
            )
        lines.append("")
    if "knot" in found:
        base = found["knot"]["nothing"]
        lines += ["**Ring, its knot**: everything else is fitted again with each, on the coarser mesh.", ""]
        lines += ["| the knot is | gain in ln E | gain with the cost of its parameters |", "|---|--:|--:|"]
        for name, row in found["knot"].items():
            gain, whole = (row[key] - base[key] for key in ("log_evidence", "log_model_evidence"))
            lines.append(f"| {name} | {gain:+.1f} | {whole:+.1f} |")
    (RESULTS / "rings.json").write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    (RESULTS / "rings.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Runs one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["map", "errors", "knot", "sample", "slope", "table"])
    parser.add_argument("case", nargs="?", choices=CASES, default="ring")
    parser.add_argument("--work", type=Path, default=Path("output/rings"))
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=120)
    parser.add_argument("--draws", type=int, default=240)
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
    elif options.step == "slope":
        run_slope(work)
    elif options.step == "sample":
        run_sample(options.case, work, options.chains, options.warmup, options.draws)
    else:
        table(work)


if __name__ == "__main__":
    main()
