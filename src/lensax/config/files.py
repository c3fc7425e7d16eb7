"""Files that a configuration names."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["FilePath"]


@final
@dataclass(frozen=True)
class FilePath:
    """The name of a file, relative to the folder of the configuration that names it.

    Args:
        written: what the file says.
    """

    written: str

    def inside(self, folder: Path) -> Path:
        """The path, given the configuration's folder.

        Raises:
            ValueError: there is no such file.
        """
        path = folder / Path(self.written).expanduser()
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise ValueError(f"the file '{self.written}' {what} (looked for {path})")
        return path

    def digest(self, folder: Path) -> str:
        """A hash of the file's content."""
        return hashlib.sha256(self.inside(folder).read_bytes()).hexdigest()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_validate)


def _validate(written: Any) -> FilePath:
    if isinstance(written, FilePath):
        return written
    if not isinstance(written, str) or not written.strip() or "\0" in written:
        raise ValueError("expected the name of a file")
    return FilePath(written)
