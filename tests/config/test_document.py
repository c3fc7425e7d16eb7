"""YAML as plain values with line numbers; what is not YAML is a ConfigError with its line."""

import json
import math
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensax.config import ConfigError
from lensax.config.document import Document

TEXT = """\
# a comment
cosmology: Planck15
lens:
  redshift: 0.5

  mass:
    - PowerLaw: {slope: 2.0,
                 e1: 0.1}
    - ExternalShear:
        gamma_1: 1e-3
    - PowerLaw: {slope: 1.9}
instrument: {shape: [100, 90]}
"""


def test_values_and_lines():
    document = Document(TEXT)
    assert document.data["lens"]["mass"][1] == {"ExternalShear": {"gamma_1": 0.001}}
    lines = {
        (): 2,
        ("cosmology",): 2,
        ("lens", "redshift"): 4,
        ("lens", "mass", 0, "PowerLaw", "e1"): 8,
        ("lens", "mass", 1): 9,
        ("lens", "mass", 1, "ExternalShear", "gamma_1"): 10,
        ("lens", "mass", 2, "PowerLaw", "slope"): 11,
        ("instrument", "shape", 1): 12,
        ("lens", "mass", 1, "ExternalShear", "gamma_2"): 9,  # missing: the mapping that lacks it
        ("source", "redshift"): 2,  # missing: the document
    }
    assert {path: document.line(path) for path in lines} == lines


def test_a_class_stands_for_its_entry_of_a_list():
    document = Document(TEXT)
    assert document.dotted(("lens", "mass", 0, "PowerLaw", "slope")) == "lens.mass.PowerLaw.slope"
    assert document.dotted(("lens", "mass", 2, "PowerLaw", "slope")) == "lens.mass.PowerLaw_2.slope"
    assert document.dotted(("lens", "mass", 1)) == "lens.mass[1]"
    assert document.dotted(("instrument", "shape", 1)) == "instrument.shape[1]"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("+.5", 0.5),
        ("2.", 2.0),
        ("-3", -3),
        ("010", 10),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("'1.0'", "1.0"),
        ('"true"', "true"),
        ('"\\ud83d\\udd2d"', "\U0001f52d"),
        ("|\n  text", "text"),
    ],
)
def test_plain_words_are_those_of_yaml_1_2(written, value):
    found = Document(f"a: {written}").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_read():
    assert math.isnan(Document("a: .nan").data["a"])


def test_an_anchor_is_the_same_value_in_another_place():
    document = Document("a: &x {b: 1}\nc: *x")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert document.dotted(("c", "b")) == "c.b"


@pytest.mark.parametrize(
    ("text", "line", "key", "reason"),
    [
        ("", None, None, "found nothing"),
        ("# only a comment", None, None, "found nothing"),
        ("[1, 2]", 1, None, "expected a mapping of sections, found a list"),
        ("word", 1, None, "expected a mapping of sections, found 'word'"),
        ("a: 1\n\na: 2", 3, "a", "the key stands twice, first in line 1"),
        ("a:\n  - P: {x: 1,\n      x: 2}", 3, "a.P.x", "the key stands twice, first in line 2"),
        ("a: [1\nb: 2", 2, None, "not YAML"),
        ("a: b: c", 1, None, "not YAML: mapping values are not allowed here"),
        ("a:\n\t- b", 2, None, "not YAML"),
        ("a: 'x", 1, None, "not YAML"),
        ("a: 1\nb: \x07", 2, None, "not YAML: the character '\\x07' is not allowed"),
        ("a: 1\n---\nb: 2", 2, None, "not YAML: expected a single document"),
        ("a: *x", 1, None, "not YAML: found undefined alias"),
        ("a: &x [*x]", 1, "a[0]", "an alias that contains itself"),
        (
            "a: !!python/object/apply:os.system [true]",
            1,
            "a",
            "the tag tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("a: !foo 1", 1, "a", "the tag !foo is not supported"),
        ("a: !!float '1'", 1, "a", "is not supported"),
        ("a: !!set {b}", 1, "a", "is not supported"),
        ("? [1]\n: 2", 1, None, "expected a word as key, found a list"),
        ("a:\n  ? {b: 1}\n  : 2", 2, "a", "expected a word as key, found a mapping"),
        ("a: {b: 1}\nc:\n  <<: {d: 1}", 3, "c", "the merge key '<<' is not supported"),
        ('a: "\\ud800"', 1, "a", "half a character"),
        ('"\\ud800": 1', 1, None, "half a character"),
        ("[" * 5000, None, None, "nested too deeply"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh")),
            None,
            None,
            "more than 20000 values",
        ),
    ],
)
def test_errors(text, line, key, reason):
    with pytest.raises(ConfigError) as caught:
        Document(text, "some.yaml")
    error = caught.value
    assert reason in error.reason
    assert "\n" not in str(error)
    assert str(error).startswith("some.yaml")
    if line is not None:
        assert (error.line, error.key or None) == (line, key)
        assert str(error).startswith(f"some.yaml:{line}: ")


GARBAGE = st.text(max_size=200) | st.text(alphabet=string.printable) | st.text(alphabet="ab:- \n{}[],&*!'\"#|>%@?")


@settings(max_examples=200, deadline=None)
@given(GARBAGE)
def test_garbage_is_a_mapping_or_a_config_error(text):
    try:
        found = Document(text).data
    except ConfigError as error:
        found = {"error": str(error)}
    assert isinstance(found, dict)
    assert "\n" not in found.get("error", "")


words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.text("abcxyz_", min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keys, values, min_size=1, max_size=4))
def test_json_is_yaml(data):
    """What `json` writes is read as it was, and every key is in its line."""
    text = json.dumps(data, indent=1)
    document = Document(text)
    assert document.data == data
    for key in data:
        assert text.splitlines()[document.line((key,)) - 1].startswith(f' "{key}":')
