"""The folder of a campaign: a Zarr group, and beside it one small record for every shard that is safely on disk.

    DIR/zarr.json                  the group: configuration, prior, seed, units, versions
    DIR/<array>/c.<shard>.0.0      one file per array and shard
    DIR/.lensax/shards/<shard>.json   written last: row range, sizes, checksums, what went wrong
    DIR/.lensax/zarr.json          a copy of the group's metadata
    DIR/.lensax/lock               held by the one writer

A shard without a record does not exist: its files are drafts that the next run replaces.
"""

import functools
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lensax.campaign.errors import CampaignRefused
from lensax.campaign.files import checksum, flush_folder, read_json, write_durably, write_json
from lensax.campaign.layout import Layout, chunk_name
from lensax.campaign.lock import holder, writer_lock
from lensax.campaign.plan import Plan

__all__ = ["FORMAT", "Store"]

FORMAT = 1
"""Version of the layout of the folder."""

PRIVATE = ".lensax"
RECORD = {"start": int, "stop": int, "files": dict, "overflow": list, "non_finite": list}
NAME = re.compile(r"[A-Za-z0-9_]+")


class Store:
    """A campaign's folder, whether it exists already or not.

    Arguments
    ---------
    folder: the campaign's folder.

    Raises `CampaignRefused` for a folder or file that holds something else.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self.private = self.folder / PRIVATE
        self.records = self.private / "shards"
        self.drafts = self.private / "drafts"
        self.lock_path = self.private / "lock"
        metadata = read_json(self.folder / "zarr.json")
        self.attributes: dict[str, Any] | None = None
        if metadata is not None:
            attributes = metadata.get("attributes")
            if not isinstance(attributes, dict) or "lensax_campaign" not in attributes:
                raise CampaignRefused(f"{self.folder} holds a Zarr store that is not a lensax campaign")
            if attributes["lensax_campaign"] != FORMAT:
                version = attributes["lensax_campaign"]
                raise CampaignRefused(f"{self.folder} has layout {version!r}, this lensax reads layout {FORMAT}")
            self.attributes = attributes
        elif self.records.is_dir() and any(self.records.iterdir()):
            copy = self.private / "zarr.json"
            raise CampaignRefused(f"{self.folder / 'zarr.json'} is missing or damaged; {copy} is a copy of it")
        elif self.folder.exists() and not self.folder.is_dir():
            raise CampaignRefused(f"{self.folder} is a file, not a folder")
        elif self.folder.is_dir() and any(self.folder.iterdir()) and not self.private.is_dir():
            raise CampaignRefused(f"{self.folder} is not empty and holds no lensax campaign; choose another folder")

    @property
    def exists(self) -> bool:
        """Whether the folder holds a campaign."""
        return self.attributes is not None

    @property
    def plan(self) -> Plan:
        """The stored campaign's plan; raises `CampaignRefused` where there is none."""
        if self.attributes is None:
            state = "holds no campaign" if self.folder.is_dir() else "does not exist"
            raise CampaignRefused(f"{self.folder} {state}")
        return Plan.from_attributes(self.attributes)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    @property
    def writer(self) -> str | None:
        """The process that is writing now, or None."""
        return holder(self.lock_path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer; drafts that a killed writer left are removed.

        Raises `CampaignRefused`, naming it, while there is another writer.
        """
        self.private.mkdir(parents=True, exist_ok=True)
        with writer_lock(self.lock_path):
            shutil.rmtree(self.drafts, ignore_errors=True)
            self.drafts.mkdir()
            self.records.mkdir(exist_ok=True)
            yield
            shutil.rmtree(self.drafts, ignore_errors=True)

    def create(self, layout: Layout, attributes: Mapping[str, Any]) -> None:
        """Write the empty group; its own metadata last, so that a campaign begins whole or not at all."""
        described = {"lensax_campaign": FORMAT, **layout.plan.to_attributes(), **attributes}
        files = layout.metadata(described)
        for path, content in {f"{PRIVATE}/zarr.json": files["zarr.json"], **files}.items():
            target = self.folder / path
            target.parent.mkdir(exist_ok=True)
            write_durably(target, content, self.drafts)
            flush_folder(target.parent)
        flush_folder(self.folder.absolute().parent)
        self.attributes = described
        self.__dict__.pop("arrays", None)

    @property
    def metadata(self) -> dict[str, Any]:
        """What the group says of each of its arrays."""
        group = read_json(self.folder / "zarr.json") or {}
        return (group.get("consolidated_metadata") or {}).get("metadata") or {}

    def changed_metadata(self) -> list[str]:
        """The arrays whose own `zarr.json` is not what the group says of them."""
        said = self.metadata
        return [name for name in self.arrays if read_json(self.folder / name / "zarr.json") != said[name]]

    def restore_metadata(self) -> None:
        """Write the metadata of such arrays again."""
        said = self.metadata
        for name in self.changed_metadata():
            (self.folder / name).mkdir(exist_ok=True)
            write_json(self.folder / name / "zarr.json", said[name], self.drafts)

    def write_shard(self, layout: Layout, shard: int, rows: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Write, flush and rename the files of a shard, then record it with their checksums and the `facts`."""
        files = {}
        for name, content in layout.encode(shard, rows).items():
            path = self.folder / name / chunk_name(shard, rows[name].ndim - 1)
            write_durably(path, content, self.drafts)
            flush_folder(path.parent)
            files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        span = layout.plan.rows(shard)
        record = {"shard": shard, "start": span.start, "stop": span.stop, "files": files, **facts}
        write_json(self.record_path(shard), record, self.drafts)

    def record_path(self, shard: int) -> Path:
        """The record of a shard."""
        return self.records / f"{shard:08d}.json"

    def record(self, shard: int) -> dict[str, Any] | None:
        """What was recorded about a shard, or None where there is no record that can be understood."""
        record = read_json(self.record_path(shard))
        whole = record is not None and all(isinstance(record.get(key), kind) for key, kind in RECORD.items())
        return record if whole else None

    def recorded(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every record that can be understood, in the order of the shards."""
        for path in sorted(self.records.glob("*.json")):
            shard = int(path.stem) if path.stem.isdecimal() else -1
            record = self.record(shard)
            if record is not None:
                yield shard, record

    @functools.cached_property
    def arrays(self) -> dict[str, int]:
        """The arrays with one entry per row, and their number of axes after the first."""
        found = {}
        for name, described in self.metadata.items():
            dimensions = described.get("dimension_names") or [None]
            # A name becomes a path: one from a stranger's store must not lead out of the folder.
            if dimensions[0] == "row" and NAME.fullmatch(name):
                found[name] = len(dimensions) - 1
        return found

    def shard_path(self, name: str, shard: int) -> Path:
        """The file of one array's shard."""
        return self.folder / name / chunk_name(shard, self.arrays[name])

    def problems(self, shard: int, record: Mapping[str, Any], read: bool) -> list[str]:
        """What is wrong with a recorded shard; its bytes are compared with their checksums where `read` is True."""
        files = record["files"]
        if set(files) != set(self.arrays) or not all(isinstance(entry, dict) for entry in files.values()):
            return ["its record does not name the campaign's arrays"]
        if (record["start"], record["stop"]) != (self.plan.rows(shard).start, self.plan.rows(shard).stop):
            return ["its record is of other rows"]
        found = []
        for name, entry in files.items():
            path = self.shard_path(name, shard)
            if not path.is_file():
                found.append(f"{name} is missing")
            elif path.stat().st_size != entry.get("bytes"):
                found.append(f"{name} has {path.stat().st_size} bytes, not {entry.get('bytes')}")
            elif read and checksum(path) != entry.get("sha256"):
                found.append(f"{name} has other bytes than were written")
        return found
