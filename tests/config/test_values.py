"""Parameters as a configuration writes them."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from lensax.config import Value
from lensax.parameters import Constant, Expression, Free


def test_a_number_is_fixed():
    value = Value.of(0.5)
    parameter = value.parameter("lens.redshift")
    assert isinstance(parameter, Constant)
    assert (value.number, float(parameter.value)) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ({"Normal": [1.2, 0.05]}, "Normal(loc=1.2, scale=0.05)"),
        ({"Uniform": {"low": 0, "high": 2}}, "Uniform(low=0, high=2)"),
        ({"HalfNormal": 0.1}, "HalfNormal(scale=0.1)"),
        ({"Normal": []}, "Normal(loc=0, scale=1)"),
        ({"Normal": {}}, "Normal(loc=0, scale=1)"),
    ],
)
def test_a_prior_is_free(written, text):
    value = Value.of(written)
    parameter = value.parameter("a.b")
    assert isinstance(parameter, Free)
    assert (parameter.name, parameter.describe(), value.number) == ("a.b", text, None)


def test_an_expression_is_derived():
    value = Value.of("= 2 * lens.redshift")
    parameter = value.parameter("x")
    assert isinstance(parameter, Expression)
    assert (parameter.needs, value.number) == (("lens.redshift",), None)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (True, "expected a number, a prior"),
        (None, "expected a number, a prior"),
        ("1.0", "expected a number, a prior"),
        ("1e8 Msun", "expected a number without its unit"),
        ("5keV", "expected a number without its unit"),
        ("-.5 arcsec", "expected a number without its unit"),
        ([1.0, 2.0], "expected a number, a prior"),
        (math.nan, "expected a number"),
        (math.inf, "expected a finite number"),
        ({}, "expected one distribution.*found the keys nothing"),
        ({"Normal": [0, 1], "Uniform": [0, 1]}, "found the keys Normal, Uniform"),
        ({"Normal": "wide"}, "the arguments of Normal must be a list or a mapping of numbers"),
        ({"Normal": None}, "the arguments of Normal"),
        ({"Uniform": [2, 1]}, "has no support"),
        ({"Normal": [0, -1]}, "invalid scale"),
        ({"Normal": [0, math.nan]}, "scale must be a finite number, found nan"),
        ({"Gaussian": [0, 1]}, "unknown distribution 'Gaussian'"),
        ("= 2 *", "is not an expression"),
        ("=", "is not an expression"),
    ],
)
def test_refused(written, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Value).validate_python(written)


def test_a_default_stays():
    value = Value.of(math.inf)
    assert TypeAdapter(Value).validate_python(value) is value
