"""One writer at a time."""

import datetime
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.files import read_json

__all__ = ["holder", "writer_lock"]


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the file `path` for this process; the system lets go of it when the process ends, however it ends.

    Raises `CampaignRefused`, naming the holder, while another process has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CampaignRefused(f"{path.parent.parent} is being written by {_named(path)}") from None
        owner = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(owner) + "\n").encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> str | None:
    """Who holds the lock now, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(path)
    else:
        return None
    finally:
        os.close(descriptor)


def _named(path: Path) -> str:
    owner = read_json(path) or {}
    return f"process {owner.get('process', '?')} on {owner.get('host', '?')} since {owner.get('since', '?')}"
