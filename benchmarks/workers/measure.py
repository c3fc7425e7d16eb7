"""The stopwatch that every code runs under: one fresh process, one problem, the same protocol.

A problem is a JSON file in lenstronomy's terms (lens_model_list, lens_redshift_list, kwargs_lens), the language that
the compared codes share. A code supplies two functions: `prepare(kwargs_lens)`, not timed, brings the halos' numbers
into its own form, and `trace(x, y, prepared)`, timed, returns the source positions. Halos move a little between
repeats, so that no code can answer from memory.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

SHIFT = 1e-4  # arcsec, how far halos move between repeats


def rays(problem: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the sub-pixels' centres in arcsec, (n * over_sample, n * over_sample)."""
    n, over_sample = problem["pixels"], problem["over_sample"]
    line = ((np.arange(n * over_sample) + 0.5) / over_sample - n / 2) * problem["pixel_scale"]
    x, y = np.meshgrid(line, line)
    return x, y


def shifted(kwargs_lens: list[dict[str, float]], repeat: int) -> list[dict[str, float]]:
    """The same lens with every centre moved by `repeat` small steps."""
    moved = []
    for kwargs in kwargs_lens:
        kwargs = dict(kwargs)
        if "center_x" in kwargs:
            kwargs["center_x"] += repeat * SHIFT
        moved.append(kwargs)
    return moved


def resident_bytes() -> int:
    """Memory of this process now; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def peak_bytes() -> int:
    """Largest memory of this process so far; where Linux tells, without what its parent had when it was started."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def run(start: Callable[[dict[str, Any]], tuple[Callable, Callable]], package: str) -> None:
    """Reads the problem named on the command line, measures, writes the answer.

    `start(problem) -> (prepare, trace)`; `package` is the distribution whose version is noted.
    Usage: worker.py problem.json answer.npz
    """
    problem = json.loads(Path(sys.argv[1]).read_text())
    prepare, trace = start(problem)
    x, y = rays(problem)
    before = resident_bytes()
    prepared = prepare(problem["kwargs_lens"])
    begin = time.perf_counter()
    beta_x, beta_y = trace(x, y, prepared)
    first = time.perf_counter() - begin
    process = time.time() - problem["launched"]
    seconds: list[float] = []
    while len(seconds) < problem["repeats"] or (sum(seconds) < problem["seconds"] and len(seconds) < 50):
        prepared = prepare(shifted(problem["kwargs_lens"], len(seconds) + 1))
        begin = time.perf_counter()
        trace(x, y, prepared)
        seconds.append(time.perf_counter() - begin)
    answer = {
        "version": version(package),
        "process_s": process,
        "first_call_s": first,
        "median_s": statistics.median(seconds),
        "best_s": min(seconds),
        "peak_bytes": peak_bytes(),
        "start_bytes": before,
    }
    np.savez(sys.argv[2], beta_x=beta_x, beta_y=beta_y, answer=json.dumps(answer))
