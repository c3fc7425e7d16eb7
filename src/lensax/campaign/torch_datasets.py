"""PyTorch data sets of stored rows; importing this needs PyTorch."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from lensax.campaign.batches import pool_rows_of
from lensax.campaign.noise import HostNoise
from lensax.campaign.order import batches_of, pools

if TYPE_CHECKING:
    from lensax.campaign.selection import Selection

__all__ = ["IterableRows", "MapRows"]

NOT_SET = -1


def _epoch_memory() -> Any:
    """The number of the epoch, in memory that the workers of a `DataLoader` see change."""
    return torch.full((), NOT_SET, dtype=torch.int64).share_memory_()


def _host_noise(selection: "Selection", fresh: bool, instrument: Any) -> HostNoise | None:
    return HostNoise.of(selection.instrument(instrument)) if fresh else None


@final
class MapRows(Dataset):
    """Rows by their place: `dataset[i]` is (theta, image), two float32 tensors.

    Fresh noise is new at every reading; after `set_epoch(n)` it is a function of the seed, n and the row number.

    Args:
        selection: the rows.
        noise: "stored", "fresh" or "none"; see `Selection`.
        seed: of fresh noise.
        instrument: whose noise is drawn; None takes that of the stored configuration.
    """

    def __init__(self, selection: "Selection", noise: str | None = None, seed: int = 0, instrument: Any = None):
        self.names = selection.names
        self.numbers = selection.numbers
        self.source, fresh = selection.source(noise)
        self.noise = _host_noise(selection, fresh, instrument)
        self.seed = seed
        self._epoch = _epoch_memory()
        self._random: tuple[int, np.random.Generator] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Fix the noise of the readings that follow, in all workers."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """The rows of a batch, which are read together."""
        rows = self.source.read(self.numbers[np.asarray(indices, np.int64)])
        images = rows.images
        if self.noise is not None:
            images = np.stack(
                [self.noise.add(image, self._generator(int(row))) for row, image in zip(rows.numbers, images)]
            )
        theta, pixels = torch.from_numpy(rows.theta), torch.from_numpy(np.ascontiguousarray(images))
        return list(zip(theta, pixels))

    def _generator(self, row: int) -> np.random.Generator:
        epoch = int(self._epoch)
        if epoch != NOT_SET:
            return np.random.default_rng([self.seed, epoch, row])
        # PyTorch gives each worker a seed, and another one in the next epoch.
        worker = torch.initial_seed()
        if self._random is None or self._random[0] != worker:
            self._random = (worker, np.random.default_rng([self.seed, worker]))
        return self._random[1]


@final
class IterableRows(IterableDataset):
    """Rows in random order, read block by block and mixed in memory: an epoch is one iteration.

    Every row comes once in an epoch, whatever the number of workers; each worker takes its part of the blocks. Every
    epoch has another order and other fresh noise: after `set_epoch(n)` those of the seed and n, otherwise what
    PyTorch's seed and the number of iterations give.

    Args:
        selection: the rows.
        batch_size: rows of a batch, to be used with `DataLoader(dataset, batch_size=None)`; None gives single rows.
        seed: of order and noise.
        noise: "stored", "fresh" or "none"; see `Selection`.
        shuffle: False keeps the rows of each worker in their order.
        shuffle_rows: rows that a worker mixes together; None takes 64 MiB of images.
        drop_last: leave out the rows of each worker that do not fill a batch.
        part: (k, n), the k-th of n processes that train together; set the same epoch in all.
        instrument: whose noise is drawn; None takes that of the stored configuration.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        selection: "Selection",
        batch_size: int | None = None,
        seed: int = 0,
        noise: str | None = None,
        shuffle: bool = True,
        shuffle_rows: int | None = None,
        drop_last: bool = False,
        part: tuple[int, int] = (0, 1),
        instrument: Any = None,
    ):
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        if not 0 <= part[0] < part[1]:
            raise ValueError(f"part: expected (k, n) with 0 <= k < n, found {part}")
        self.names = selection.names
        self.numbers = selection.numbers
        self.source, fresh = selection.source(noise)
        self.noise = _host_noise(selection, fresh, instrument)
        self.batch_size, self.seed, self.shuffle, self.drop_last, self.part = batch_size, seed, shuffle, drop_last, part
        self.pool_rows = pool_rows_of(self.source, shuffle_rows)
        self._epoch = _epoch_memory()
        self._iterations = 0

    def set_epoch(self, epoch: int) -> None:
        """Fix order and noise of the next iteration, in all workers."""
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        worker = get_worker_info()
        index, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        part = (self.part[0] * count + index, self.part[1] * count)
        entropy = self._entropy(worker)
        # The same in all workers, which take their parts of one order; what they mix and add is their own.
        order = np.random.default_rng(entropy) if self.shuffle else None
        random = np.random.default_rng([*entropy, 1 + part[0]])
        blocks = pools(self.source.blocks.cut(self.numbers), self.pool_rows, order, part)
        groups = ((*self.source.read(np.concatenate(group))[1:],) for group in blocks)
        mix = random if self.shuffle else None
        for theta, images in batches_of(groups, self.batch_size or 1, mix, self.drop_last):
            if self.noise is not None:
                images = self.noise.add(images, random)
            tensors = torch.from_numpy(theta), torch.from_numpy(np.ascontiguousarray(images))
            yield tensors if self.batch_size is not None else (tensors[0][0], tensors[1][0])

    def _entropy(self, worker: Any) -> list[int]:
        epoch = int(self._epoch)
        if epoch != NOT_SET:
            return [self.seed, epoch]
        base = 0 if worker is None else worker.seed - worker.id
        self._iterations += 1
        return [self.seed, base, self._iterations]
