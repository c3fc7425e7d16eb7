"""The reader of a campaign's store."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array
from lensax.campaign.layout import FLAGS
from lensax.campaign.plan import Plan
from lensax.campaign.store import Store

__all__ = ["Campaign"]


class Campaign:
    """The rows of a campaign on disk; images are read when they are asked for.

        campaign = lx.Campaign("output/demo")
        len(campaign), campaign[3], campaign[:16]          # images as NumPy arrays
        campaign.theta["lens.mass.PowerLaw.slope"]         # one value per row
        campaign.noiseless[100:200]                        # any stored array, lazily

    `campaign[rows]` gives noisy images, or the noiseless ones where no others are kept. The store is an ordinary
    Zarr 3 group: `xarray.open_zarr(path)` and `zarr.open_group(path)` read it without lensax.

    Arguments
    ---------
    path: the campaign's folder.

    Raises `CampaignRefused` where there is no campaign.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._store = Store(path)
        self.plan: Plan = self._store.plan

    def __len__(self) -> int:
        return self.plan.count

    def __getitem__(self, rows: int | np.integer | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        images = self.array(self.plan.keep[-1])
        if isinstance(rows, int | np.integer):
            row = int(rows) + (len(self) if rows < 0 else 0)
            if not 0 <= row < len(self):
                raise IndexError(f"row {rows} is not among the {len(self)} rows of {self.path}")
            return np.asarray(images[row])
        if isinstance(rows, slice):
            return np.asarray(images[rows]) if (rows.step or 1) > 0 else self[np.arange(len(self))[rows]]
        wanted = np.asarray(rows)
        numbers = np.flatnonzero(wanted) if wanted.dtype == bool else np.where(wanted < 0, wanted + len(self), wanted)
        return np.asarray(images.oindex[numbers.astype(int)])

    def __repr__(self) -> str:
        return f"Campaign({str(self.path)!r}, rows={len(self)}, made={int(self.made.sum())}, keep={self.plan.keep})"

    @property
    def path(self) -> Path:
        """The campaign's folder."""
        return self._store.folder

    @cached_property
    def group(self) -> Any:
        """The Zarr group, for reading only."""
        import zarr

        return zarr.open_group(self.path, mode="r")

    def array(self, name: str) -> Any:
        """A stored array by its name, lazily; raises `KeyError` naming those that there are."""
        if name not in self._store.arrays:
            raise KeyError(f"{self.path} keeps no {name!r}, it has {', '.join(sorted(self._store.arrays))}")
        return self.group[name]

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
        return np.asarray(self.array("status")[:])

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

    def table(self) -> Any:
        """The parameters of all rows as an astropy `Table` with units, status and row numbers."""
        from astropy.table import Column, Table

        columns = [Column(np.arange(len(self)), name="row"), Column(self.status, name="status")]
        for name, values in self.theta.items():
            columns.append(Column(values, name=name, unit=self.attributes["prior"][name].get("units")))
        return Table(columns, meta={"seed": self.plan.seed, "campaign": self.path.name})
