"""Noisy images per second of the whole forward model, and what share of the device's ceilings that is.

    python benchmarks/device.py                     # the table for an accelerator: tens of minutes
    python benchmarks/device.py --quick             # one small row, to see that it runs

Population, ray tracing, PSF and noise are one program. The room for pairs is measured first, for each size of the
population. Ceilings are measured beside it: additions and multiplications of a long chain of fused ones, and copies of
a large array. Prints a table and writes it, with the device, to benchmarks/results/device_<platform>.json and .md.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from jax import lax

import lensax as lx
from lensax.raytrace.lattice_layout import automatic_layout

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# Lower ends of the mass function, log10 of solar masses, that give about so many halos in the shipped cone.
LOWEST_MASS = {300: 7.55, 1000: 7.0, 3000: 6.47}
# Floating-point operations of one halo at one ray: 10 rational terms, 7 fused steps, a sum and a division each, and the
# distance.
OPERATIONS = 10 * 16 + 10
CHAIN = 512


def model_of(halos: int, over_sample: int) -> lx.ForwardModel:
    """The shipped configuration with about so many halos, and room for its pairs as measured."""
    document = yaml.safe_load((ROOT / "configs" / "cdm_hst.yaml").read_text())
    for section in (document["line_of_sight"]["mass_function"], document["subhalos"]):
        section["log10_mass"] = [LOWEST_MASS[halos], 10.0]
    document["instrument"]["over_sample"] = over_sample
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"device_{halos}_{over_sample}.yaml"
    path.write_text(yaml.safe_dump(document))
    try:
        model = lx.ForwardModel.from_yaml(path)
    finally:
        path.unlink()
    return model.calibrated(jax.random.key(0), draws=64)


def seconds(function: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Time of the first call, which compiles, and median of the others."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return times[0], float(np.median(times[1:]))


def ceilings() -> dict[str, float]:
    """Operations and bytes per second that the device reaches on the simplest programs, float32."""
    on_cpu = jax.default_backend() == "cpu"
    numbers = jnp.linspace(0.5, 1.5, 2**20 if on_cpu else 2**24, dtype=jnp.float32)

    @jax.jit
    def chain(x: Any) -> Any:
        return lax.fori_loop(0, CHAIN // 8, lambda _, y: _eight(y, x), x)

    def _eight(y: Any, x: Any) -> Any:
        for _ in range(8):
            y = y * 0.999 + x
        return y

    large = jnp.ones(2**25 if on_cpu else 2**29, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    return {
        "operations_per_s": 2 * CHAIN * numbers.size / seconds(lambda: chain(numbers), 5)[1],
        "bytes_per_s": 2 * large.nbytes / seconds(lambda: copy(large), 5)[1],
    }


def row(model: lx.ForwardModel, halos: int, over_sample: int, batch: int, limits: dict[str, float]) -> dict[str, Any]:
    """One line of the table."""
    keys = jax.random.split(jax.random.key(1), batch)
    theta = model.prior.sample(jax.random.key(2), (batch,))
    first, time_of_batch = seconds(lambda: model.batch(theta, keys), 3)
    diagnostics = model.batch_both(theta, keys).diagnostics
    per_image = evaluations(model, theta, keys, diagnostics)
    # The rays' fields are read and written a few times on their way, the images once.
    traffic = 40 * 4 * model.simulator.instrument.padded_grid.n_rays
    rate = batch / time_of_batch
    memory = jax.local_devices()[0].memory_stats() or {}
    return {
        "halos": float(jnp.mean(jnp.sum(diagnostics.halos_per_plane, axis=-1))),
        "over_sample": over_sample,
        "batch": batch,
        "compile_s": first - time_of_batch,
        "images_per_s": rate,
        "ms_per_image": 1e3 / rate,
        "evaluations_per_image": per_image,
        "share_of_operations": rate * per_image * OPERATIONS / limits["operations_per_s"],
        "share_of_bytes": rate * traffic / limits["bytes_per_s"],
        "peak_memory_bytes": int(memory.get("peak_bytes_in_use", 0)),
        "capacity": model.simulator.tracer.capacity,
        "overflows": int(jnp.sum(diagnostics.overflow)),
        "largest_error_estimate": float(jnp.max(diagnostics.error_estimate)),
    }


def evaluations(model: lx.ForwardModel, theta: Any, keys: Any, diagnostics: Any) -> float:
    """Halos times rays that an image takes: nodes, pairs as they were wanted, exact tiles not counted."""
    scene = model.scene(jax.tree.map(lambda leaf: leaf[0], theta), keys[0])
    grid = model.simulator.instrument.padded_grid
    layout = automatic_layout(model.simulator.tracer, grid, scene.halos.n_planes, scene.halos.n_slots, scene.halos.room)
    points = (layout.geometry.tile_pixels * max(level.factor for level in grid.levels)) ** 2
    points += layout.geometry.stencil**2
    wanted = eqx.filter_jit(model.simulator.tracer.corrections)(scene, grid).levels[0].pairs.first[-1]
    halos = float(jnp.mean(jnp.sum(diagnostics.halos_per_plane, axis=-1)))
    return halos * np.prod(layout.geometry.node_shape) + float(wanted) * points


def table(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{about['device']}, JAX {about['jax']}; ceilings: {about['operations_per_s'] / 1e12:.2f} Tflop/s of fused "
        f"multiplications and additions, {about['bytes_per_s'] / 1e9:.0f} GB/s of copies.",
        "",
        "| halos | over-sampling | batch | images/s | ms each | of flop/s | of bytes/s | memory, GiB | compile, s |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        lines.append(
            f"| {r['halos']:.0f} | {r['over_sample']} | {r['batch']} | {r['images_per_s']:.0f} "
            f"| {r['ms_per_image']:.3f} | {r['share_of_operations']:.1%} | {r['share_of_bytes']:.1%} "
            f"| {r['peak_memory_bytes'] / 2**30:.2f} | {r['compile_s']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halos", type=int, nargs="+", choices=sorted(LOWEST_MASS), default=sorted(LOWEST_MASS))
    parser.add_argument("--over-sample", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--quick", action="store_true", help="1000 halos, over-sampling 1, a batch of 8")
    options = parser.parse_args()
    if options.quick:
        options.halos, options.over_sample, options.batch = [1000], [1], [8]
    device = jax.local_devices()[0]
    limits = ceilings()
    about = {"device": device.device_kind, "platform": device.platform, "jax": jax.__version__, **limits}
    path = RESULTS / f"device_{device.platform}.json"
    rows: list[dict[str, Any]] = []
    for halos in options.halos:
        for over_sample in options.over_sample:
            model = model_of(halos, over_sample)
            for batch in options.batch:
                rows.append(row(model, halos, over_sample, batch, limits))
                path.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
                print(table(rows[-1:], about).splitlines()[-1], flush=True)
    path.with_suffix(".md").write_text(table(rows, about))
    print(table(rows, about) + f"\nwritten to {path}")


if __name__ == "__main__":
    main()
