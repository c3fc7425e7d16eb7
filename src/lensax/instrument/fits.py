"""Images in FITS files: read with the checks that every reader needs, written without replacing anything."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "UNIT",
    "SkyError",
    "check_unit",
    "read_brightness",
    "read_extent",
    "read_image",
    "read_number",
    "read_sky",
    "write_image",
]

UNIT = "electron / s"
"""Of images and their noise, as headers have it."""

_UNITS_READ = ("electron/s", "electrons/s", "e-/s", "e/s", "electron s-1", "electrons s-1", "electron.s-1")

_LINEAR = ("CTYPE", "CUNIT", "CRPIX", "CRVAL", "CDELT")  # keywords of an axis
# Keywords that turn, mirror or shear axes, and what they are where they do not.
_TURNED: dict[str, int | None] = {
    **dict.fromkeys(("PC1_1", "PC2_2"), 1),
    **dict.fromkeys(("PC1_2", "PC2_1", "CROTA1", "CROTA2"), 0),
    **dict.fromkeys(("CD1_1", "CD1_2", "CD2_1", "CD2_2")),
}


class SkyError(ValueError):
    """The header keywords that should place an image on the sky cannot be read."""


def read_image(path: str | Path, hdu: int | str | None = None) -> tuple[np.ndarray, dict[str, Any]]:
    """An image of a FITS file in float64, row 0 first as stored, and its header.

    Args:
        path: the file.
        hdu: number or name of the extension; None takes the first that holds an image.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not FITS, has no such extension, or what it holds is not a two-dimensional image.
    """
    from astropy.io import fits

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such FITS file")
    try:
        # What is wrong with a file becomes an error or does not matter; it is not printed as well.
        with warnings.catch_warnings(action="ignore"), fits.open(path, memmap=False) as units:
            images = [u for u in (units if hdu is None else [units[hdu]]) if u.is_image and u.data is not None]
            values = np.asarray(images[0].data, np.float64) if images else None
            header = dict(images[0].header) if images else {}
    except (
        OSError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        MemoryError,
        fits.VerifyError,
    ) as error:
        raise ValueError(f"{path}: cannot be read as FITS ({error})") from None
    if values is None:
        raise ValueError(
            f"{path}: {'no extension holds an image' if hdu is None else f'extension {hdu!r} holds no image'}"
        )
    if values.ndim != 2:
        raise ValueError(f"{path}: expected a two-dimensional image, got shape {values.shape}")
    return values, header


def read_brightness(path: str | Path, hdu: int | str | None = None) -> np.ndarray:
    """An image in electrons / s; the unit is checked where the header has `BUNIT` (arguments: `read_image`).

    Raises:
        FileNotFoundError, ValueError: what `read_image` and `check_unit` refuse.
    """
    values, header = read_image(path, hdu)
    check_unit(header, path)
    return values


def check_unit(header: Mapping[str, Any], path: str | Path) -> None:
    """Refuse an image in another unit than electrons / s.

    Raises:
        ValueError: the header's `BUNIT` is another unit.
    """
    unit = header.get("BUNIT")
    if unit is None or not str(unit).strip():
        return
    plain = str(unit).strip().lower().replace(" /", "/").replace("/ ", "/")
    if plain not in _UNITS_READ:
        raise ValueError(f"{path}: header keyword BUNIT must be {UNIT!r}, got {str(unit).strip()!r}")


def read_number(header: Mapping[str, Any], keyword: str, path: str | Path) -> float | None:
    """The positive number that a header gives for a keyword, or None.

    Raises:
        ValueError: the keyword is there, but its value is not a positive number.
    """
    if keyword not in header:
        return None
    value = header[keyword]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < np.inf:
        raise ValueError(f"{path}: header keyword {keyword} must be a positive number, got {value!r}")
    return float(value)


def read_extent(header: Mapping[str, Any], shape: tuple[int, int], path: str | Path) -> tuple[float, ...]:
    """The outer edges (left, right, bottom, top) of an image in arcsec, by the linear coordinates of its header.

    Args:
        header: has `CTYPE`, `CUNIT`, `CRPIX`, `CRVAL` and `CDELT` of both axes as `write_image` writes them.
        shape: (n_y, n_x).
        path: of the file, for messages.

    Raises:
        ValueError: a header without such coordinates, on the sky, or with axes that are turned or mirrored.
    """
    edges: list[float] = []
    turned = {name: header[name] for name, plain in _TURNED.items() if header.get(name, plain) != plain}
    for axis, count in ((1, shape[1]), (2, shape[0])):
        found = {f"{name}{axis}": header.get(f"{name}{axis}") for name in _LINEAR}
        kind, unit, *places = found.values()
        pixel, value, step = (v if isinstance(v, (int, float)) else np.nan for v in places)
        numbers = np.all(np.isfinite([pixel, value, step]))
        if turned or unit != "arcsec" or "-" in str(kind) or not numbers or not step > 0:
            shown = ", ".join(f"{name} {entry!r}" for name, entry in {**found, **turned}.items())
            raise ValueError(
                f"{path}: expected linear coordinates in arcsec in the header, x to the right and y up, got {shown}; "
                "give extent instead"
            )
        first = value + (0.5 - pixel) * step  # FITS counts pixels from 1
        edges += [first, first + count * step]
    return tuple(edges)


def read_sky(path: str | Path, hdu: int | str | None = None) -> dict[str, Any]:
    """The header keywords that place an image on the sky, its distortion included; none where there are none.

    Args:
        path, hdu: as of `read_image`, which also says what is refused.

    Raises:
        SkyError: there are such keywords, but no coordinates follow from them.
    """
    from astropy.io import fits
    from astropy.wcs import WCS

    header = read_image(path, hdu)[1]
    cards = [(name, value) for name, value in header.items() if name not in ("", "COMMENT", "HISTORY")]
    with warnings.catch_warnings(action="ignore"):
        try:
            places = WCS(fits.Header(cards), naxis=2)
            return dict(places.to_header(relax=True)) if places.has_celestial else {}
        # WcsError is a ValueError; the others are what comes of a keyword with a value of another type.
        except (ValueError, TypeError, AttributeError, LookupError, MemoryError, fits.VerifyError) as error:
            reasons = [line for line in str(error).splitlines() if line.strip() and not line.startswith("ERROR ")]
            reason = reasons[-1].rstrip(" .") if reasons else type(error).__name__
            raise SkyError(f"{path}: the coordinates on the sky cannot be read ({reason})") from None


def write_image(
    path: Path,
    image: Any,
    keywords: Mapping[str, tuple[Any, str]],
    pixel_scale: float | None,
    overwrite: bool,
    center: tuple[float, float] = (0.0, 0.0),
    sky: Mapping[str, Any] | None = None,
) -> None:
    """Write one image with header keywords; floating-point images keep their dtype.

    Args:
        path: the file.
        image: (n_y, n_x).
        keywords: value and comment by keyword.
        pixel_scale: arcsec; if given, a linear coordinate system in arcsec.
        overwrite: replace an existing file.
        center: (x, y) of the frame's centre in that system.
        sky: keywords that place the image on the sky (`read_sky`); the system in arcsec is the alternative "A" then.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
    """
    from astropy.io import fits

    values = np.asarray(image)
    unit = fits.PrimaryHDU(values.astype(np.uint8) if values.dtype == bool else values)
    if pixel_scale is not None:
        unit.header["PIXSCALE"] = (pixel_scale, "arcsec / pixel")
        key = "A" if sky else ""
        # Plain linear axes: x to the right and y up, as in every array of lensax; FITS counts pixels from 1.
        for axis, (name, count) in enumerate((("X", values.shape[1]), ("Y", values.shape[0])), start=1):
            unit.header[f"CTYPE{axis}{key}"] = (name, "linear")
            unit.header[f"CUNIT{axis}{key}"] = "arcsec"
            unit.header[f"CRPIX{axis}{key}"] = ((count + 1) / 2, "centre of the frame")
            unit.header[f"CRVAL{axis}{key}"] = center[axis - 1]
            unit.header[f"CDELT{axis}{key}"] = pixel_scale
    unit.header.update(sky or {})
    for keyword, (value, comment) in keywords.items():
        unit.header[keyword] = (value, comment)
    try:
        unit.writeto(path, overwrite=overwrite)
    except OSError as error:
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it") from None
        raise error
