"""Milliseconds of an image: the lattice beside the exact tracer, and the whole forward model part by part.

    python benchmarks/images.py
    python benchmarks/images.py --halos 1000 --over-sample 4

Everything in float32, as `Simulator` and `ForwardModel` compile it, diagnostics returned: one image on all cores, and
an image of a batch, which has a core of its own. Each is timed in several sittings, one after all others; medians of a
sitting, and of the sittings the least disturbed. Prints a table and writes it to benchmarks/results/images.json, .md.
"""

import argparse
import functools
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from lattice import random_scene, slots_for
from raytrace import RESULTS, machine

import lensax as lx
from lensax._types import cast
from lensax.raytrace import Direct, Lattice

ROOT = Path(__file__).resolve().parents[1]
# Images of a batch.
BATCH = 16


class Program:
    """A call that is timed in several sittings, minutes apart: its medians of the least disturbed one count.

    Args:
        call: what is timed; the first call compiles it.
        repeats: calls of a sitting.
        images: that a call makes; times are for each.
    """

    def __init__(self, call: Callable[[], Any], repeats: int, images: int = 1) -> None:
        self.call, self.repeats, self.images = call, repeats, images
        start = time.perf_counter()
        jax.block_until_ready(call())
        self.times = {"first_s": time.perf_counter() - start, "ms": math.inf, "processor_ms": math.inf}

    def sit(self) -> None:
        """One sitting."""
        wall, processor = [], []
        for _ in range(self.repeats):
            start, busy = time.perf_counter(), time.process_time()
            jax.block_until_ready(self.call())
            wall.append(1e3 * (time.perf_counter() - start) / self.images)
            processor.append(1e3 * (time.process_time() - busy) / self.images)
        found = {"ms": statistics.median(wall), "processor_ms": statistics.median(processor)}
        self.times |= {name: min(value, self.times[name]) for name, value in found.items()}


def noiseless_images(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Noiseless images without a point spread function, by both tracers."""
    rows = []
    for halos in options.halos:
        scene = cast(random_scene(halos, 0, slots_for(halos)), jnp.float32)
        for factor in options.over_sample:
            row: dict[str, Any] = {"halos": halos, "over_sample": factor}
            for name, tracer, repeats in (("lattice", Lattice(), 30), ("exact", Direct(), 3)):
                instrument = lx.Instrument((options.pixels, options.pixels), 0.05, None, 1000.0, over_sample=factor)
                image = functools.partial(lx.Simulator(instrument, tracer).noiseless, scene, diagnostics=True)
                row[name] = Program(image, repeats)
            simulator = lx.Simulator(instrument, Lattice())
            scenes = jax.tree.map(lambda leaf: jnp.stack([leaf] * BATCH), scene)
            batch = functools.partial(simulator.batch, scenes, jax.random.split(jax.random.key(0), BATCH))
            row["batch"] = Program(functools.partial(batch, diagnostics=True), 5, BATCH)
            rows.append(row)
    return rows


def whole_models(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What population, point spread function and noise add to the image of a shipped configuration."""
    rows = []
    for config in options.configs:
        model = lx.ForwardModel.from_yaml(ROOT / "configs" / f"{config}.yaml")
        theta, key = model.prior.sample(jax.random.key(0)), jax.random.key(1)
        thetas = model.prior.sample(jax.random.key(0), (BATCH,))
        scene = model.scene(theta, key)
        grid = model.simulator.instrument.grid
        bare = lx.Simulator(
            lx.Instrument(grid.shape, grid.pixel_scale, None, 1000.0, over_sample=grid.over_sample),
            model.simulator.tracer,
        )
        row: dict[str, Any] = {
            "config": config,
            "halos": int(jnp.sum(scene.halos.counts)),
            "draw": Program(functools.partial(eqx.filter_jit(model.recipe), theta, key), 30),
            "noiseless": Program(functools.partial(bare.noiseless, scene, diagnostics=True), 30),
            "whole": Program(functools.partial(model.both, theta, key), 30),
            "batch": Program(functools.partial(model.batch_both, thetas, jax.random.split(key, BATCH)), 5, BATCH),
        }
        rows.append(row)
    return rows


def table(images: list[dict[str, Any]], models: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run.",
        "",
        "| halos | over-sampling | lattice | exact tracer | ratio | first image with the lattice | in a batch |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in images:
        fast, slow = row["lattice"], row["exact"]
        lines.append(
            f"| {row['halos']} | {row['over_sample']} | {fast['ms']:.1f} ms | {slow['ms']:.0f} ms | "
            f"{slow['ms'] / fast['ms']:.1f} | {fast['first_s']:.1f} s | {row['batch']['ms']:.1f} ms |"
        )
    lines += [
        "",
        "| configuration | halos | drawing them alone | noiseless image, no PSF | everything | the rest together "
        "| everything, in a batch |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in models:
        draw, bare, whole = (row[name]["ms"] for name in ("draw", "noiseless", "whole"))
        lines.append(
            f"| {row['config']} | {row['halos']} | {draw:.1f} ms | {bare:.1f} ms | {whole:.1f} ms "
            f"| {whole - bare:.1f} ms | {row['batch']['ms']:.1f} ms |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halos", type=int, nargs="*", default=[300, 1000, 3000, 10000])
    parser.add_argument("--over-sample", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--pixels", type=int, default=100)
    parser.add_argument("--configs", nargs="*", default=["cdm_hst", "sidm_collapsed", "cdm_jwst"])
    parser.add_argument("--sittings", type=int, default=4)
    options = parser.parse_args()
    about = machine()
    images, models = noiseless_images(options), whole_models(options)
    for sitting in range(options.sittings):
        for row in [*images, *models]:
            for program in row.values():
                if isinstance(program, Program):
                    program.sit()
        print(f"sitting {sitting + 1} of {options.sittings} done", flush=True)
    for row in [*images, *models]:
        row.update({name: value.times for name, value in row.items() if isinstance(value, Program)})
    RESULTS.mkdir(exist_ok=True)
    found = {"machine": about, "images": images, "models": models}
    (RESULTS / "images.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "images.md").write_text(table(images, models, about))
    print(table(images, models, about))


if __name__ == "__main__":
    main()
