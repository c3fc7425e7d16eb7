"""`lensax inspect`: is everything there, and is it what was written?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensax.cli.console import bytes_text, progress_bar, rows_text, say, say_error, table

if TYPE_CHECKING:
    from lensax.campaign import Report

__all__ = ["inspect"]


def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a campaign.", show_default=False)],
) -> None:
    """Compare every file of a campaign with its checksum; list what is missing, damaged or flagged.

    Leaves with 0 where every row is there and good, else with 1.
    To make damaged shards again, run the campaign's simulate command with --verify.

    \b
    Example:
      lensax inspect output/demo
    """
    from lensax.campaign import Store, check

    store = Store(folder)
    plan = store.plan
    with progress_bar(plan.n_shards, "shards", "reading", "reading") as advance:
        report = check(store, lambda done, total: advance(1))
    attributes = store.attributes or {}
    rows = [
        ("rows", f"{report.rows} of {plan.count} whole"),
        ("shards", f"{report.whole} of {plan.n_shards} whole, {plan.shard_size} rows each"),
        ("images", ", ".join(plan.keep)),
        ("seed", plan.seed),
        ("parameters", len(attributes.get("prior", {}))),
        ("on disk", bytes_text(report.size)),
        ("rate", "unknown" if report.rate is None else f"{report.rate:.3g} rows/s"),
        ("made by", f"lensax {', '.join(report.versions) or '?'} on {', '.join(report.devices) or '?'}"),
        ("configuration", plan.configuration_hash[:16]),
    ]
    if report.writer:
        rows.append(("being written by", report.writer))
    table(("", str(folder)), rows)
    raise typer.Exit(say_trouble(report))


def say_trouble(report: "Report") -> int:
    """One line for every kind of trouble; returns the exit code."""
    if report.is_good:
        say("every row is there and good")
    for problem in report.metadata:
        say_error(problem, 1)
    for shard, problems in report.damaged.items():
        span = report.plan.rows(shard)
        say_error(f"shard {shard} (rows {span.start} to {span.stop - 1}) is damaged: {'; '.join(problems)}", 1)
    for name, shards in (("partial, cut short while being written", report.partial), ("missing", report.missing)):
        if shards:
            say_error(f"{len(shards)} shards are {name}: {rows_text(shards)}", 1)
    if report.overflow:
        say_error(f"{len(report.overflow)} rows lack something (status: overflow): {rows_text(report.overflow)}", 1)
    if report.non_finite:
        rows = rows_text(report.non_finite)
        say_error(f"{len(report.non_finite)} rows hold values that are not finite: {rows}", 1)
    return 0 if report.is_good else 1
