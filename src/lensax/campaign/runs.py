"""The history of a campaign: one small file for every run of the program that made rows."""

import datetime
import os
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lensax.campaign.files import read_json, write_json

__all__ = ["RunLog", "read_runs"]


class RunLog:
    """The record of this run, written when it begins and again when it ends.

    Args:
        folder: of all records.
        drafts: a folder for what is not finished, on the same disk.
        facts: what is known at the beginning: device, versions, batch size, part, workers.
    """

    def __init__(self, folder: Path, drafts: Path, facts: Mapping[str, Any]):
        now = _now()
        # The first part orders the files by time, to the millisecond; the others tell processes of one moment apart.
        self.path = folder / f"{time.time_ns() // 10**6}-{os.getpid()}-{secrets.token_hex(2)}.json"
        self.drafts = drafts
        self.entries = {"host": socket.gethostname(), "process": os.getpid(), "started": now, **facts}
        write_json(self.path, self.entries, drafts)

    def finish(self, **facts: Any) -> None:
        """Add how it ended: rows, seconds, and why it stopped."""
        self.entries |= {"finished": _now(), **facts}
        write_json(self.path, self.entries, self.drafts)


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """All runs, the first one first; one without `finished` was killed, or goes on."""
    found = [read_json(path) for path in sorted(folder.glob("*.json"))]
    return [run for run in found if run is not None]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
