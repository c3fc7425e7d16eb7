"""`python -m lensax` is `lensax`."""

from lensax.cli import main

main()
