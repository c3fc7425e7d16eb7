"""The folder of a fit: what has been found so far is safe there, and the same fit goes on from it.

OUT/configuration.yaml    the text of the configuration
OUT/summary.ecsv, .txt    parameters with their errors
OUT/samples.npz           draws of the posterior
OUT/*.fits, OUT/*.png     images and figures
OUT/.lensax/fit.json      configuration, seed, versions
OUT/.lensax/stage_*.json  the maximum of every stage that is finished
OUT/.lensax/laplace.json  the error bars
OUT/.lensax/sampling.json seconds that the sampling has taken
OUT/.lensax/chains/       the state of the chains
OUT/.lensax/lock          who writes now
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lensax.campaign.files import read_json, write_json
from lensax.campaign.lock import writer_lock
from lensax.campaign.provenance import describe_device, describe_versions, git_revision

__all__ = ["FitFolder", "FitRefused"]

FORMAT = 1
"""Version of the layout of the folder."""

PRIVATE = ".lensax"


class FitRefused(ValueError):
    """The folder does not fit what is asked of it; nothing in it was touched."""


class FitFolder:
    """A fit's folder, whether it exists already or not.

    Args:
        path: the folder.

    Raises:
        FitRefused: a file, or a folder that holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.private = self.path / PRIVATE
        self.drafts = self.private / "drafts"
        self.chains = self.private / "chains"
        self.about = read_json(self.private / "fit.json")
        if self.path.exists() and not self.path.is_dir():
            raise FitRefused(f"{self.path} is a file, not a folder")
        if self.about is None and self.path.is_dir() and any(self.path.iterdir()) and not self._begun():
            raise FitRefused(f"{self.path} is not empty and holds no fit; choose another folder")
        if self.about is not None and self.about.get("lensax_fit") != FORMAT:
            layout = self.about.get("lensax_fit")
            raise FitRefused(f"{self.path} has layout {layout!r}, this lensax reads layout {FORMAT}")

    def _begun(self) -> bool:
        """Whether the folder holds nothing but what a fit leaves that was stopped before it said what it is."""
        return [entry.name for entry in self.path.iterdir()] == [PRIVATE]

    @contextlib.contextmanager
    def open(self, digest: str, seed: int | None, text: str) -> Iterator[int]:
        """Hold the folder for a fit, and set it up or check that it is this fit's; yields the seed.

        Args:
            digest: of the configuration.
            seed: of all random numbers; None takes that of the folder, or 0.
            text: of the configuration.

        Raises:
            FitRefused: the folder holds another configuration's fit, or one with another seed.
            CampaignRefused: another process writes here now.
        """
        self.check(digest, seed)
        for folder in (self.private, self.drafts, self.chains):
            folder.mkdir(parents=True, exist_ok=True)
        with writer_lock(self.private / "lock"):
            self.about = read_json(self.private / "fit.json")
            self.check(digest, seed)
            if self.about is None:
                self.about = {
                    "lensax_fit": FORMAT,
                    "configuration": digest,
                    "seed": 0 if seed is None else seed,
                    "versions": describe_versions(),
                    "revision": git_revision(),
                    "device": describe_device(),
                }
                write_json(self.private / "fit.json", self.about, self.drafts)
            (self.path / "configuration.yaml").write_text(text, encoding="utf-8")
            yield int(self.about["seed"])

    def check(self, digest: str, seed: int | None) -> None:
        """Refuse another fit than the folder's.

        Raises:
            FitRefused: says what differs.
        """
        if self.about is None:
            return
        if self.about["configuration"] != digest:
            raise FitRefused(
                f"{self.path} holds the fit of another configuration (its text: {self.path / 'configuration.yaml'}); "
                "choose another folder"
            )
        if seed is not None and self.about["seed"] != seed:
            raise FitRefused(f"{self.path} holds a fit with seed {self.about['seed']}, not {seed}")

    def read(self, name: str) -> dict[str, Any] | None:
        """What a part of the fit has written, or None."""
        return read_json(self.private / name)

    def write(self, name: str, found: dict[str, Any]) -> None:
        """Write what a part of the fit has found, so that it is there whole or not at all."""
        write_json(self.private / name, found, self.drafts)
