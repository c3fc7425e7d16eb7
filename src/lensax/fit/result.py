"""What a fit leaves in its folder for others to read: tables, draws and FITS images."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lensax.fit.images import FitImages
from lensax.fit.run import Found
from lensax.instrument import Imaging
from lensax.instrument.fits import UNIT, write_image
from lensax.inversion import CorrelatedNoise

__all__ = ["report_numbers", "write_draws", "write_images", "write_report", "write_table"]

SOURCE_BRIGHTNESS = "electron / (s arcsec2)"


def write_table(table: Any, folder: Path) -> list[Path]:
    """Write a summary as `summary.ecsv`, which astropy reads back with its units and types, and as text to look at.

    Args:
        table: of `summary_table`.
        folder: exists.
    """
    paths = [folder / "summary.ecsv", folder / "summary.txt"]
    _whole(paths[0], lambda draft: table.write(draft, format="ascii.ecsv", overwrite=True))
    shown = table.copy()
    for name in shown.colnames:
        if shown[name].dtype.kind == "f":
            shown[name].format = ".5g"
    align = ["<" if column.dtype.kind == "U" else ">" for column in shown.columns.values()]
    lines = shown.pformat(max_lines=-1, max_width=-1, align=align)
    _whole(paths[1], lambda draft: draft.write_text("\n".join(line.rstrip() for line in lines) + "\n"))
    return paths


def write_draws(draws: Mapping[str, Any], log_density: Any, folder: Path) -> Path:
    """Write the draws of the posterior as `samples.npz`: an array (chains, draws) for every parameter by its name.

    Args:
        draws: by name.
        log_density: of every draw, stored as `log_density`.
        folder: exists.
    """
    path = folder / "samples.npz"
    arrays = {name: np.asarray(values) for name, values in draws.items()} | {"log_density": np.asarray(log_density)}

    def write(draft: Path) -> None:
        with draft.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    _whole(path, write)
    return path


def write_images(images: FitImages, folder: Path, sky: Mapping[str, Any] | None = None) -> list[Path]:
    """Write the images of a fit as FITS files; those of the source have its coordinates in the source plane.

    Images of a model are 0 outside of the mask. All have linear coordinates in arcsec; those in the frame of the data
    also have the data's coordinates on the sky, where these are known.

    Args:
        images: of the fit.
        folder: exists.
        sky: header keywords that place the data on the sky.
    """
    left, right, bottom, top = images.source_extent
    center = (0.5 * (left + right), 0.5 * (bottom + top))
    files: dict[str, tuple[np.ndarray, str, str]] = {
        "data": (images.data, UNIT, "the image that was fitted"),
        "noise_map": (images.noise_map, UNIT, "standard deviation of the noise as it was fitted"),
        "mask": (images.mask, "", "1: used, 0: left out"),
        "model": (images.model, UNIT, "lensed source and lens light"),
        "lens_light": (images.lens_light, UNIT, "light of the lens"),
        "source_light": (images.source_light, UNIT, "lensed source"),
        "residual": (images.residual, UNIT, "data minus model"),
        "normalized_residual": (images.normalized_residual, "", "white residual, of unit variance"),
        "source": (images.source, SOURCE_BRIGHTNESS, "source in the source plane"),
        "source_deviation": (images.source_deviation, SOURCE_BRIGHTNESS, "posterior deviation of the source"),
    }
    paths = []
    for name, (image, unit, comment) in files.items():
        plane = name in ("source", "source_deviation")
        scale = images.source_pixel_scale if plane else images.pixel_scale
        keywords = {"BUNIT": (unit, ""), "CONTENT": (comment, "")}
        path = folder / f"{name}.fits"
        _whole(
            path,
            lambda draft, image=image, keywords=keywords, scale=scale, plane=plane: write_image(
                draft, image, keywords, scale, True, *((center, None) if plane else ((0.0, 0.0), sky))
            ),
        )
        paths.append(path)
    return paths


def report_numbers(found: Found, given: Imaging, images: FitImages) -> dict[str, Any]:
    """The numbers of a fit that are not parameters, as `fit.json` has them.

    Densities and evidences are natural logarithms, times are in seconds, `noise_over_given` is the median over the
    pixels that are used, `correlation_of_neighbours` the mean along either axis.

    Args:
        found: the fit.
        given: the dataset with which it began.
        images: of the fit.
    """
    last, samples = found.stages[-1], found.samples
    posterior, maximum = last.posterior, last.maximum
    used, noise = np.asarray(posterior.dataset.mask), posterior.noise
    fitted, before = (np.asarray(dataset.noise_map)[used] for dataset in (posterior.dataset, given))
    return {
        "log_evidence": maximum.log_evidence,
        "log_density": maximum.log_density,
        "log_model_evidence": found.laplace.log_evidence,
        "chi_squared": images.chi_squared,
        "pixels": images.n_pixels,
        "effective_source_parameters": images.n_effective,
        "noise_over_given": float(np.median(fitted / before)),
        "correlation_of_neighbours": noise.of_neighbours if isinstance(noise, CorrelatedNoise) else 0.0,
        "converged": bool(maximum.converged),
        "directions_held_by_prior": found.laplace.raised,
        "divergences": None if samples is None else int(samples.divergences),
        "seconds": found.seconds,
        "stages": {
            one.name: {"log_evidence": one.maximum.log_evidence, "log_density": one.maximum.log_density}
            for one in found.stages
        },
    }


def write_report(about: Mapping[str, Any], folder: Path) -> Path:
    """Write the numbers of a fit that are not parameters (`report_numbers`) as `fit.json`."""
    path = folder / "fit.json"
    _whole(path, lambda draft: draft.write_text(json.dumps(about, indent=1) + "\n"))
    return path


def _whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.stem}.draft{path.suffix}")
    write(draft)
    os.replace(draft, path)
