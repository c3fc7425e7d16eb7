"""A lease on one shard: whoever writes it, wherever they run, nobody else does.

A lease is a file that only one process can create. Its holder touches it now and then; one that has not been touched
for `SECONDS`, or whose process is known to be dead, is stale and may be taken over. Ages are measured by the clock of
the file system, never by that of a node. A holder that was silent for too long finds its lease gone before it
publishes anything, and drops its work.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lensax.campaign.errors import LeaseHeld
from lensax.campaign.files import read_json

__all__ = ["SECONDS", "Lease", "lease", "live_leases"]

HELD: set[str] = set()
"""Tokens of the leases that this process holds: one of its own that is not among them was left behind."""

SECONDS = 60.0
"""Age at which the lease of a process on another node is stale."""


class Lease:
    """A lease that this process holds.

    Args:
        path: its file.
        token: what tells it from every other lease.
    """

    def __init__(self, path: Path, token: str):
        self.path = path
        self.token = token

    def confirm(self) -> None:
        """Raise `LeaseHeld` where the lease is no longer this process's."""
        found = read_json(self.path)
        if found is None or found.get("token") != self.token:
            raise LeaseHeld(
                f"shard {self.path.name} was taken over by another process after a long silence of this one"
            )


@contextmanager
def lease(folder: Path, shard: int, seconds: float = SECONDS) -> Iterator[Lease]:
    """Hold the lease on a shard; a stale one is taken over.

    Args:
        folder: of all leases.
        shard: its number.
        seconds: age at which another node's lease is stale.

    Raises:
        LeaseHeld: another process has it.
    """
    path = folder / str(shard)
    token = secrets.token_hex(8)
    mine = {"token": token, **_identity()}
    HELD.add(token)  # before there is a file: a contender in this process would call the lease left behind
    try:
        _take(path, mine, seconds)
    except BaseException:
        HELD.discard(token)
        raise
    held = Lease(path, token)
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, done, seconds / 6), name="lensax-lease", daemon=True)
    beating.start()
    try:
        yield held
    finally:
        done.set()
        beating.join()
        try:
            with contextlib.suppress(OSError):
                found = read_json(path)
                if found is not None and found.get("token") == token:
                    path.unlink()
        finally:
            HELD.discard(token)


def _take(path: Path, mine: dict[str, Any], seconds: float) -> None:
    """Create the lease, in the place of a stale one if need be; raises `LeaseHeld` where another process has it."""
    for _ in range(3):
        if _create(path, mine):
            return
        found = read_json(path)
        if found is None and not path.exists():  # given up just now: it is anyone's, nothing is to be removed
            continue
        if not _is_stale(path, found, seconds):
            raise LeaseHeld(f"shard {path.name} is being written by {_named(found)}")
        _remove(path, found, seconds)
    raise LeaseHeld(f"shard {path.name} is being taken over by another process")


def live_leases(folder: Path, seconds: float = SECONDS) -> dict[int, dict[str, Any]]:
    """What the leases that are not stale say, by shard; the stale ones are removed."""
    live = {}
    for path in list(folder.iterdir()):
        if path.name.isdecimal():
            found = read_json(path)
            if _is_stale(path, found, seconds):
                _remove(path, found, seconds)
            elif found is not None:
                live[int(path.name)] = found
        elif path.name.startswith("draft-"):
            _remove_old(path, seconds)
    return live


def _identity() -> dict[str, Any]:
    return {"host": socket.gethostname(), "process": os.getpid(), "born": _born(os.getpid())}


def _born(process: int) -> str:
    """When a process of this machine began, in the kernel's ticks since the machine did; "" where it is not there."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return f"{boot}:{status.rpartition(')')[2].split()[19]}"


def _create(path: Path, content: dict[str, Any]) -> bool:
    """Create the file with its content at once, or not at all: a link to a finished draft cannot be half there."""
    draft = path.with_name(f"draft-{content['token']}")
    draft.write_text(json.dumps(content) + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _is_stale(path: Path, found: dict[str, Any] | None, seconds: float) -> bool:
    if found is not None and found.get("host") == socket.gethostname():
        process, born = found.get("process"), str(found.get("born"))
        # The same machine since it was switched on: its list of processes knows whether the holder lives.
        if isinstance(process, int) and born and born.partition(":")[0] == _born(os.getpid()).partition(":")[0]:
            return _born(process) != born or (process == os.getpid() and found.get("token") not in HELD)
    return _is_old(path, seconds)


def _is_old(path: Path, seconds: float) -> bool:
    """Whether nobody has touched the file for so long, or it is gone."""
    try:
        return _now(path.parent) - path.stat().st_mtime > seconds
    except FileNotFoundError:
        return True


def _remove_old(path: Path, seconds: float) -> None:
    """Remove what a process that died has left."""
    if _is_old(path, seconds):
        path.unlink(missing_ok=True)


def _now(folder: Path) -> float:
    """The time of the file system's own clock."""
    probe = folder / f"draft-{secrets.token_hex(8)}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _remove(path: Path, stale: dict[str, Any] | None, seconds: float) -> None:
    """Remove a stale lease, and no other: one process at a time does, and looks again before."""
    guard = path.with_name(f"draft-stale-{path.name}")
    try:
        guard.touch(exist_ok=False)
    except FileExistsError:
        _remove_old(guard, seconds)
        return
    try:
        if read_json(path) == stale:
            path.unlink(missing_ok=True)
    finally:
        guard.unlink(missing_ok=True)


def _beat(path: Path, done: threading.Event, every: float) -> None:
    while not done.wait(every):
        with contextlib.suppress(OSError):
            os.utime(path)


def _named(found: dict[str, Any] | None) -> str:
    found = found or {}
    return f"process {found.get('process', '?')} on {found.get('host', '?')}"
