"""How much memory there is, and a refusal of work that cannot fit into it."""

import os
from collections.abc import Mapping
from typing import Any

__all__ = ["available_memory", "check_memory"]


def available_memory(device: Any = None) -> int | None:
    """Bytes that a device can still give: of an accelerator its limit, of a CPU the machine's free memory.

    None where the system does not tell.
    """
    import jax

    device = jax.local_devices()[0] if device is None else device
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_memory(parts: Mapping[str, float | int], what: str, advice: str, available: int | None = None) -> None:
    """Refuse work whose parts together need more memory than there is.

    Args:
        parts: bytes that each part needs, by its description.
        what: what they are the parts of.
        advice: what would make it smaller.
        available: bytes; by default what `available_memory` finds. Nothing is refused where that is unknown.

    Raises:
        ValueError: it does not fit; the message names the parts, their sum, what there is, and the advice.
    """
    available = available_memory() if available is None else available
    total = sum(parts.values())
    if available is None or total <= available:
        return
    named = " and ".join(f"{size / 2**30:.3g} GiB for {part}" for part, size in parts.items())
    raise ValueError(f"{what} needs {named}, but only {available / 2**30:.3g} GiB of memory are available; {advice}")
