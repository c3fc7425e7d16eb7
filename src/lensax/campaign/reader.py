"""The reader of a campaign's store."""

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, PRNGKeyArray
from lensax.campaign.errors import CampaignRefused
from lensax.campaign.layout import FLAGS
from lensax.campaign.noise import stored_instrument
from lensax.campaign.plan import Plan
from lensax.campaign.selection import Selection, Split, row_fraction
from lensax.campaign.source import RowSource
from lensax.campaign.store import Store

__all__ = ["Campaign", "CampaignWarning"]


class CampaignWarning(UserWarning):
    """Rows are left out, or come as NaN: how many, and why."""


class Campaign:
    """The rows of a campaign on disk; images are read when they are asked for.

        campaign = lx.Campaign("output/demo")
        len(campaign), campaign[3], campaign[:16]          # images as NumPy arrays
        campaign.theta["lens.mass.PowerLaw.slope"]         # one value per row
        campaign.noiseless[100:200]                        # any stored array, lazily
        train, validation, test = campaign.split()         # good rows for training

    `campaign[rows]` gives noisy images, or the noiseless ones where no others are kept, in the stored type. Before a
    shard is read for the first time, its checksum is compared. Rows that are not made yet are NaN, with a
    `CampaignWarning`. What trains and exports (`split`, `torch`, `jax_batches`, `to_hdf5`) takes good rows only and
    warns of how many it leaves out. The state of the rows is that when it is first looked at: to see what a running
    campaign has added, open it again.

    The store is an ordinary Zarr 3 group: `xarray.open_zarr(path)` and `zarr.open_group(path)` read it without lensax.

    Args:
        path: the campaign's folder.
        verify: compare a shard's checksum before it is read; False looks only whether its files are there.

    Raises:
        CampaignRefused: there is no campaign.
    """

    def __init__(self, path: str | os.PathLike[str], verify: bool = True):
        self._store = Store(path)
        self._verify = verify
        self._sources: dict[str, RowSource] = {}
        self.plan: Plan = self._store.plan

    def __len__(self) -> int:
        return self.plan.count

    def __getitem__(self, rows: int | np.integer | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        kind = self.plan.keep[-1]
        images = self.array(kind)
        if isinstance(rows, int | np.integer):
            row = int(rows) + (len(self) if rows < 0 else 0)
            if not 0 <= row < len(self):
                raise IndexError(f"row {rows} is not among the {len(self)} rows of {self.path}")
            self._look_at(kind, np.asarray([row]))
            return np.asarray(images[row])
        if isinstance(rows, slice):
            self._look_at(kind, np.arange(len(self))[rows])
            return np.asarray(images[rows]) if (rows.step or 1) > 0 else self[np.arange(len(self))[rows]]
        numbers = self._numbers(rows)
        self._look_at(kind, numbers)
        return np.asarray(images.oindex[numbers])

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.source(self.plan.keep[-1]).blocks.cut(np.arange(len(self))):
            yield from self[int(block[0]) : int(block[-1]) + 1]

    def __repr__(self) -> str:
        return f"Campaign({str(self.path)!r}, rows={len(self)}, made={int(self.made.sum())}, keep={self.plan.keep})"

    @property
    def path(self) -> Path:
        """The campaign's folder."""
        return self._store.folder

    @cached_property
    def group(self) -> Any:
        """The Zarr group, for reading only; nothing read through it is compared with its checksum."""
        import zarr

        return zarr.open_group(self.path, mode="r")

    def array(self, name: str) -> Any:
        """A stored array by its name, lazily; raises `KeyError` naming those that there are."""
        if name not in self._store.arrays:
            raise KeyError(f"{self.path} keeps no {name!r}, it has {', '.join(sorted(self._store.arrays))}")
        return self.group[name]

    def source(self, kind: str) -> RowSource:
        """What reads one kind of image with its parameters and compares checksums."""
        if kind not in self._sources:
            self._sources[kind] = RowSource(self.path, kind, self._verify)
        return self._sources[kind]

    @property
    def noiseless(self) -> Any:
        """The noiseless images (rows, n_y, n_x), electrons / s / pixel, lazily."""
        return self.array("noiseless")

    @property
    def noisy(self) -> Any:
        """The noisy images (rows, n_y, n_x), electrons / s / pixel, lazily."""
        return self.array("noisy")

    @property
    def names(self) -> tuple[str, ...]:
        """The free parameters, in the order of the columns of `theta_matrix`."""
        return tuple(self.attributes["prior"])

    @cached_property
    def theta_matrix(self) -> np.ndarray:
        """All parameters, (rows, parameters); NaN in rows that are not made yet."""
        return np.asarray(self.array("theta")[:]) if self.names else np.zeros((len(self), 0), np.float32)

    @property
    def theta(self) -> dict[str, np.ndarray]:
        """The value of every free parameter in every row, by its name."""
        return {name: self.theta_matrix[:, column] for column, name in enumerate(self.names)}

    @property
    def keys(self) -> Array:
        """The random key of every row: `model(theta_i, keys[i])` makes image `i` again."""
        return jax.random.wrap_key_data(jnp.asarray(self.array("key")[:]))

    @cached_property
    def status(self) -> np.ndarray:
        """What is wrong with each row, as bits (see `layout.FLAGS`); 0 for a good one."""
        status = np.asarray(self.array("status")[:])
        for shard in range(self.plan.n_shards):
            # Files without a record are the drafts of a run that was killed: the next run replaces them.
            if not self._store.record_path(shard).is_file():
                span = self.plan.rows(shard)
                status[span.start : span.stop] = FLAGS["not_made"]
        return status

    @property
    def made(self) -> np.ndarray:
        """Which rows are on disk."""
        return (self.status & FLAGS["not_made"]) == 0

    @property
    def good(self) -> np.ndarray:
        """Which rows are on disk and carry no flag."""
        return self.status == 0

    @property
    def attributes(self) -> dict[str, Any]:
        """Configuration, prior, seed, units, versions and the rest of the store's metadata."""
        return dict(self._store.attributes or {})

    @property
    def configuration(self) -> str:
        """The YAML text that the campaign was made with."""
        return self.plan.configuration

    @cached_property
    def pixel_scale(self) -> float | None:
        """arcsec, from the stored coordinates; None for an image of one column."""
        x = np.asarray(self.group["x"][:])
        return float(round((x[-1] - x[0]) / (len(x) - 1), 9)) if len(x) > 1 else None

    def instrument(self, folder: str | Path | None = None) -> Any:
        """The instrument of the stored configuration.

        Args:
            folder: where files that the configuration names (a PSF, an exposure map) are; None takes those of the
                store, which keeps the ones that lay in the configuration's folder.

        Raises:
            CampaignRefused: a file that is needed is not there, or there is no instrument.
        """
        return stored_instrument(self.configuration, self._store.files, folder)

    def table(self) -> Any:
        """The parameters of all rows as an astropy `Table` with units, status and row numbers."""
        return self.select(np.arange(len(self)), flagged=True, unmade=True).parameter_table()

    def select(
        self,
        rows: int | slice | Sequence[int] | np.ndarray,
        flagged: bool = False,
        unmade: bool = False,
    ) -> Selection:
        """Exactly these rows, in rising order.

        Args:
            rows: numbers, a slice, or one bool per row.
            flagged: allow rows with a flag.
            unmade: allow rows that are not made, whose parameters are NaN.

        Raises:
            CampaignRefused: a row that does not exist, or has a flag that is not allowed; the message counts them.
        """
        numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else self._numbers(rows)
        numbers = np.unique(numbers)
        status = self.status[numbers]
        allowed = (255 - FLAGS["not_made"] if flagged else 0) | (FLAGS["not_made"] if unmade else 0)
        refused = status & ~np.uint8(allowed)
        if refused.any():
            first = int(numbers[np.flatnonzero(refused)[0]])
            raise CampaignRefused(
                f"{np.count_nonzero(refused)} of the {len(numbers)} rows asked for are {_counted(refused)}; "
                f"the first is row {first} of {self.path}"
            )
        return Selection(self, numbers)

    @property
    def usable(self) -> Selection:
        """All good rows; a `CampaignWarning` says how many others there are, and why they are left out."""
        if not self.good.all():
            warnings.warn(
                f"{self.path}: {np.count_nonzero(~self.good)} of {len(self)} rows are left out: "
                f"{_counted(self.status)}",
                CampaignWarning,
                stacklevel=2,
            )
        return Selection(self, np.flatnonzero(self.good))

    def split(self, train: float = 0.8, validation: float = 0.1, test: float = 0.1, salt: int = 0) -> Split:
        """The good rows in three parts, chosen by a hash of the row number.

        A row has the same part in every campaign and at any number of rows, so that a campaign may grow without a test
        row ever being trained on. Which row goes where does not depend on which others are good.

        Args:
            train, validation, test: their expected shares, which sum to 1.
            salt: another number gives another split.

        Raises:
            ValueError: shares that are negative or do not sum to 1.
        """
        shares = np.asarray([train, validation, test])
        if (shares < 0).any() or abs(shares.sum() - 1) > 1e-9:
            raise ValueError(f"split: expected three shares that sum to 1, found {train}, {validation}, {test}")
        numbers = self.usable.numbers
        part = np.searchsorted(np.cumsum(shares)[:2], row_fraction(numbers, salt), side="right")
        return Split(*(Selection(self, numbers[part == index]) for index in range(3)))

    def jax_batches(
        self, key: PRNGKeyArray, batch_size: int, **options: Any
    ) -> Iterator[tuple[dict[str, Array], Array]]:
        """Batches (theta, images) of all good rows; see `Selection.jax_batches`."""
        return self.usable.jax_batches(key, batch_size, **options)

    def torch(self, style: str = "map", **options: Any) -> Any:
        """A PyTorch data set of all good rows; see `Selection.torch`."""
        return self.usable.torch(style, **options)

    def to_hdf5(self, path: str | Path, noise: str | None = None, **options: Any) -> Path:
        """All good rows as an HDF5 file with the datasets `theta` and `x`; see `lensax.campaign.export.to_hdf5`."""
        return self.usable.to_hdf5(path, noise, **options)

    def to_fits(self, rows: int | Sequence[int] | np.ndarray, folder: str | Path = ".", **options: Any) -> list[Path]:
        """Each of some rows as a FITS file; see `lensax.campaign.export.to_fits`."""
        from lensax.campaign.export import to_fits

        return to_fits(self, rows, folder, **options)

    def _numbers(self, rows: int | np.integer | Sequence[int] | np.ndarray) -> np.ndarray:
        wanted = np.atleast_1d(np.asarray(rows))
        if wanted.dtype == bool:
            if wanted.shape != (len(self),):
                raise IndexError(f"expected one bool for each of {len(self)} rows, found {wanted.shape}")
            return np.flatnonzero(wanted)
        numbers = np.where(wanted < 0, wanted + len(self), wanted).astype(np.int64)
        outside = (numbers < 0) | (numbers >= len(self))
        if outside.any():
            raise IndexError(f"row {wanted[outside][0]} is not among the {len(self)} rows of {self.path}")
        return numbers

    def _look_at(self, kind: str, numbers: np.ndarray) -> None:
        """Compare the shards of rows with their records; warn of rows that are not made."""
        made = self.made[numbers]
        self.source(kind).check(numbers[made])
        if not made.all():
            warnings.warn(
                f"{self.path}: {np.count_nonzero(~made)} of the {len(numbers)} rows asked for are not made yet: NaN",
                CampaignWarning,
                stacklevel=3,
            )


def _counted(status: np.ndarray) -> str:
    """How many rows have which flag: "3 overflow, 250 not made"."""
    counts = {name: int(np.count_nonzero(status & bit)) for name, bit in FLAGS.items()}
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
