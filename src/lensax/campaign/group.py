"""A copy of a group's metadata and coordinates, from which damaged files are written again."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lensax.campaign.errors import CampaignDamaged
from lensax.campaign.files import flush_folder, read_json, read_whole, write_durably
from lensax.campaign.guard import NAME

__all__ = ["changed_files", "damaged_copy", "group_copy", "restore_files"]

INSIDE = re.compile(rf"(?:{NAME.pattern}/)?zarr\.json|{NAME.pattern}/c(?:[./]\d+)*")
"""Names of files that a group has: its own metadata, an array's, and the chunks of a coordinate."""


def group_copy(files: Mapping[str, bytes]) -> bytes:
    """The copy of the files of an empty group, by their path in it."""
    content = {path: base64.b64encode(data).decode() for path, data in files.items()}
    return (json.dumps({"files": content, "sha256": _digest(content)}, indent=1, sort_keys=True) + "\n").encode()


def damaged_copy(path: Path) -> list[str]:
    """What is wrong with the copy."""
    try:
        _read(path)
    except CampaignDamaged:
        return [f"{path.parent.name}/{path.name}"]
    return []


def changed_files(folder: Path, copy: Path) -> list[str]:
    """The files in a campaign's folder that differ from the copy."""
    return [path for path, content in _read(copy).items() if read_whole(folder / path) != content]


def restore_files(folder: Path, copy: Path, drafts: Path) -> list[str]:
    """Write such files again, the group's own last; returns their names.

    Raises:
        CampaignDamaged: the copy is damaged too.
    """
    changed = changed_files(folder, copy)
    files = _read(copy)
    for path in sorted(changed, key=lambda path: path == "zarr.json"):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_durably(target, files[path], drafts)
        flush_folder(target.parent)
    return changed


def _read(path: Path) -> dict[str, bytes]:
    copy = read_json(path) or {}
    content = copy.get("files")
    if not isinstance(content, dict) or copy.get("sha256") != _digest(content):
        raise CampaignDamaged(f"{path} is missing or damaged")
    if not all(INSIDE.fullmatch(name) for name in content):
        raise CampaignDamaged(f"{path} names files that no campaign has")
    try:
        return {name: base64.b64decode(str(data), validate=True) for name, data in content.items()}
    except binascii.Error:
        raise CampaignDamaged(f"{path} is damaged") from None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
