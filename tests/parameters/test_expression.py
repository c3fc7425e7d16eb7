"""Expressions: what is read, what is refused, values, gradients and bounds."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensax.parameters import Expression
from lensax.parameters.expression import bounds, evaluate, names, parse
from lensax.parameters.interval import Interval

KNOWN = {"a": 1.7, "b.c": -0.4, "parameters.width": 2.5}

CASES = [
    ("a", lambda v: v["a"]),
    ("b.c", lambda v: v["b.c"]),
    ("0.5 * parameters.width + 0.1", lambda v: 0.5 * v["parameters.width"] + 0.1),
    ("-a ** 2", lambda v: -(v["a"] ** 2)),
    ("b.c ** 2", lambda v: v["b.c"] ** 2),
    ("b.c ** -3", lambda v: v["b.c"] ** -3),
    ("(a - b.c) / (a + 1e-3)", lambda v: (v["a"] - v["b.c"]) / (v["a"] + 1e-3)),
    ("2 ** a", lambda v: 2.0 ** v["a"]),
    (
        "sqrt(a) + exp(b.c) - log(a)",
        lambda v: math.sqrt(v["a"]) + math.exp(v["b.c"]) - math.log(v["a"]),
    ),
    ("2 * log10(a)", lambda v: 2 * math.log10(v["a"])),
    ("sin(a) * cos(a) + abs(b.c)", lambda v: math.sin(v["a"]) * math.cos(v["a"]) + abs(v["b.c"])),
    ("minimum(a, 1) + maximum(b.c, 0.25)", lambda v: min(v["a"], 1) + max(v["b.c"], 0.25)),
    ("+a", lambda v: v["a"]),
    ("2 * 3 + 1 / 4", lambda v: 6.25),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_value(text, expected):
    known = {name: jnp.asarray(value) for name, value in KNOWN.items()}
    value = Expression(text).resolve(known)
    assert value.dtype == jnp.float64
    assert float(value) == pytest.approx(expected(KNOWN), rel=1e-14)


@pytest.mark.parametrize("text", [text for text, _ in CASES if "a" in text.replace("parameters.", "")])
def test_gradient_is_the_finite_difference(text):
    def function(a):
        known = {**{name: jnp.asarray(value) for name, value in KNOWN.items()}, "a": a}
        return Expression(text).resolve(known)

    step = 1e-6
    difference = (function(jnp.asarray(1.7 + step)) - function(jnp.asarray(1.7 - step))) / (2 * step)
    assert float(jax.grad(function)(jnp.asarray(1.7))) == pytest.approx(float(difference), rel=1e-7, abs=1e-9)


def test_dtype_follows_the_parameters():
    known = {"a": jnp.asarray(1.7, jnp.float32)}
    assert Expression("0.5 * sqrt(a) ** 2 + 1").resolve(known).dtype == jnp.float32


def test_names_in_order_and_once():
    assert names(parse("b.c + a * b.c - lens.mass.PowerLaw_2.slope")) == ("b.c", "a", "lens.mass.PowerLaw_2.slope")
    assert Expression("1 + 1").needs == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an expression"),
        ("a +", "is not an expression"),
        ("a\0", "is not an expression"),
        ("a b", "is not an expression"),
        ("x = 1", "is not an expression"),
        ("__import__('os').system('true')", "is not allowed in an expression"),
        ("a.__class__()", "is not allowed"),
        ("sqrt.real(a)", "is not allowed"),
        ("'text'", "is not allowed"),
        ("True", "is not allowed"),
        ("1j", "is not allowed"),
        ("a if a else a", "is not allowed"),
        ("a < 1", "is not allowed"),
        ("a % 2", "is not allowed"),
        ("[a][0]", "is not allowed"),
        ("(a + 1).real", "'a \\+ 1' is not the name of a parameter"),
        ("lambda: a", "is not allowed"),
        ("sqrt(a, a)", "sqrt takes 1 argument"),
        ("minimum(a)", "minimum takes 2 argument"),
        ("sqrt(x=a)", "is not allowed"),
        ("tan(a)", "allowed are numbers.*sqrt, exp"),
        ("1 / 0", "'1 / 0' is not a finite number"),
        ("1e999", "not a finite number"),
        ("9 ** 9 ** 9 ** 9", "not a finite number"),
        ("(-1) ** 0.5", "not a finite number"),
        ("log(0)", "not a finite number"),
        ("1" * 1000, "not a finite number"),
        ("a" * 3000, "3000 characters"),
        ("(" * 900 + "a" + ")" * 900, "expression"),
        ("-" * 1900 + "a", "nested|is not an expression"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Expression(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60) | st.text(alphabet="ab.()+-*/ 0123456789e,_sqrt", max_size=60))
def test_garbage_is_refused_or_read(text):
    try:
        tree = parse(text)
    except ValueError:
        return
    known = {name: Interval(0.5, 2.0) for name in names(tree)}
    low, high = bounds(tree, known)
    assert low <= high


def trees():
    leaves = st.sampled_from(["a", "b.c", "parameters.width"]) | st.floats(0.1, 9.0).map(lambda value: f"{value:.3f}")

    def extend(children):
        binary = st.tuples(children, st.sampled_from("+-*/"), children).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        power = st.tuples(children, st.sampled_from(["2", "3", "-1", "0.5", "a"])).map(lambda t: f"({t[0]})**({t[1]})")
        unary = st.tuples(st.sampled_from(["sqrt", "exp", "log", "log10", "sin", "cos", "abs", "-"]), children)
        pair = st.tuples(st.sampled_from(["minimum", "maximum"]), children, children)
        return binary | power | unary.map(lambda t: f"{t[0]}({t[1]})") | pair.map(lambda t: f"{t[0]}({t[1]}, {t[2]})")

    return st.recursive(leaves, extend, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(trees(), st.integers(0, 2**32 - 1))
def test_bounds_contain_every_value(text, seed):
    """And the JAX values are those of Python's own arithmetic."""
    try:
        tree = parse(text)
    except ValueError:  # constants that fold to something not finite
        return
    random = np.random.default_rng(seed)
    ends = {name: np.sort(random.uniform(-2.0, 3.0, 2)) for name in KNOWN}
    low, high = bounds(tree, {name: Interval(*map(float, pair)) for name, pair in ends.items()})
    draws = {name: random.uniform(*pair, 64) for name, pair in ends.items()}
    values = np.broadcast_to(evaluate(tree, {name: jnp.asarray(draw) for name, draw in draws.items()}), (64,))
    finite = values[np.isfinite(values)]
    slack = 1e-9 * (1 + np.abs(finite))
    assert np.all(finite >= low - slack)
    assert np.all(finite <= high + slack)


def test_bounds_are_exact_where_each_name_appears_once():
    known = {"a": Interval(0.5, 2.0), "b.c": Interval(-1.0, 3.0)}
    assert bounds(parse("2 * a - b.c"), known) == Interval(-2.0, 5.0)
    assert bounds(parse("b.c ** 2"), known) == Interval(0.0, 9.0)
    assert bounds(parse("abs(b.c) / a"), known) == Interval(0.0, 6.0)
    assert bounds(parse("a / b.c"), known) == Interval(-math.inf, math.inf)
    assert bounds(parse("exp(1e3 * a)"), known).high == math.inf
