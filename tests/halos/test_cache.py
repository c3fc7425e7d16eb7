"""Tables on disk: found again, made again where they are not what they should be, and never in the way."""

import numpy as np
import pytest

from lensax import halos
from lensax.halos import mass_function
from lensax.halos.cache import cached


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LENSAX_CACHE", str(tmp_path / "tables"))
    return tmp_path / "tables"


class Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return np.arange(6.0).reshape(2, 3)


def test_a_table_is_made_once_for_one_content(folder):
    make = Maker()
    for _ in range(3):
        np.testing.assert_array_equal(cached({"a": 1.0}, (2, 3), make), make.__class__()())
    assert make.calls == 1
    cached({"a": 1.0 + 1e-15}, (2, 3), make)
    assert make.calls == 2
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "nan", "shape"])
def test_a_damaged_file_is_made_again(folder, damage):
    make = Maker()
    cached({"a": 1}, (2, 3), make)
    (path,) = folder.iterdir()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        np.save(path, np.full((2, 3), np.nan) if damage == "nan" else np.zeros((3, 2)))
    np.testing.assert_array_equal(cached({"a": 1}, (2, 3), make), Maker()())
    assert make.calls == 2
    cached({"a": 1}, (2, 3), make)
    assert make.calls == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    make = Maker()
    for place in (str(tmp_path / "file" / "tables"), "off"):
        monkeypatch.setenv("LENSAX_CACHE", place)
        np.testing.assert_array_equal(cached({"a": 1}, (2, 3), make), Maker()())
    assert make.calls == 2


def test_mass_functions_come_from_the_cache_unchanged(folder, theory, monkeypatch):
    first = halos.MassFunction.tabulate(theory, 1.5)
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setattr(mass_function, "colossus_cosmology", None)  # colossus is not asked again
    second = halos.MassFunction.tabulate(theory, 1.5)
    np.testing.assert_array_equal(first.table.values, second.table.values)
    halos.Concentration.tabulate(theory, 1.5)
    assert len(list(folder.iterdir())) == 2
