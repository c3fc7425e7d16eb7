"""Halos of several families through the tracers: the one kernel of the fast ones, the quadratures of the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_scenes import PLANES, halo_columns

from lensax._types import cast
from lensax.halos import HaloCatalogue
from lensax.instrument import Grid
from lensax.interop.lenstronomy import to_lens_model
from lensax.mass import PowerLaw
from lensax.raytrace import Direct, Lattice
from lensax.scene import Scene

GRID = Grid((12, 12), 0.15)


@pytest.fixture(scope="module")
def scene():
    """Twenty halos of each family, in float32."""
    random = np.random.default_rng(4)
    plane = random.integers(0, 9, 60)
    kappa_s, scale_radius = halo_columns(10 ** random.uniform(7, 9, 60), plane, np.full(60, 14.0))
    table = {
        "redshift": np.asarray(PLANES.redshifts)[plane],
        "center_x": random.uniform(-0.9, 0.9, 60),
        "center_y": random.uniform(-0.9, 0.9, 60),
        "kappa_s": kappa_s,
        "scale_radius": scale_radius,
        "truncation_radius": random.uniform(1.0, 30.0, 60) * scale_radius,
        "core_radius": random.uniform(0.05, 0.6, 60) * scale_radius,
        "profile": np.repeat(["cored_nfw", "parametric_sidm", "isothermal_core"], 20),
    }
    catalogue = HaloCatalogue.from_table(table, PLANES, slots=16)
    return cast(Scene(PLANES, (PowerLaw(0.5, 2.0, 0.1, 0.05, 0.01, 0.02),), catalogue, (), ()), jnp.float32)


@pytest.fixture(scope="module")
def exact(scene):
    wide = cast(scene, jnp.float64)
    return jax.jit(lambda scene: Direct(closed_form=True).trace(scene, GRID))(wide)


@pytest.mark.parametrize("tracer", [Direct(), Lattice()], ids=["direct", "lattice"])
def test_fast_tracers_agree_with_the_quadratures(scene, exact, tracer):
    found = jax.jit(lambda scene: tracer.trace(scene, GRID))(scene)
    assert found.source_x.dtype == jnp.float32
    found_x, found_y, true_x, true_y = (
        np.asarray(a, float) for a in (found.source_x, found.source_y, exact.source_x, exact.source_y)
    )
    error = np.hypot(found_x - true_x, found_y - true_y)
    assert np.sqrt(np.mean(error**2)) < 2e-5
    assert not found.diagnostics.overflow


def test_what_other_codes_do_not_have_is_refused(scene):
    with pytest.raises(ValueError, match="40 halos are no truncated cored NFW halos"):
        to_lens_model(scene)
