"""Files that are whole or absent: written to a temporary name, flushed to the disk, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lensax.campaign.errors import CampaignError, DiskFull, FolderLost

__all__ = [
    "checksum",
    "flush_folder",
    "named_error",
    "read_json",
    "read_whole",
    "write_draft",
    "write_durably",
    "write_json",
]

BLOCK = 2**20

LARGEST_JSON = 2**28
"""Bytes of the largest JSON file that is read: what lensax writes is far smaller."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No room on the disk, none within the quota, or a file larger than the process may write."""


def write_durably(path: Path, content: bytes, temporary: Path) -> None:
    """Write a file so that after a crash it is there completely or not at all.

    The bytes go to the folder `temporary` (on the same disk), are flushed, and the file is renamed into place.
    The rename itself is on the disk once `flush_folder(path.parent)` has returned.
    """
    os.replace(write_draft(path, content, temporary), path)


def write_draft(path: Path, content: bytes, temporary: Path) -> Path:
    """Write and flush the bytes that are to become the file `path`; returns where they are until then."""
    draft = temporary / f"{path.parent.name}-{path.name}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        # On a full disk what cannot be finished only takes room.
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    finally:
        os.close(descriptor)
    return draft


def flush_folder(path: Path) -> None:
    """Make the renames inside a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; a link is not followed."""
    digest = hashlib.sha256()
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, value: Any, temporary: Path) -> None:
    """Write a JSON file durably and flush its folder."""
    write_durably(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode(), temporary)
    flush_folder(path.parent)


def read_whole(path: Path, limit: int = LARGEST_JSON) -> bytes | None:
    """The bytes of a plain file of at most `limit` bytes; None for a link, for no file, and for a larger one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
            return None
        raise
    with open(descriptor, "rb") as stream:
        try:
            content = stream.read(min(limit, os.fstat(stream.fileno()).st_size) + 1)
        except IsADirectoryError:
            return None
    return content if len(content) <= limit else None


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no readable one."""
    content = read_whole(path)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def named_error(error: OSError, doing: str, folder: Path) -> CampaignError:
    """The named error for what the system said while `doing` something in a campaign's folder."""
    reason = error.strerror or str(error)
    safe = "what is recorded is safe, and the same command continues"
    if error.errno in FULL:
        return DiskFull(f"{doing} to {folder}: {reason}; {safe} when there is room")
    if not folder.is_dir():
        return FolderLost(
            f"{doing} to {folder}: {reason}: the folder is gone; the same command continues when it is back"
        )
    return FolderLost(f"{doing} to {folder}: {reason}; {safe}")
