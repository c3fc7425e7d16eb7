"""The program `lensax`: its commands, its exit codes, and one line for everything that goes wrong.

Exit codes: 0 done; 1 finished or stopped with something wrong, which was said; 2 bad input or refused, nothing touched.
"""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lensax.cli.cite import cite
from lensax.cli.console import say_error
from lensax.cli.fit import fit
from lensax.cli.info import info
from lensax.cli.inspect import inspect
from lensax.cli.preview import preview
from lensax.cli.programs import keep_programs
from lensax.cli.report import report
from lensax.cli.row import row
from lensax.cli.simulate import simulate

__all__ = ["app", "main"]

# What typer raises for arguments that do not fit; its base class has no public name.
UsageError: Any = typer.BadParameter.__bases__[0]

DEBUG = "--debug"
INTERRUPTED = 130
"""What typer returns after Ctrl-C."""


class OneLineErrors(TyperGroup):
    """A group of commands that reports an error as one line on stderr; with --debug, as a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit with the code of what happened."""
        arguments = list(sys.argv[1:] if args is None else args)
        # Wherever it stands: people add it to the end of the line that went wrong.
        debug = DEBUG in arguments
        arguments = [argument for argument in arguments if argument != DEBUG] or ["--help"]
        try:
            code = super().main(
                arguments,
                prog_name or "lensax",
                complete_var,
                standalone_mode=False,
                windows_expand_args=False,
                **extra,
            )
        except UsageError as error:
            code = say_error(error.format_message() + given(error, arguments), 2)
        except Exception as error:
            if debug:
                traceback.print_exc()
            code = say_error(describe(error), exit_code(error))
        if code == INTERRUPTED:
            code = say_error("interrupted", 1)
        sys.exit(code if isinstance(code, int) else 0)


def given(error: Any, arguments: Sequence[str]) -> str:
    """What stands behind the option that an error is about: ", found 'many'"."""
    names = getattr(getattr(error, "param", None), "opts", ())
    found = ""
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        name, _, value = argument.partition("=")
        if name in names and (value or following):
            found = f", found {value or following!r}"
    return found


def describe(error: Exception) -> str:
    """An exception in one line, for a person."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, (ValueError, RuntimeError, ImportError, OverflowError)) and str(error):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (add --debug to see where)"


def exit_code(error: Exception) -> int:
    """1 for what stops work that has begun, 2 for input that work cannot begin with."""
    return 1 if isinstance(error, (RuntimeError, MemoryError)) else 2


def show_version(asked: bool | None) -> None:
    """Print the version and leave."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"lensax {version('lensax')}")
        raise typer.Exit


app = typer.Typer(
    cls=OneLineErrors,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    version: Annotated[
        bool | None, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = None,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Simulate strong gravitational lenses with dark-matter substructure, and fit them.

    \b
    Example:
      lensax preview configs/cdm_hst.yaml
      lensax simulate configs/cdm_hst.yaml --count 64 --out output/demo
      lensax fit configs/fit_simulated_pixels.yaml --out output/ring
    """
    keep_programs()


for command in (simulate, preview, fit, inspect, report, row, info, cite):
    app.command()(command)


def main() -> None:
    """Run the program."""
    app()
