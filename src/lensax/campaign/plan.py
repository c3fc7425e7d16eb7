"""What a campaign makes: everything on which the bytes of its rows depend."""

import difflib
from dataclasses import dataclass, fields
from typing import Any

from lensax.campaign.errors import CampaignDamaged, CampaignRefused

__all__ = ["IMAGES", "MAX_COUNT", "MAX_SEED", "TYPES", "Plan", "default_shard_size"]

IMAGES = ("noiseless", "noisy")
"""The images that a campaign can keep, in the order in which they are stored."""

TYPES = ("float16", "float32")
"""The types in which images can be stored."""

MAX_SEED = 2**32 - 1
MAX_COUNT = 2**32
"""Seeds and row numbers enter the random keys as 32-bit words."""

SHARD_BYTES = 2**24
"""An image shard of about 16 MiB: a large file for the disk, a few seconds of work at 20 ms an image."""


@dataclass(frozen=True)
class Plan:
    """A campaign before its first row is made.

    Args:
        configuration: the YAML text of the model.
        configuration_hash: a hash of what the text and the files that it names mean; two texts that differ in
            comments alone share it.
        seed: of all random numbers, 0 to 2^32 - 1.
        count: number of rows.
        shard_size: rows in one file.
        batch_size: rows simulated side by side, None until it has been measured; part of the plan because sums may be
            ordered differently in programs compiled for other sizes.
        keep: which of "noiseless" and "noisy" are stored.
        precision: of the simulation, "float32" or "float64".
        dtype: of the stored images, "float16" or "float32".

    Raises:
        CampaignRefused: a number out of its range, an unknown image or type.
    """

    configuration: str
    configuration_hash: str
    seed: int
    count: int
    shard_size: int
    batch_size: int | None
    keep: tuple[str, ...] = IMAGES
    precision: str = "float32"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        _check_range("count", self.count, 1, MAX_COUNT)
        _check_range("seed", self.seed, 0, MAX_SEED)
        _check_range("shard_size", self.shard_size, 1, MAX_COUNT)
        if self.batch_size is not None:
            _check_range("batch_size", self.batch_size, 1, MAX_COUNT)
        unknown = [name for name in self.keep if name not in IMAGES]
        if unknown or not self.keep:
            found = unknown[0] if unknown else ""
            raise CampaignRefused(f"keep must name {' or '.join(IMAGES)} or both, found {found!r}")
        if self.dtype not in TYPES:
            raise CampaignRefused(f"dtype must be {' or '.join(TYPES)}, found {self.dtype!r}")
        object.__setattr__(self, "keep", tuple(name for name in IMAGES if name in self.keep))
        object.__setattr__(self, "shard_size", min(self.shard_size, self.count))

    @property
    def n_shards(self) -> int:
        """Number of shards; the last may be shorter."""
        return -(-self.count // self.shard_size)

    def rows(self, shard: int) -> range:
        """The rows of one shard."""
        start = shard * self.shard_size
        return range(start, min(start + self.shard_size, self.count))

    def differences(self, other: "Plan") -> list[str]:
        """What another plan has different, one phrase each: "seed is 1, not 2"."""
        found = [
            f"{field.name} is {_shown(getattr(self, field.name))}, not {_shown(getattr(other, field.name))}"
            for field in fields(self)
            if not field.name.startswith("configuration") and getattr(self, field.name) != getattr(other, field.name)
        ]
        if self.configuration_hash != other.configuration_hash:
            found.append(_text_difference(self.configuration, other.configuration))
        return found

    def to_attributes(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {field.name: _json(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_attributes(cls, attributes: dict[str, Any]) -> "Plan":
        """The plan that `to_attributes` wrote; raises `CampaignRefused` where a value is missing or of another type."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = attributes.get(field.name)
            expected: Any = {"keep": list, "precision": str, "dtype": str}.get(
                field.name, str if field.name.startswith("configuration") else int
            )
            open_choice = value is None and field.name == "batch_size"
            if not (isinstance(value, expected) or open_choice) or isinstance(value, bool):
                raise CampaignDamaged(f"the campaign's metadata is damaged: {field.name} is {value!r}")
            values[field.name] = value
        values["keep"] = tuple(str(name) for name in values["keep"])
        return cls(**values)


def default_shard_size(row_bytes: int, count: int) -> int:
    """Rows per shard so that a file of images, `row_bytes` each, has about 16 MiB: a power of two, at most `count`."""
    rows = max(1, SHARD_BYTES // max(1, row_bytes))
    return max(1, min(count, 1 << (rows.bit_length() - 1)))


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise CampaignRefused(f"{name} must be a whole number from {low} to {high}, found {value}")


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return "not set" if value is None else ", ".join(value) if isinstance(value, tuple) else str(value)


def _text_difference(here: str, there: str) -> str:
    """The first lines that differ, and how many more do."""
    old, new = here.splitlines(), there.splitlines()
    blocks = [
        block for block in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if block[0] != "equal"
    ]
    if not blocks:
        return "the files that the configuration names have other contents"
    _, start, stop, new_start, new_stop = blocks[0]
    was = " / ".join(line.strip() for line in old[start:stop][:2]) or "nothing"
    now = " / ".join(line.strip() for line in new[new_start:new_stop][:2]) or "nothing"
    more = f" (and {len(blocks) - 1} more changes)" if len(blocks) > 1 else ""
    return f"line {start + 1} of its configuration is '{was}', not '{now}'{more}"
