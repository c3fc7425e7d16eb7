"""`lensax inspect`: is everything there, and is it what was written?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensax.cli.console import bytes_text, progress_bar, rows_text, say, say_error, say_note, table, working

if TYPE_CHECKING:
    from lensax.campaign import Report, Store

__all__ = ["inspect"]

ERRORS_SHOWN = 5


def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a campaign.", show_default=False)],
    repair: Annotated[bool, typer.Option("--repair", help="Make what is bad again, and nothing else.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="The configuration, where the one in the store does not do.", show_default=False)
    ] = None,
) -> None:
    """Compare every file of a campaign with its checksum; list what is missing, damaged, flagged or made again.

    Leaves with 0 where every row is there and good, else with 1.

    \b
    Example:
      lensax inspect output/demo
      lensax inspect output/demo --repair
    """
    store = opened(folder, repair)
    report = looked_at(store)
    say_state(store, report)
    code = say_trouble(report)
    if repair and (report.bad_shards or report.metadata):
        repaired(store, report, config)
        say()
        report = looked_at(store)
        code = say_trouble(report)
    elif report.bad_shards or report.metadata:
        say_note(f"lensax inspect {folder} --repair makes what is bad again")
    raise typer.Exit(code)


def opened(folder: Path, repair: bool) -> "Store":
    """The store; where its metadata is damaged, that is said, and mended if it may be."""
    from lensax.campaign import CampaignDamaged, Store, restore_group

    try:
        return Store(folder)
    except CampaignDamaged as error:
        if not repair:
            raise typer.Exit(say_error(str(error), 1)) from None
        say_error(str(error), 1)
    for name in restore_group(folder):
        say(f"restored {name}")
    return Store(folder)


def looked_at(store: "Store") -> "Report":
    """What is found in the store, with a progress bar."""
    from lensax.campaign import check

    with progress_bar(store.plan.n_shards, "shards", "reading", "reading") as advance:
        return check(store, lambda done, total: advance(1))


def repaired(store: "Store", report: "Report", config: Path | None) -> None:
    """Make what is bad again."""
    from lensax.campaign import repair, stored_model

    model: Any = None
    if report.bad_shards:
        with working("building the model"):
            model = stored_model(store, config)
    total = sum(len(report.plan.rows(shard)) for shard in report.bad_shards)
    with progress_bar(total, "rows", "compiling", "making again") as advance:
        repair(store, report, model, advance)
    for name in report.metadata:
        say(f"restored {name}")
    if report.bad_shards:
        say(f"made {len(report.bad_shards)} shards again: {rows_text(report.bad_shards)}")


def say_state(store: "Store", report: "Report") -> None:
    """What the campaign is, and how far it is."""
    plan, attributes = report.plan, store.attributes or {}
    rows = [
        ("rows", f"{report.rows} of {plan.count} whole"),
        ("shards", f"{report.whole} of {plan.n_shards} whole, {plan.shard_size} rows each"),
        ("images", f"{', '.join(plan.keep)} in {plan.dtype}"),
        ("seed", plan.seed),
        ("parameters", len(attributes.get("prior", {}))),
        (
            "on disk",
            bytes_text(report.size) + (f", {report.size / report.rows:.0f} bytes per row" if report.rows else ""),
        ),
        ("rate", "unknown" if report.rate is None else f"{report.rate:.3g} rows/s and process"),
        ("runs", len(report.runs)),
        ("made by", f"lensax {', '.join(report.versions) or '?'} on {', '.join(report.devices) or '?'}"),
        ("configuration", plan.configuration_hash[:16]),
    ]
    if report.remade:
        rows.append(("made again", f"{len(report.remade)} rows with more room"))
    if report.writer:
        rows.append(("being written by", report.writer))
    table(("", str(store.folder)), rows)
    say_remade(report)


def say_remade(report: "Report") -> None:
    """The rows that were made again with more room, and with how much."""
    kinds: dict[tuple[int, int], list[int]] = {}
    for row, how in report.remade.items():
        kinds.setdefault((how.get("tracer_room", 1), how.get("slot_room", 1)), []).append(row)
    columns = ("rows made again", "tracer's room", "slots", "which", "pairs of capacity, at most")
    lines = []
    for (pairs, slots), rows in sorted(kinds.items()):
        fullest = max((report.remade[row] for row in rows), key=lambda how: how.get("pairs", 0))
        used = f"{fullest.get('pairs', '?')} of {fullest.get('capacity', '?')}"
        lines.append((len(rows), f"x {pairs}", f"x {slots}", rows_text(rows), used))
    if lines:
        table(columns, lines)


def say_trouble(report: "Report") -> int:
    """One line for every kind of trouble; returns the exit code."""
    if report.is_good:
        say("every row is there and good")
    for problem in report.metadata:
        say_error(f"{problem} is missing or changed", 1)
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
    if report.failed:
        say_error(f"{len(report.failed)} rows could not be made (status: failed): {rows_text(report.failed)}", 1)
    for row, error in list(report.errors.items())[:ERRORS_SHOWN]:
        say_error(f"row {row}: {error}", 1)
    if len(report.errors) > ERRORS_SHOWN:
        say_error(f"{len(report.errors) - ERRORS_SHOWN} more rows have errors in their shards' records", 1)
    return 0 if report.is_good else 1
