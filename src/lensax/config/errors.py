"""The one exception of a configuration."""

from pathlib import Path

__all__ = ["ConfigError"]


class ConfigError(ValueError):
    """A configuration that cannot be used; its text is one line that says where, what was found and what is allowed.

    Args:
        reason: one sentence.
        file: the file, or None for text that came from elsewhere.
        line: line in the file, counted from 1.
        key: dotted path of the key, for example `lens.mass.PowerLaw.slope`.
    """

    def __init__(
        self, reason: str, file: str | Path | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        self.reason = " ".join(str(reason).split())
        self.file = None if file is None else str(file)
        self.line = line
        self.key = key
        place = self.file or "configuration"
        where = place if line is None else f"{place}:{line}"
        super().__init__(": ".join(part for part in (where, key, self.reason) if part))
