"""What the commands print: results on stdout, progress and errors on stderr."""

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = [
    "bytes_text",
    "log_progress",
    "progress_bar",
    "rows_text",
    "say",
    "say_error",
    "say_note",
    "stderr",
    "table",
    "working",
]


PRINTED_WIDTH = 120
"""Columns of a table that is not shown on a terminal."""


def stderr() -> Any:
    """The console for what is not a result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str = "") -> None:
    """Print a result, plain."""
    from rich.console import Console

    Console(highlight=False).print(text, markup=False, soft_wrap=True)


def say_note(text: str) -> None:
    """Print something that a person should know, on stderr."""
    stderr().print(text, markup=False, soft_wrap=True, style="yellow")


def say_error(text: str, code: int) -> int:
    """Print an error in one line on stderr; returns the exit code."""
    from rich.text import Text

    stderr().print(Text.assemble(("error: ", "bold red"), " ".join(text.split())), soft_wrap=True)
    return code


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on a terminal that something is being done."""
    with stderr().status(text):
        yield


@contextmanager
def progress_bar(total: int, unit: str, waiting: str, doing: str, note: str = "") -> Iterator[Any]:
    """A progress bar with rate and time left (off a terminal: lines); the yielded function takes the units just done.

    Arguments
    ---------
    total: number of units.
    unit: their name, in the plural.
    waiting: what happens before the first is done.
    doing: what happens then.
    note: more about it, of interest once.
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    if not stderr().is_terminal:
        yield log_progress(total, unit, note)
        return

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g} {unit}/s" if speed else "", style="progress.data.speed")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr()) as progress:
        task = progress.add_task(waiting, total=total)

        def advance(done: int) -> None:
            progress.update(task, description=f"{doing}, {note}" if note else doing)
            progress.advance(task, done)

        yield advance


def log_progress(
    total: int, unit: str, note: str = "", every: float = 60.0, clock: Callable[[], float] = time.monotonic
) -> Any:
    """Progress for a log file: a line now and then instead of a bar, the rate without what came before the first."""
    state = {"done": 0, "first": 0, "begin": 0.0, "said": clock()}

    def advance(done: int) -> None:
        now = clock()
        if not state["done"]:
            if note:
                say_note(note)
            state["first"], state["begin"] = done, now
        state["done"] += done
        seconds, counted = now - state["begin"], state["done"] - state["first"]
        if now - state["said"] >= every and counted and seconds > 0 and state["done"] < total:
            state["said"] = now
            rate = counted / seconds
            left = datetime.timedelta(seconds=round((total - state["done"]) / rate))
            say_note(f"{state['done']}/{total} {unit}, {rate:.3g} {unit}/s, {left} left")

    return advance


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = (), title: str | None = None
) -> None:
    """Print a table; the columns in `right` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(value)) for value in row))
    width = None if Console().is_terminal else PRINTED_WIDTH
    Console(highlight=False, width=width).print(shown)


def bytes_text(size: float | int) -> str:
    """A number of bytes for a person: "1.4 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def rows_text(rows: Sequence[int], most: int = 12) -> str:
    """Row numbers for a person: "3, 4, 5 and 12 more"."""
    shown = ", ".join(str(row) for row in rows[:most])
    return shown if len(rows) <= most else f"{shown} and {len(rows) - most} more"
