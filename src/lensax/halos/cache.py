"""Host tables kept on disk, under the hash of everything that they depend on.

The folder is `$LENSAX_CACHE`, by default `lensax` in `$XDG_CACHE_HOME` or `~/.cache`; `LENSAX_CACHE=off` keeps nothing.
A folder that cannot be written, or a file that cannot be read, costs the time of making the table anew, nothing else.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1  # raised when the meaning of a table changes


def cached(content: Mapping[str, Any], shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """The table that `make` makes, from disk if one of the same content is there.

    Args:
        content: all that the table depends on, in numbers and words; the version of colossus is added.
        shape: of the table; a file with another is not used.
        make: makes it.
    """
    folder = _folder()
    if folder is None:
        return make()
    versions = {"format": FORMAT, "colossus": importlib.metadata.version("colossus")}
    digest = hashlib.sha256(json.dumps({**content, **versions}, sort_keys=True).encode()).hexdigest()
    path = folder / f"{digest[:40]}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        found = np.load(path, allow_pickle=False)
        if found.shape == shape and found.dtype == np.float64 and np.isfinite(found).all():
            return found
    table = np.asarray(make(), np.float64)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: another process sees the whole file or none.
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
            np.save(file, table)
        os.replace(file.name, path)
    return table


def _folder() -> Path | None:
    chosen = os.environ.get("LENSAX_CACHE")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "lensax"
