"""Times the ray tracing of lensax beside other lensing codes: one scene, the same rays, one run.

    python benchmarks/environments.py        # once: the other codes, each in an environment of its own
    python benchmarks/raytrace.py            # everything; minutes
    python benchmarks/raytrace.py --halos 300 --over-sample 1 --codes lensax jaxtronomy

Every measurement is a fresh process: its first call (with compilation), the median of the following calls with halos
that move in between, its largest memory, and the time from its start to its first image. Source positions are compared
with lenstronomy's, or with lensax in float64 where it is absent. Every code on JAX may use the processor's widest
vectors, as lensax's simulator does by itself.

Writes raytrace.json, .md and .png into benchmarks/results.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environments
import jax
import numpy as np
from scene import COSMOLOGY, PIXEL_SCALE, PIXELS, SOURCE_REDSHIFT, scene

from lensax.interop.lenstronomy import to_lens_model

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
TIMEOUT = 1800  # seconds for one process
WIDE = "--xla_cpu_prefer_vector_width=512"

# label: (code, tracer of lensax, dtype)
CODES = {
    "lensax": ("lensax", "Lattice", "float32"),
    "lensax exact": ("lensax", "Direct", "float32"),
    "lensax exact float64": ("lensax", "Direct", "float64"),
    "paltax": ("paltax", None, "float32"),
    "jaxtronomy": ("jaxtronomy", None, "float32"),
    "caustics": ("caustics", None, "float32"),
    "lenstronomy": ("lenstronomy", None, "float64"),
    "autolens": ("autolens", None, "float64"),
}
NAMES = {"jaxtronomy": "JAXtronomy", "autolens": "PyAutoLens"}


def problems(halos: list[int], over_samples: list[int], full: bool) -> Iterator[dict[str, Any]]:
    """The scenes to trace: every over-sampling at 1000 halos and every number of halos at the finest, or all."""
    for count in halos:
        lists = to_lens_model(scene(count))._asdict()
        for over_sample in over_samples:
            if full or count == 1000 or over_sample == max(over_samples) or len(halos) == 1:
                yield {
                    **lists,
                    "halos": count,
                    "source_redshift": SOURCE_REDSHIFT,
                    "cosmology": COSMOLOGY,
                    "pixels": PIXELS,
                    "pixel_scale": PIXEL_SCALE,
                    "over_sample": over_sample,
                }


class Failure(Exception):
    """A code did not answer."""


def python_of(label: str) -> Path | None:
    """The interpreter of a code's environment, or None where there is none."""
    code = CODES[label][0]
    return Path(sys.executable) if code == "lensax" else environments.python_of(code)


def measure(label: str, problem: dict[str, Any], repeats: int, folder: Path) -> dict[str, Any]:
    """One process of one code."""
    code, tracer, dtype = CODES[label]
    question, reply = folder / "problem.json", folder / "answer.npz"
    protocol = {"tracer": tracer, "dtype": dtype, "repeats": repeats, "seconds": 3.0, "launched": time.time()}
    question.write_text(json.dumps({**problem, **protocol}))
    reply.unlink(missing_ok=True)
    worker = HERE / "workers" / f"{code}_rays.py"
    command = [str(python_of(label)), "-W", "ignore", str(worker), str(question), str(reply)]
    flags = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {WIDE}".strip()}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=os.environ | flags)
    except subprocess.TimeoutExpired:
        raise Failure(f"no answer after {TIMEOUT} s") from None
    if done.returncode or not reply.exists():
        raise Failure(done.stderr[-2000:])
    with np.load(reply) as data:
        answer = json.loads(str(data["answer"]))
        beta = np.stack([data["beta_x"], data["beta_y"]]).astype(float)
    rays = beta[0].size
    return {
        "code": label,
        "dtype": dtype,
        "halos": problem["halos"],
        "over_sample": problem["over_sample"],
        "rays": rays,
        "compile_s": max(0.0, answer["first_call_s"] - answer["median_s"]),
        "ns_per_halo_and_ray": 1e9 * answer["median_s"] / (problem["halos"] * rays),
        **answer,
        "beta": beta,
    }


def compare(rows: list[dict[str, Any]]) -> None:
    """Adds each row's distance from the reference positions, and its time over lensax's, for rows of one problem."""
    labels = [row["code"] for row in rows]
    reference = next(
        (name for name in ("lenstronomy", "lensax exact float64", "lensax exact") if name in labels), labels[0]
    )
    exact = rows[labels.index(reference)]["beta"]
    ours = rows[labels.index("lensax")]["median_s"] if "lensax" in labels else None
    for row in rows:
        distance = np.hypot(*(row.pop("beta") - exact))
        row["reference"] = reference
        row["rms_arcsec"], row["max_arcsec"] = float(np.sqrt(np.mean(distance**2))), float(distance.max())
        row["time_over_lensax"] = row["median_s"] / ours if ours else None


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    cpu = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def table(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The measurements as Markdown, one table for each scene."""
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run."
    ]
    for halos, rays in dict.fromkeys((row["halos"], row["rays"]) for row in rows):
        lines += [
            "",
            f"**{halos} halos, {rays} rays**",
            "",
            "| code | time | over lensax | ns per halo and ray | compilation | start to first image | peak memory "
            "| rms, max difference |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for row in rows:
            if (row["halos"], row["rays"]) == (halos, rays):
                lines.append(line(row))
    # The path of the plot is that from the page of the documentation which includes this table.
    return "\n".join([*lines, "", "![Time against halos and against rays](results/raytrace.png)"]) + "\n"


def line(row: dict[str, Any]) -> str:
    """One measurement as a row of a table; differences of source positions in arcsec."""
    seconds, ratio = row["median_s"], row["time_over_lensax"]
    cells = [
        f"{name(row['code'].removesuffix(' float64'))}, version {row['version']}, {row['dtype']}",
        f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms",
        "" if ratio is None else f"{ratio:.3g}",
        f"{row['ns_per_halo_and_ray']:.3g}",
        f"{row['compile_s']:.1f} s",
        f"{row['process_s']:.1f} s",
        f"{row['peak_bytes'] / 2**20:.0f} MiB",
        "reference" if row["code"] == row["reference"] else f"{row['rms_arcsec']:.0e}, {row['max_arcsec']:.0e}",
    ]
    return f"| {' | '.join(cells)} |"


def name(label: str) -> str:
    """How a code writes itself."""
    return NAMES.get(label, label)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Time against halos at the largest number of rays, and against rays at 1000 halos."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    rays = max(row["rays"] for row in rows)
    halos = 1000 if any(row["halos"] == 1000 for row in rows) else rows[0]["halos"]
    for label in dict.fromkeys(row["code"] for row in rows):
        for axis, x, fixed, value in ((axes[0], "halos", "rays", rays), (axes[1], "rays", "halos", halos)):
            points = sorted((row[x], row["median_s"]) for row in rows if row["code"] == label and row[fixed] == value)
            if points:
                axis.loglog(*zip(*points), marker="o", markersize=4, label=name(label))
    axes[0].set(xlabel="halos", ylabel="time of one image's rays (s)", title=f"{rays} rays")
    axes[1].set(xlabel="rays", title=f"{halos} halos")
    axes[1].legend(fontsize="small", frameon=False)
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Runs the measurements and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halos", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--over-sample", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--codes", nargs="+", default=list(CODES), choices=list(CODES))
    parser.add_argument("--repeats", type=int, default=3, help="timed calls, at least; more until 3 seconds are full")
    parser.add_argument("--full", action="store_true", help="every number of halos at every over-sampling")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)  # here, so that all codes get the same numbers
    about, rows, failures = machine(), [], 0
    codes = [label for label in options.codes if python_of(label)]
    for label in options.codes:
        if label not in codes:
            print(f"{label}: no environment, left out (benchmarks/environments.py makes it)")
    with tempfile.TemporaryDirectory() as folder:
        for problem in problems(options.halos, options.over_sample, options.full):
            measured = []
            for label in codes:
                try:
                    row = measure(label, problem, options.repeats, Path(folder))
                except Failure as failure:
                    failures += 1
                    print(f"{problem['halos']} halos, over-sampling {problem['over_sample']}, {label}: {failure}")
                    continue
                measured.append(row)
                print(
                    f"{row['halos']} halos, {row['rays']} rays, {label}: {1e3 * row['median_s']:.4g} ms, "
                    f"{row['ns_per_halo_and_ray']:.2f} ns per halo and ray",
                    flush=True,
                )
            if measured:
                compare(measured)
                rows += measured
    if not rows:
        raise SystemExit("nothing was measured")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "raytrace.json").write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    (options.out / "raytrace.md").write_text(table(rows, about))
    draw(rows, options.out / "raytrace.png")
    print(f"written: {options.out / 'raytrace.json'}, .md, .png")
    if failures:
        raise SystemExit(f"{failures} measurements failed, see above")


if __name__ == "__main__":
    main()
