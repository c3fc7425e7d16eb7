"""A batch of lattices spread over several devices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from lattice_scenes import random_scene
from lensax._batching import map_batch
from lensax._types import cast
from lensax.instrument import Grid
from lensax.raytrace import Lattice

assert len(jax.local_devices()) == 4
grid, tracer = Grid((24, 24), 0.05, 1), Lattice()
scenes = [cast(random_scene(60, seed), jnp.float32) for seed in range(5)]
stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenes)
trace = lambda tracer, scene: tracer.trace(scene, grid)
spread = map_batch(trace, tracer, (stacked,), None, 1)
alone = jax.jit(lambda scene: tracer.trace(scene, grid))
for index, scene in enumerate(scenes):
    expected = alone(scene)
    np.testing.assert_array_equal(spread.source_x[index], expected.source_x)
    np.testing.assert_array_equal(spread.diagnostics.pairs[index], expected.diagnostics.pairs)
"""


@pytest.mark.extended
def test_four_devices_give_the_same_rays():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
