"""Work that is done ahead of its use, in a thread."""

import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
END: Any = object()

_pools: "weakref.WeakSet[ThreadPoolExecutor]" = weakref.WeakSet()


def _stop() -> None:
    """Let the items in hand be finished and make no others."""
    for pool in list(_pools):
        pool.shutdown(wait=True, cancel_futures=True)


# A program may end while an endless iterator is open. Its thread has to stop before Python shuts down the threads that
# it works with; what runs at that moment is registered here, later registrations first. `atexit` would be too late.
threading._register_atexit(_stop)  # type: ignore[attr-defined]


def ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """The same items in the same order, of which the next `depth` are being made while one is used.

    One thread makes them, so that the iterator behind `items` needs no lock. An exception comes out where its item
    would have. Closing the generator, or dropping it, waits for the item in hand and ends the thread.

    Args:
        items: made one after the other.
        depth: how many may be made before they are asked for; 0 makes them when they are asked for, without a thread.

    Raises:
        ValueError: a negative depth.
    """
    if depth < 0:
        raise ValueError(f"prefetch: expected 0 or more items ahead, found {depth}")
    return _ahead(items, depth) if depth else iter(items)


def _ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    source = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="lensax-prefetch")
    _pools.add(pool)
    try:
        waiting: deque[Future[T]] = deque(pool.submit(next, source, END) for _ in range(depth))
        while True:
            waiting.append(pool.submit(next, source, END))
            item = waiting.popleft().result()
            if item is END:
                return
            yield item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        close = getattr(source, "close", None)
        if close is not None:
            close()
