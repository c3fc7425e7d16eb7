"""`lensax report`: a look at a campaign, on one page."""

from pathlib import Path
from typing import Annotated

import typer

from lensax.cli.console import progress_bar, say, say_error, working

__all__ = ["report"]

NAME = "report.html"


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a campaign.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file; by default report.html in the folder.")
    ] = None,
) -> None:
    """Write one page about a campaign: images, coverage of the prior, halos, noise, errors, history, configuration.

    The page holds everything that it shows and asks for nothing from anywhere.
    Every file of the campaign is compared with its checksum.
    Leaves with 0 where every row is there and good, else with 1.

    \b
    Example:
      lensax report output/demo
    """
    from lensax.campaign import Campaign
    from lensax.report import gather, write_page
    from lensax.report.page import troubles

    campaign = Campaign(folder)
    target = out or folder / NAME
    if not target.absolute().parent.is_dir():
        raise typer.BadParameter(f"the folder {target.parent} does not exist", param_hint="--out")
    with progress_bar(campaign.plan.n_shards, "shards", "reading", "reading") as advance:
        facts = gather(campaign, lambda done, total: advance(1))
    with working("drawing"):
        write_page(facts, target)
    say(f"report: {target}")
    found = troubles(facts)
    raise typer.Exit(say_error("; ".join(found), 1) if found else 0)
