"""Thousands of profiles in lenstronomy's lists: traced by the lattice, and every keyword as it comes out again."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import lensax as lx
from lensax.interop.lenstronomy import LensModelLists, from_lens_model, to_lens_model

HALOS = 3000
LENS, SOURCE = 0.5, 1.5
PLANES = (0.15, 0.3, LENS, 0.7, 0.9, 1.2)
COSMOLOGY = lx.cosmology.FlatLambdaCDM(67.74, 0.3075)


def halo(random: np.random.Generator, mass: float) -> tuple[str, dict[str, float]]:
    """A halo of 1e6 to 1e9 solar masses, of the size and the deflection that such have in a galaxy-scale lens."""
    scale = float(0.02 * (mass / 1e7) ** 0.4 * random.uniform(0.7, 1.4))
    x, y = random.uniform(-2.5, 2.5, 2).tolist()
    k = {
        "Rs": scale,
        "alpha_Rs": float(3e-4 * (mass / 1e7) ** 0.6 * random.uniform(0.7, 1.4)),
        "center_x": x,
        "center_y": y,
    }
    name = str(random.choice(["TNFW", "NFW", "CNFW"], p=[0.7, 0.2, 0.1]))
    if name == "TNFW":
        k["r_trunc"] = scale * float(random.uniform(2, 20))
    if name == "CNFW":
        k["r_core"] = scale * float(random.uniform(0.1, 0.9))
    return name, k


@pytest.fixture(scope="module")
def lists() -> LensModelLists:
    """In no order: lens, shear, sheets, halos of every kind on every plane, every other one a last digit behind it."""
    random = np.random.default_rng(17)
    masses = 1e6 * random.uniform(1e-3**0.9, 1.0, HALOS) ** (-1 / 0.9)  # dN/dM as M^-1.9 up to 1e9
    entries: list[tuple[str, float, dict[str, float]]] = [
        ("EPL", LENS, {"theta_E": 1.2, "gamma": 2.07, "e1": 0.08, "e2": -0.04, "center_x": 0.01, "center_y": -0.02}),
        ("SHEAR", LENS, {"gamma1": 0.03, "gamma2": -0.02}),
        *(("CONVERGENCE", z, {"kappa": -0.002}) for z in PLANES),
    ]
    for row, mass in enumerate(masses):
        z = float(random.choice(PLANES))
        name, k = halo(random, float(mass))
        entries.append((name, np.nextafter(z, 2.0).item() if row % 2 else z, k))
    names, redshifts, kwargs = zip(*(entries[i] for i in random.permutation(len(entries))))
    return LensModelLists(list(names), list(redshifts), list(kwargs))


@pytest.fixture(scope="module")
def scene(lists: LensModelLists) -> lx.Scene:
    return from_lens_model(*lists, source_redshift=SOURCE, cosmology=COSMOLOGY)


def test_every_halo_stands_on_one_of_the_planes(scene: lx.Scene) -> None:
    np.testing.assert_allclose(scene.planes.redshifts, PLANES)
    assert int(scene.halos.counts.sum()) == HALOS
    assert len(scene.macro) == 2


@pytest.mark.extended
def test_the_lattice_traces_them_as_exactly_as_it_says(scene: lx.Scene) -> None:
    grid = lx.Grid((40, 40), 0.1)
    exact, fast = lx.raytrace.Direct().trace(scene, grid), lx.raytrace.Lattice().trace(scene, grid)
    error = np.hypot(fast.source_x - exact.source_x, fast.source_y - exact.source_y)
    assert not bool(fast.diagnostics.overflow)
    assert np.sqrt(np.mean(error**2)) < 2e-5
    # The halos are what is being tested: without them the rays end elsewhere.
    bare = lx.raytrace.Direct().trace(scene.without_halos(), grid)
    assert np.sqrt(np.mean((bare.source_x - exact.source_x) ** 2)) > 1e-3


def test_lenstronomy_sends_the_rays_to_the_same_places(scene: lx.Scene, lists: LensModelLists) -> None:
    """Where lenstronomy is installed: the same lists, with a plane for every redshift that rounding tells apart."""
    lens_model = pytest.importorskip("lenstronomy.LensModel.lens_model")
    from astropy.cosmology import FlatLambdaCDM

    names, redshifts, kwargs = lists
    model = lens_model.LensModel(
        names, lens_redshift_list=redshifts, z_source=SOURCE, multi_plane=True, cosmo=FlatLambdaCDM(67.74, 0.3075)
    )
    x, y = (line.ravel() for line in np.meshgrid(np.linspace(-1.9, 2.0, 5), np.linspace(-2.0, 1.9, 5)))
    trace = lx.raytrace.Direct().trace_at(scene, jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose((trace.source_x, trace.source_y), model.ray_shooting(x, y, kwargs), rtol=0, atol=1e-7)


def table(lists: LensModelLists) -> dict[str, list[tuple[float, dict[str, Any]]]]:
    """By name of the profile, plane by plane, in the order in which they stand there."""
    found: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for name, z, k in sorted(zip(*lists), key=lambda entry: round(entry[1], 6)):
        found.setdefault(name, []).append((z, k))
    return found


def test_every_keyword_comes_out_as_it_went_in(scene: lx.Scene, lists: LensModelLists) -> None:
    out, went_in = table(to_lens_model(scene)), table(lists)
    assert {name: len(rows) for name, rows in out.items()} == {name: len(rows) for name, rows in went_in.items()}
    for name, rows in went_in.items():
        keys = sorted(rows[0][1])
        assert [sorted(k) for _, k in out[name]] == [keys] * len(rows)
        np.testing.assert_allclose([z for z, _ in out[name]], [z for z, _ in rows], rtol=0, atol=1e-6)
        ours, theirs = ([[k[key] for key in keys] for _, k in side] for side in (out[name], rows))
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, err_msg=name)
