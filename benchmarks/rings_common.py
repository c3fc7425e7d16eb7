"""What the steps of the benchmark on real lenses share: clocks, a finished fit, and variants of it."""

import dataclasses
import itertools
import json
import os
import pickle
import time
from pathlib import Path
from typing import Any

# LAPACK threads that wait for a busy core cost more than they bring for systems of this size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import lensax as lx
from lensax.config.fit import load_fit
from lensax.fit import BrightnessMesh, FitModel, Posterior, SourceBox, brightness_of
from lensax.fit.preparation import brightness_extent
from lensax.inversion import BrightnessAmplitude
from lensax.parameters import Parameters
from lensax.recipe import Ingredient

ROOT = Path(__file__).resolve().parents[1]
MOST_CELLS = 2500
COARSE_PSF = 25
SMOOTH = 0.06  # arcsec by which the map of the brightness is smoothed, as in a fit: 1.5 pixels
SHORT = "lens.mass."
SLOPE = "lens.mass.PowerLaw.slope"


def source_box(cell: float) -> SourceBox:
    """Cells of this size in arcsec in a box that the source fills."""
    return SourceBox(cell=cell, margin=0.12, threshold=0.1, most=MOST_CELLS)


# What is cheap enough for chains.
COARSE_MESH: dict[str, BrightnessMesh | SourceBox] = {"ring": BrightnessMesh((22, 17)), "arc": SourceBox(cell=0.04)}


def clock() -> tuple[float, float]:
    """Wall clock and processor time in seconds."""
    return time.perf_counter(), time.process_time()


def since(begin: tuple[float, float]) -> dict[str, float]:
    """What has passed."""
    now = clock()
    return {"wall_s": now[0] - begin[0], "processor_s": now[1] - begin[1]}


def setup(case: str) -> Any:
    """The task of a configuration."""
    return load_fit(ROOT / "configs" / f"fit_hst_{case}.yaml").build().task


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


def by_radius(posterior: Posterior, found: Any) -> list[dict[str, float]]:
    """Chi-squared per pixel in rings about the middle of the image: the noise has the right size everywhere or not."""
    mask, white = np.asarray(posterior.dataset.mask), np.asarray(found.normalized_residual)
    y, x = (
        float(posterior.dataset.pixel_scale) * (i - (n - 1) / 2) for i, n in zip(np.indices(mask.shape), mask.shape)
    )
    rows = []
    for inner, outer in itertools.pairwise((0.5, 0.8, 1.2, 1.5, 1.8, 2.2)):
        ring = mask & (np.hypot(x, y) >= inner) & (np.hypot(x, y) < outer)
        if ring.any():
            rows.append({"inner": inner, "outer": outer, "chi_squared_per_pixel": float(np.mean(white[ring] ** 2))})
    return rows


def final(case: str, work: Path) -> tuple[Posterior, Any, Any]:
    """The posterior of the last stage, its maximum, and what was found there."""
    return pickle.loads((work / f"{case}.pickle").read_bytes())


def changed(
    posterior: Posterior,
    found: Any,
    mesh: BrightnessMesh | SourceBox,
    psf: int | None = COARSE_PSF,
    over_sample: int = 1,
    smooth: float = SMOOTH,
) -> Posterior:
    """The same with another mesh, the core of the PSF, other rays, or a brightness that is smoothed otherwise."""
    laid = mesh.mesh(found)
    source = posterior.model.source.with_parts(mesh=laid)
    regularization = source.parts["regularization"]
    amplitude = regularization.parts["amplitude"]
    if amplitude.profile is BrightnessAmplitude:
        amplitude = amplitude.with_parts(brightness=brightness_of(found, brightness_extent(laid, found), smooth))
        source = source.with_parts(regularization=regularization.with_parts(amplitude=amplitude))
    switches = dict(source.switches) | {"over_sample": over_sample}
    source = Ingredient(source.profile, dict(source.arguments), switches, source.parts)
    dataset = posterior.dataset if psf is None else cropped(posterior.dataset, psf)
    return Posterior(dataclasses.replace(posterior.model, source=source), dataset, posterior.noise)


def cropped(dataset: Any, size: int) -> Any:
    """The dataset with the core of its point spread function."""
    array = np.asarray(dataset.psf.array)
    first = [(n - size) // 2 for n in array.shape]
    core = array[first[0] : first[0] + size, first[1] : first[1] + size]
    return dataset.with_psf(lx.psf.Kernel(core / core.sum()))


def with_more(model: FitModel, more: dict[str, Any], **changes: Any) -> FitModel:
    """A model with further parameters and other parts."""
    entries = {name: model.parameters[name] for name in model.parameters}
    return dataclasses.replace(model, parameters=Parameters({**entries, **more}), **changes)


def save(work: Path, name: str, row: dict[str, Any]) -> None:
    (work / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
