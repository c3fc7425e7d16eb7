"""The command line: `lensax simulate`, `preview`, `fit`, `inspect`, `report`, `row`, `info`, `cite`."""

from lensax.cli.app import app, main

__all__ = ["app", "main"]
