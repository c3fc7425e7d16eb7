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
import numpy as np
from matplotlib.colors import Normalize

import lensax as lx
from lensax.inversion import AdaptiveMesh, BrightnessAmplitude, Constant, Matern, Pixelization
from lensax.plot.style import (
    BRIGHTNESS,
    BRIGHTNESS_UNIT,
    CHANGE,
    EXPECTED,
    FAINT,
    FOUND,
    add_color_bar,
    graph,
    legend,
    new_figure,
    save,
    show_image,
    write,
)

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
LENS = (lx.mass.PowerLaw(1.2, 2.0, 0.1, -0.05), lx.mass.ExternalShear(0.03, 0.0))
LIGHT = ([0.1, 0.2, 0.4, 0.8], 0.1, -0.05)
SOURCE = (lx.light.Sersic(3.0, 0.2, 1.0, 0.2, 0.1, 0.05, 0.02), lx.light.Gaussian(8.0, 0.04, 0, 0, -0.15, 0.1))
EXTENT = (-0.5, 0.5, -0.5, 0.5)
SOURCE_UNIT = "electrons s$^{-1}$ arcsec$^{-2}$"
# Inches.
LEFT, BOTTOM, SIDE, GAP = 0.75, 0.6, 2.5, 1.35


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


def panel(
    figure: Any, place: tuple[int, int], title: str, image: Any, norm: Any, look: tuple[str, str], extent: Any
) -> None:
    """One image of `draw_fit` with its colour bar, in row and column `place`."""
    row, column = place
    x, y = LEFT + column * (SIDE + GAP), BOTTOM + (1 - row) * (SIDE + 0.9)
    colors, unit = look
    show_image(figure, (x, y, SIDE, SIDE), np.asarray(image), [float(edge) for edge in extent], norm, colors)
    add_color_bar(figure, (x + SIDE + 0.08, y, 0.1, SIDE), norm, colors, unit)
    write(figure, x, y + SIDE + 0.08, title, 10.0)


def draw_fit(ring: lx.Imaging, fit: Any) -> Path:
    """Data, model, residual; lensed source, source, its error and the truth."""
    shown = np.asarray(ring.mask)
    line = jnp.asarray((np.arange(160) + 0.5) / 160 - 0.5)
    x, y = jnp.meshgrid(line, line)
    truth = sum(profile.surface_brightness(x, y) for profile in SOURCE)
    picture, error = (fit.source_image((160, 160), EXTENT, deviation=which) for which in (False, True))
    bright, top = float(np.percentile(np.asarray(fit.source_light), 99.8)), float(truth.max())
    fitted = f"residual, reduced chi-squared {float(fit.reduced_chi_squared):.3f}"
    pixels, plane, deviations = (BRIGHTNESS, BRIGHTNESS_UNIT), (BRIGHTNESS, SOURCE_UNIT), (CHANGE, "deviations")
    panels = [
        ("data", np.where(shown, ring.data, np.nan), Normalize(0, 1.3 * bright), pixels, ring.grid.extent),
        ("model", np.where(shown, fit.model_image, np.nan), Normalize(0, 1.3 * bright), pixels, ring.grid.extent),
        (fitted, np.where(shown, fit.normalized_residual, np.nan), Normalize(-4, 4), deviations, ring.grid.extent),
        ("lensed source", np.where(shown, fit.source_light, np.nan), Normalize(0, bright), pixels, ring.grid.extent),
        ("true source", truth, Normalize(0, top), plane, EXTENT),
        ("reconstructed source", picture, Normalize(0, top), plane, EXTENT),
        ("its posterior deviation", error, Normalize(0, float(error.max())), plane, EXTENT),
        ("(reconstructed - true) / deviation", (picture - truth) / error, Normalize(-4, 4), deviations, EXTENT),
    ]
    height = BOTTOM + 2 * SIDE + 0.9 + 0.8
    figure = new_figure(LEFT + 4 * SIDE + 3 * GAP + 0.95, height)
    write(figure, LEFT, height - 0.4, "A simulated ring and its source", 14.0, weight="bold")
    for index, (title, image, norm, look, extent) in enumerate(panels):
        panel(figure, divmod(index, 4), title, image, norm, look, extent)
    return save(figure, IMAGES / "inversion_fit.png", 110)


def draw_mesh(ring: lx.Imaging, fit: Any) -> Path:
    """The transform beside the rank, and the cells that it makes in the source plane."""
    x, y = (jnp.asarray(a)[ring.mask] for a in ring.grid.pixel_centers())
    source_x, source_y = x, y
    for profile in LENS:
        alpha_x, alpha_y = profile.deflection(x, y)
        source_x, source_y = source_x - alpha_x, source_y - alpha_y
    figure = new_figure(10.2, 5.2)
    write(figure, 0.75, 4.8, "From rays to an adaptive mesh", 14.0, weight="bold")
    left = graph(figure, (0.75, 0.55, 4.1, 3.8), "source x (arcsec)", "share of the mesh")
    at = jnp.linspace(source_x.min(), source_x.max(), 400)
    rank = np.searchsorted(np.sort(source_x), at) / source_x.size
    left.plot(at, fit.mesh.along_x(at), label="KernelCDF", linewidth=2, color=FOUND)
    left.plot(at, rank, label="rank", linewidth=0.9, color=EXPECTED)
    legend(left, "upper left")
    write(figure, 0.75, 4.43, "from a coordinate to the mesh", 10.0)
    right = graph(figure, (5.85, 0.55, 3.8, 3.8), "arcsec", "arcsec")
    rows, columns = fit.mesh.shape
    center_x, center_y = (np.asarray(c).reshape(rows, columns) for c in fit.mesh.centers())
    for edge in (center_x[0, :-1] + center_x[0, 1:]) / 2:
        right.axvline(edge, color=FAINT, linewidth=0.4)
    for edge in (center_y[:-1, 0] + center_y[1:, 0]) / 2:
        right.axhline(edge, color=FAINT, linewidth=0.4)
    right.scatter(source_x, source_y, s=1.2, color=FOUND, linewidths=0)
    right.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8))
    write(figure, 5.85, 4.43, "rays in the source plane, and cells", 10.0)
    return save(figure, IMAGES / "inversion_mesh.png", 110)


def main() -> None:
    """Simulate, reconstruct, draw."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    jax.config.update("jax_enable_x64", True)
    ring = simulate()
    fit = reconstruct(ring)
    print(f"log evidence {float(fit.log_evidence):.1f}, reduced chi-squared {float(fit.reduced_chi_squared):.3f}")
    print("written to", draw_fit(ring, fit), "and", draw_mesh(ring, fit))


if __name__ == "__main__":
    main()
