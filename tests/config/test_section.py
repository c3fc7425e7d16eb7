"""Sections that follow from classes, and choices between them."""

import dataclasses
import math

import equinox as eqx
import pytest
from pydantic import Field, ValidationError

from lensax._types import Scalar, real
from lensax.config import Section, Value, choice, section_of
from lensax.config.files import FilePath
from lensax.config.section import either, find


class Profile(eqx.Module):
    size: Scalar = real()
    edge: Scalar = real(default=math.inf)
    nodes: int = eqx.field(static=True, default=3)


@dataclasses.dataclass
class Settings:
    tolerance: float
    mode: bool | None = None
    names: list = dataclasses.field(default_factory=list)


PROFILE = section_of(Profile, Value)
CHOICE = choice("profile", {"Profile": PROFILE, "Settings": section_of(Settings, skip=("names",))})


class Outer(Section):
    entries: list[CHOICE] = Field(default_factory=list)
    free: dict[str, Value] = Field(default_factory=dict)
    count: either(int, PROFILE, dict) = 1
    file: either(float, FilePath, str) = 0.0


def test_keys_follow_from_the_class():
    fields = PROFILE.model_fields
    assert list(fields) == ["size", "edge", "nodes"]
    assert [field.is_required() for field in fields.values()] == [True, False, False]
    assert fields["nodes"].annotation is int
    section = PROFILE.model_validate({"size": {"Normal": [0, 1]}})
    assert section.edge.number == math.inf


def test_made_with_the_keys_that_are_given():
    made = section_of(Settings, skip=("names",)).model_validate({"tolerance": 1}).make(names=["a"])
    assert made == Settings(1.0, None, ["a"])


@pytest.mark.parametrize("written", ["Settings", {"Settings": None}, {"Settings": {}}])
def test_a_missing_mapping_is_an_empty_one(written):
    with pytest.raises(ValidationError) as caught:
        CHOICE.model_validate(written)
    assert [(error["type"], error["loc"]) for error in caught.value.errors()] == [
        ("missing", ("Settings", "tolerance"))
    ]


@pytest.mark.parametrize("written", [None, {}, 3, [], {"Profile": {"size": 1}, "Settings": {"tolerance": 1}}])
def test_exactly_one_is_chosen(written):
    with pytest.raises(ValidationError, match=r"expected (exactly )?one profile of Profile, Settings"):
        CHOICE.model_validate(written)


def test_everything_of_a_type_with_its_path():
    outer = Outer.model_validate(
        {
            "entries": [{"Profile": {"size": 1}}, {"Settings": {"tolerance": 1}}, {"Profile": {"size": 2, "edge": 3}}],
            "free": {"width": "= 1 + 1"},
            "count": {"size": 5},
            "file": "x.fits",
        }
    )
    assert {path: value.written for path, value in find(outer, Value)} == {
        ("entries", 0, "Profile", "size"): 1,
        ("entries", 0, "Profile", "edge"): math.inf,
        ("entries", 2, "Profile", "size"): 2,
        ("entries", 2, "Profile", "edge"): 3,
        ("free", "width"): "= 1 + 1",
        ("count", "size"): 5,
        ("count", "edge"): math.inf,
    }
    assert list(find(outer, FilePath)) == [(("file",), FilePath("x.fits"))]


@pytest.mark.parametrize(("key", "written"), [("count", 1.5), ("count", "1"), ("count", True), ("file", [1])])
def test_nothing_is_converted(key, written):
    with pytest.raises(ValidationError):
        Outer.model_validate({key: written})


def test_a_file_is_looked_for_in_the_folder(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    assert FilePath("a.txt").inside(tmp_path) == tmp_path / "a.txt"
    assert FilePath("a.txt").digest(tmp_path) == FilePath(str(tmp_path / "a.txt")).digest(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"the file 'b.txt' does not exist"):
        FilePath("b.txt").inside(tmp_path)
    with pytest.raises(ValueError, match="is a folder"):
        FilePath(".").inside(tmp_path)
