"""`lensax fit`: fit a model to an image, or go on with a fit."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensax.cli.console import say, say_error, say_note, table, working

if TYPE_CHECKING:
    from astropy.table import Table

    from lensax.config.fit_build import FitSetup
    from lensax.fit.images import FitImages
    from lensax.fit.run import Found, Task

__all__ = ["fit"]

OUTPUT = Path("output")
HIGHEST_R_HAT = 1.01
FEWEST_DRAWS = 100
"""Effective draws below which quantiles mean little."""


def fit(
    config: Annotated[Path, typer.Argument(help="The YAML file that describes the fit.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the results; by default output/NAME.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Of all random numbers.  [default: 0]", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with what the folder holds, or refuse such a folder.")
    ] = True,
    nuts: Annotated[
        bool, typer.Option("--nuts/--map-only", help="Sample the posterior, or stop at its maximum and error bars.")
    ] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few steps of everything: to see whether it works, not for numbers.")
    ] = False,
) -> None:
    """Fit lens, light and source to an image: maximum, error bars, samples, pictures.

    The same command goes on where it was stopped or killed.
    The folder gets summary.txt, samples.npz, FITS images and PNG figures.

    \b
    Example:
      lensax fit configs/fit_simulated_pixels.yaml --out output/ring
    """
    import jax

    from lensax.config.fit import load_fit
    from lensax.fit.folder import FitFolder, FitRefused
    from lensax.fit.run import Sampling, run_fit

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        with working(f"reading {config}"):
            configuration = load_fit(config)
        folder = FitFolder(OUTPUT / config.stem if out is None else out)
        if folder.about is not None and not resume:
            raise FitRefused(f"{folder.path} holds a fit already; leave out --no-resume to go on with it")
        # More chains or draws go on with those that are there: how it is sampled does not make another fit.
        digest = configuration.digest_without("sampling") + (":quick" if quick else "")
        folder.check(digest, seed)  # before anything is built
        with working("reading the data"):
            setup = configuration.build()
        for remark in setup.remarks:
            say_note(remark)
        task, sampling = setup.task, setup.sampling
        if quick:
            sampling = Sampling(2, 15, 20, 10)
            task = dataclasses.replace(task, starts=0, plan=dataclasses.replace(task.plan, passes=1, iterations=25))
        with folder.open(digest, seed, configuration.text) as own_seed, watching() as watcher:
            results = Results(task, setup, folder.path, config.stem)
            try:
                found = run_fit(task, folder, own_seed, sampling if nuts else None, watcher, results.keep)
            except ValueError as error:  # the work has begun
                raise RuntimeError(str(error)) from error
            code = report(found, *results.write(found), quick)
        say_cells(task.model.source.parts.get("mesh"), found.stages[-1].posterior.model.source.parts.get("mesh"))
    finally:
        jax.config.update("jax_enable_x64", before)
    say(f"results: {folder.path}")
    raise typer.Exit(code)


class Results:
    """Everything that a fit leaves in its folder.

    Args:
        task: what is fitted.
        setup: what the configuration says besides.
        folder: of the fit.
        name: of the fit, for its pictures.
    """

    def __init__(self, task: "Task", setup: "FitSetup", folder: Path, name: str) -> None:
        self.task, self.setup, self.folder, self.name = task, setup, folder, name

    def keep(self, found: "Found") -> None:
        """Write what is known before the sampling, which may take hours, unless more is there already."""
        if not (self.folder / "summary.ecsv").exists():
            self.write(found)
            say_note(f"the maximum and its error bars are in {self.folder}")

    def write(self, found: "Found") -> tuple["Table", "FitImages"]:
        """Write everything; returns the summary and the images."""
        import jax
        import numpy as np

        from lensax.fit.images import fit_images
        from lensax.fit.result import report_numbers, write_draws, write_images, write_report, write_table
        from lensax.fit.summary import summary_table

        last, samples = found.stages[-1], found.samples
        posterior, maximum = last.posterior, last.maximum
        gaussian = {k: np.asarray(v) for k, v in found.laplace.sample(jax.random.key(0), 4000).items()}
        rows = summary_table(
            posterior.model.parameters,
            maximum.theta,
            gaussian,
            None if samples is None else samples.theta,
            None if samples is None else samples.r_hat,
            None if samples is None else samples.effective_draws,
            self.setup.truth,
        )
        with working("writing tables and images"):
            write_table(rows, self.folder)
            images = fit_images(posterior.dataset, posterior.model(maximum.theta).lens, last.found)
            write_images(images, self.folder, self.setup.sky)
            if samples is not None:
                write_draws(samples.theta, samples.log_density, self.folder)
            write_report(report_numbers(found, self.task.dataset, images), self.folder)
        with working("drawing"):
            draw(found, images, gaussian, self.folder, self.name)
        return rows, images


def report(found: "Found", rows: "Table", images: "FitImages", quick: bool) -> int:
    """Say what matters; returns the exit code."""
    maximum = found.stages[-1].maximum
    say_table(rows)
    per_pixel = images.chi_squared / images.n_pixels
    say(f"log evidence {maximum.log_evidence:.2f}, chi-squared {images.chi_squared:.1f} for {images.n_pixels} pixels "
        f"({per_pixel:.3f} per pixel), effective source parameters {images.n_effective:.1f}")  # fmt: skip
    return say_doubts(found, quick)


def draw(found: "Found", images: Any, gaussian: dict[str, Any], folder: Path, name: str) -> None:
    """All figures, as PNG files in the folder."""
    import numpy as np

    import lensax.plot as plot

    last, samples = found.stages[-1], found.samples
    best = {key: float(value) for key, value in last.maximum.theta.items()}
    per_pixel = images.chi_squared / images.n_pixels
    what = f"{images.n_pixels} pixels, chi-squared {per_pixel:.3f} per pixel, log evidence {images.log_evidence:.1f}"
    figures = {
        "fit": plot.fit_figure(images, name, what),
        "source": plot.source_figure(images, name, what),
        "residual": plot.residual_figure(images, name, what),
    }
    searches = {one.name: [history.log_density for history in one.maximum.histories] for one in found.stages}
    figures["maximum"] = plot.history_figure(searches, name, "searches for the maximum")
    corner: tuple[Any, ...] = gaussian, name, "Laplace approximation", best, None, "Laplace approximation"
    if samples is not None:
        chains = {key: np.asarray(values) for key, values in samples.theta.items()}
        count, length = next(iter(chains.values())).shape
        what = f"{count} chains of {length} draws"
        figures["trace"] = plot.trace_figure(chains, name, what, best)
        corner = {key: values.ravel() for key, values in chains.items()}, name, what, best, gaussian
    try:
        figures["corner"] = plot.corner_figure(*corner)
    except ImportError as error:
        say_note(f"corner.png was left out: {error}")
    for stem, figure in figures.items():
        plot.save(figure, folder / f"{stem}.png", 150)


def say_table(rows: Any) -> None:
    """The summary as a table on the screen: what of it fits there."""
    heads = {
        "maximum": "maximum",
        "laplace_deviation": "± (Laplace)",
        "median": "median",
        "deviation": "±",
        "r_hat": "R-hat",
        "effective_draws": "ESS",
        "truth": "truth",
    }
    shown = [column for column in heads if column in rows.colnames]
    names = set(rows["parameter"])
    other = [row for row in rows if row["prior"].removeprefix("= ") not in names]  # not again under a second name
    lines = [(row["parameter"], *(_number(row[column]) for column in shown)) for row in other]
    columns = ("parameter", *(heads[column] for column in shown))
    table(columns, lines, right=columns[1:])


def _number(value: Any) -> str:
    import numpy as np

    return f"{value:.4g}" if np.isfinite(np.ma.filled(value, np.nan)) else ""


def say_cells(asked: Any, mesh: Any) -> None:
    """Say so if the mesh of the source is coarser than was asked for."""
    from lensax.fit.preparation import SourceBox

    remark = asked.remark(mesh) if isinstance(asked, SourceBox) else None
    if remark is not None:
        say_note(remark)


def say_doubts(found: "Found", quick: bool) -> int:
    """What is wrong with a fit, in words; returns the exit code."""
    doubts = []
    maximum, samples = found.stages[-1].maximum, found.samples
    if not maximum.converged:
        doubts.append("the maximum was not reached: more iterations (section `maximum`) will get closer")
    if samples is not None:
        worst, fewest = max(samples.r_hat.values()), min(samples.effective_draws.values())
        if worst > HIGHEST_R_HAT:
            doubts.append(f"the chains differ (R-hat {worst:.3f}): sample longer (section `sampling`)")
        if fewest < FEWEST_DRAWS:
            doubts.append(f"only {fewest:.0f} effective draws of a parameter: sample longer (section `sampling`)")
        if samples.divergences:
            doubts.append(f"{int(samples.divergences)} draws diverged: raise target_accept (section `sampling`)")
    for doubt in doubts:
        if quick:
            say_note(doubt)
        else:
            say_error(doubt, 1)
    return 1 if doubts and not quick else 0


@contextmanager
def watching() -> Iterator[Any]:
    """Shows how a fit goes on: a bar for each part on a terminal, lines elsewhere."""
    import time

    from lensax.cli.console import stderr
    from lensax.fit.run import Watcher

    console = stderr()
    if not console.is_terminal:

        class Lines(Watcher):
            """A line when a part begins, every minute, and when it ends."""

            def begin(self, what: str, total: int | None = None, unit: str = "steps") -> None:
                self.what, self.total, self.unit, self.said = what, total, unit, time.monotonic()
                say_note(what)

            def at(self, done: int, note: str = "") -> None:
                if time.monotonic() - self.said > 60:
                    self.said = time.monotonic()
                    of = f"/{self.total}" if self.total else ""
                    say_note(f"{self.what}: {done}{of} {self.unit}" + (f", {note}" if note else ""))

            def end(self, text: str = "") -> None:
                if text:
                    say_note(text)

        yield Lines()
        return

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console) as progress:

        class Bars(Watcher):
            """A bar for the part that runs."""

            task: Any = None

            def begin(self, what: str, total: int | None = None, unit: str = "steps") -> None:
                self.task = progress.add_task(what, total=total, note="")

            def at(self, done: int, note: str = "") -> None:
                progress.update(self.task, completed=done, note=note)

            def end(self, text: str = "") -> None:
                progress.remove_task(self.task)
                if text:
                    progress.console.print(text, style="yellow", markup=False)

        yield Bars()
