"""Images per second of a batch that is spread over one, two or more devices: how `model.batch` scales.

    python benchmarks/devices.py
    python benchmarks/devices.py --devices 1 2 4 --images 64

XLA can take the processor for several devices. Each number of devices runs in a process of its own that may use as many
cores, as far as there are so many, one sitting after the other in turns; medians. Prints a table and writes it to
benchmarks/results/devices.json and .md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SITTINGS = 3


def measure(config: str, images: int, repeats: int) -> dict[str, Any]:
    """Images per second on the devices of this process."""
    import jax

    import lensax as lx

    model = lx.ForwardModel.from_yaml(ROOT / "configs" / f"{config}.yaml")
    theta = model.prior.sample(jax.random.key(0), (images,))
    keys = jax.random.split(jax.random.key(1), images)
    first = jax.block_until_ready(model.batch(theta, keys))
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(model.batch(theta, keys))
        times.append(time.perf_counter() - begin)
    digest = hash(jax.device_get(jax.tree.leaves(first)[0]).tobytes())
    return {"images_per_second": images / statistics.median(times), "devices": len(jax.devices()), "digest": digest}


def run(count: int, options: argparse.Namespace) -> dict[str, Any]:
    """The same in a process with some devices and as many cores."""
    cores = sorted(os.sched_getaffinity(0))[:count]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONHASHSEED": "0"}
    command = [sys.executable, __file__, "--one", "--config", options.config, "--images", str(options.images)]
    command = ["taskset", "-c", ",".join(map(str, cores)), *command, "--repeats", str(options.repeats)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"cores": len(cores)}


def table(rows: list[dict[str, Any]], config: str, about: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run. "
        f"Whole images of {config}: population, rays, point spread function, noise.",
        "",
        "| devices | cores | images per second | over one device on one core | the same images |",
        "|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        speed, same = row["images_per_second"], row["digest"] == rows[0]["digest"]
        ratio = speed / rows[0]["images_per_second"]
        lines.append(f"| {row['devices']} | {row['cores']} | {speed:.1f} | {ratio:.2f} | {'yes' if same else 'no'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--config", default="cdm_hst")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", action="store_true", help="print one measurement as JSON, in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.config, options.images, options.repeats)))
        return
    from raytrace import RESULTS, machine

    about = machine()
    sittings = [[run(count, options) for count in options.devices] for _ in range(SITTINGS)]
    rows = []
    for found in zip(*sittings):
        rows.append(found[0] | {"images_per_second": statistics.median(row["images_per_second"] for row in found)})
    text = table(rows, options.config, about)
    print(text)
    (RESULTS / "devices.json").write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    (RESULTS / "devices.md").write_text(text)


if __name__ == "__main__":
    main()
