"""`lensax simulate`: make a campaign, or go on with one."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensax.cli.console import bytes_text, progress_bar, rows_text, say, say_error, say_note, working

if TYPE_CHECKING:
    from lensax.campaign import Outcome, Work

__all__ = ["orderly_stop", "simulate"]

MONTAGE = "montage.png"
MONTAGE_ROWS = 6


def simulate(
    config: Annotated[Path, typer.Argument(help="The YAML file that describes the model.", show_default=False)],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of images.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the store.", show_default=False)],
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Of all random numbers; drawn afresh where not given.")
    ] = None,
    keep: Annotated[str, typer.Option(help="Which images are stored.")] = "noiseless,noisy",
    dtype: Annotated[str | None, typer.Option(help="Of the stored images: float32 (default) or float16.")] = None,
    shard_size: Annotated[int | None, typer.Option(min=1, help="Rows in one file; by default about 16 MiB.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in memory together on a device; by default what is fastest.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is stored and make again what has been damaged.")
    ] = False,
    part: Annotated[
        str | None, typer.Option(metavar="K/N", help="Make part K of N; other processes make the others.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine (needs lensax[cluster]).")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Of a running Dask scheduler.")] = None,
    slurm: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Start workers through Slurm as this file says.")
    ] = None,
) -> None:
    """Simulate COUNT images with their parameters into a Zarr store.

    The same command goes on where it was stopped or killed.
    Ctrl-C finishes the shard in hand; a second one stops at once.
    Row i depends on the configuration, the seed and i alone.

    \b
    Example:
      lensax simulate configs/cdm_hst.yaml --count 64 --out output/demo
    """
    from lensax.campaign import Part, Store, prepare
    from lensax.simulate import ForwardModel

    kinds = tuple(kind.strip() for kind in keep.split(","))
    chosen = only_one(part=part, workers=workers, scheduler=scheduler, slurm=slurm)
    mine = None if part is None else Part.parse(part)
    Store(out)  # a folder that holds something else is refused before anything is built
    with working(f"reading {config}"):
        model = ForwardModel.from_yaml(config)
    source: Any = model.configuration
    with working("preparing"):
        work = prepare(
            model, source.text, source.digest, out, count, seed, shard_size, batch_size, kinds, verify, dtype, mine
        )
    drawn = seed is None and not work.store.exists
    total = work.pending_rows
    if work.pending and total < count and part is None:
        say_note(f"{count - total} of {count} rows are there already")
    outcome = run(work, *chosen)
    if outcome.remaining:
        stopped = f"stopped: {outcome.remaining} of {count} rows are still to be made, the same command goes on"
        raise typer.Exit(say_error(stopped, 1))
    if outcome.made:
        rate = f", {outcome.rate:.3g} rows/s once compiled" if outcome.rate else ""
        waited = f", {outcome.waited:.2g} s of it waiting for the disk" if outcome.waited is not None else ""
        say(f"{outcome.made} rows in {outcome.seconds:.1f} s{waited}{rate}")
    if part is not None:
        say(f"part {part} of {count} rows, seed {work.plan.seed}: {out}")
        raise typer.Exit(say_flagged(outcome))
    hint = " (drawn; the option --seed makes the same rows elsewhere)" if drawn else ""
    say(f"{count} rows, seed {work.plan.seed}{hint}, {bytes_text(work.store.size)}: {out}")
    code = say_flagged(outcome)
    try:
        with working("drawing the montage"):
            picture = draw_montage(model, work, config)
        say(f"montage: {picture}")
    except OSError as error:
        code = say_error(f"all rows are there, the montage could not be drawn: {error.strerror or error}", 1)
    raise typer.Exit(code)


def only_one(**options: Any) -> tuple[str | None, Any]:
    """The one option of several that is given, and its value."""
    from lensax.campaign import CampaignRefused

    given = [(name, value) for name, value in options.items() if value is not None]
    if len(given) > 1:
        names = " and ".join(f"--{name}" for name, _ in given)
        raise CampaignRefused(f"{names} exclude each other: choose who makes the rows")
    return given[0] if given else (None, None)


def run(work: "Work", kind: str | None = None, how: Any = None) -> "Outcome":
    """Run a campaign with a progress bar and an orderly end on Ctrl-C."""
    with orderly_stop() as asked:
        if not work.pending:
            return work.run()
        note = ""
        if work.space is not None:
            note = f"needs up to {bytes_text(work.space.needed)} of {bytes_text(work.space.free)} free"
        with progress_bar(work.pending_rows, "rows", "compiling", "simulating", note) as advance:
            if kind in (None, "part"):
                return work.run(advance, asked)
            from lensax.campaign.cluster import Distributed, connected

            with connected(kind, how, say_note) as client:
                return work.run(maker=Distributed(client, advance, asked, say_note))


def draw_montage(model: Any, work: "Work", config: Path) -> Path:
    """The first good rows of a campaign as a PNG in its folder."""
    import numpy as np

    from lensax.campaign import Campaign
    from lensax.campaign.plan import IMAGES
    from lensax.plot import look, montage, save, views_of

    campaign = Campaign(work.store.folder)
    rows = np.flatnonzero(campaign.good)[:MONTAGE_ROWS]
    if not rows.size:
        rows = np.arange(min(len(campaign), MONTAGE_ROWS))
    theta = {name: values[rows] for name, values in campaign.theta.items()}
    keys, labels = campaign.keys[rows], [f"row {row}" for row in rows]
    if len(campaign.plan.keep) == len(IMAGES):
        images = (campaign.noiseless.oindex[rows], campaign.noisy.oindex[rows])
        views = views_of(model, theta, keys, *images, labels)
    else:
        views = look(model, theta, keys, labels)
    n_y, n_x = views[0].noisy.shape
    subtitle = f"{len(campaign)} images of {n_x} × {n_y} pixels, seed {work.plan.seed}"
    return save(montage(views, config.stem, subtitle), work.store.folder / MONTAGE)


def say_flagged(outcome: "Outcome") -> int:
    """Name the rows that cannot be trusted; returns the exit code."""
    code = 0
    for rows, what in (
        (outcome.overflow, "lack something (status: overflow)"),
        (outcome.non_finite, "hold values that are not finite"),
        (outcome.failed, "could not be made (status: failed)"),
    ):
        if rows:
            code = say_error(f"{len(rows)} rows {what}, among them {rows_text(rows)}", 1)
    return code


@contextmanager
def orderly_stop() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into an answer to "stop?"; the second interrupts."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        say_note("finishing the shard in hand; once more stops at once")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
