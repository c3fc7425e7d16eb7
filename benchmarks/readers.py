"""Times the readers of a campaign beside plain memory-mapped .npy and HDF5 files that hold the same rows.

    python benchmarks/readers.py
    python benchmarks/readers.py --rows 2048 --folder /scratch

Makes a campaign of 100 x 100 noisy images that cost nothing, copies its rows to the other formats, and reads all rows,
once with every file out of the page cache and once with all in it. Writes benchmarks/results/readers.json and .md.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import jax
import numpy as np
from raytrace import RESULTS, machine

import lensax as lx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from toy import ToyModel, toy_work

BATCH = 256
SHAPE = (100, 100)
PASSES = 3


def make(folder: Path, rows: int) -> dict[str, Path]:
    """The same rows in each format: the path of each."""
    paths = {"campaign": folder / "campaign", ".npy": folder / "rows.npy", "HDF5": folder / "rows.h5"}
    toy_work(paths["campaign"], rows, ToyModel(SHAPE), seed=1).run()
    campaign = lx.Campaign(paths["campaign"])
    copy = np.lib.format.open_memmap(paths[".npy"], "w+", np.float32, (rows, *SHAPE))
    for start in range(0, rows, BATCH):
        copy[start : start + BATCH] = campaign[start : start + BATCH]
    copy.flush()
    campaign.to_hdf5(paths["HDF5"])
    return paths


def files_of(path: Path) -> list[Path]:
    """The files below a path."""
    return [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]


def forget(path: Path) -> None:
    """Take the files of a format out of the page cache."""
    os.sync()
    for file in files_of(path):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def image_bytes(name: str, path: Path) -> int:
    """Bytes on disk of the noisy images."""
    return sum(file.stat().st_size for file in files_of(path / "noisy" if name == "campaign" else path))


def readers(paths: dict[str, Path], rows: int) -> dict[tuple[str, str, str], Callable[[], Iterator[Any]]]:
    """Everything that is timed: an iterator over the images of one pass, by format, order and reader."""
    key = jax.random.key(0)
    starts = range(0, rows, BATCH)
    shuffled = np.random.default_rng(0).permutation(rows)

    def opened(verify: bool = False) -> lx.Campaign:
        return lx.Campaign(paths["campaign"], verify=verify)

    def from_npy(order: np.ndarray | None) -> Iterator[Any]:
        images = np.load(paths[".npy"], mmap_mode="r")
        for start in starts:
            yield np.array(images[start : start + BATCH] if order is None else images[order[start : start + BATCH]])

    def from_hdf5(order: np.ndarray | None) -> Iterator[Any]:
        with h5py.File(paths["HDF5"]) as file:
            for start in starts:
                # h5py wants rising indices.
                chosen = slice(start, start + BATCH) if order is None else np.sort(order[start : start + BATCH])
                yield file["x"][chosen]

    def random_rows() -> Iterator[Any]:
        source = opened().source("noisy")
        for start in starts:
            yield source.read(shuffled[start : start + BATCH]).images

    def batches(verify: bool = False, **options: Any) -> Iterator[Any]:
        return (images for _, images in opened(verify).jax_batches(key, BATCH, drop_last=False, **options))

    found: dict[tuple[str, str, str], Callable[[], Iterator[Any]]] = {
        (".npy", "in order", "memory map"): lambda: from_npy(None),
        ("HDF5", "in order", "slices"): lambda: from_hdf5(None),
        ("campaign", "in order", "jax_batches"): lambda: batches(shuffle=False),
        ("campaign", "in order", "jax_batches, checksums compared"): lambda: batches(True, shuffle=False),
        (".npy", "shuffled", "memory map, any row"): lambda: from_npy(shuffled),
        ("HDF5", "shuffled", "any row"): lambda: from_hdf5(shuffled),
        ("campaign", "shuffled", "any row (map style)"): random_rows,
        ("campaign", "shuffled", "jax_batches: blocks, mixed in memory"): batches,
    }
    try:
        import torch
    except ImportError:
        return found
    found["campaign", "shuffled", f"torch iterable (PyTorch {torch.__version__.split('+')[0]})"] = lambda: (
        images for _, images in opened().torch("iterable", batch_size=BATCH)
    )
    return found


def measure(read: Callable[[], Iterator[Any]], rows: int) -> dict[str, float]:
    """One pass over all rows."""
    begin, cpu, count = time.perf_counter(), time.process_time(), 0
    for images in read():
        count += len(images)
        images.sum()  # a memory map reads when it is looked at
    if count != rows:
        raise RuntimeError(f"read {count} of {rows} rows")
    seconds = time.perf_counter() - begin
    return {"rows_per_s": rows / seconds, "rows_per_cpu_s": rows / (time.process_time() - cpu)}


def table(found: list[dict[str, Any]], about: dict[str, Any], rows: int) -> str:
    """The measurements as Markdown."""
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run. "
        f"{rows} noisy images of {SHAPE[1]} x {SHAPE[0]} pixels in float32 ({4 * np.prod(SHAPE) / 1e3:.0f} kB), "
        f"batches of {BATCH}; the best of {PASSES} passes.",
        "",
        "| format | kB an image | order | reader | rows / s, cold | rows / s, cached | rows / CPU s, cached |",
        "|---|--:|---|---|--:|--:|--:|",
    ]
    for one in found:
        numbers = " | ".join(f"{one[name]:,.0f}" for name in ("cold_rows_per_s", "rows_per_s", "rows_per_cpu_s"))
        lines.append(f"| {one['format']} | {one['image_kb']:.1f} | {one['order']} | {one['reader']} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the measurements and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--folder", type=Path, help="where the files are made and removed again; by default a new one")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    about, found = machine(), []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = make(Path(folder), options.rows)
        for (kind, order, reader), read in readers(paths, options.rows).items():
            for _ in itertools.islice(read(), 1):  # what is imported and compiled at the first reading is not its cost
                pass
            forget(paths[kind])
            cold = measure(read, options.rows)
            warm = [measure(read, options.rows) for _ in range(PASSES)]
            best = {name: max(one[name] for one in warm) for name in cold}
            size = image_bytes(kind, paths[kind]) / options.rows / 1e3
            about_it = {"format": kind, "order": order, "reader": reader, "image_kb": size}
            found.append({**about_it, "cold_rows_per_s": cold["rows_per_s"], **best})
            print(table(found[-1:], about, options.rows).splitlines()[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    written = {"machine": about, "rows": options.rows, "results": found}
    (options.out / "readers.json").write_text(json.dumps(written, indent=1) + "\n")
    (options.out / "readers.md").write_text(table(found, about, options.rows))


if __name__ == "__main__":
    main()
