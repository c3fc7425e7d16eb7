"""PyAutoLens's evidence of a pixelized source and its gradient: seconds, processor seconds, compilation, memory.

Usage: worker.py problem.npz answer.json. The problem holds the image, its noise map and PSF, and what is asked for;
the lens is an elliptical power law with shear, the mesh that of PyAutoLens which adapts to the density of the rays by
their ranks, with bilinear interpolation, the prior its gradient regularization. Parameters as in the other program:
Einstein radius, slope, ellipticity.
"""

import json
import os
import resource
import sys
import time
from importlib.metadata import version

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import autolens as al
import jax
import jax.numpy as jnp
import numpy as np
from evaluations import timed


def evidence_of(problem):
    """The log evidence as a function of four parameters, and the number of pixels in the mask."""
    scale, n = float(problem["pixel_scale"]), int(problem["mesh"])
    shape = problem["data"].shape
    mask = al.Mask2D(mask=~problem["mask"], pixel_scales=scale)
    # Rows of PyAutoLens begin at the top.
    arrays = [al.Array2D.no_mask(values=problem[name][::-1], pixel_scales=scale) for name in ("data", "noise_map")]
    kernel = al.Array2D.no_mask(values=problem["psf"][::-1], pixel_scales=scale)
    dataset = al.Imaging(
        arrays[0],
        arrays[1],
        al.Convolver(kernel=kernel),
        over_sample_size_lp=1,
        over_sample_size_pixelization=int(problem["over_sample"]),
    ).apply_mask(mask=mask)
    mesh = al.mesh.RectangularBilinearAdaptDensity(shape=(n, n))
    source = al.Galaxy(redshift=1.5, pixelization=al.Pixelization(mesh=mesh, regularization=al.reg.Constant(1.0)))
    settings = al.Settings(use_positive_only_solver=True)
    assert shape == dataset.shape_native

    def evidence(p):
        mass = al.mp.PowerLaw(centre=(0.0, 0.01), ell_comps=(p[2], p[3]), einstein_radius=p[0], slope=p[1])
        shear = al.mp.ExternalShear(gamma_1=0.03, gamma_2=0.02)
        tracer = al.Tracer(galaxies=[al.Galaxy(redshift=0.5, mass=mass, shear=shear), source])
        return al.FitImaging(dataset=dataset, tracer=tracer, settings=settings, xp=jnp).log_evidence

    return evidence, int(problem["mask"].sum())


def main():
    """Reads the problem, measures, writes the answer."""
    jax.config.update("jax_enable_x64", True)
    problem = dict(np.load(sys.argv[1]))
    evidence, pixels = evidence_of(problem)
    p = jnp.asarray(problem["p"])
    row = {"version": version("autolens"), "jax": version("jax"), "pixels": pixels}
    for name, function in (("value", jax.jit(evidence)), ("gradient", jax.jit(jax.value_and_grad(evidence)))):
        begin = time.perf_counter()
        compiled = function.lower(p).compile()
        row[f"{name}_compile_s"] = time.perf_counter() - begin
        row[f"{name}_s"], row[f"{name}_processor_s"] = timed(compiled, p, int(problem["repeats"]))
        row[name] = np.asarray(compiled(p)[1] if name == "gradient" else compiled(p)).tolist()
    row["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    with open(sys.argv[2], "w") as file:
        json.dump(row, file)


main()
