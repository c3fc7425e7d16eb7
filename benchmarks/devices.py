"""Images per second of the whole forward model, a batch spread over the cores of a CPU.

    python benchmarks/devices.py
    python benchmarks/devices.py --cores 1 2 4 8

Every case is a process that may use so many cores and no others: first as one device, on which `model.batch` makes an
image on each core at a time; then as many devices as cores (`JAX_NUM_CPU_DEVICES`), over which it shards the batch, as
it does over several accelerators. Prints a table and writes it to benchmarks/results/devices.json and .md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from raytrace import RESULTS, machine

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "cdm_hst.yaml"


def measure(batch: int, sittings: int) -> dict[str, float]:
    """Images per second in this process: the first call compiles, the median of the others counts."""
    import jax

    import lensax as lx

    model = lx.ForwardModel.from_yaml(CONFIG)
    keys = jax.random.split(jax.random.key(1), batch)
    theta = model.prior.sample(jax.random.key(2), (batch,))
    seconds = []
    for _ in range(sittings + 1):
        begin = time.perf_counter()
        jax.block_until_ready(model.batch(theta, keys))
        seconds.append(time.perf_counter() - begin)
    devices = len(jax.local_devices())
    return {"devices": devices, "first_s": seconds[0], "images_per_s": batch / float(np.median(seconds[1:]))}


def run(cores: int, devices: int, batch: int, sittings: int) -> dict[str, Any]:
    """One case, in a process that may use the first so many cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    environment = os.environ | {"NPROC": str(cores), "JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "--one", "--batch", str(batch), "--sittings", str(sittings)]
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    return {"cores": cores} | json.loads(done.stdout.splitlines()[-1])


def table(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """Markdown."""
    one = next(row["images_per_s"] for row in rows if row["cores"] == 1)
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; {CONFIG.name}, float32, "
        f"noise and point spread function in the program.",
        "",
        "| cores | devices | images / s | over one core | first batch |",
        "|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        rate = row["images_per_s"]
        lines.append(f"| {row['cores']} | {row['devices']} | {rate:.1f} | {rate / one:.2f} | {row['first_s']:.0f} s |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the cases and writes the results."""
    every = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, nargs="+", default=sorted({1, 2, every} & set(range(1, every + 1))))
    parser.add_argument("--batch", type=int, default=48, help="images of a call")
    parser.add_argument("--sittings", type=int, default=5, help="calls")
    parser.add_argument("--one", action="store_true", help="measure in this process and print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.batch, options.sittings)))
        return
    about, rows = machine(), []
    cases = sorted({(cores, devices) for cores in {1, *options.cores} for devices in (1, cores)})
    for cores, devices in cases:
        rows.append(run(cores, devices, options.batch, options.sittings))
        print(f"{cores} cores, {devices} devices: {rows[-1]['images_per_s']:.1f} images/s", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "devices.json").write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    (RESULTS / "devices.md").write_text(table(rows, about))
    print(table(rows, about))


if __name__ == "__main__":
    main()
