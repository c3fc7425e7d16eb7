"""Files that are whole or absent: written to a temporary name, flushed to the disk, then renamed."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["checksum", "flush_folder", "read_json", "write_durably", "write_json"]

BLOCK = 2**20


def write_durably(path: Path, content: bytes, temporary: Path) -> None:
    """Write a file so that after a crash it is there completely or not at all.

    The bytes go to the folder `temporary` (on the same disk), are flushed, and the file is renamed into place.
    The rename itself is on the disk once `flush_folder(path.parent)` has returned.
    """
    draft = temporary / f"{path.parent.name}-{path.name}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)


def flush_folder(path: Path) -> None:
    """Make the renames inside a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, value: Any, temporary: Path) -> None:
    """Write a JSON file durably and flush its folder."""
    write_durably(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode(), temporary)
    flush_folder(path.parent)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no readable one."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None
