"""How long a compiled function of a few parameters takes, whichever code it belongs to."""

import time

import jax


def timed(compiled, p, repeats):
    """The least wall clock and the least processor time of some calls, each at other parameters."""
    jax.block_until_ready(compiled(p))
    wall, processor = [], []
    for i in range(repeats):
        begin, spent = time.perf_counter(), time.process_time()
        jax.block_until_ready(compiled(p + 1e-3 * i))
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - spent)
    return min(wall), min(processor)
