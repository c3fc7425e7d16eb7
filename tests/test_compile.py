"""Programs of lensax's own use all of the processor, and join those of others."""

import jax
import jax.numpy as jnp
import pytest

from lensax import _compile
from lensax._compile import compiled

ONE = jnp.ones(3)


@pytest.fixture
def unknown_option(monkeypatch):
    """An option that the compiler refuses, so that it shows where it is given."""
    monkeypatch.setattr(_compile, "_WIDTH", "xla_no_such_option")
    monkeypatch.setattr(_compile, "WIDEST", {"xla_no_such_option": 512})
    return compiled(jnp.sin)


@pytest.fixture(autouse=True)
def forget():
    yield
    _compile._prefers_wide.cache_clear()


def test_same_values():
    assert jnp.allclose(compiled(jnp.sin)(ONE), jnp.sin(ONE))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the option is for CPUs")
def test_options_are_given_outside_of_transforms(unknown_option):
    with pytest.raises(Exception, match="xla_no_such_option"):
        unknown_option(ONE)


@pytest.mark.parametrize(
    "within",
    [
        lambda f: jax.jit(f)(ONE),
        lambda f: jax.jit(lambda: f(ONE))(),
        lambda f: jax.vmap(f)(ONE),
        lambda f: jax.grad(lambda x: f(x).sum())(ONE),
        lambda f: jax.eval_shape(f, ONE),
        lambda f: jax.lax.map(f, ONE),
        lambda f: jax.make_jaxpr(lambda: f(ONE))(),
    ],
)
def test_options_of_the_outermost_program_hold(unknown_option, within):
    within(unknown_option)


def test_a_width_in_the_environment_wins(unknown_option, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_no_such_option=256")
    _compile._prefers_wide.cache_clear()
    assert jnp.allclose(unknown_option(ONE), jnp.sin(ONE))
