"""Names that do not exist, and names that are missing."""

import difflib
from collections.abc import Iterable

__all__ = ["check_theta", "unknown"]

SHOWN = 24  # names listed before the list is cut


def unknown(name: str, allowed: Iterable[str], what: str) -> str:
    """`unknown key 'slop'; did you mean 'slope'? allowed: ...`"""
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=1) or [
        other for other in allowed if other.rpartition(".")[2] == name.rpartition(".")[2]
    ]
    hint = f"did you mean '{near[0]}'? " if near else ""
    shown = ", ".join(allowed[:SHOWN]) or "none"
    rest = f" and {len(allowed) - SHOWN} more" if len(allowed) > SHOWN else ""
    return f"unknown {what} '{name}'; {hint}allowed: {shown}{rest}"


def check_theta(theta: Iterable[str], names: Iterable[str]) -> None:
    """Raise a ValueError unless `theta` has exactly these names."""
    given, names = set(theta), list(names)
    for name in sorted(given.difference(names)):
        raise ValueError(f"theta: {unknown(name, names, 'free parameter')}")
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(f"theta lacks the free parameter(s) {', '.join(missing)}")
