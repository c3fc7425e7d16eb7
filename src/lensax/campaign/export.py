"""Rows of a campaign in the formats of other programs."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.layout import FLAGS
from lensax.campaign.noise import HostNoise

if TYPE_CHECKING:
    from lensax.campaign.reader import Campaign
    from lensax.campaign.selection import Selection

__all__ = ["to_fits", "to_hdf5"]


def to_hdf5(
    selection: "Selection",
    path: str | Path,
    noise: str | None = None,
    seed: int = 0,
    compression: str | None = None,
    overwrite: bool = False,
    instrument: Any = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Path:
    """Write rows as an HDF5 file: `theta` (rows, parameters) and `x` (rows, n_y, n_x), float32, as lampe reads them.

    `row` holds the row numbers, `configuration` the YAML text. The attributes of `theta` name the `parameters` and
    their `units`, in the order of the columns. The file is there whole or not at all; one block of rows is in memory.

    Args:
        selection: the rows.
        path: of the file.
        noise: "stored", "fresh" or "none"; see `Selection`.
        seed: of fresh noise.
        compression: of h5py, such as "gzip" or "lzf"; noisy images gain little.
        overwrite: replace an existing file.
        instrument: whose noise is drawn; None takes that of the stored configuration.
        progress: called with the number of rows after every block.

    Raises:
        ImportError: h5py is missing.
        FileExistsError: the file exists and `overwrite` is False.
        CampaignError: a shard that is damaged.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError("writing HDF5 needs h5py: pip install 'lensax[hdf5]'") from None

    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it")
    source, fresh = selection.source(noise)
    host_noise = HostNoise.of(selection.instrument(instrument)) if fresh else None
    random = np.random.default_rng(seed)
    campaign, count = selection.campaign, len(selection)
    shape = source.arrays[source.image].shape[1:]
    units = [campaign.attributes["prior"].get(name, {}).get("units") or "" for name in selection.names]
    draft = path.with_name(f".{path.name}.draft")
    try:
        with h5py.File(draft, "w") as file:
            text = h5py.string_dtype()
            file.create_dataset("configuration", data=campaign.configuration, dtype=text)
            rows = file.create_dataset("row", data=selection.numbers)
            theta = file.create_dataset("theta", (count, len(selection.names)), np.float32)
            theta.attrs["parameters"] = np.asarray(selection.names, dtype=text)
            theta.attrs["units"] = np.asarray(units, dtype=text)
            chunks = (max(1, min(16, count)), *shape)
            x = file.create_dataset("x", (count, *shape), np.float32, chunks=chunks, compression=compression)
            x.attrs["units"] = "electron s-1 pixel-1"
            x.attrs["noise"] = "stored" if source.image == "noisy" else "fresh" if fresh else "none"
            file.attrs.update({"seed": campaign.plan.seed, "rows_of_campaign": len(campaign)})
            rows.attrs["long_name"] = "row number in the campaign"
            begin = 0
            for block in source.blocks.cut(selection.numbers):
                found = source.read(block)
                end = begin + len(block)
                theta[begin:end] = found.theta
                x[begin:end] = found.images if host_noise is None else host_noise.add(found.images, random)
                begin = end
                progress(len(block))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def to_fits(
    campaign: "Campaign",
    rows: int | Sequence[int] | np.ndarray,
    folder: str | Path,
    overwrite: bool = False,
    instrument: Any = None,
) -> list[Path]:
    """Write each row as a FITS file that other lens-modelling programs and `Imaging.from_fits` read.

    The first image is the noisy one (the noiseless one where no other is kept), then come the extension NOISELESS where
    it is kept and a table THETA with the parameters. The header has ROW, SEED, STATUS. Where the noise is known, a
    second file "row-00000012-noise-map.fits" holds its standard deviation.

    Args:
        campaign: the reader.
        rows: row numbers; flagged rows are written with their STATUS, rows that are not made are refused.
        folder: where the files "row-00000012.fits" go; made if it is absent.
        overwrite: replace existing files.
        instrument: of the noise map; None takes that of the stored configuration.

    Returns:
        the files of the images.

    Raises:
        CampaignRefused: rows that are not made or do not exist.
        FileExistsError: a file exists and `overwrite` is False.
    """
    from astropy.io import fits

    from lensax.instrument.fits import write_image

    selection = campaign.select(np.atleast_1d(np.asarray(rows)), flagged=True)
    kinds = [kind for kind in ("noisy", "noiseless") if kind in campaign.plan.keep]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        noise = HostNoise.of(selection.instrument(instrument)) if "noiseless" in kinds else None
    except CampaignRefused:
        noise = None  # the configuration's noise lies in files that are not part of the store
    scale = campaign.pixel_scale
    written = []
    for row in selection.numbers:
        number = np.asarray([row])
        images = {kind: campaign.source(kind).read(number).images[0] for kind in kinds}
        path = folder / f"row-{row:08d}.fits"
        keywords = {
            "BUNIT": ("electron / s", "per pixel"),
            "ROW": (int(row), "row number in the campaign"),
            "SEED": (campaign.plan.seed, "seed of the campaign"),
            "STATUS": (int(campaign.status[row]), ", ".join(f"{bit} {flag}" for flag, bit in FLAGS.items())[:40]),
        }
        write_image(path, images[kinds[0]], keywords, scale, overwrite)
        with fits.open(path, mode="append") as units:
            if len(kinds) > 1:
                units.append(fits.ImageHDU(images["noiseless"], name="NOISELESS"))
            if campaign.names:
                table = campaign.select(number, flagged=True).parameter_table()
                units.append(fits.BinTableHDU(table, name="THETA"))
        if noise is not None:
            deviation = noise.deviation_of(images["noiseless"]).astype(np.float32)
            write_image(path.with_name(f"{path.stem}-noise-map.fits"), deviation, keywords, scale, overwrite)
        written.append(path)
    return written
