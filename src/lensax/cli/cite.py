"""`lensax cite`: the papers behind a configuration."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from lensax.cli.console import say, working

__all__ = ["cite"]


class Style(enum.StrEnum):
    """How references are written."""

    BIBTEX = "bibtex"
    PLAIN = "plain"


def cite(
    config: Annotated[Path, typer.Argument(help="The YAML file of a model or of a fit.", show_default=False)],
    style: Annotated[Style, typer.Option(help="How references are written.")] = Style.BIBTEX,
) -> None:
    """Print the papers of the parts that a configuration uses.

    \b
    Example:
      lensax cite configs/cdm_hst.yaml > lensax.bib
    """
    from lensax.citations import papers_of, papers_of_fit
    from lensax.config.fit import FitConfiguration, load_any
    from lensax.simulate import ForwardModel

    with working(f"reading {config}"):
        found = load_any(config)
        if isinstance(found, FitConfiguration):
            papers = papers_of_fit(found)
        else:
            papers = papers_of(ForwardModel.from_configuration(found))
    for paper, parts in papers.items():
        if style is Style.BIBTEX:
            say(f"% {', '.join(parts)}\n{paper.bibtex}\n")
        else:
            say(f"{paper.plain} [{', '.join(parts)}]")
