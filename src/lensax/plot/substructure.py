"""The dark halos of a universe as maps: all together and plane by plane, and where the lens magnifies without bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax.recipe import Recipe

__all__ = ["PlaneMap", "Substructure", "plane_maps", "substructure"]

CURVES_OVER_SAMPLE = 2
"""Critical curves are followed on a grid this much finer than the pixels."""

MOST_MAPS = 12
"""More planes than that are shown in groups of neighbours."""

MAP_PIXELS = 120
"""Pixels of a plane's map along each axis."""

WIDEST = 1.6
"""Maps reach out to this many times half the image at most: a cylinder is very wide near the observer."""

Curves = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Substructure:
    """Where the dark halos of a universe are, and where its lens magnifies without bound.

    Args:
        convergence: of all halos and sheets, summed over the planes, each scaled to the source, (n_y, n_x); or None.
        critical_curves: pieces, each x and y in arcsec.
        smooth_curves: the same without halos and sheets.
    """

    convergence: np.ndarray | None
    critical_curves: Curves
    smooth_curves: Curves = ()


@dataclass(frozen=True)
class PlaneMap:
    """The halos of one plane, or of neighbouring planes together.

    Args:
        redshifts: of the planes.
        is_lens: whether the lens plane is among them.
        convergence: of halos and sheets, scaled to the source and summed over the planes, (n, n).
        count: number of halos.
        extent: left, right, bottom and top edges of the map in arcsec.
        discs: for each plane the centre (x, y) and the radius in arcsec of the disc that field halos fill.
    """

    redshifts: np.ndarray
    is_lens: bool
    convergence: np.ndarray
    count: int
    extent: tuple[float, float, float, float]
    discs: Sequence[tuple[float, float, float]] = ()


def substructure(model: Any, scene: Any) -> Substructure:
    """The convergence of a scene's halos in the pixels of the model's instrument, and the critical curves."""
    from lensax.instrument import Grid
    from lensax.raytrace import critical_curves, halo_convergence

    frame = model.simulator.instrument.grid
    fine = Grid(frame.shape, frame.pixel_scale, CURVES_OVER_SAMPLE)
    if scene.halos is None:
        return Substructure(None, critical_curves(scene, fine))
    scene = _without_empty_slots(scene)
    convergence = np.asarray(jnp.sum(halo_convergence(scene, *frame.pixel_centers(scene.dtype)), axis=0))
    return Substructure(convergence, critical_curves(scene, fine), critical_curves(scene.without_halos(), fine))


def plane_maps(model: Any, theta: Mapping[str, Any], scene: Any) -> list[PlaneMap]:
    """The convergence of every plane, its own halos and sheet alone; many planes are summed in groups of neighbours.

    Args:
        model: a forward model.
        theta: its free parameters.
        scene: the universe that it made of them; without halos there are no maps.
    """
    from lensax.raytrace import halo_convergence

    if scene.halos is None:
        return []
    radius = max(abs(float(edge)) for edge in model.simulator.instrument.grid.extent)
    planes, counts = scene.planes, np.asarray(scene.halos.counts)
    redshifts = np.asarray(planes.redshifts)
    discs = _discs(model, theta, planes)
    reach = max([radius, *(np.hypot(x, y) + r for x, y, r in discs)])
    reach = 1.04 * min(reach, WIDEST * radius)
    line = ((np.arange(MAP_PIXELS) + 0.5) / MAP_PIXELS * 2 - 1) * reach
    convergence = np.asarray(halo_convergence(_without_empty_slots(scene), *np.meshgrid(line, line)))
    return [
        PlaneMap(
            redshifts[group],
            planes.lens_index in group,
            convergence[group].sum(axis=0),
            int(counts[group].sum()),
            (-reach, reach, -reach, reach),
            [(float(x), float(y), float(r)) for x, y, r in discs[group]] if len(discs) else (),
        )
        for group in _groups(len(redshifts), planes.lens_index)
    ]


def _discs(model: Any, theta: Mapping[str, Any], planes: Any) -> np.ndarray:
    """Centre and radius of the disc that field halos fill on each plane, (n_planes, 3), or none."""
    if not isinstance(model.recipe, Recipe) or model.recipe.population is None:
        return np.zeros((0, 3))
    population = model.recipe.population.with_values(model.recipe.parameters.resolve(theta))
    if population.line_of_sight is None:
        return np.zeros((0, 3))
    radii, axis = np.asarray(population.line_of_sight.cone.radii(planes)), population.line_of_sight.axis
    x, y = (0 * radii, 0 * radii) if axis is None else map(np.asarray, axis.offset(planes))
    return np.stack([x, y, radii], axis=1)


def _groups(n_planes: int, lens_index: int) -> list[np.ndarray]:
    """Indices of neighbouring planes, at most 12 groups, the lens plane in a group of its own where planes are many."""
    if n_planes <= MOST_MAPS:
        return list(np.arange(n_planes)[:, None])
    front, back = np.arange(lens_index), np.arange(lens_index + 1, n_planes)
    share = round((MOST_MAPS - 1) * len(front) / (n_planes - 1))
    share = min(max(share, int(len(front) > 0)), MOST_MAPS - 1 - int(len(back) > 0))
    before, behind = np.array_split(front, max(share, 1)), np.array_split(back, max(MOST_MAPS - 1 - share, 1))
    return [part for part in (*before, np.array([lens_index]), *behind) if len(part)]


def _without_empty_slots(scene: Any) -> Any:
    """The same scene with as many slots as its fullest plane uses: a population reserves several times more."""
    used = np.flatnonzero(np.any(np.asarray(scene.halos.halos.kappa_s) != 0, axis=0))
    slots = int(used[-1]) + 1 if used.size else 1
    halos = jax.tree.map(lambda leaf: leaf[:, :slots], scene.halos.halos)
    return eqx.tree_at(lambda whole: whole.halos.halos, scene, halos)
