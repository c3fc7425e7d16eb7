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

__all__ = ["simulate"]

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
    shard_size: Annotated[int | None, typer.Option(min=1, help="Rows in one file; by default about 16 MiB.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in memory together on a device; by default what suits it.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is stored and make again what has been damaged.")
    ] = False,
) -> None:
    """Simulate COUNT images with their parameters into a Zarr store.

    The same command goes on where it was stopped or killed.
    Ctrl-C finishes the shard in hand; a second one stops at once.
    Row i depends on the configuration, the seed and i alone.

    \b
    Example:
      lensax simulate configs/cdm_hst.yaml --count 64 --out output/demo
    """
    from lensax.campaign import Store, prepare
    from lensax.simulate import ForwardModel

    kinds = tuple(kind.strip() for kind in keep.split(","))
    Store(out)  # a folder that holds something else is refused before anything is built
    with working(f"reading {config}"):
        model = ForwardModel.from_yaml(config)
    source: Any = model.configuration
    with working("preparing"):
        work = prepare(model, source.text, source.digest, out, count, seed, shard_size, batch_size, kinds, verify)
    drawn = seed is None and not work.store.exists
    done = count - work.pending_rows
    if done and work.pending:
        say_note(f"{done} of {count} rows are there already")
    outcome = run(work)
    if outcome.remaining:
        stopped = f"stopped: {outcome.remaining} of {count} rows are still to be made, the same command goes on"
        raise typer.Exit(say_error(stopped, 1))
    if outcome.made:
        rate = f", {outcome.rate:.3g} rows/s once compiled" if outcome.rate else ""
        say(f"{outcome.made} rows in {outcome.seconds:.1f} s{rate}")
    hint = " (drawn; the option --seed makes the same rows elsewhere)" if drawn else ""
    say(f"{count} rows, seed {work.plan.seed}{hint}, {bytes_text(work.store.size)}: {out}")
    with working("drawing the montage"):
        picture = draw_montage(model, work, config)
    say(f"montage: {picture}")
    raise typer.Exit(say_flagged(outcome))


def run(work: "Work") -> "Outcome":
    """Run a campaign with a progress bar and an orderly end on Ctrl-C."""
    with orderly_stop() as asked:
        if not work.pending:
            return work.run()
        with progress_bar(work.pending_rows, "rows", "compiling", "simulating") as advance:
            return work.run(advance, asked)


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
    if outcome.overflow:
        rows = rows_text(outcome.overflow)
        code = say_error(f"{len(outcome.overflow)} rows lack something (status: overflow), among them {rows}", 1)
    if outcome.non_finite:
        rows = rows_text(outcome.non_finite)
        code = say_error(f"{len(outcome.non_finite)} rows hold values that are not finite, among them {rows}", 1)
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
