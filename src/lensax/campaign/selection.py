"""Some rows of a campaign, and everything that can be done with them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lensax._types import Array, PRNGKeyArray
from lensax.campaign.errors import CampaignRefused
from lensax.campaign.source import RowSource

if TYPE_CHECKING:
    from lensax.campaign.reader import Campaign

__all__ = ["Selection", "Split", "row_fraction"]

NOISE = ("stored", "fresh", "none")


class Selection:
    """Rows of a campaign for training, testing or export; made by `Campaign.select`, `usable` and `split`.

        train, validation, test = lx.Campaign("output/demo").split()
        len(train), train.theta["lens.mass.PowerLaw.slope"], train[:16]

    Images come in float32 whatever the store keeps. `noise` chooses them everywhere: "stored" for the noisy images of
    the store, "fresh" for its noiseless images with noise that is drawn at each reading, "none" for noiseless images;
    None takes "stored" where noisy images are kept and "fresh" elsewhere.

    Args:
        campaign: the reader.
        numbers: row numbers in rising order.
    """

    def __init__(self, campaign: "Campaign", numbers: np.ndarray):
        self.campaign = campaign
        self.numbers = np.asarray(numbers, np.int64)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int | np.integer | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Images by their place in the selection, float32."""
        chosen = self.numbers[index]
        source, _ = self.source(None)
        images = source.read(np.atleast_1d(chosen)).images
        return images if np.ndim(chosen) else images[0]

    def __repr__(self) -> str:
        return f"Selection({str(self.campaign.path)!r}, {len(self)} of {len(self.campaign)} rows)"

    @property
    def names(self) -> tuple[str, ...]:
        """The free parameters, in the order of the columns of `theta_matrix`."""
        return self.campaign.names

    @property
    def theta_matrix(self) -> np.ndarray:
        """All parameters, (rows, parameters)."""
        return self.campaign.theta_matrix[self.numbers]

    @property
    def theta(self) -> dict[str, np.ndarray]:
        """The value of every free parameter in these rows, by its name."""
        matrix = self.theta_matrix
        return {name: matrix[:, column] for column, name in enumerate(self.names)}

    def parameter_table(self) -> Any:
        """The parameters as an astropy `Table` with units, status and row numbers."""
        from astropy.table import Column, Table

        columns = [Column(self.numbers, name="row"), Column(self.campaign.status[self.numbers], name="status")]
        prior = self.campaign.attributes["prior"]
        for name, values in self.theta.items():
            columns.append(Column(values, name=name, unit=prior[name].get("units")))
        return Table(columns, meta={"seed": self.campaign.plan.seed, "campaign": self.campaign.path.name})

    def source(self, noise: str | None) -> tuple[RowSource, bool]:
        """What reads the images that `noise` asks for, and whether noise is to be added.

        Raises:
            CampaignRefused: images that the campaign does not keep.
            ValueError: another word than "stored", "fresh" and "none".
        """
        keep = self.campaign.plan.keep
        if noise is None:
            noise = "stored" if "noisy" in keep else "fresh"
        if noise not in NOISE:
            raise ValueError(f"noise: expected one of {', '.join(NOISE)}, found {noise!r}")
        kind = "noisy" if noise == "stored" else "noiseless"
        if kind not in keep:
            raise CampaignRefused(f"noise={noise!r} needs {kind} images, {self.campaign.path} keeps {', '.join(keep)}")
        return self.campaign.source(kind), noise == "fresh"

    def instrument(self, given: Any = None) -> Any:
        """The instrument whose noise is drawn: that of the stored configuration, unless one is given."""
        return self.campaign.instrument() if given is None else given

    def jax_batches(
        self,
        key: PRNGKeyArray,
        batch_size: int,
        epochs: int | None = 1,
        noise: str | None = None,
        shuffle: bool = True,
        shuffle_rows: int | None = None,
        drop_last: bool = True,
        prefetch: int = 2,
        instrument: Any = None,
    ) -> Iterator[tuple[dict[str, Array], Array]]:
        """Batches (theta, images) on the device, as `ForwardModel.stream` gives them.

        Blocks of rows are read in random order, as many as fit the memory for `shuffle_rows` are mixed, and every row
        comes once in an epoch. Reading, noise and the transfer to the device go on in threads while a batch is used.
        Order and noise depend on `key` and the number of the epoch alone; memory on neither the number of rows nor
        the size of the shards.

        Args:
            key: of the order and of fresh noise; another one for each call, or several epochs in one call.
            batch_size: rows of a batch.
            epochs: how often all rows come, each time in another order and with other noise; None never ends.
            noise: "stored", "fresh" or "none"; see the class.
            shuffle: False reads the rows in their order.
            shuffle_rows: rows that are mixed together; None takes 64 MiB of images.
            drop_last: leave out rows that do not fill a batch, so that what is compiled for a batch serves all.
            prefetch: batches that are made before they are asked for.
            instrument: whose noise is drawn; None takes that of the stored configuration.

        Raises:
            ValueError: a number out of its range, or an unknown `noise`.
            CampaignRefused: images that are not kept, or a configuration without instrument.
            CampaignError: a shard that is damaged, when its turn comes.
        """
        from lensax.campaign.batches import jax_batches

        return jax_batches(self, key, batch_size, epochs, noise, shuffle, shuffle_rows, drop_last, prefetch, instrument)

    def torch(self, style: str = "map", **options: Any) -> Any:
        """A PyTorch data set of (theta, image): tensors (parameters,) and (n_y, n_x), float32.

        `torch()` is a map-style data set: `len`, any index, shuffled by the `DataLoader`. Reading rows here and there
        costs a chunk of rows for each. `torch("iterable", batch_size=256, seed=0)` reads blocks and mixes them, which
        is many times faster, and gives whole batches (leave `batch_size=None` in the `DataLoader`); several workers
        share the rows so that none is lost or doubled. Both may be sent to workers, which never start JAX, and give
        plain tensors, which `pin_memory=True` pins. `set_epoch(n)` fixes the order and the noise of an epoch.

        Args:
            style: "map" or "iterable".
            **options: of `lensax.campaign.torch_datasets.MapRows` or `IterableRows`.

        Raises:
            ImportError: PyTorch is missing.
            ValueError: an unknown style.
        """
        try:
            from lensax.campaign.torch_datasets import IterableRows, MapRows
        except ImportError as error:
            if not (error.name or "").startswith("torch"):
                raise
            raise ImportError("reading for PyTorch needs it: pip install 'lensax[torch]'") from None
        if style not in ("map", "iterable"):
            raise ValueError(f"style: expected 'map' or 'iterable', found {style!r}")
        return (MapRows if style == "map" else IterableRows)(self, **options)

    def to_hdf5(self, path: str | Path, noise: str | None = None, **options: Any) -> Path:
        """Write these rows as an HDF5 file with the datasets `theta` and `x`; see `lensax.campaign.export.to_hdf5`."""
        from lensax.campaign.export import to_hdf5

        return to_hdf5(self, path, noise, **options)


class Split(NamedTuple):
    """Rows for three purposes; every row has one of them.

    Attributes:
        train: to fit with.
        validation: to stop or choose with.
        test: to look at once.
    """

    train: Selection
    validation: Selection
    test: Selection


def row_fraction(rows: np.ndarray, salt: int = 0) -> np.ndarray:
    """A number in [0, 1) for each row number, uniform, and a function of it and the salt alone (SplitMix64)."""
    with np.errstate(over="ignore"):
        word = (np.asarray(rows, np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        word = word + np.uint64(salt * 0xD1B54A32D192ED03 % 2**64)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word = word ^ (word >> np.uint64(31))
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
