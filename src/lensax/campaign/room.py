"""More room for rows whose halos or corrections did not fit."""

from dataclasses import dataclass, replace
from typing import Any

__all__ = ["FIRST", "Room", "next_room", "short_error", "unmended"]

MOST_DOUBLINGS = {"pairs": 8, "slots": 4}
"""Beyond that much room a row is given up: it asks for something else than room."""


@dataclass(frozen=True)
class Room:
    """How often the room of a model has been doubled.

    Args:
        pairs: of the tracer's corrections.
        slots: of the catalogue's halos.
    """

    pairs: int = 0
    slots: int = 0

    def __str__(self) -> str:
        return f"with {2**self.pairs} times the tracer's room and {2**self.slots} times the slots"

    def to_json(self) -> dict[str, int]:
        """Attempts after the first, and the factors by which there was more room in the last one."""
        return {"attempts": self.pairs + self.slots, "tracer_room": 2**self.pairs, "slot_room": 2**self.slots}


FIRST = Room()
"""The room that the configuration asks for."""


def next_room(room: Room, lacks_pairs: bool, models: dict[Room, Any]) -> Room | None:
    """The room to try next, its model added to `models`; None where there is no more to be had."""
    kind = "pairs" if lacks_pairs else "slots"
    doublings = getattr(room, kind) + 1
    if doublings > MOST_DOUBLINGS[kind]:
        return None
    following = replace(room, **{kind: doublings})
    if following not in models:
        model = models[room]
        larger = model.with_more_pairs() if lacks_pairs else model.with_more_slots()
        if larger is model:
            return None
        models[following] = larger
    return following


def unmended(room: Room) -> str:
    """Why a row is flagged that could not be given enough room."""
    tried = f", also {room}" if room != FIRST else "; the model has no more room to give"
    return f"OverflowError: the row lacks halos or corrections{tried}"


def short_error(error: BaseException) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}".rstrip(": ")
