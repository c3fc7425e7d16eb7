"""The two pictures of the page on the lattice: where it corrects, and how wrong it is.

    python benchmarks/lattice_pictures.py      # writes docs/images/lattice_pairs.png and docs/images/lattice_error.png

One random scene of 1000 halos. The error is that of the source position in float32 against the exact tracer in float64.
"""

import argparse
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from lattice import brightness, random_scene, slots_for

import lensax as lx
from lensax._types import cast
from lensax.raytrace import Direct, Lattice
from lensax.raytrace.lattice_layout import automatic_layout

HALOS, SEED, OVER_SAMPLE = 1000, 2, 4
IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


def outline(axes: Any, geometry: Any, tiles: np.ndarray) -> None:
    """Draw the borders of tiles."""
    side = geometry.tile_pixels * geometry.grid.pixel_scale
    left, _, bottom, _ = geometry.grid.extent
    for tile in tiles:
        row, column = divmod(int(tile), geometry.tiles[1])
        corner = (left + column * side, bottom + row * side)
        axes.add_patch(matplotlib.patches.Rectangle(corner, side, side, fill=False, color="tab:red", linewidth=1.5))


def figure(title: str, extent: tuple[float, ...]) -> tuple[Any, Any]:
    """A square frame in arcsec."""
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
    axes.set(title=title, xlabel="x (arcsec)", ylabel="y (arcsec)", aspect="equal", xlim=extent[:2], ylim=extent[2:])
    return canvas, axes


def main() -> None:
    """Trace the scene twice, draw."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("Agg")
    grid, tracer = lx.Grid((100, 100), 0.05, OVER_SAMPLE), Lattice()
    scene = random_scene(HALOS, SEED, slots_for(HALOS))
    single = cast(scene, jnp.float32)
    trace = eqx.filter_jit(lambda scene: tracer.trace(scene, grid))(single)
    corrections = eqx.filter_jit(lambda scene: tracer.corrections(scene, grid))(single)
    exact = eqx.filter_jit(lambda scene: Direct(closed_form=False).trace(scene, grid))(scene)
    geometry = automatic_layout(tracer, grid, scene.halos.n_planes, scene.halos.n_slots, scene.halos.room).geometry
    source = np.asarray(brightness(scene, exact.source_x, exact.source_y))
    arcs = dict(levels=[0.05 * source.max()], extent=grid.extent, colors="black", linewidths=0.8)
    tiles = np.asarray(corrections.levels[0].exact.tiles)[np.asarray(corrections.levels[0].exact.needed)]
    nodes_x, nodes_y = geometry.nodes(jnp.float64)

    counts = np.asarray(corrections.levels[0].pairs.per_tile(geometry.n_tiles)).reshape(geometry.tiles)
    left, _, bottom, _ = grid.extent
    side = geometry.tile_pixels * grid.pixel_scale
    tiled = (left, left + geometry.tiles[1] * side, bottom, bottom + geometry.tiles[0] * side)
    canvas, axes = figure(
        f"{counts.sum()} pairs of a halo and a tile are corrected, of {HALOS * counts.size}", grid.extent
    )
    shown = axes.imshow(counts, origin="lower", extent=tiled, cmap="Blues", vmin=0)
    axes.scatter(nodes_x, nodes_y, s=1.5, color="0.4", linewidths=0)
    axes.contour(source, **arcs)
    outline(axes, geometry, tiles)
    canvas.colorbar(shown, ax=axes, label="pairs in the tile, all planes")
    canvas.savefig(IMAGES / "lattice_pairs.png", dpi=110)

    error = np.hypot(
        *(np.asarray(getattr(trace, a), float) - np.asarray(getattr(exact, a)) for a in ("source_x", "source_y"))
    )
    rms, estimate = np.sqrt(np.mean(error**2)), float(trace.diagnostics.error_estimate)
    numbers = [1e6 * value for value in (rms, estimate, tracer.tolerance)]
    title = "rms error {:.1f}, estimate {:.1f}, tolerance {:.0f} microarcsec".format(*numbers)
    canvas, axes = figure(title, grid.extent)
    scale = matplotlib.colors.LogNorm(1e-6, 2e-4)
    shown = axes.imshow(np.maximum(error, 1e-7), origin="lower", extent=grid.extent, cmap="viridis", norm=scale)
    axes.contour(source, **{**arcs, "colors": "white"})
    outline(axes, geometry, tiles)
    canvas.colorbar(shown, ax=axes, label="error of the source position (arcsec)", extend="both")
    canvas.savefig(IMAGES / "lattice_error.png", dpi=110)
    print(f"{counts.sum()} pairs, rms error {rms:.2e} arcsec, estimate {estimate:.2e}, largest {error.max():.2e}")
    print(f"written to {IMAGES}/lattice_pairs.png and lattice_error.png")


if __name__ == "__main__":
    main()
