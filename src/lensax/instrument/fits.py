"""Images in FITS files: read with the checks that every reader needs, written without replacing anything."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["read_image", "read_number", "read_sky", "write_image"]


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


def read_sky(path: str | Path, hdu: int | str | None = None) -> dict[str, Any]:
    """The header keywords that place an image on the sky, its distortion included; none where there are none.

    Args:
        path, hdu: as of `read_image`, which also says what is refused.
    """
    from astropy.io import fits
    from astropy.wcs import WCS

    header = read_image(path, hdu)[1]
    cards = [(name, value) for name, value in header.items() if name not in ("", "COMMENT", "HISTORY")]
    with warnings.catch_warnings(action="ignore"):
        try:
            places = WCS(fits.Header(cards), naxis=2)
        except Exception:  # whatever is wrong with coordinates that nobody has asked for
            return {}
        return dict(places.to_header(relax=True)) if places.has_celestial else {}


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
