"""The record of a shard: written when everything else is safely on the disk."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lensax.campaign.files import flush_folder, read_json, write_draft, write_json

__all__ = ["flagged_rows", "read_record", "remade_rows", "row_errors", "write_files"]

RECORD = {"start": int, "stop": int, "files": dict, "overflow": list, "non_finite": list}
PER_ROW = ("errors", "remade")


def write_files(
    contents: Mapping[str, tuple[Path, bytes]],
    about: Mapping[str, Any],
    record: Path,
    drafts: Path,
    confirm: Callable[[], None],
) -> None:
    """Write the files of a shard, then its record.

    Args:
        contents: path and bytes of each array's file.
        about: what the record says beside their checksums.
        record: its path.
        drafts: a folder of this shard's own for what is not finished; removed at the end.
        confirm: asked when everything is written but nothing published; raises where the shard is no longer ours.
    """
    drafts.mkdir()
    try:
        # Side by side: a disk flushes several files in little more time than one.
        with ThreadPoolExecutor(len(contents), thread_name_prefix="lensax-files") as pool:
            written = {
                name: (pool.submit(write_draft, path, content, drafts), pool.submit(_digest, content))
                for name, (path, content) in contents.items()
            }
            ready = {name: (draft.result(), digest.result()) for name, (draft, digest) in written.items()}
            confirm()
            for name, (draft, _) in ready.items():
                os.replace(draft, contents[name][0])
            for flushed in [pool.submit(flush_folder, path.parent) for path, _ in contents.values()]:
                flushed.result()
        files = {name: {"bytes": len(contents[name][1]), "sha256": digest} for name, (_, digest) in ready.items()}
        write_json(record, {**about, "files": files}, drafts)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a file, or None where there is none that can be understood."""
    record = read_json(path)
    if record is None or not all(isinstance(record.get(key), kind) for key, kind in RECORD.items()):
        return None
    rows = range(record["start"], record["stop"])
    if not isinstance(record.setdefault("failed", []), list):
        return None
    for key in ("overflow", "non_finite", "failed"):
        if not all(isinstance(row, int) and row in rows for row in record[key]):
            return None
    for key in PER_ROW:
        entries = record.setdefault(key, {})
        if not isinstance(entries, dict) or not all(row.isdecimal() and int(row) in rows for row in entries):
            return None
    return record


def flagged_rows(records: Any) -> dict[str, list[int]]:
    """The rows of all records with each flag: overflow, non_finite, failed."""
    found: dict[str, list[int]] = {"overflow": [], "non_finite": [], "failed": []}
    for _, record in records:
        for flag, rows in found.items():
            rows += record[flag]
    return found


def row_errors(records: Any) -> dict[int, str]:
    """What went wrong with each row that is not good."""
    return {int(row): str(text) for _, record in records for row, text in record["errors"].items()}


def remade_rows(records: Any) -> dict[int, dict[str, int]]:
    """How rows were made again with more room: attempts, and the room of the last one."""
    return {
        int(row): {str(key): int(value) for key, value in how.items() if isinstance(value, int)}
        for _, record in records
        for row, how in record["remade"].items()
        if isinstance(how, dict)
    }
