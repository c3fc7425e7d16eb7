"""One writer at a time: of the whole folder, or of each part of it."""

import contextlib
import datetime
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.files import read_json

__all__ = ["Part", "holder", "part_holders", "waiting_lock", "writer_lock"]

PARTS = "parts"
PART = re.compile(r"(\d+)-of-(\d+)")


class Part:
    """Part `k` of `n` of a campaign: the shards k-1, k-1+n, k-1+2n, ...

    Args:
        number: k, from 1 to n.
        of: n.

    Raises:
        CampaignRefused: numbers out of their range.
    """

    def __init__(self, number: int, of: int):
        if not 1 <= number <= of:
            raise CampaignRefused(f"part must be k/n with k from 1 to n, found {number}/{of}")
        self.number, self.of = number, of

    @classmethod
    def parse(cls, text: str) -> "Part":
        """The part that "3/16" names."""
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if found is None:
            raise CampaignRefused(f"part must be k/n with k from 1 to n, found {text!r}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, shard: int) -> bool:
        """Whether a shard belongs to the part."""
        return shard % self.of == self.number - 1


@contextmanager
def writer_lock(path: Path, part: Part | None = None) -> Iterator[None]:
    """Hold the file `path` for this process; the system lets go of it when the process ends, however it ends.

    Without a part the whole folder is held. With one, other parts may be held by others, the whole folder may not.

    Raises:
        CampaignRefused: naming the holder, while another process has the folder, this part, or a part of another
            division.
    """
    if part is None:
        with _held(path, fcntl.LOCK_EX):
            yield
        return
    own = path.parent / PARTS / f"{part.number}-of-{part.of}"
    own.parent.mkdir(exist_ok=True)
    with _held(path, fcntl.LOCK_SH), _held(own, fcntl.LOCK_EX, f"part {part} of "):
        for other, owner in _held_parts(path):
            if other.of != part.of:
                raise CampaignRefused(
                    f"{path.parent.parent} is being written in {other.of} parts, not {part.of}, by {owner}"
                )
        yield


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a file for this process; wait for whoever has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> str | None:
    """Who holds the whole folder, or this part, now; or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
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


def part_holders(path: Path) -> dict[str, str]:
    """Who holds which part of the folder now, by "k/n"."""
    return {str(part): owner for part, owner in _held_parts(path)}


def _held_parts(path: Path) -> Iterator[tuple[Part, str]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in sorted((path.parent / PARTS).iterdir()):
            found = PART.fullmatch(entry.name)
            owner = holder(entry) if found else None
            if found and owner:
                yield Part(int(found[1]), int(found[2])), owner


@contextmanager
def _held(path: Path, kind: int, what: str = "") -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        if not _locked(descriptor, kind):
            parts = ", ".join(f"{owner} (part {part})" for part, owner in part_holders(path).items())
            folder = path.parent.parent if not what else path.parent.parent.parent
            raise CampaignRefused(f"{what}{folder} is being written by {parts or _named(path)}")
        if kind == fcntl.LOCK_EX:
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


def _locked(descriptor: int, kind: int) -> bool:
    """Try to lock; more than once, since whoever looks at the lock holds it for an instant."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _named(path: Path) -> str:
    owner = read_json(path) or {}
    return f"process {owner.get('process', '?')} on {owner.get('host', '?')} since {owner.get('since', '?')}"
