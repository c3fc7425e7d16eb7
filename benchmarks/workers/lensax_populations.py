"""Draws a population with lensax and times it; the case is read from standard input as JSON, the result is printed.

Run by populations.py in a process of its own.
"""

import json
import statistics
import sys
import time
from importlib.metadata import version


def main() -> None:
    """Draws and prints."""
    case = json.load(sys.stdin)
    begin = time.process_time()
    import equinox as eqx
    import jax
    import numpy as np

    from lensax.config import loads

    imported = time.process_time()
    prior, recipe, _ = loads(case["lensax"]).build()
    built = time.process_time()
    theta = prior.sample(jax.random.key(0))

    @jax.jit
    def draw(key: jax.Array) -> object:
        return eqx.filter(recipe(theta, key).halos, eqx.is_array)

    keys = jax.random.split(jax.random.key(1), case["repeats"] + 1)
    jax.block_until_ready(keys)
    start = time.process_time()
    compiled = draw.lower(keys[0]).compile()
    compile_s = time.process_time() - start
    times, counts = [], []
    for key in keys:
        start = time.process_time()
        halos = jax.block_until_ready(compiled(key))
        times.append(time.process_time() - start)
        counts.append(int(np.asarray(halos.counts).sum()))
    values = recipe.parameters.resolve(theta)
    expected = float(np.asarray(recipe.population.expected(recipe.planes(values), values)).sum())
    print(
        json.dumps(
            {
                "version": version("lensax"),
                "device": jax.devices()[0].device_kind,
                "set_up_s": built - imported,
                "import_s": imported - begin,
                "first_s": compile_s,
                "draw_s": statistics.median(times[1:]),
                "lists_s": 0.0,
                "halos": statistics.fmean(counts),
                "expected": expected,
                "planes": recipe.scheme.n_planes,
                "slots": recipe.population.n_slots,
                "draws": len(counts),
            }
        )
    )


if __name__ == "__main__":
    main()
