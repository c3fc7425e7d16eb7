"""Reading rows with the check that they are those which were written."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lensax.campaign.errors import CampaignError
from lensax.campaign.files import checksum
from lensax.campaign.order import Blocks
from lensax.campaign.store import Store

__all__ = ["RowSource", "Rows"]


class Rows(NamedTuple):
    """Rows that have been read, all arrays in the same order.

    Attributes:
        numbers: (n,) row numbers.
        theta: (n, parameters) float32.
        images: (n, n_y, n_x) float32, electrons / s / pixel.
    """

    numbers: np.ndarray
    theta: np.ndarray
    images: np.ndarray


class RowSource:
    """Reads rows of one kind of image; it may be copied to other processes.

    Before a shard is read for the first time its files are compared with their record: their checksums, or with
    `verify=False` that they are there with their sizes. Nothing that is damaged or missing is ever returned.

    Args:
        path: the campaign's folder.
        image: "noisy" or "noiseless".
        verify: compare checksums.
    """

    def __init__(self, path: str | os.PathLike[str], image: str, verify: bool = True):
        self.path = Path(path)
        self.image = image
        self.verify = verify

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "image": self.image, "verify": self.verify}

    @cached_property
    def store(self) -> Store:
        """The folder."""
        return Store(self.path)

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """The Zarr arrays that are read."""
        import zarr

        group = zarr.open_group(self.path, mode="r")
        return {name: group[name] for name in ("theta", self.image) if name in self.store.arrays}

    @cached_property
    def checked(self) -> set[int]:
        """The shards that have been compared with their records."""
        return set()

    @cached_property
    def blocks(self) -> Blocks:
        """How the rows lie on the disk."""
        images = self.arrays[self.image]
        row_bytes = int(np.prod(images.shape[1:])) * images.dtype.itemsize
        return Blocks.of(self.store.plan.shard_size, images.chunks[0], row_bytes)

    @property
    def row_bytes(self) -> int:
        """Bytes of one image once it is read."""
        return 4 * int(np.prod(self.arrays[self.image].shape[1:]))

    def read(self, numbers: np.ndarray) -> Rows:
        """Rows by their numbers, in that order; a number may come twice.

        Raises:
            CampaignError: a shard that is not recorded as done, or whose files changed since.
        """
        numbers = np.asarray(numbers, np.int64)
        unique, place = np.unique(numbers, return_inverse=True)
        self.check(unique)
        found = {name: self._select(array, unique) for name, array in self.arrays.items()}
        theta = found.get("theta", np.zeros((len(unique), 0), np.float32))
        images = found[self.image]
        if len(unique) != len(numbers) or not np.array_equal(unique, numbers):
            theta, images = theta[place], images[place]
        return Rows(numbers, theta, images)

    def check(self, numbers: np.ndarray) -> None:
        """Compare the shards of some rows with their records, unless it has been done."""
        for shard in np.unique(numbers // self.store.plan.shard_size).tolist():
            if shard in self.checked:
                continue
            problem = self._problem(shard)
            if problem:
                span = self.store.plan.rows(shard)
                raise CampaignError(
                    f"shard {shard} (rows {span.start} to {span.stop - 1}) of {self.path} {problem}; "
                    f"lensax inspect {self.path} lists all that is wrong"
                )
            self.checked.add(shard)

    def _problem(self, shard: int) -> str | None:
        record = self.store.record(shard)
        if record is None:
            return "is not recorded as done"
        for name in self.arrays:
            entry = record["files"].get(name)
            path = self.store.shard_path(name, shard)
            if not isinstance(entry, dict) or not path.is_file():
                return f"is damaged: {name} is missing"
            if path.stat().st_size != entry.get("bytes"):
                return f"is damaged: {name} has {path.stat().st_size} bytes, not {entry.get('bytes')}"
            if self.verify and checksum(path) != entry.get("sha256"):
                return f"is damaged: {name} has other bytes than were written"
        return None

    def _select(self, array: Any, numbers: np.ndarray) -> np.ndarray:
        """Rows of an array as float32; `numbers` rise."""
        rows = np.empty((len(numbers), *array.shape[1:]), np.float32)
        chunk, begin = array.chunks[0], 0
        scattered: list[np.ndarray] = []
        for block in self.blocks.cut(numbers):
            first, last = int(block[0]), int(block[-1])
            # Where about every chunk is needed, a whole span costs no more than the rows and is asked for once.
            if last - first < len(block) * chunk:
                rows[begin : begin + len(block)] = array[first : last + 1][block - first]
            else:
                scattered.append(np.arange(begin, begin + len(block)))
            begin += len(block)
        if scattered:
            places = np.concatenate(scattered)
            rows[places] = array.oindex[numbers[places]]
        return rows
