"""The lattice on planes of every arrangement, and without a macro model."""

import jax
import jax.numpy as jnp
import pytest
from lattice_scenes import COSMOLOGY, LENS_PLANE, REDSHIFTS, assert_accurate, random_scene

from lensax.halos import HaloCatalogue
from lensax.instrument import Grid
from lensax.raytrace import Planes
from lensax.scene import Scene

GRID = Grid((20, 20), 0.1, 2)


def scene_on(planes, macro=True):
    """Some neighbouring planes of a random scene."""
    scene = random_scene(400, seed=8)
    halos = jax.tree.map(lambda leaf: leaf[planes], scene.halos.halos)
    redshifts = REDSHIFTS[planes]
    return Scene(
        Planes(redshifts, REDSHIFTS[LENS_PLANE], 1.5, COSMOLOGY),
        scene.macro if macro else (),
        HaloCatalogue(halos, jnp.zeros(len(redshifts))),
        scene.source,
    )


@pytest.mark.parametrize(
    ("planes", "macro"),
    [
        pytest.param(slice(LENS_PLANE, LENS_PLANE + 1), True, id="a single plane"),
        pytest.param(
            slice(LENS_PLANE, LENS_PLANE + 3), True, id="the lens on the first plane", marks=pytest.mark.extended
        ),
        pytest.param(
            slice(LENS_PLANE - 2, LENS_PLANE + 1), True, id="the lens on the last plane", marks=pytest.mark.extended
        ),
        pytest.param(slice(LENS_PLANE - 1, LENS_PLANE + 2), False, id="no macro model", marks=pytest.mark.extended),
        pytest.param(
            slice(LENS_PLANE, LENS_PLANE + 1), False, id="a single plane, no macro model", marks=pytest.mark.extended
        ),
    ],
)
def test_every_layout_of_planes(planes, macro):
    # Where no lens spreads the rays, or one plane's halos are all there is, the estimate is not on the safe side.
    _, diagnostics = assert_accurate(scene_on(planes, macro), grid=GRID, least_estimate=0.8)
    assert int(diagnostics.pairs) > 0
