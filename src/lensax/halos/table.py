"""Tables of halos: read, converted to lensax's units and checked, with errors that name the row."""

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lensax.mass.mixed import FAMILIES, LARGEST_CORE
from lensax.mass.spherical import ROUNDING

COLUMNS = ("redshift", "center_x", "center_y", "kappa_s", "scale_radius", "truncation_radius", "core_radius")
OPTIONAL = {"truncation_radius": np.inf, "core_radius": 0.0}
IN_ARCSEC = ("center_x", "center_y", "scale_radius", "truncation_radius", "core_radius")
PROFILE = "profile"
SHEETS_KEY = "SHEETS"
PLANE_TOLERANCE = 1e-6
_FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".fit": "fits", ".fits.gz": "fits"}


class RowLabels:
    """What to call a row in an error: its index and, where the table came from a text file, the file and line."""

    def __init__(self, path: Path | None = None, lines: Sequence[int] | None = None) -> None:
        self.path, self.lines = path, lines

    def __call__(self, row: int) -> str:
        if self.path is None:
            return f"row {row}"
        if self.lines is None or row >= len(self.lines):
            return f"{self.path}, row {row}"
        return f"{self.path}, line {self.lines[row]} (row {row})"

    @property
    def table(self) -> str:
        """What to call the whole table."""
        return "table" if self.path is None else str(self.path)


def read_file(path: str | os.PathLike[str]) -> tuple[Any, RowLabels]:
    """An astropy Table from an ECSV, CSV or FITS file, with labels for its rows.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another format, or a file that cannot be parsed.
    """
    from astropy.table import Table

    path = Path(path)
    name = path.name.lower()
    suffix = next((s for s in sorted(_FORMATS, key=len, reverse=True) if name.endswith(s)), None)
    if suffix is None:
        raise ValueError(f"{path}: a table of halos is an .ecsv, .csv or .fits file, not '{path.suffix}'")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table of halos")
    keywords: dict[str, Any] = {"comment": "#"} if suffix == ".csv" else {}
    try:
        table = Table.read(path, format=_FORMATS[suffix], **keywords)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path}: cannot be read as {_FORMATS[suffix]}: {reason}") from error
    return table, RowLabels(path, None if suffix.startswith(".fit") else _data_lines(path))


def read_columns(table: Any, label: RowLabels) -> dict[str, np.ndarray]:
    """The seven columns as float64 arrays of one length in lensax's units, every value checked.

    With a column `profile` there is an eighth, `family`, as `MixedHalos` has it.

    Raises:
        ValueError: what is wrong, with its row, column and value.
    """
    names = list(getattr(table, "colnames", None) or table.keys())
    for name in names:
        if name not in (*COLUMNS, PROFILE):
            close = difflib.get_close_matches(str(name), (*COLUMNS, PROFILE), 1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            allowed = ", ".join((*COLUMNS, PROFILE))
            raise ValueError(f"{label.table}: unknown column '{name}'{hint}; the columns are {allowed}")
    missing = [name for name in COLUMNS if name not in names and name not in OPTIONAL]
    if missing:
        raise ValueError(
            f"{label.table}: column '{missing[0]}' is missing; found {', '.join(map(str, names)) or 'none'}"
        )
    columns = {name: _numbers(table[name], name, label) for name in names if name != PROFILE}
    if PROFILE in names:
        columns["family"] = _families(table[PROFILE], label)
    length = len(columns["redshift"])
    for name, values in columns.items():
        if len(values) != length:
            raise ValueError(f"{label.table}: column '{name}' has {len(values)} rows, 'redshift' has {length}")
    for name, default in OPTIONAL.items():
        columns.setdefault(name, np.full(length, default))
    for name in COLUMNS:
        _check(columns[name], name, label)
    largest = np.asarray(LARGEST_CORE)[columns.get("family", np.zeros(length, int))]
    large = np.flatnonzero(columns["core_radius"] > largest * columns["scale_radius"] * (1 + ROUNDING))
    if large.size:
        row = int(large[0])
        core, scale = columns["core_radius"][row], columns["scale_radius"][row]
        raise ValueError(
            f"{label(row)}: core_radius = {core:.9g}, expected at most {largest[row]:g} scale radii of {scale:.9g}"
        )
    return columns


def plane_of(redshift: np.ndarray, planes: np.ndarray, label: RowLabels) -> np.ndarray:
    """The index of the plane on which each halo stands, within 1e-6 in redshift.

    Raises:
        ValueError: a halo on no plane; the message names its row and lists the planes.
    """
    distance = np.abs(redshift[:, None] - planes[None, :].astype(np.float64))
    index = np.argmin(distance, axis=1)
    stray = np.flatnonzero(distance[np.arange(len(redshift)), index] > PLANE_TOLERANCE)
    if stray.size:
        row = int(stray[0])
        stand = ", ".join(f"{z:.7g}" for z in planes)
        raise ValueError(
            f"{label(row)}: redshift = {redshift[row]:.9g} is on no plane; the planes stand at {stand} "
            f"(tolerance {PLANE_TOLERANCE:g})"
        )
    return index


def _families(column: Any, label: RowLabels) -> np.ndarray:
    """What `MixedHalos` calls the profiles of a column."""
    words = [word.decode() if isinstance(word, bytes) else str(word) for word in np.asarray(column).tolist()]
    found = np.empty(len(words), np.int32)
    for row, word in enumerate(words):
        if word.strip() not in FAMILIES:
            raise ValueError(f"{label(row)}: {PROFILE} = {word!r}, expected one of {', '.join(FAMILIES)}")
        found[row] = FAMILIES.index(word.strip())
    return found


def _numbers(column: Any, name: str, label: RowLabels) -> np.ndarray:
    column = _converted(column, name, label)
    mask = np.asarray(getattr(column, "mask", False))
    values = np.atleast_1d(np.asarray(getattr(column, "value", column)))
    if values.ndim != 1:
        raise ValueError(f"{label.table}: column '{name}' has shape {values.shape}, expected one number per row")
    if mask.any():
        raise ValueError(f"{label(int(np.flatnonzero(mask)[0]))}: column '{name}' is empty")
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    numbers = np.empty(len(values))
    for row, value in enumerate(values.tolist()):
        try:
            if isinstance(value, bool):
                raise TypeError
            numbers[row] = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{label(row)}: {name} = {value!r} is not a number") from None
    return numbers


def _converted(column: Any, name: str, label: RowLabels) -> Any:
    unit = getattr(column, "unit", None)
    if unit is None:
        return column
    from astropy import units

    expected = units.arcsec if name in IN_ARCSEC else units.dimensionless_unscaled
    try:
        factor = units.Unit(unit).to(expected)
    except (units.UnitConversionError, ValueError, TypeError):
        what = "arcsec" if name in IN_ARCSEC else "a plain number"
        raise ValueError(f"{label.table}: column '{name}' has the unit '{unit}', expected {what}") from None
    values = np.ma.asarray(getattr(column, "value", column)) if hasattr(column, "mask") else np.asarray(column)
    if hasattr(column, "to_value"):
        values = np.asarray(column.to_value(unit))
    return values if factor == 1.0 else values * factor


def _check(values: np.ndarray, name: str, label: RowLabels) -> None:
    infinite_ok = name == "truncation_radius"
    bad = np.isnan(values) if infinite_ok else ~np.isfinite(values)
    expected = "a number" if infinite_ok else "a finite number"
    if name in ("kappa_s", "scale_radius", "truncation_radius"):
        bad, expected = bad | (values <= 0), "positive"
    elif name in ("core_radius", "redshift"):
        bad, expected = bad | (values < 0), "zero or positive"
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"{label(row)}: {name} = {values[row]:.9g}, expected {expected}")


def _data_lines(path: Path) -> list[int]:
    """Line numbers of the data rows: what follows the header line, without comments and blank lines."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [i for i, text in enumerate(file, 1) if text.strip() and not text.lstrip().startswith("#")]
    return lines[1:]


def parse_sheets(table: Any) -> np.ndarray | None:
    """The sheets that `HaloCatalogue.to_table` wrote into the table's header, if it has any."""
    meta = getattr(table, "meta", None)
    text = meta.get(SHEETS_KEY) if isinstance(meta, Mapping) else None
    return None if text is None else np.array([float(word) for word in str(text).split()])
