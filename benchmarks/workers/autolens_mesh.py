"""Derivatives of PyAutoLens' adaptive rectangular meshes, stage by stage: automatic, by finite differences.

Usage: worker.py problem.npz answer.json. The problem holds positions of the rays in the source plane, `x` and `y`
(pixels, rays per pixel), and how they move along a direction in the space of lenses, `dx` and `dy`; the stages are
functions of `(x, y) + h (dx, dy)`. The mesh is PyAutoArray's; what follows from its mapping is computed here, as its
formulas are those of everybody: blurred mapping, D, F, free reconstruction, evidence.
"""

import json
import sys
import time
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from autoarray.inversion.mesh.interpolator import rectangular

STEPS = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
STAGES = ("transformed coordinates", "weights", "mapping", "data vector D", "curvature F", "reconstruction, free",
          "evidence, free")  # fmt: skip


def stages(problem, transform, h):
    """Every stage as one number."""
    x, y = problem["x"] + h * problem["dx"], problem["y"] + h * problem["dy"]
    n, pixels, rays = int(problem["cells"]), *x.shape
    fine = jnp.stack([y.ravel(), x.ravel()], -1)
    coarse = jnp.stack([y.mean(1), x.mean(1)], -1)
    index, weights = rectangular.adaptive_rectangular_mappings_weights_via_interpolation_from(
        n, coarse, fine, transform=transform, xp=jnp
    )
    # What the weights are made of: the position in units of cells.
    position = weights[:, 0] + weights[:, 1] + (n - index[:, 2] // n), weights[:, 1] + weights[:, 3] + index[:, 2] % n
    random = [jnp.asarray(one) for one in problem["random"]]
    rows = jnp.repeat(jnp.arange(pixels), rays)[:, None]
    mapping = jnp.zeros((pixels, n * n)).at[rows, index % (n * n)].add(weights / rays)
    white = mapping / problem["noise"][:, None]
    data = problem["data"] / problem["noise"]
    f, d = white.T @ white, white.T @ data
    prior = jnp.asarray(problem["prior"])
    factor = jnp.linalg.cholesky(f + prior)
    s = jax.scipy.linalg.cho_solve((factor, True), d)
    evidence = -0.5 * (data @ data - s @ d + 2 * jnp.sum(jnp.log(jnp.diag(factor))))
    count = index.shape[0]
    return jnp.stack([
        jnp.sum(random[0][:count] * position[0] + random[1][:count] * position[1]),
        jnp.sum(random[0][:count] * jnp.sum(weights**2, -1)),
        random[2][:pixels] @ (mapping @ random[3][: n * n]),
        random[3][: n * n] @ d,
        random[3][: n * n] @ (f @ random[4][: n * n]),
        random[3][: n * n] @ s,
        evidence,
    ])  # fmt: skip


def main():
    """Reads the problem, differentiates, writes the answer."""
    jax.config.update("jax_enable_x64", True)
    problem = dict(np.load(sys.argv[1]))
    rows = {}
    # Backwards, the exact kernel sum keeps rays x pixels numbers several times: not for many rays.
    for transform in ("rank", "kernel") if problem["x"].shape[1] == 1 else ("rank",):
        value = jax.jit(lambda h, t=transform: stages(problem, t, h))
        pull = jax.jit(jax.jacrev(value))
        automatic = np.asarray(pull(0.0))
        tried = []
        for h in STEPS:
            f = {k: np.asarray(value(k * h)) for k in (-2, -1, 1, 2)}
            tried.append((8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h))
        tried = np.array(tried)
        best = np.argmin(np.abs(np.diff(tried, axis=0)), axis=0) + 1
        last = jax.jit(jax.value_and_grad(lambda h, t=transform: stages(problem, t, h)[-1]))
        jax.block_until_ready(last(0.0))
        begin = time.perf_counter()
        jax.block_until_ready(last(1e-7))
        rows[transform] = {
            "automatic": automatic.tolist(),
            "difference": tried[best, np.arange(len(STAGES))].tolist(),
            "seconds": time.perf_counter() - begin,
        }
    answer = {"version": version("autoarray"), "stages": STAGES, "rows": rows}
    with open(sys.argv[2], "w") as file:
        json.dump(answer, file)


main()
