"""What is asked of the ring once it is fitted: its knot, samples of its posterior, and what moves its slope."""

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rings_common import (
    COARSE_MESH,
    COARSE_PSF,
    ROOT,
    SHORT,
    SLOPE,
    changed,
    clock,
    final,
    numbers,
    quality,
    save,
    since,
    source_box,
    with_more,
)

import lensax as lx
from lensax.fit import BrightnessMesh, Posterior, laplace, maximize
from lensax.fit.maximum import carried_covariance
from lensax.fit.sample import sample
from lensax.parameters import Constant, Free
from lensax.recipe import Ingredient

KNOT = (0.56, -1.12)
MESHES = ((22, 17), (29, 22), (36, 28))
CELLS = (0.07, 0.05)  # arcsec
BACKGROUND = 0.25  # instead of 0.03
WIDE = 0.105  # arcsec, instead of 0.06


def run_knot(work: Path) -> None:
    """The knot of the ring: an object of its own, a clump of the source, or a dark perturber; with each everything else
    is fitted again, on the coarser mesh."""
    from numpyro.distributions import LogNormal, Normal, Uniform

    about, best = coarse("ring", work)
    posterior = about.posterior
    model, theta = posterior.model, best.theta
    # The distance of the rays, for which the light of a point does not depend on where it lies between them.
    width = float(posterior.dataset.pixel_scale) / dict(model.source.switches)["over_sample"]
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
    rows = {}
    for name, (tried, first) in trials.items():
        begin = clock()
        with_it = Posterior(tried, posterior.dataset, posterior.noise)
        values = {**theta, **{f"knot.{key}": jnp.asarray(value) for key, value in first.items()}}
        learned = carried_covariance(with_it.names, about.posterior.names, about.covariance)
        top = maximize(with_it, [values], 60, covariance=learned, tolerance=0.05)
        gaussian = laplace(with_it, top.z, top.free, covariance=top.covariance)
        rows[name] = {"log_evidence": top.log_evidence, "log_model_evidence": gaussian.log_evidence}
        rows[name] |= {"converged": top.converged, "raised": gaussian.raised}
        rows[name] |= {"theta": numbers(top.theta), "deviation": gaussian.deviation()}
        if name == "unlensed point":
            rows[name]["flux"] = float(with_it.solution(top.theta, top.free).amplitudes[-1])
        rows[name] |= since(begin)
        print(name, json.dumps(rows[name]), flush=True)
        save(work, "knot", rows)


def coarse(case: str, work: Path) -> tuple[Any, Any]:
    """The Laplace approximation and the maximum on the coarser mesh; kept, so that stopped chains go on about it."""
    kept = work / f"coarse_{case}.pickle"
    if not kept.exists():
        kept.write_bytes(pickle.dumps(_coarse(case, work)))
    return pickle.loads(kept.read_bytes())


def _coarse(case: str, work: Path) -> tuple[Any, Any]:
    """The Laplace approximation and the maximum on the coarser mesh."""
    last, fine, known = final(case, work)
    posterior = changed(last, known, COARSE_MESH[case])
    top = maximize(posterior, [fine.theta], covariance=fine.covariance, tolerance=0.1)
    about = laplace(posterior, top.z, top.free, covariance=top.covariance)
    top = maximize(posterior, [top.theta], covariance=about.covariance)
    return laplace(posterior, top.z, top.free, covariance=about.covariance), top


def run_sample(case: str, work: Path, chains: int, warmup: int, draws: int) -> None:
    """NUTS on the coarser mesh, and Laplace there."""
    begin = clock()
    about, top = coarse(case, work)
    posterior = about.posterior
    print("maximum", top.log_density, about.deviation(), since(begin), flush=True)
    found = posterior.solution(top.theta, top.free)
    steps = {"done": 0}

    def progress(done: int, text: str) -> None:
        if done >= steps["done"] + 20:
            steps["done"] = done
            print(done, text, round(since(begin)["wall_s"]), flush=True)

    kept = work / f"chains_{case}"
    samples = sample(posterior, about, jax.random.key(3), kept, chains, warmup, draws, save_every=10, progress=progress)
    row = {
        "mesh": list(found.mesh.shape), "psf": COARSE_PSF, "chains": chains, "warmup": warmup, "draws": draws,
        "maximum": numbers(top.theta), "laplace": about.deviation(), **quality(found),
        "mean": {name: float(v.mean()) for name, v in samples.theta.items()},
        "deviation": {name: float(v.std()) for name, v in samples.theta.items()},
        "r_hat": samples.r_hat, "effective_draws": samples.effective_draws,
        "divergences": samples.divergences, "acceptance": samples.acceptance, "evaluations": samples.evaluations,
        **since(begin),
    }  # fmt: skip
    save(work, f"sample_{case}", row)
    chain_pictures(case, about, samples)
    print(json.dumps(row, indent=1))


def run_slope(work: Path) -> None:
    """Which choice moves the slope of the ring: each changed alone, on the coarser mesh; goes on if stopped."""
    posterior, _, found = final("ring", work)
    about, begin = coarse("ring", work)
    mesh = COARSE_MESH["ring"]
    variants: dict[str, dict[str, Any]] = {
        **{f"{columns} x {rows} cells": {"mesh": BrightnessMesh((rows, columns))} for rows, columns in MESHES},
        **{f"cells of {cell} arcsec in a box": {"mesh": source_box(cell)} for cell in CELLS},
        f"background {BACKGROUND}": {"mesh": dataclasses.replace(mesh, background=BACKGROUND)},
        "four rays per pixel": {"over_sample": 2},
        "the whole point spread function": {"psf": None},
        f"map smoothed by {WIDE} arcsec": {"smooth": WIDE},
    }
    kept = work / "slope.json"
    made = json.loads(kept.read_text()) if kept.exists() else {}
    rows = {title: row for title, row in made.items() if title in variants}
    for title, choice in variants.items():
        if title in rows:
            continue
        began = clock()
        tried = changed(posterior, found, **{"mesh": mesh} | choice)
        learned = carried_covariance(tried.names, about.posterior.names, about.covariance)
        best = maximize(tried, [begin.theta], covariance=learned, tolerance=0.1)
        gaussian = laplace(tried, best.z, best.free, covariance=best.covariance)
        rows[title] = {"log_evidence": best.log_evidence, "log_model_evidence": gaussian.log_evidence}
        rows[title] |= {"theta": numbers(best.theta), "deviation": gaussian.deviation(), "converged": best.converged}
        rows[title] |= {"cells": list(tried.model.source.parts["mesh"].shape), **since(began)}
        print(title, best.log_evidence, best.theta[SLOPE], gaussian.deviation()[SLOPE], since(began), flush=True)
        save(work, "slope", rows)


def chain_pictures(case: str, about: Any, samples: Any) -> None:
    """The corner plot with the Laplace approximation."""
    from lensax.plot import save as save_figure
    from lensax.plot.fit_chains import corner_figure

    flat = {name: values.ravel() for name, values in samples.theta.items() if name.startswith(SHORT)}
    other = {name: np.asarray(v) for name, v in about.sample(jax.random.key(1), 4000).items() if name in flat}
    folder = ROOT / "docs" / "images"
    save_figure(
        corner_figure(flat, f"The lens of the {case}", other=other, label="NUTS"), folder / f"rings_{case}_corner.png"
    )
