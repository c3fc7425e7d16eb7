"""Where the time of a compiled program goes: the profiler's times of its operations, summed by the scopes they are in.

XLA fuses what stands together; each operation still knows the `jax.named_scope`s of the code that it comes from.
"""

import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import jax

__all__ = ["times_by_scope"]

_OPERATION = re.compile(r"^\s*(?:ROOT )?%([\w.-]+) = .*op_name=\"([^\"]*)\"", re.MULTILINE)


def times_by_scope(
    text: str, call: Callable[[], Any], scopes: Collection[str], rest: str, repeats: int
) -> dict[str, float]:
    """Seconds that the operations of one call take, by the innermost of some scopes, in their order; `rest` is last.

    With several threads the parts of one operation run beside each other: allow the process one core only, before JAX
    starts, for times that add up.

    Args:
        text: of the compiled program that `call` runs.
        call: runs it once.
        scopes: names.
        rest: where operations of no such scope are counted.
        repeats: calls over which to take the mean.
    """
    scope_of = {name: _innermost(path, scopes) or rest for name, path in _OPERATION.findall(text)}
    seconds = dict.fromkeys([*scopes, rest], 0.0)
    for name, duration in _operations(call, repeats):
        seconds[scope_of.get(name, rest)] += duration / repeats
    return seconds


def _innermost(path: str, scopes: Collection[str]) -> str | None:
    """Of the scopes in the path of an operation; transformations wrap names, as in `transpose(jvp(rays))`."""
    return next((name for name in reversed(re.findall(r"\w+", path)) if name in scopes), None)


def _operations(call: Callable[[], Any], repeats: int) -> Iterator[tuple[str, float]]:
    """Every operation that ran, and its seconds less those of the operations within it."""
    jax.block_until_ready(call())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(repeats):
                jax.block_until_ready(call())
        (file,) = Path(folder).rglob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for thread in plane.lines:
                yield from _own_times(thread)


def _own_times(thread: Any) -> Iterator[tuple[str, float]]:
    """Operations of one thread; loops hold those of their bodies."""
    named = ((event, dict(event.stats).get("hlo_op")) for event in thread.events)
    events = sorted((event.start_ns, -event.duration_ns, name) for event, name in named if name is not None)
    around: list[list[Any]] = []  # operations that have not ended: [end, own time, name]
    for start, minus_duration, name in events:
        while around and around[-1][0] <= start:
            _, own, ended = around.pop()
            yield ended, own / 1e9
        if around:
            around[-1][1] += minus_duration
        around.append([start - minus_duration, -minus_duration, name])
    for _, own, name in around:
        yield name, own / 1e9
