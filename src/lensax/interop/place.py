"""Where something stands in another code's own terms, for errors: a position in its lists, a profile of a galaxy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lensax.halos.table import RowLabels

__all__ = ["Places", "at"]


class Places(RowLabels):
    """Calls the rows of a table of halos what the user of the other code calls them.

    Args:
        name: the words for a row.
    """

    def __init__(self, name: Callable[[int], str]) -> None:
        super().__init__()
        self.name = name

    def __call__(self, row: int) -> str:
        return self.name(row)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Says where, before what is refused inside.

    Raises:
        ValueError: what was refused, behind the place.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
