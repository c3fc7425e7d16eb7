"""Times what a campaign adds to simulating: overhead of storing, sustained writing, compression, files and requests.

    python benchmarks/campaign.py
    python benchmarks/campaign.py --rows 2000 --overhead-rows 200

- Overhead: a simulator that takes 20 ms an image (it sleeps), with and without a store; seconds in which it waited.
- Writing: a simulator that costs nothing, 100 x 100 float32, noiseless and noisy images; rows per second to the disk.
- Compression: bytes per image and rate of codecs, on images of a shipped configuration.
- Scale: files and bytes per shard, and the requests that a store of 10^6 and 10^9 rows means for an object storage,
  counted on a small store behind `fsspec`'s memory file system.

Writes benchmarks/results/campaign.json and .md.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from raytrace import RESULTS, machine

from lensax.campaign import Plan, Store
from lensax.campaign.layout import Layout
from lensax.campaign.rows import Made
from lensax.campaign.run import Local, Work

SHAPE = (100, 100)
IMAGE_SECONDS = 0.02
CALL = 8
CODECS = [
    *(
        (f"blosc zstd {level}, {name}", ("zstd", level, shuffle))
        for level in (1, 3, 5)
        for name, shuffle in (("shuffle", 1), ("bitshuffle", 2))
    ),
    ("blosc lz4 5, shuffle", ("lz4", 5, 1)),
    ("zstd 3 without shuffle", None),
]
PUT_LIMIT, GET_LIMIT, LIST_PAGE = 3500, 5500, 1000
"""Requests per second and prefix that S3 documents, and keys per listing."""


def images(count: int) -> dict[str, np.ndarray]:
    """Images of a shipped configuration, and everything else that a row has."""
    import jax

    from lensax.campaign.rows import RowMaker
    from lensax.simulate import ForwardModel

    jax.config.update("jax_platforms", "cpu")
    model = ForwardModel.from_yaml(Path(__file__).parents[1] / "configs" / "cdm_hst.yaml")
    maker = RowMaker(model, 1, 1, count)
    return Made.joined([maker(call) for call in maker.calls(range(count))]).arrays


class Repeated:
    """A simulator that hands out the same images again and again, after a while."""

    def __init__(self, rows: dict[str, np.ndarray], seconds: float):
        self.rows, self.seconds = rows, seconds
        self.rows_per_call = CALL
        self.timed_rows, self.timed_seconds = 0, 0.0

    def __call__(self, rows: range) -> Made:
        begin = time.monotonic()
        time.sleep(self.seconds * len(rows))
        wanted = np.arange(rows.start, rows.stop) % len(self.rows["status"])
        made = Made({name: values[wanted] for name, values in self.rows.items()})
        self.timed_rows += len(rows)
        self.timed_seconds += time.monotonic() - begin
        return made

    def calls(self, rows: range) -> list[range]:
        return [rows[start : start + CALL] for start in range(0, len(rows), CALL)]


def campaign(folder: Path, rows: dict[str, np.ndarray], count: int, seconds: float, dtype: str = "float32") -> dict:
    """Make a campaign with such a simulator; its times."""
    shard_size = 256 if count >= 1024 else 64
    plan = Plan("lens: {}\n", "0", 1, count, shard_size, 1, dtype=dtype)
    shapes = {name: np.empty(values.shape[1:], values.dtype) for name, values in rows.items()}
    axis = np.arange(SHAPE[0]) * 0.05
    layout = Layout.of_rows(plan, shapes, ("p",) * rows["theta"].shape[1], axis, axis)
    work = Work(None, Store(folder), layout, {}, list(range(plan.n_shards)))
    simulator = Repeated(rows, seconds)
    import lensax.campaign.run as module

    real, module.RowMaker = module.RowMaker, lambda *arguments: simulator
    try:
        processor, begin = time.process_time(), time.monotonic()
        maker = Local()
        work.run(maker=maker)
        took = time.monotonic() - begin
    finally:
        module.RowMaker = real
    store = Store(folder)
    return {
        "rows": count,
        "seconds": took,
        "processor_seconds": time.process_time() - processor,
        "simulating": simulator.timed_seconds,
        "waited": maker.waited,
        "bytes_per_row": store.size / count,
        "files": sum(path.is_file() for path in folder.rglob("*")),
        "shards": plan.n_shards,
    }


def compression(rows: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Bytes per image and rates of codecs, one thread."""
    from numcodecs import Blosc, Zstd

    found = []
    for name in ("noiseless", "noisy"):
        for dtype in ("float32", "float16"):
            data = np.ascontiguousarray(rows[name].astype(dtype))
            blocks = [np.ascontiguousarray(data[i : i + 16]) for i in range(0, len(data), 16)]
            for label, options in CODECS:
                codec = Zstd(3) if options is None else Blosc(*options)
                begin = time.process_time()
                encoded = [codec.encode(block) for block in blocks]
                middle = time.process_time()
                for block in encoded:
                    codec.decode(block)
                end = time.process_time()
                found.append(
                    {
                        "image": name,
                        "dtype": dtype,
                        "codec": label,
                        "bytes": sum(map(len, encoded)) / len(data),
                        "raw": data[0].nbytes,
                        "encoded_per_s": len(data) / max(middle - begin, 1e-9),
                        "decoded_per_s": len(data) / max(end - middle, 1e-9),
                    }
                )
    return found


def requests(folder: Path) -> dict[str, float]:
    """Requests per shard, counted while a store is copied to an object storage and read from there."""
    import asyncio

    import fsspec
    import zarr
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    counts: Counter[str] = Counter()

    class Counting(zarr.storage.FsspecStore):
        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            counts["get, part of a file" if byte_range is not None else "get, whole file"] += 1
            return await super().get(key, prototype, byte_range)

        async def set(self, key: str, value: Any, *more: Any) -> None:
            counts["put"] += 1
            await super().set(key, value, *more)

    remote = Counting(AsyncFileSystemWrapper(fsspec.filesystem("memory"), asynchronous=True), path="/bucket/campaign")
    from zarr.core.buffer import default_buffer_prototype

    prototype = default_buffer_prototype()
    store = Store(folder)
    for path in folder.rglob("*"):
        if path.is_file() and ".lensax" not in path.parts:
            value = prototype.buffer.from_bytes(path.read_bytes())
            asyncio.run(remote.set(str(path.relative_to(folder)), value))
    puts = counts["put"]
    counts.clear()
    group = zarr.open_group(remote, mode="r")
    opening = sum(counts.values())
    counts.clear()
    group["noisy"][0]
    one_row = dict(counts)
    counts.clear()
    group["noisy"][: store.plan.shard_size]
    return {
        "arrays": len(store.arrays),
        "puts_per_shard": len(store.arrays) + 1,
        "puts": puts,
        "opening": opening,
        "one_row": sum(one_row.values()),
        "one_shard": sum(counts.values()),
    }


def scale(counted: dict[str, float], bytes_per_row: float) -> list[dict[str, Any]]:
    """What the counts mean for large campaigns."""
    found = []
    for rows, shard_size in ((10**6, 256), (10**9, 256), (10**9, 4096), (10**9, 32768)):
        shards = rows / shard_size
        objects = shards * counted["puts_per_shard"]
        found.append(
            {
                "rows": rows,
                "shard_size": shard_size,
                "shards": shards,
                "objects": objects,
                "terabytes": rows * bytes_per_row / 1e12,
                "megabytes_per_image_file": shard_size * bytes_per_row / 2 / 1e6,
                "listings": objects / LIST_PAGE,
                "listing_minutes": objects / LIST_PAGE * 0.1 / 60,
                "put_hours_at_limit": objects / PUT_LIMIT / 3600,
                "puts_per_s_of_1e4_rows_per_s": 1e4 / shard_size * counted["puts_per_shard"],
                "gets_per_s_of_1e5_rows_per_s": 1e5 / 16,
            }
        )
    return found


def report(about: dict, stored: dict, compared: list, counted: dict, large: list) -> str:
    """The results as Markdown."""
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run.",
        "",
        "| simulator | rows | s in all | s simulating | s waiting for the disk | rows/s | bytes per row |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, run in stored.items():
        lines.append(
            f"| {name} | {run['rows']} | {run['seconds']:.2f} | {run['simulating']:.2f} | {run['waited']:.2f} "
            f"| {run['rows'] / run['seconds']:.0f} | {run['bytes_per_row']:.0f} |"
        )
    slow = stored["20 ms an image"]
    overhead = slow["seconds"] / slow["simulating"] - 1
    free = stored["costs nothing, float32"]
    lines += [
        "",
        f"Storing adds {100 * overhead:.1f}% to a simulation of 20 ms an image. A simulator that costs nothing is "
        f"written at {free['rows'] / free['seconds']:.0f} rows/s "
        f"({free['rows'] / free['processor_seconds']:.0f} rows per second of processor time), two images of 100 x 100 "
        "float32 each.",
        "",
        "| image | dtype | codec | bytes | of raw | encoded per s | decoded per s |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in compared:
        lines.append(
            f"| {row['image']} | {row['dtype']} | {row['codec']} | {row['bytes']:.0f} "
            f"| {row['bytes'] / row['raw']:.2f} | {row['encoded_per_s']:.0f} | {row['decoded_per_s']:.0f} |"
        )
    lines += [
        "",
        f"A store has {counted['arrays']} files and one record per shard. Through `fsspec`, opening it took "
        f"{counted['opening']} requests, reading one row {counted['one_row']}, and a whole shard of images "
        f"{counted['one_shard']}. From these counts, at {LIST_PAGE} keys and 0.1 s per listing, and "
        f"{PUT_LIMIT} puts per second and prefix:",
        "",
        "| rows | rows per shard | objects | TB | MB per image file | listing all | puts at the limit "
        "| puts/s at 10⁴ rows/s |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in large:
        lines.append(
            f"| {row['rows']:.0e} | {row['shard_size']} | {row['objects']:.2e} | {row['terabytes']:.2f} "
            f"| {row['megabytes_per_image_file']:.0f} | {row['listing_minutes']:.1f} min "
            f"| {row['put_hours_at_limit']:.2f} h | {row['puts_per_s_of_1e4_rows_per_s']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the measurements and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8192, help="of the simulator that costs nothing")
    parser.add_argument("--overhead-rows", type=int, default=1024, help="of the one that takes 20 ms")
    parser.add_argument("--images", type=int, default=64, help="different images, simulated first")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    about, rows = machine(), images(options.images)
    stored = {}
    with tempfile.TemporaryDirectory(prefix="lensax-campaign-") as folder:
        place = Path(folder)
        campaign(place / "first", rows, 64, 0.0)  # imports
        stored["20 ms an image"] = campaign(place / "slow", rows, options.overhead_rows, IMAGE_SECONDS)
        for dtype in ("float32", "float16"):
            stored[f"costs nothing, {dtype}"] = campaign(place / dtype, rows, options.rows, 0.0, dtype)
        counted = requests(place / "slow")
    compared = compression(rows)
    large = scale(counted, stored["costs nothing, float32"]["bytes_per_row"])
    options.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": about, "stored": stored, "compression": compared, "requests": counted, "scale": large}
    (options.out / "campaign.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "campaign.md").write_text(report(about, stored, compared, counted, large))
    print(report(about, stored, compared, counted, large))


if __name__ == "__main__":
    main()
