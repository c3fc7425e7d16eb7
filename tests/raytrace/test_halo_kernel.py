"""The halo kernel of the lattice, and of the exact tracer in float32, against the closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensax._types import cast
from lensax.mass import Halo
from lensax.mass.plummer import PlummerMixture, mixture_slope

RADII = np.geomspace(1e-4, 100.0, 80)


def random_halos(count=200, seed=0):
    """Cuspy and cored, truncated and untruncated halos of scale radius 1."""
    random = np.random.default_rng(seed)
    truncation = np.where(random.random(count) < 0.2, np.inf, 10 ** random.uniform(-1, 2.4, count))
    core = np.where(random.random(count) < 0.4, 0.0, random.uniform(0.0, 0.9, count))
    full = np.ones(count)
    return Halo(full, full, truncation, core, 0 * full, 0 * full)


@jax.jit
def by_mixture(halo, x):
    mixture = PlummerMixture.from_halo(halo)
    x = jnp.broadcast_to(x, (len(halo.kappa_s), len(x)))
    return mixture_slope(mixture.inverse_square_reach[:, None], mixture.numerators[..., None], x * x) * x


@jax.jit
def by_closed_form(halo, x):
    return jax.vmap(lambda one: one.deflection(x, 0 * x)[0])(halo)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_deflections_are_within_5e_6(dtype):
    halos, x = cast(random_halos(), dtype), jnp.asarray(RADII, dtype)
    found = np.asarray(by_mixture(halos, x), float)
    exact = np.asarray(by_closed_form(cast(halos, jnp.float64), x.astype(float)))
    assert np.abs(found / exact - 1).max() < 5e-6
