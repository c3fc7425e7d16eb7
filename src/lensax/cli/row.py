"""`lensax row`: make one row of a campaign again and compare it with the stored one."""

from pathlib import Path
from typing import Annotated

import typer

from lensax.cli.console import say, say_error, table, working

__all__ = ["row"]


def row(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a campaign.", show_default=False)],
    number: Annotated[int, typer.Argument(metavar="ROW", min=0, help="Number of the row.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="The configuration, where the one in the store does not do.", show_default=False)
    ] = None,
) -> None:
    """Make one row again, alone, and compare it with what is stored.

    Leaves with 0 where they agree: to the last bit on the device that made it, within rounding on another.

    \b
    Example:
      lensax row output/demo 17
    """
    from lensax.campaign import Store, compare_row, stored_model

    store = Store(folder)
    with working("building the model"):
        model = stored_model(store, config)
    with working("simulating"):
        found = compare_row(store, model, number)
    rows = [
        (
            difference.name,
            "identical" if difference.exact else "rounding" if difference.agrees else "different",
            f"{difference.largest:.3g}",
            f"{difference.relative:.3g}",
        )
        for difference in found.differences
    ]
    title = f"row {number} of {folder}, in shard {found.shard}"
    table(("array", "stored and made again", "largest difference", "of the largest value"), rows, title=title)
    if found.remade:
        room = f"{found.remade['tracer_room']} times the tracer's room, {found.remade['slot_room']} times the slots"
        say(f"made again with {room}: {found.remade['pairs']} of {found.remade['capacity']} pairs")
    if found.error:
        say(f"its error: {found.error}")
    if not found.agrees:
        names = ", ".join(difference.name for difference in found.differences if not difference.agrees)
        raise typer.Exit(say_error(f"row {number} is not what is stored: {names}", 1))
    say("identical, bit by bit" if found.exact else "the same but for rounding: another device or batch shape")
