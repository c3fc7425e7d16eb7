"""A store from a stranger: what its metadata may say before anything in it is opened."""

import math
import os
import re
from pathlib import Path
from typing import Any

from lensax.campaign.errors import CampaignDamaged, CampaignRefused

__all__ = ["NAME", "check_group", "refuse_links"]

NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
"""Names of arrays: they become names of folders."""

CODECS = {"blosc", "bytes", "crc32c", "sharding_indexed", "vlen-utf8", "zstd"}
"""Codecs that turn bytes into numbers and text, and into nothing else: no pickle, no code."""

TYPES = {"bool", "float16", "float32", "float64", "string", "uint8", "int32", "uint32", "int64", "uint64"}

LINK = "is a link; a campaign keeps everything inside of its folder"

LARGEST_CHUNK = 2**30
"""Bytes that reading one row may need: more is a trap, not an image."""


def check_group(metadata: dict[str, Any], count: int, where: Path) -> dict[str, dict[str, Any]]:
    """The arrays that a group's metadata describes, by name.

    Args:
        metadata: the group's `zarr.json`.
        count: rows of the campaign.
        where: the folder, for messages.

    Raises:
        CampaignDamaged: a name that is no plain name, a codec or type that lensax does not write, or a shape that does
            not fit the campaign.
    """
    consolidated = metadata.get("consolidated_metadata")
    arrays = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    if not isinstance(arrays, dict) or not arrays:
        raise CampaignDamaged(f"{where / 'zarr.json'} lists no arrays")
    for name, array in arrays.items():
        try:
            _check_array(name, array, count)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise CampaignDamaged(f"{where} is not a store that lensax wrote: array {name!r}: {error}") from None
    return arrays


def refuse_links(folder: Path, names: list[str]) -> None:
    """Refuse a store in which links lead elsewhere: reading and repairing stay inside of its folder.

    Args:
        folder: of the campaign; it may itself be reached through a link.
        names: of its arrays.

    Raises:
        CampaignRefused: naming the link.
    """
    private = folder / ".lensax"
    inside = [Path(place) for place, _, _ in os.walk(private)] if private.is_dir() else []
    for place in (folder, private, *inside, *(folder / name for name in names)):
        if place != folder and place.is_symlink():
            raise CampaignRefused(f"{place} {LINK}")
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        raise CampaignRefused(
                            f"{entry.path} is a link; a campaign keeps everything inside of its folder"
                        )
        except (FileNotFoundError, NotADirectoryError):
            continue


def _check_array(name: str, array: dict[str, Any], count: int) -> None:
    if not NAME.fullmatch(name):
        raise ValueError("its name is not a plain name")
    if array["zarr_format"] != 3 or array["node_type"] != "array":
        raise ValueError("it is not a Zarr 3 array")
    if array["data_type"] not in TYPES:
        raise ValueError(f"data type {array['data_type']!r} is not among {', '.join(sorted(TYPES))}")
    for codec in _codecs(array["codecs"]):
        if codec not in CODECS:
            raise ValueError(f"codec {codec!r} is not among {', '.join(sorted(CODECS))}")
    if array.get("storage_transformers"):
        raise ValueError("it has storage transformers")
    if array["chunk_key_encoding"]["name"] != "default" or array["chunk_grid"]["name"] != "regular":
        raise ValueError("its chunks are laid out in another way")
    rows = (array.get("dimension_names") or [None])[0] == "row"
    shape, chunk = array["shape"], array["chunk_grid"]["configuration"]["chunk_shape"]
    if not all(isinstance(n, int) and 0 <= n < 2**40 for n in (*shape, *chunk)) or len(shape) != len(chunk):
        raise ValueError(f"shape {shape!r} with chunks {chunk!r} is not possible")
    if rows and shape[0] != count:
        raise ValueError(f"it has {shape[0]} rows, not {count}")
    for size in (math.prod(shape[1:]), math.prod(_inner(array["codecs"], chunk))):
        if 8 * size > LARGEST_CHUNK:
            raise ValueError(f"chunks of {chunk!r} numbers are too large")


def _codecs(described: Any) -> list[str]:
    """The names of all codecs, those inside of shards too."""
    found = []
    for codec in described:
        found.append(str(codec["name"]))
        inside = codec.get("configuration") or {}
        for key in ("codecs", "index_codecs"):
            found += _codecs(inside.get(key, []))
    return found


def _inner(codecs: Any, chunk: list[int]) -> list[int]:
    """The shape of what is decoded at once."""
    for codec in codecs:
        if codec["name"] == "sharding_indexed":
            inner = codec["configuration"]["chunk_shape"]
            if not all(isinstance(n, int) and 0 < n < 2**40 for n in inner):
                raise ValueError(f"inner chunks {inner!r} are not possible")
            return list(inner)
    return chunk
