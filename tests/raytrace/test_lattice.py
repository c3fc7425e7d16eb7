"""The lattice against the exact tracer: its accuracy, and its own estimate of it."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_scenes import (
    EXACT,
    LATTICE,
    LENS_PLANE,
    NODES,
    RAYS,
    REDSHIFTS,
    SLOTS,
    assert_accurate,
    errors,
    lattice_scene,
    population,
    random_scene,
    start_of,
    traced,
    with_halo,
)

from lensax._types import cast
from lensax.instrument import Instrument
from lensax.instrument.psf import Gaussian
from lensax.raytrace import Lattice
from lensax.raytrace.exact_tiles import ExactTiles
from lensax.simulate import Simulator

TOLERANCE = 2e-5


@pytest.mark.parametrize("dtype", [pytest.param(jnp.float64, marks=pytest.mark.extended), jnp.float32])
@pytest.mark.parametrize("count", [0, 30, 500])
def test_error_within_tolerance(count, dtype):
    scene = cast(random_scene(count, seed=count), dtype)
    _, diagnostics = assert_accurate(scene)
    assert diagnostics.error_estimate.dtype == dtype
    assert float(diagnostics.error_estimate) <= 1.1 * TOLERANCE
    np.testing.assert_array_equal(diagnostics.halos_per_plane, scene.halos.counts)
    if count == 500:
        assert 0 < int(diagnostics.pairs) <= int(diagnostics.capacity)


def test_corrections_are_what_makes_it_accurate():
    scene = with_halo(random_scene(), 1e9, 0.3, 0.5)
    error, _, _ = errors(scene, Lattice(tolerance=1.0, tile_pixels=4, cells=1, exact_tiles=0))
    assert np.sqrt(np.mean(error**2)) > 5 * TOLERANCE


@pytest.mark.extended
def test_error_falls_with_the_tolerance():
    tracer = Lattice(tolerance=TOLERANCE / 10)
    rms, _ = assert_accurate(random_scene(300), tracer)
    assert rms < TOLERANCE / 10


ADVERSARIAL = {
    "halo on a ray": dict(mass=1e9, plane=0, **start_of(RAYS, 61, 40)),
    "halo on a node": dict(mass=1e9, plane=0, **start_of(NODES, 9, 7)),
    "halo on a tile's edge": dict(mass=1e9, plane=0, **start_of(NODES, 9, 7) | {"y": 0.53}),
    "halo outside of the frame": dict(mass=1e9, x=1.05, y=0.1),
    "halo at the frame's corner": dict(mass=1e9, x=-1.0, y=1.0),
    "compact collapsed halo": dict(mass=1e8, x=0.33, y=-0.42, collapse=0.002, plane=2),
    "collapsed halo behind the lens": dict(mass=1e8, x=0.05, y=-0.04, collapse=0.01, plane=7),
    "folds behind a massive perturber": dict(mass=1e12, x=-0.4, y=0.5, plane=3, concentration=8.0),
    "massive perturber": dict(mass=1e11, x=0.6, y=-0.5, concentration=9.0),
    "massive perturber behind the lens": dict(mass=1e10, x=0.1, y=0.05, plane=6, concentration=9.0),
    "cored massive perturber": dict(mass=1e10, x=-0.5, y=0.2, core=0.5, plane=1),
}


ON_THE_LATTICE = ("halo on a ray", "halo on a node", "halo on a tile's edge")


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        *((case, jnp.float64) for case in ADVERSARIAL),
        *((case, jnp.float32) for case in ON_THE_LATTICE),
        *(
            pytest.param(case, jnp.float32, marks=pytest.mark.extended)
            for case in ADVERSARIAL
            if case not in ON_THE_LATTICE
        ),
    ],
)
def test_adversarial_halos(case, dtype):
    assert_accurate(cast(with_halo(random_scene(seed=5), **ADVERSARIAL[case]), dtype))


@pytest.mark.parametrize(("plane", "mass", "collapse"), [(0, 1e10, 0.1), (2, 4e9, 0.05)])
def test_kicks_beyond_the_tides(plane, mass, collapse):
    """A massive collapsed halo in front of many others kicks rays to where first-order tides do not reach."""
    table = population(2000, 5, masses=(1e7, 1e10), half_width=1.5)
    scene = cast(lattice_scene(table, slots=400, einstein_radius=0.6), jnp.float32)
    assert_accurate(with_halo(scene, mass, 0.52, 0.43, plane=plane, collapse=collapse))


def test_exact_tiles_are_different_tiles():
    random = np.random.default_rng(0)
    spread, kick = jnp.asarray(random.uniform(1, 5, 200)), jnp.asarray(random.uniform(0, 0.3, 200))
    chosen = ExactTiles.chosen(spread, kick, TOLERANCE, 12)
    assert len(set(np.asarray(chosen.tiles).tolist())) == len(chosen.tiles) == 20
    np.testing.assert_array_equal(np.sort(chosen.tiles[:12]), np.sort(np.argsort(-spread)[:12]))
    assert np.all(kick[chosen.tiles[12:]] > np.quantile(kick, 0.9))
    assert bool(chosen.needed[12:].all())
    calm = ExactTiles.chosen(spread, 0.1 * kick, TOLERANCE, 12)
    assert not bool(calm.needed[12:].any())
    few = ExactTiles.chosen(spread[:15], kick[:15], TOLERANCE, 12)
    assert len(few.tiles) == 15
    assert len(ExactTiles.chosen(spread, kick, TOLERANCE, 0).tiles) == 0


def without_foreground(scene):
    """The scene without the halos in front of the lens plane: rays reach it where they start."""
    kappa_s = scene.halos.halos.kappa_s.at[:LENS_PLANE].set(0.0)
    return eqx.tree_at(lambda scene: scene.halos.halos.kappa_s, scene, kappa_s)


CENTRES = {
    "on a node, in a corner of four pixels": start_of(NODES, 6, 6),
    "on a ray": start_of(RAYS, 40, 40),
    "in the middle of a pixel": {"x": 0.025, "y": 0.025},
    "in the middle of a tile": {"x": 0.1, "y": 0.1},
}


@pytest.mark.parametrize("center", CENTRES)
@pytest.mark.parametrize("slope", [1.8, 2.3])
def test_torn_centre(center, slope):
    x, y = CENTRES[center].values()
    scene = without_foreground(random_scene(seed=6, center=(x, y), slope=slope))
    for tracer in (EXACT, LATTICE):
        found = traced(tracer, scene)
        on_centre = (np.asarray(found.lens_x) == x) & (np.asarray(found.lens_y) == y)
        assert on_centre.sum() == (center == "on a ray")
    assert_accurate(scene)


def test_images_on_the_critical_curve():
    """A source on the caustic: what is bright lies where the lens magnifies an error of the deflection without end."""
    scene = random_scene(seed=7)
    exact = traced(EXACT, scene)
    x, y = (np.asarray(getattr(exact, axis)) for axis in ("source_x", "source_y"))
    (x_y, x_x), (y_y, y_x) = np.gradient(x), np.gradient(y)
    row, column = np.unravel_index(np.argmin(np.abs(x_x * y_y - x_y * y_x)), x.shape)
    where = lambda scene: (scene.source[0].center_x, scene.source[0].center_y)  # noqa: E731
    on_caustic = eqx.tree_at(where, scene, (jnp.asarray(x[row, column]), jnp.asarray(y[row, column])))
    _, bright, _ = errors(on_caustic)
    assert bright[row, column]
    assert_accurate(on_caustic)


def test_planes_without_halos():
    table = population(200, 1, half_width=1.5)
    kept = np.isin(table["redshift"], (REDSHIFTS[2], REDSHIFTS[6]))
    scene = lattice_scene({name: column[kept] for name, column in table.items()}, slots=SLOTS, einstein_radius=0.6)
    assert_accurate(scene)


def test_sheets_are_exact():
    scene = random_scene(0, sheets=np.linspace(-0.02, 0.02, 9))
    error, _, diagnostics = errors(scene)
    assert error.max() < 1e-14
    assert int(diagnostics.pairs) == 0


def test_without_a_catalogue():
    scene = random_scene().without_halos()
    error, _, diagnostics = errors(scene)
    assert error.max() < 1e-14
    assert float(diagnostics.error_estimate) == 0.0


def test_a_profile_finds_the_parts_of_an_image():
    simulator = Simulator(Instrument((16, 16), 0.1, Gaussian(0.1, size=5), 1000.0, over_sample=2))
    image = jax.jit(lambda key: simulator(random_scene(30), key))
    text = image.lower(jax.random.key(0)).as_text(debug_info=True)
    for part in ("packing", "nodes", "choice", "rays", "pairs", "macro", "exact_tiles", "light", "pixels", "noise"):
        assert re.search(rf'"(\S+/)?{part}/\w+"', text), part
