"""What blocks leave empty."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensax as lx
from lensax.raytrace.packing import pack
from lensax.raytrace.padding import padding_waste


def test_waste_is_what_blocks_of_poisson_draws_leave() -> None:
    numbers, width, n_slots, room = np.array([3.0, 20.0, 45.0]), 8, 80, 120
    random = np.random.default_rng(1)
    counts = random.poisson(numbers, (4000, 3))
    blocks = -(-counts // width)
    assert padding_waste(numbers, n_slots, room, width) == pytest.approx(
        1 - counts.sum() / (blocks.sum() * width), abs=5e-3
    )
    assert padding_waste(numbers, n_slots, room, width, skip_empty=False) == pytest.approx(1 - 68 / 144)
    assert padding_waste(np.zeros(3), n_slots, room, width) == 1.0
    assert padding_waste(numbers, n_slots, room, 1) == pytest.approx(0.0, abs=1e-6)  # more than 80 halos find no slot


def test_blocks_are_those_of_the_tracer() -> None:
    counts = [3, 20, 45]
    kappa_s = jnp.asarray((np.arange(80) < np.asarray(counts)[:, None]).astype(float))
    one = jnp.ones((3, 80))
    halos = lx.mass.Halo(kappa_s, one, one, 0 * one, one, one)
    packed = pack(lx.halos.HaloCatalogue(halos, jnp.zeros(3)), 8)
    filled = sum(-(-count // 8) for count in counts)
    assert int(packed.filled.sum()) == filled
    assert jax.tree.leaves(packed.halos)[0].shape == (30, 8)
    packed = pack(lx.halos.HaloCatalogue(halos, jnp.zeros(3), most=sum(counts)), 8)
    assert int(packed.filled.sum()) == filled
    assert int(packed.missing) == 0
    assert jax.tree.leaves(packed.halos)[0].shape == (3 + sum(counts) // 8, 8)
