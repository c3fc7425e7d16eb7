"""Write shards in the background, so that the device never waits for the disk."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Writer"]

AHEAD = 2
"""Shards that may wait to be written: they bound the memory, and bridge a disk that pauses."""


class Writer:
    """A thread that writes shards one after another, in the order in which they come.

        with Writer(write) as writer:
            writer.put(shard, made, facts)

    Leaving the block waits until everything is written. What `write` raises is raised by the next `put`, or on leaving.

    Args:
        write: called with what was put.

    `waited` counts the seconds in which `put` had to wait for the disk, `busy` those in which the thread wrote.
    """

    def __init__(self, write: Callable[..., None]):
        self.write = write
        self.waited, self.busy = 0.0, 0.0
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="lensax-writer", daemon=True)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        # Also after an error of the simulation: shards that are finished are worth writing. Not after an interruption.
        if kind is not None and not issubclass(kind, Exception):
            return
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def put(self, *work: Any) -> None:
        """Hand over a shard; waits while too many are waiting already."""
        self._raise()
        begin = time.monotonic()
        self._queue.put(work)
        self.waited += time.monotonic() - begin

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._error is None:
                begin = time.monotonic()
                try:
                    self.write(*work)
                except BaseException as error:
                    self._error = error
                self.busy += time.monotonic() - begin

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
