"""Names that do not exist, and names that are missing."""

import difflib
from collections.abc import Iterable

__all__ = ["check_theta", "unknown"]

SHOWN = 16  # names that are listed; of more, only the nearest


def unknown(name: str, allowed: Iterable[str], what: str) -> str:
    """`unknown key 'slop'; did you mean 'slope'? allowed: ...`, and only the nearest where too many are allowed."""
    allowed = list(allowed)
    last = name.rpartition(".")[2]
    near = difflib.get_close_matches(name, allowed, n=3)
    near += [other for other in allowed if other.rpartition(".")[2] == last and other not in near]
    if len(allowed) > SHOWN:
        listed = f"did you mean {' or '.join(near[:4])}?" if near else f"for example {', '.join(allowed[:4])}"
        return f"unknown {what} '{name}'; {listed} (there are {len(allowed)})"
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {what} '{name}'; {hint}allowed: {', '.join(allowed) or 'none'}"


def check_theta(theta: Iterable[str], names: Iterable[str]) -> None:
    """Raise a ValueError unless `theta` has exactly these names."""
    given, names = set(theta), list(names)
    for name in sorted(given.difference(names)):
        raise ValueError(f"theta: {unknown(name, names, 'free parameter')}")
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(f"theta lacks the free parameter(s) {', '.join(missing)}")
