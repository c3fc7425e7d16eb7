"""The folder of a campaign: a Zarr group, and beside it one small record for every shard that is safely on disk.

    DIR/zarr.json                     the group: configuration, prior, seed, units, versions
    DIR/<array>/c.<shard>.0.0         one file per array and shard
    DIR/.lensax/shards/<shard>.json   written last: row range, sizes, checksums, what went wrong and was made again
    DIR/.lensax/group.json            a copy of the group's metadata and coordinates
    DIR/.lensax/files/                the files that the configuration names
    DIR/.lensax/runs/                 when, where and how fast rows were made
    DIR/.lensax/lock, parts, leases   who writes what now

A shard without a record does not exist: its files are drafts that the next run replaces.
"""

import functools
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np

from lensax.campaign.errors import CampaignDamaged, CampaignRefused
from lensax.campaign.files import checksum, flush_folder, read_json, write_durably
from lensax.campaign.group import changed_files, damaged_copy, group_copy, restore_files
from lensax.campaign.guard import check_group, refuse_links
from lensax.campaign.layout import Layout, chunk_name
from lensax.campaign.lease import SECONDS, Lease, lease, live_leases
from lensax.campaign.lock import Part, holder, part_holders, waiting_lock, writer_lock
from lensax.campaign.plan import Plan
from lensax.campaign.records import read_record, write_files

__all__ = ["FORMAT", "Store"]

FORMAT = 2
"""Version of the layout of the folder."""

PRIVATE = ".lensax"


class Store:
    """A campaign's folder, whether it exists already or not.

    Args:
        folder: the campaign's folder.

    Raises:
        CampaignRefused: a folder or file that holds something else.
        CampaignDamaged: a campaign whose metadata cannot be read or is not what lensax writes.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self.private = self.folder / PRIVATE
        self.records = self.private / "shards"
        self.drafts = self.private / "drafts"
        self.leases = self.private / "leases"
        self.runs = self.private / "runs"
        self.files = self.private / "files"
        self.lock_path = self.private / "lock"
        self.copy_path = self.private / "group.json"
        self.lease_seconds = SECONDS
        self._set_up = False
        self.attributes: dict[str, Any] | None = None
        self.metadata: dict[str, dict[str, Any]] = {}
        group = read_json(self.folder / "zarr.json")
        if group is not None:
            self._open(group)
        elif self.records.is_dir() and any(self.records.iterdir()):
            raise CampaignDamaged(
                f"{self.folder / 'zarr.json'} is missing or damaged; "
                f"lensax inspect {self.folder} --repair restores it from {self.copy_path}"
            )
        elif self.folder.exists() and not self.folder.is_dir():
            raise CampaignRefused(f"{self.folder} is a file, not a folder")
        elif self.folder.is_dir() and any(self.folder.iterdir()) and not self.private.is_dir():
            raise CampaignRefused(f"{self.folder} is not empty and holds no lensax campaign; choose another folder")
        refuse_links(self.folder, list(self.metadata))

    def _open(self, group: dict[str, Any]) -> None:
        attributes = group.get("attributes")
        if not isinstance(attributes, dict) or "lensax_campaign" not in attributes:
            raise CampaignRefused(f"{self.folder} holds a Zarr store that is not a lensax campaign")
        if attributes["lensax_campaign"] != FORMAT:
            version = attributes["lensax_campaign"]
            raise CampaignRefused(f"{self.folder} has layout {version!r}, this lensax reads layout {FORMAT}")
        self.metadata = check_group(group, Plan.from_attributes(attributes).count, self.folder)
        self.attributes = attributes

    @property
    def exists(self) -> bool:
        """Whether the folder holds a campaign."""
        return self.attributes is not None

    @property
    def plan(self) -> Plan:
        """The stored campaign's plan.

        Raises:
            CampaignRefused: there is none.
        """
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
        """The process that is writing now, or None; of several parts, all of them."""
        parts = part_holders(self.lock_path)
        several = "; ".join(f"part {part}: {owner}" for part, owner in parts.items())
        return several or holder(self.lock_path)

    @contextmanager
    def writing(self, part: Part | None = None) -> Iterator[None]:
        """Be the one writer of the folder, or of a part of it.

        Raises:
            CampaignRefused: naming it, while there is another writer.
        """
        self.private.mkdir(parents=True, exist_ok=True)
        with writer_lock(self.lock_path, part):
            yield

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Set up the folder: one process at a time, the others wait. Drafts that killed writers left are removed."""
        if self._set_up:
            yield
            return
        with waiting_lock(self.private / "setup"):
            for folder in (self.records, self.drafts, self.leases, self.runs):
                folder.mkdir(exist_ok=True)
            self._remove_abandoned()
            (self.drafts / "setup").mkdir()
            self._set_up = True
            try:
                yield
            finally:
                self._set_up = False
                shutil.rmtree(self.drafts / "setup", ignore_errors=True)

    def tidy(self) -> None:
        """Remove the drafts that killed writers left; those of writers at work stay."""
        with waiting_lock(self.private / "setup"):
            self._remove_abandoned()

    def _remove_abandoned(self) -> None:
        drafts = [entry for entry in self.drafts.iterdir() if entry.is_dir()]
        # Listed after the drafts: whoever has begun one has its lease already.
        live = {str(found.get("token")) for found in live_leases(self.leases, self.lease_seconds).values()}
        for draft in drafts:
            if draft.name not in live:
                shutil.rmtree(draft, ignore_errors=True)
        for draft in self.private.glob("runs-*.json"):
            # Of a run that was killed while it noted how it went; other parts write theirs in an instant.
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > self.lease_seconds:
                    draft.unlink()

    def create(self, layout: Layout, attributes: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
        """Write the empty group; its own metadata last, so that it begins whole or not at all.

        Args:
            layout: the arrays.
            attributes: what the metadata says beside the plan.
            files: the files that the configuration names, by their names in it.
        """
        described = {"lensax_campaign": FORMAT, **layout.plan.to_attributes(), **attributes}
        group = layout.metadata(described)
        kept = {f"{PRIVATE}/files/{name}": content for name, content in (files or {}).items()}
        with self.preparing():
            for path, content in {**kept, f"{PRIVATE}/group.json": group_copy(group), **group}.items():
                target = self.folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                write_durably(target, content, self.drafts / "setup")
                flush_folder(target.parent)
            flush_folder(self.folder.absolute().parent)
        self.__dict__.pop("arrays", None)
        self._open(json.loads(group["zarr.json"]))

    def changed_metadata(self) -> list[str]:
        """The files of metadata and coordinates that are not what was written, and the copy if it is damaged."""
        return damaged_copy(self.copy_path) or changed_files(self.folder, self.copy_path)

    def restore_metadata(self) -> list[str]:
        """Write such files again from their copy; returns their names."""
        with self.preparing():
            return restore_files(self.folder, self.copy_path, self.drafts / "setup")

    def leased(self, shard: int) -> AbstractContextManager[Lease]:
        """Be the only one who makes a shard, wherever others run; raises `LeaseHeld` where another does."""
        return lease(self.leases, shard, self.lease_seconds)

    def write_shard(
        self,
        layout: Layout,
        shard: int,
        rows: Mapping[str, np.ndarray],
        facts: Mapping[str, Any],
        held: Lease | None = None,
    ) -> None:
        """Write, flush and rename the files of a shard, then record it with their checksums and the `facts`.

        Args:
            layout: the arrays.
            shard: its number.
            rows: the arrays' values.
            facts: what the record says beside row range and checksums.
            held: the lease on the shard; None takes it.

        Raises:
            LeaseHeld: another process writes this shard, or took the lease over.
        """
        encoded = layout.encode(shard, rows)
        targets = {name: self.folder / name / chunk_name(shard, rows[name].ndim - 1) for name in encoded}
        contents = {name: (targets[name], content) for name, content in encoded.items()}
        span = layout.plan.rows(shard)
        about = {"shard": shard, "start": span.start, "stop": span.stop, **facts}
        with self.leased(shard) if held is None else nullcontext(held) as mine:
            write_files(contents, about, self.record_path(shard), self.drafts / mine.token, mine.confirm)

    def record_path(self, shard: int) -> Path:
        """The record of a shard."""
        return self.records / f"{shard:08d}.json"

    def record(self, shard: int) -> dict[str, Any] | None:
        """What was recorded about a shard, or None where there is no record that can be understood."""
        return read_record(self.record_path(shard))

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
        named = {name: array.get("dimension_names") or [None] for name, array in self.metadata.items()}
        return {name: len(dimensions) - 1 for name, dimensions in named.items() if dimensions[0] == "row"}

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
