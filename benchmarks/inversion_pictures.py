"""The two pictures of the page on pixelized sources: a reconstruction, and the transform that makes an adaptive mesh.

    python benchmarks/inversion_pictures.py      # writes docs/images/inversion_fit.png and inversion_mesh.png

The lens and the source are those of the page's example, with finer pixels and two fits: the second takes its prior
from the source of the first.
"""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

import lensax as lx
from lensax.inversion import AdaptiveMesh, BrightnessAmplitude, Constant, Matern, Pixelization

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
LENS = (lx.mass.PowerLaw(1.2, 2.0, 0.1, -0.05), lx.mass.ExternalShear(0.03, 0.0))
LIGHT = ([0.1, 0.2, 0.4, 0.8], 0.1, -0.05)
SOURCE = (lx.light.Sersic(3.0, 0.2, 1.0, 0.2, 0.1, 0.05, 0.02), lx.light.Gaussian(8.0, 0.04, 0, 0, -0.15, 0.1))
EXTENT = (-0.5, 0.5, -0.5, 0.5)


def simulate() -> lx.Imaging:
    """The noisy ring."""
    instrument = lx.Instrument((80, 80), 0.055, lx.psf.Gaussian(0.1, size=11), 2000.0, sky_level=0.1, over_sample=2)
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    scene = lx.Scene(planes, LENS, source=SOURCE, lens_light=lx.light.Gaussian(10.0, 0.3, 0.1, -0.05))
    simulator = lx.Simulator(instrument)
    image = instrument.imaging(simulator(scene, jax.random.key(1)), simulator.noiseless(scene))
    return image.with_mask(lx.Mask.circular(2.0))


def reconstruct(ring: lx.Imaging) -> Any:
    """A fit whose prior follows the source of a first one."""
    light, mesh = lx.light.GaussianBasis(*LIGHT), AdaptiveMesh((24, 24))
    first = Pixelization(mesh, Constant(0.3)).fit(ring, LENS, light)
    amplitude = BrightnessAmplitude(jnp.max(first.coefficients), first.brightness_map(), 0.01)
    return Pixelization(mesh, Matern(0.1, amplitude)).fit(ring, LENS, light)


def draw_fit(plt: Any, ring: lx.Imaging, fit: Any) -> None:
    """Data, model, residual; lensed source, source, its error and the truth."""
    shown = np.asarray(ring.mask)
    line = jnp.asarray((np.arange(160) + 0.5) / 160 - 0.5)
    x, y = jnp.meshgrid(line, line)
    truth = sum(profile.surface_brightness(x, y) for profile in SOURCE)
    picture, error = (fit.source_image((160, 160), EXTENT, deviation=which) for which in (False, True))
    bright, top = float(np.percentile(np.asarray(fit.source_light), 99.8)), float(truth.max())
    lens, plane = ring.grid.extent, EXTENT
    panels = [
        ("data", np.where(shown, ring.data, np.nan), (0, 1.3 * bright), "viridis", lens),
        ("model", np.where(shown, fit.model_image, np.nan), (0, 1.3 * bright), "viridis", lens),
        ("residual / noise", np.where(shown, fit.normalized_residual, np.nan), (-4, 4), "RdBu_r", lens),
        ("lensed source", np.where(shown, fit.source_light, np.nan), (0, bright), "viridis", lens),
        ("true source", truth, (0, top), "magma", plane),
        ("reconstructed source", picture, (0, top), "magma", plane),
        ("its deviation", error, (0, float(error.max())), "magma", plane),
        ("difference / deviation", (picture - truth) / error, (-4, 4), "RdBu_r", plane),
    ]
    canvas, axes = plt.subplots(2, 4, figsize=(15, 7), layout="constrained")
    for ax, (title, image, limits, colours, extent) in zip(axes.ravel(), panels):
        drawn = ax.imshow(image, origin="lower", extent=extent, vmin=limits[0], vmax=limits[1], cmap=colours)
        ax.set(title=title, xlabel="arcsec")
        canvas.colorbar(drawn, ax=ax, shrink=0.8)
    axes[0, 2].set_title(f"residual / noise, reduced chi-squared {float(fit.reduced_chi_squared):.3f}")
    canvas.savefig(IMAGES / "inversion_fit.png", dpi=80)


def draw_mesh(plt: Any, ring: lx.Imaging, fit: Any) -> None:
    """The transform beside the rank, and the cells that it makes in the source plane."""
    x, y = (jnp.asarray(a)[ring.mask] for a in ring.grid.pixel_centers())
    source_x, source_y = x, y
    for profile in LENS:
        alpha_x, alpha_y = profile.deflection(x, y)
        source_x, source_y = source_x - alpha_x, source_y - alpha_y
    canvas, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    at = jnp.linspace(source_x.min(), source_x.max(), 400)
    rank = np.searchsorted(np.sort(source_x), at) / source_x.size
    left.plot(at, fit.mesh.along_x(at), label="KernelCDF", linewidth=2)
    left.plot(at, rank, label="rank", linewidth=0.8, color="black")
    left.set(xlabel="source x (arcsec)", ylabel="share of the mesh", title="from a coordinate to the mesh")
    left.legend()
    right.scatter(source_x, source_y, s=0.6, color="tab:blue", linewidths=0)
    rows, columns = fit.mesh.shape
    center_x, center_y = (np.asarray(c).reshape(rows, columns) for c in fit.mesh.centers())
    for edge in (center_x[0, :-1] + center_x[0, 1:]) / 2:
        right.axvline(edge, color="0.6", linewidth=0.5)
    for edge in (center_y[:-1, 0] + center_y[1:, 0]) / 2:
        right.axhline(edge, color="0.6", linewidth=0.5)
    right.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), aspect="equal", xlabel="arcsec", title="rays and cells")
    canvas.savefig(IMAGES / "inversion_mesh.png", dpi=80)


def main() -> None:
    """Simulate, reconstruct, draw."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ring = simulate()
    fit = reconstruct(ring)
    draw_fit(plt, ring, fit)
    draw_mesh(plt, ring, fit)
    print(f"log evidence {float(fit.log_evidence):.1f}, reduced chi-squared {float(fit.reduced_chi_squared):.3f}")
    print(f"written to {IMAGES}/inversion_fit.png and inversion_mesh.png")


if __name__ == "__main__":
    main()
