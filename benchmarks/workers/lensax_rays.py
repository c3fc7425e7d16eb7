"""Source positions by lensax, from the same lists of profiles as the other codes."""

import json
import sys
from pathlib import Path

import jax

PROBLEM = json.loads(Path(sys.argv[1]).read_text())
jax.config.update("jax_enable_x64", PROBLEM["dtype"] == "float64")

import equinox as eqx  # noqa: E402
from measure import run  # noqa: E402

import lensax as lx  # noqa: E402
from lensax.interop.lenstronomy import from_lens_model  # noqa: E402


def start(problem):
    """The tracer named by the problem; the lists become a scene outside the timed part, as for every code."""
    tracer = getattr(lx.raytrace, problem["tracer"])()
    over_sample = problem["over_sample"]
    grid = lx.Grid((problem["pixels"], problem["pixels"]), problem["pixel_scale"], over_sample)
    cosmology = lx.cosmology.FlatLambdaCDM(**problem["cosmology"])

    def prepare(kwargs_lens):
        scene = from_lens_model(
            problem["lens_model_list"],
            problem["lens_redshift_list"],
            kwargs_lens,
            source_redshift=problem["source_redshift"],
            cosmology=cosmology,
        )
        return jax.block_until_ready(scene)

    shoot = eqx.filter_jit(lambda scene: tracer.trace(scene, grid))

    def trace(x, y, scene):
        traced = jax.block_until_ready(shoot(scene))
        return traced.source_x, traced.source_y

    return prepare, trace


run(start, "lensax")
