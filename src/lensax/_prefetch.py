"""Work that is done ahead of its use, in a thread."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
END: Any = object()


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
