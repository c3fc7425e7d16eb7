"""Compiled programs that outlive the process: the next command finds them on the disk."""

import hashlib
import os
import platform
from pathlib import Path

__all__ = ["keep_programs"]

MOST = 2 * 2**30
"""Bytes of the folder, beyond which programs that were not used for longest are removed."""

SHORTEST = 0.5
"""Seconds of compilation from which on a program is worth a file."""


def keep_programs() -> None:
    """Have JAX keep what it compiles in the user's cache folder, unless it was told of another.

    Programs are made for one kind of processor, and a home folder may be that of many machines: each kind has a folder
    of its own. `JAX_ENABLE_COMPILATION_CACHE=0` keeps none.
    """
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "lensax" / f"programs-{processor()}"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a read-only home, or none
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MOST)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)


def processor() -> str:
    """A name of this kind of processor: its model and its instructions, hashed."""
    kind = {platform.machine(), platform.processor()}
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind |= {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    except OSError:
        pass
    return hashlib.sha256("\n".join(sorted(kind)).encode()).hexdigest()[:12]
