"""Noise that is drawn afresh for stored noiseless images."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lensax.campaign.errors import CampaignRefused

__all__ = ["HostNoise", "stored_instrument"]


def stored_instrument(configuration: str, kept: Path, folder: str | Path | None = None) -> Any:
    """The instrument of a configuration's text; nothing else of the model is built.

    Args:
        configuration: the YAML text, which may be a stranger's.
        kept: the store's folder of files that the text names; none outside of it is opened.
        folder: instead of it, a folder that the caller trusts the text with.

    Raises:
        CampaignRefused: the text describes no instrument, or one that needs a file which is not there.
    """
    from lensax.config.document import Document
    from lensax.config.errors import ConfigError
    from lensax.config.files import FilePath
    from lensax.config.instrument import InstrumentSection
    from lensax.config.section import find

    place = kept if folder is None else Path(folder)
    try:
        section: Any = InstrumentSection.model_validate(Document(configuration).data.get("instrument"))
        for _, name in find(section, FilePath):
            if folder is None and not (place / name.written).resolve().is_relative_to(place.resolve()):
                raise ValueError(f"the file '{name.written}' is not part of the store")
        return section.make(place, lambda path: contextlib.nullcontext())
    except (ConfigError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CampaignRefused(f"no instrument in the stored configuration ({reason}): pass instrument=") from None


@dataclass(frozen=True)
class HostNoise:
    """The noise of `Instrument.add_noise` in NumPy, for processes that load data and must not start JAX.

    The distribution is the same, the random numbers are not:
    `[Poisson((image + sky) t) + Normal(0, read_noise^2 + (background_rms t)^2)] / t - sky`.

    Args:
        exposure_time: t in s; this and the others a number or a map (n_y, n_x).
        sky_level: electrons / s / pixel.
        deviation: standard deviation in electrons of what is not Poisson.
    """

    exposure_time: np.ndarray
    sky_level: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, instrument: Any) -> "HostNoise":
        """The noise of an instrument."""
        values = [
            np.asarray(getattr(instrument, name), np.float32)
            for name in ("exposure_time", "sky_level", "read_noise", "background_rms")
        ]
        exposure_time, sky_level, read_noise, background_rms = values
        return cls(exposure_time, sky_level, np.asarray(np.hypot(read_noise, background_rms * exposure_time)))

    def add(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Noisy exposures of expected images (..., n_y, n_x), electrons / s / pixel, float32."""
        electrons = (images + self.sky_level) * self.exposure_time
        counts = random.poisson(np.maximum(electrons, 0.0)).astype(np.float32)
        if self.deviation.any():
            counts += self.deviation * random.standard_normal(images.shape, np.float32)
        return counts / self.exposure_time - self.sky_level

    def deviation_of(self, images: np.ndarray) -> np.ndarray:
        """The standard deviation of the noise of expected images, electrons / s / pixel."""
        electrons = np.maximum(images + self.sky_level, 0.0) * self.exposure_time
        return np.sqrt(electrons + self.deviation**2) / self.exposure_time
