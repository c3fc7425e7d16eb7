"""In which order the rows of a store are read for training: whole blocks from the disk, mixed in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Blocks", "batches_of", "pools"]

BLOCK_BYTES = 2**24
"""A block is read at once: about as much as a shard of the default size."""


@dataclass(frozen=True)
class Blocks:
    """How rows lie in the files of a store, in pieces that are read at once.

    Args:
        shard_size: rows of one file.
        rows: of one block; a block never spans two shards.
    """

    shard_size: int
    rows: int

    @classmethod
    def of(cls, shard_size: int, chunk_rows: int, row_bytes: int) -> "Blocks":
        """Blocks of about 16 MiB at most, whole chunks (the rows that are compressed together) each."""
        chunks = max(1, BLOCK_BYTES // max(1, row_bytes * chunk_rows))
        return cls(shard_size, min(shard_size, chunks * chunk_rows))

    def cut(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Row numbers in rising order, cut into those of each block."""
        if not len(numbers):
            return []
        per_shard = -(-self.shard_size // self.rows)
        block = numbers // self.shard_size * per_shard + numbers % self.shard_size // self.rows
        return np.split(numbers, np.flatnonzero(np.diff(block)) + 1)


def pools(
    blocks: list[np.ndarray], pool_rows: int, random: np.random.Generator | None, part: tuple[int, int] = (0, 1)
) -> Iterator[list[np.ndarray]]:
    """The blocks of one epoch, each once, in groups that are in memory together.

    Args:
        blocks: row numbers of each block.
        pool_rows: a group ends with the block that reaches so many rows.
        random: shuffles the blocks; None keeps their order.
        part: (k, n) takes the k-th of n disjoint parts, the same division for the same state of `random`.
    """
    order = np.arange(len(blocks)) if random is None else random.permutation(len(blocks))
    group: list[np.ndarray] = []
    for index in order[part[0] :: part[1]]:
        group.append(blocks[index])
        if sum(map(len, group)) >= pool_rows:
            yield group
            group = []
    if group:
        yield group


def batches_of(
    groups: Iterator[tuple[np.ndarray, ...]], batch_size: int, random: np.random.Generator | None, drop_last: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches of equal size from arrays that come in groups of any size; rows of a group are mixed by `random`.

    Args:
        groups: arrays with one leading axis each, of the same length in a group.
        batch_size: rows of a batch; a batch may take the last rows of one group and the first of the next.
        random: mixes each group with what the one before has left; None keeps the order.
        drop_last: leave out a last batch that is not full.
    """
    left: tuple[np.ndarray, ...] | None = None
    for group in groups:
        rows = group if left is None else tuple(np.concatenate(pair) for pair in zip(left, group))
        count = len(rows[0])
        order = np.arange(count) if random is None else random.permutation(count)
        whole = count - count % batch_size
        for start in range(0, whole, batch_size):
            yield tuple(array[order[start : start + batch_size]] for array in rows)
        left = tuple(array[order[whole:]] for array in rows)
    if left is not None and len(left[0]) and not drop_last:
        yield left
