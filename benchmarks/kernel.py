"""Times the exact tracer for every member of the halo family: nanoseconds per halo and ray, alone and in a loop.

    python benchmarks/kernel.py
    python benchmarks/kernel.py --halos 300 --rays 40000

Traces halos without a macro model through the benchmark's nine planes: one image, and images one after another under
`jax.lax.map`, as batches on a CPU are made. In float32 halos are mixtures of Plummer discs, in float64 closed forms.
Writes benchmarks/results/kernel.json and .md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from raytrace import RESULTS, machine
from scene import HALF_WIDTH, LENS_REDSHIFT, REDSHIFTS, SOURCE_REDSHIFT

import lensax as lx
from lensax._types import cast

# member: (core_radius, truncation_radius) in scale radii
MEMBERS = {
    "NFW": (0.0, np.inf),
    "truncated NFW": (0.0, 18.0),
    "tidally stripped": (0.0, 0.5),
    "cored NFW, truncated": (0.3, 18.0),
    "collapsed": (0.01, 150.0),
}
MAPPED = 4  # images in the loop
REPEATS = 5


def catalogue(count: int, member: str, planes: lx.raytrace.Planes) -> lx.halos.HaloCatalogue:
    """Halos of one kind, uniform over the frame, evenly on all planes."""
    random = np.random.default_rng(1)
    core, truncation = MEMBERS[member]
    scale_radius = random.uniform(0.02, 0.3, count)
    table = {
        "redshift": np.array(REDSHIFTS)[np.arange(count) % len(REDSHIFTS)],
        "center_x": random.uniform(-HALF_WIDTH, HALF_WIDTH, count),
        "center_y": random.uniform(-HALF_WIDTH, HALF_WIDTH, count),
        "kappa_s": random.uniform(0.001, 0.01, count),
        "scale_radius": scale_radius,
        "truncation_radius": truncation * scale_radius,
        "core_radius": core * scale_radius,
    }
    return lx.halos.HaloCatalogue.from_table(table, planes)


def seconds(function: Callable[[Any], Any], argument: Any) -> tuple[float, float]:
    """(first call, median of the following calls)."""
    begin = time.perf_counter()
    jax.block_until_ready(function(argument))
    first = time.perf_counter() - begin
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        jax.block_until_ready(function(argument))
        times.append(time.perf_counter() - begin)
    return first, statistics.median(times)


def measure(member: str, dtype: Any, count: int, rays: int) -> dict[str, Any]:
    """The times of one member of the family in one dtype."""
    planes = lx.raytrace.Planes(REDSHIFTS, LENS_REDSHIFT, SOURCE_REDSHIFT, lx.cosmology.Planck15)
    scene = cast(lx.Scene(planes=planes, halos=catalogue(count, member, planes)), dtype)
    line = jnp.linspace(-HALF_WIDTH, HALF_WIDTH, round(rays**0.5), dtype=dtype)
    x, y = jnp.meshgrid(line, line)
    tracer = lx.raytrace.Direct()

    def trace(scene: lx.Scene) -> Any:
        traced = tracer.trace_at(scene, x, y)
        return traced.source_x, traced.source_y

    first, one = seconds(eqx.filter_jit(trace), scene)
    scenes = jax.tree.map(lambda leaf: jnp.stack([leaf] * MAPPED), scene)
    _, loop = seconds(eqx.filter_jit(lambda scenes: jax.lax.map(trace, scenes)), scenes)
    per_evaluation = 1e9 / (count * x.size)
    return {
        "member": member,
        "dtype": jnp.dtype(dtype).name,
        "halos": count,
        "rays": int(x.size),
        "compile_s": first - one,
        "ns_alone": one * per_evaluation,
        "ns_in_loop": loop / MAPPED * per_evaluation,
    }


def table(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run. "
        f"{rows[0]['halos']} halos, {rows[0]['rays']} rays.",
        "",
        "| halos | dtype | ns per halo and ray, one image | images in a loop | compilation |",
        "|---|---|--:|--:|--:|",
    ]
    for row in rows:
        lines.append(
            f"| {row['member']} | {row['dtype']} | {row['ns_alone']:.2f} | {row['ns_in_loop']:.2f} "
            f"| {row['compile_s']:.1f} s |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the measurements and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halos", type=int, default=1000)
    parser.add_argument("--rays", type=int, default=160_000)
    parser.add_argument("--float32", action="store_true", help="leave out float64")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    about, rows = machine(), []
    for dtype in (jnp.float32,) if options.float32 else (jnp.float32, jnp.float64):
        for member in MEMBERS:
            rows.append(measure(member, dtype, options.halos, options.rays))
            print(table(rows[-1:], about).splitlines()[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "kernel.json").write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    (options.out / "kernel.md").write_text(table(rows, about))


if __name__ == "__main__":
    main()
