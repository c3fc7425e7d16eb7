"""A batch on several cores of a CPU."""

import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax._batching import lanes, map_batch
from lensax._cores import cores, map_on_cores


@pytest.fixture
def three_cores(monkeypatch):
    monkeypatch.setenv("NPROC", "3")


class Counted:
    """A compiled function that notes when it is traced."""

    def __init__(self):
        self.traced = 0

        @eqx.filter_jit
        def function(shared, x, key):
            self.traced += 1
            return {"value": shared * x + jax.random.normal(key), "large": x > 3}

        self.function = function


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
def test_items_are_those_of_one_core(three_cores, monkeypatch, count):
    items = jnp.arange(float(count)), jax.random.split(jax.random.key(0), count)
    counted = Counted()
    found = map_batch(counted.function, jnp.asarray(2.0), items, None, 1)
    again = map_batch(counted.function, jnp.asarray(2.0), items, None, 1)
    monkeypatch.setenv("NPROC", "1")
    alone = map_batch(counted.function, jnp.asarray(2.0), items, None, 1)
    expected = jax.vmap(lambda x, key: 2.0 * x + jax.random.normal(key))(*items)
    for result in (found, again, alone):
        np.testing.assert_array_equal(result["value"], expected)
        np.testing.assert_array_equal(result["large"], items[0] > 3)
        assert isinstance(result["value"], jax.Array)


def test_a_program_is_compiled_once(three_cores):
    items = jnp.arange(12.0), jax.random.split(jax.random.key(0), 12)
    counted = Counted()
    map_batch(counted.function, jnp.asarray(2.0), items, None, 1)
    traced = counted.traced
    map_batch(counted.function, jnp.asarray(3.0), items, None, 1)
    assert counted.traced == traced
    map_batch(counted.function, jnp.asarray(3.0), (items[0][:9], items[1][:9]), None, 1)
    assert counted.traced == traced  # the part of a batch is another program around the same one


def test_parts_are_computed_at_the_same_time(three_cores):
    together = threading.Barrier(3)

    def program(part):
        if part.sum() > 0:  # the first call compiles, one part after the other
            together.wait(timeout=60)
        return part + 1

    for value in (0.0, 1.0):
        found = map_on_cores(program, jnp.full(9, value), 9, 3)
        np.testing.assert_array_equal(found, np.full(9, value + 1))


def test_settings_of_a_with_block_hold_for_all_items(three_cores):
    # Threads do not see them: such a batch stays in the thread that asks for it.
    @eqx.filter_jit
    def function(shared, x):
        return jnp.asarray(x, float)

    with jax.enable_x64(False):
        items = (jnp.arange(7, dtype=jnp.float32),)
        for _ in range(2):
            assert map_batch(function, None, items, None, 1).dtype == jnp.float32
    assert map_batch(function, None, (jnp.arange(7.0),), None, 1).dtype == jnp.float64


def test_an_error_of_an_item_is_raised(three_cores):
    @eqx.filter_jit
    def function(shared, x):
        return eqx.error_if(x, x == 5, "the fifth")

    map_batch(function, None, (jnp.zeros(6),), None, 1)
    with pytest.raises(Exception, match="the fifth"):
        map_batch(function, None, (jnp.arange(6.0),), None, 1)


def test_cores_are_those_of_the_process(monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    assert cores() >= 1
    monkeypatch.setenv("NPROC", "many")
    assert cores() >= 1
    monkeypatch.setenv("NPROC", "7")
    assert cores() == lanes() == lanes(1) == 7
    assert lanes(2**60) == 1  # no more than the memory holds
