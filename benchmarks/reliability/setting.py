"""The campaign that everything happens to, and how its end is judged."""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGURATION = """
lens:
  redshift: 0.5
  mass:
    - PowerLaw: {einstein_radius: {Normal: [1.0, 0.05]}, slope: 2.0, e1: 0.1, e2: 0.0, center_x: 0.0, center_y: 0.0}
source:
  redshift: 1.5
  light:
    - Gaussian: {intensity: 20, sigma: 0.2, e1: 0, e2: 0, center_x: {Normal: [0, 0.05]}, center_y: 0}
instrument: {shape: [12, 12], pixel_scale: 0.2, psf: {Gaussian: {fwhm: 0.3}}, exposure_time: 2000.0, sky_level: 0.1}
"""

CLOCK = {"finished", "timed_rows", "timed_seconds"}
UNSTABLE = ("lock", "setup", "runs/", "parts/", "leases/", "drafts/", "group.json")


@dataclass
class Setting:
    """A campaign that was made without disturbance, and everything that is needed to make it again.

    Args:
        folder: for all campaigns.
        rows, shard_size: of each.
        kills: how often to kill, at most.
        moments: the source of random moments.
        starting: seconds from the start of the program to its first rows.
        lasting: seconds from then to the end.
        whole: the contents of the undisturbed campaign.
    """

    folder: Path
    rows: int
    shard_size: int
    kills: int
    moments: random.Random
    starting: float = 0.0
    lasting: float = 0.0
    whole: dict[str, Any] | None = None

    @classmethod
    def prepared(cls, folder: Path, rows: int, shard_size: int, kills: int, seed: int) -> "Setting":
        """Compile once, and make the undisturbed campaign."""
        setting = cls(folder, rows, shard_size, kills, random.Random(seed))
        (folder / "small.yaml").write_text(CONFIGURATION)
        for name in ("compiled", "whole"):
            begin = time.monotonic()
            with setting.running(folder / name) as process:
                setting.wait_for_rows(folder / name, process)
                setting.starting = time.monotonic() - begin
                assert process.wait() == 0, process.stderr.read()
                setting.lasting = time.monotonic() - begin - setting.starting
        setting.whole = contents(folder / "whole")
        return setting

    def command(self, out: Path, *options: str) -> list[str]:
        """The command of the campaign."""
        size = ("--shard-size", str(self.shard_size), "--batch-size", "1", "--seed", "1")
        config = str(self.folder / "small.yaml")
        return [
            sys.executable,
            "-m",
            "lensax",
            "simulate",
            config,
            "-n",
            str(self.rows),
            "-o",
            str(out),
            *size,
            *options,
        ]

    @contextmanager
    def running(self, out: Path, *options: str) -> Iterator[subprocess.Popen]:
        """The program at work; killed when the block is left."""
        cache = {
            "JAX_COMPILATION_CACHE_DIR": str(self.folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "JAX_PLATFORMS": "cpu",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        }
        with subprocess.Popen(
            self.command(out, *options),
            env={**os.environ, **cache},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def finish(self, out: Path, *options: str) -> tuple[int, str]:
        """The same command once more, left alone: exit code and messages."""
        with self.running(out, *options) as process:
            _, errors = process.communicate()
            return process.returncode, errors

    def wait_for_rows(self, out: Path, process: subprocess.Popen, more: int = 1) -> None:
        """Wait until so many more shards are recorded, or the program ends."""
        before = n_records(out)
        while process.poll() is None and n_records(out) < before + more:
            time.sleep(0.005)

    def judged(self, out: Path) -> dict[str, int]:
        """What is lost, doubled or different in a campaign that should be whole."""
        import numpy as np
        import zarr

        assert self.whole is not None
        found = contents(out)
        differ = sum(found.get(name) != self.whole.get(name) for name in {*found, *self.whole})
        group = zarr.open_group(out, mode="r")
        made = group["status"][:] != 128
        keys = np.unique(group["key"][:][made], axis=0)
        return {"lost": int(self.rows - made.sum()), "doubled": int(made.sum() - len(keys)), "differ": differ}


def n_records(out: Path) -> int:
    """Shards that are recorded."""
    try:
        return len(os.listdir(out / ".lensax" / "shards"))
    except (FileNotFoundError, NotADirectoryError):
        return 0


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a campaign, but for what says who wrote it and when."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        private = name.removeprefix(".lensax/")
        if not path.is_file() or name == "montage.png" or (private != name and private.startswith(UNSTABLE)):
            continue
        content: Any = path.read_bytes()
        if private.startswith("shards/"):
            content = {key: value for key, value in json.loads(content).items() if key not in CLOCK}
        elif path.name == "zarr.json":
            # A working copy's revision may change while this runs.
            content = re.sub(rb'"git_revision": ("[^"]*"|null)', b"", content)
        found[name] = content
    return found


def recorded_before_and_after(out: Path, before: set[str]) -> bool:
    """Whether everything that was recorded still is."""
    return before <= set(os.listdir(out / ".lensax" / "shards")) if before else True


def total(judgements: list[dict[str, int]]) -> dict[str, int]:
    """The sum over several campaigns."""
    return {key: sum(found[key] for found in judgements) for key in ("lost", "doubled", "differ")}
