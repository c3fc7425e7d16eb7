"""Times the evidence of a pixelized source and its gradient: seconds, processor seconds and peak memory.

    python benchmarks/inversion.py
    python benchmarks/inversion.py --mesh 28 39 --over-sample 1 4 --repeats 5

A circular mask of about 15000 pixels of 0.05 arcsec, a PSF of 21 x 21 pixels, an elliptical power law with shear, a
quadratic adaptive mesh. Each case runs in a process of its own. Besides the wall clock, the processor time over the
cores is given: what the wall clock would be on cores that nobody else uses.

Where `make bench` has installed PyAutoLens (it needs Python 3.12), each case is followed by the same one with it: the
same image, noise map, PSF, mask and lens, as many cells, its bilinear mesh by ranks. Writes
benchmarks/results/inversion.json and .md; with --keep, cases that were not run keep what these files have.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# LAPACK threads that wait for a busy core cost more than they bring for systems of this size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np
from environments import python_of
from raytrace import RESULTS, machine
from workers.evaluations import timed

import lensax as lx

PIXELS, PIXEL_SCALE, RADIUS, PSF = 150, 0.05, 3.46, 21


def problem(mesh: int, over_sample: int) -> tuple[Any, Any, jax.Array]:
    """The evidence as a function of four lens parameters, the dataset, and the parameters."""
    psf = lx.psf.Gaussian(0.1, size=PSF)
    instrument = lx.Instrument((PIXELS, PIXELS), PIXEL_SCALE, psf, 2000.0, sky_level=0.1, over_sample=2)
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    shear = lx.mass.ExternalShear(0.03, 0.02)
    source = lx.light.Sersic(5.0, 0.15, 1.0, 0.2, 0.1, 0.05, 0.03), lx.light.Sersic(3.0, 0.05, 1.0, 0, 0, 0.25, -0.1)
    scene = lx.Scene(planes, (lx.mass.PowerLaw(1.6, 2.05, 0.1, 0.05, 0.01, 0.0), shear), None, source)
    simulator = lx.Simulator(instrument)
    noise = instrument.noise_map(simulator.noiseless(scene))
    mask = lx.Mask.circular(RADIUS)
    dataset = lx.Imaging(simulator(scene, jax.random.key(1)), noise, psf, PIXEL_SCALE, mask)
    pixelization = lx.inversion.Pixelization(
        lx.inversion.AdaptiveMesh((mesh, mesh)), lx.inversion.Constant(1.0), over_sample=over_sample
    )

    def evidence(p: jax.Array) -> jax.Array:
        return pixelization.log_evidence(dataset, (lx.mass.PowerLaw(p[0], p[1], p[2], p[3], 0.01, 0.0), shear))

    return evidence, dataset, jnp.asarray([1.6, 2.05, 0.1, 0.05])


def measure(mesh: int, over_sample: int, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    evidence, dataset, p = problem(mesh, over_sample)
    row: dict[str, Any] = {"mesh": mesh, "over_sample": over_sample, "pixels": dataset.n_pixels}
    for name, function in (("value", jax.jit(evidence)), ("gradient", jax.jit(jax.value_and_grad(evidence)))):
        begin = time.perf_counter()
        compiled = function.lower(p).compile()
        row[f"{name}_compile_s"] = time.perf_counter() - begin
        row[f"{name}_s"], row[f"{name}_processor_s"] = timed(compiled, p, repeats)
        row[f"{name}_temporary_gb"] = compiled.memory_analysis().temp_size_in_bytes / 1e9
    row["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return row


def measure_peer(python: Path, mesh: int, over_sample: int, repeats: int) -> dict[str, Any]:
    """The same with PyAutoLens."""
    _, dataset, p = problem(mesh, over_sample)
    assert dataset.psf is not None
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "problem.npz", Path(folder) / "answer.json"
        np.savez(
            question,
            data=dataset.data,
            noise_map=dataset.noise_map,
            psf=dataset.psf.array,
            mask=dataset.mask,
            pixel_scale=PIXEL_SCALE,
            mesh=mesh,
            over_sample=over_sample,
            repeats=repeats,
            p=p,
        )
        worker = Path(__file__).resolve().parent / "workers" / "autolens_inversion.py"
        subprocess.run([str(python), str(worker), str(question), str(answer)], check=True, capture_output=True)
        return json.loads(answer.read_text())


def table(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    cores = about["cores"]
    peers = [row["peer"] for row in rows if row.get("peer")]
    compared = f" PyAutoLens {peers[0]['version']} with JAX {peers[0]['jax']}, in the same run." if peers else ""
    lines = [
        f"{about['cpu']}, {cores} cores, {about['date']}; load {about['load_before']:.1f} before the run. "
        f"{rows[0]['pixels']} pixels, PSF {PSF} x {PSF}. In brackets: processor time over {cores} cores.{compared}",
        "",
        "| mesh | over-sampling | | value | value and gradient | compilation of both | peak memory of the process |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        case = f"{row['mesh']} x {row['mesh']} | {row['over_sample']}"
        lines.append(f"| {case} | lensax | {_cells(row, cores)} |")
        peer = row.get("peer")
        if peer:
            value, gradient, _, memory = _cells(peer, cores).split(" | ")  # it keeps compiled programs on disk
            lines.append(f"| | | PyAutoLens | {value} | {gradient} | | {memory} |")
            ratios = [f"{peer[name + '_s'] / row[name + '_s']:.1f}" for name in ("value", "gradient")]
            lines.append(f"| | | ratio | {ratios[0]} | {ratios[1]} | | |")
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any], cores: int) -> str:
    value, gradient = (
        f"{row[f'{name}_s']:.2f} s ({row[f'{name}_processor_s'] / cores:.2f} s)" for name in ("value", "gradient")
    )
    compilation = row["value_compile_s"] + row["gradient_compile_s"]
    return f"{value} | {gradient} | {compilation:.0f} s | {row['peak_gb']:.1f} GB"


def main() -> None:
    """Runs the measurements and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", type=int, nargs="+", default=[28, 39])
    parser.add_argument("--over-sample", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer", type=Path, default=python_of("autolens"), help="a Python that has PyAutoLens")
    parser.add_argument("--no-peer", action="store_true", help="leave PyAutoLens out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--keep", action="store_true", help="keep the rows of other cases")
    parser.add_argument("--one", action="store_true", help="print one row as JSON, in this process")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if options.one:
        print(json.dumps(measure(options.mesh[0], options.over_sample[0], options.repeats)))
        return
    about, rows, file = machine(), [], options.out / "inversion.json"
    for mesh in options.mesh:
        for over_sample in options.over_sample:
            case = ["--mesh", str(mesh), "--over-sample", str(over_sample), "--repeats", str(options.repeats), "--one"]
            done = subprocess.run([sys.executable, __file__, *case], stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            if options.peer and not options.no_peer:
                rows[-1]["peer"] = measure_peer(options.peer, mesh, over_sample, options.repeats)
            print("\n".join(table(rows[-1:], about).splitlines()[4:]), flush=True)
    if options.keep and file.exists():
        made = {(row["mesh"], row["over_sample"]) for row in rows}
        rows += [row for row in json.loads(file.read_text())["rows"] if (row["mesh"], row["over_sample"]) not in made]
    rows.sort(key=lambda row: (row["mesh"], row["over_sample"]))
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    (options.out / "inversion.md").write_text(table(rows, about))


if __name__ == "__main__":
    main()
