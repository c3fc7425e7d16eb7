"""lenstronomy's lists in and out: positions as lenstronomy computes them, nothing lost on the way, clear refusals."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensax as lx
from lensax.interop.lenstronomy import LensModelLists, from_lens_model, to_lens_model

COSMOLOGY = lx.cosmology.FlatLambdaCDM(67.74, 0.3075)
EPL = {"theta_E": 1.2, "gamma": 2.0, "e1": 0.1, "e2": 0.0}
SIE = {"theta_E": 1.0, "e1": 0.1, "e2": 0.0}
SIS = {"theta_E": 0.1}
TNFW = {"Rs": 0.1, "alpha_Rs": 1e-3, "r_trunc": 1.0}
CNFW = {"Rs": 0.1, "alpha_Rs": 1e-3, "r_core": 0.05}


@pytest.fixture(scope="module")
def table(data: Path) -> dict[str, Any]:
    return json.loads((data / "lenstronomy_rays.json").read_text())


@pytest.fixture(scope="module")
def scene(table: dict[str, Any]) -> lx.Scene:
    return from_lens_model(
        table["lens_model_list"],
        table["lens_redshift_list"],
        table["kwargs_lens"],
        source_redshift=table["source_redshift"],
        cosmology=lx.cosmology.FlatLambdaCDM(**table["cosmology"]),
    )


def read(names: list[str], redshifts: list[float] | None, kwargs: list[dict[str, float]], **more: Any) -> lx.Scene:
    return from_lens_model(names, redshifts, kwargs, source_redshift=1.5, cosmology=COSMOLOGY, **more)


def test_source_positions_are_lenstronomys(scene: lx.Scene, table: dict[str, Any]) -> None:
    trace = lx.raytrace.Direct().trace_at(scene, jnp.asarray(table["x"]), jnp.asarray(table["y"]))
    np.testing.assert_allclose(trace.source_x, table["beta_x"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(trace.source_y, table["beta_y"], rtol=0, atol=1e-8)


def test_what_goes_where(scene: lx.Scene) -> None:
    assert len(scene.macro) == 6
    np.testing.assert_array_equal(scene.planes.redshifts, [0.2, 0.5, 0.8, 1.2])
    np.testing.assert_array_equal(scene.halos.counts, [4, 4, 4, 4])
    np.testing.assert_allclose(scene.halos.sheets, [0.0, -0.01, 0.0, -0.004])
    assert float(scene.planes.lens_redshift) == 0.5


def test_round_trip_keeps_the_lens(scene: lx.Scene, table: dict[str, Any]) -> None:
    lists = to_lens_model(scene)
    again = from_lens_model(*lists, source_redshift=1.5, cosmology=COSMOLOGY)
    x, y = jnp.asarray(table["x"]), jnp.asarray(table["y"])
    one, two = (lx.raytrace.Direct().trace_at(s, x, y) for s in (scene, again))
    np.testing.assert_allclose(two.source_x, one.source_x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(two.source_y, one.source_y, rtol=0, atol=1e-12)
    assert to_lens_model(again).lens_model_list == lists.lens_model_list


def test_lists_that_come_back_are_the_lists_that_went_in() -> None:
    lists = LensModelLists(
        ["EPL", "SHEAR", "TNFW"],
        [0.5, 0.5, 0.8],
        [
            {**EPL, "center_x": 0.1, "center_y": -0.2},
            {"gamma1": 0.03, "gamma2": 0.01},
            {**TNFW, "center_x": 1.0, "center_y": 0.5},
        ],
    )
    found = to_lens_model(read(*lists))
    assert found.lens_model_list == lists.lens_model_list
    np.testing.assert_allclose(found.lens_redshift_list, lists.lens_redshift_list)
    for ours, theirs in zip(found.kwargs_lens, lists.kwargs_lens):
        assert ours == pytest.approx(theirs, rel=1e-14)


def test_one_plane_without_redshifts() -> None:
    scene = read(["EPL", "TNFW"], None, [EPL, TNFW], lens_redshift=0.5, slots=7)
    assert scene.planes.n_planes == 1
    assert scene.halos.halos.kappa_s.shape == (1, 7)


def test_the_source_redshift_may_be_traced() -> None:
    def distance(source_redshift: Any) -> Any:
        scene = from_lens_model(["EPL"], [0.5], [EPL], source_redshift=source_redshift, cosmology=COSMOLOGY)
        return scene.planes.distances[0]

    difference = (distance(1.501) - distance(1.499)) / 0.002
    assert float(jax.grad(distance)(1.5)) == pytest.approx(float(difference), rel=1e-5)


def test_macro_alone_and_halos_alone() -> None:
    assert read(["EPL"], [0.5], [EPL]).halos.counts.sum() == 0
    scene = read(["TNFW"], [0.8], [TNFW], lens_redshift=0.5)
    assert scene.macro == ()
    np.testing.assert_allclose(scene.planes.redshifts, [0.5, 0.8])


def test_astropy_cosmology_is_translated() -> None:
    from astropy.cosmology import FlatLambdaCDM, Planck15

    for theirs, ours in ((FlatLambdaCDM(67.74, 0.3075), COSMOLOGY), (Planck15, lx.cosmology.Planck15)):
        scene = from_lens_model(["EPL"], [0.5], [EPL], source_redshift=1.5, cosmology=theirs)
        expected = lx.raytrace.Planes([0.5], 0.5, 1.5, ours)
        np.testing.assert_allclose(scene.planes.distances, expected.distances, rtol=1e-10)


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_redshifts_that_rounding_tells_apart_share_a_plane(x64: bool) -> None:
    names = ["EPL", "SHEAR", "TNFW", "TNFW", "TNFW", "CONVERGENCE", "TNFW"]
    redshifts = [0.5, 0.5000001, 0.3, 0.1 + 0.2, 0.4999999, 0.3000005, 0.50001]
    kwargs = [EPL, {"gamma1": 0.0, "gamma2": 0.1}, TNFW, TNFW, TNFW, {"kappa": -0.01}, TNFW]
    with jax.enable_x64(x64):
        scene = read(names, redshifts, kwargs)
        assert scene.planes.redshifts.dtype == (jnp.float64 if x64 else jnp.float32)
        np.testing.assert_allclose(scene.planes.redshifts, [0.3, 0.5, 0.50001], rtol=1e-7)
        np.testing.assert_array_equal(scene.halos.counts, [2, 1, 1])
        np.testing.assert_allclose(scene.halos.sheets, [-0.01, 0.0, 0.0])
        again = read(*to_lens_model(scene))
        np.testing.assert_array_equal(again.planes.redshifts, scene.planes.redshifts)
        np.testing.assert_array_equal(again.halos.counts, scene.halos.counts)


def test_the_given_lens_redshift_takes_what_stands_beside_it() -> None:
    scene = read(["EPL", "TNFW"], [0.5 + 1e-7, 0.5 - 1e-7], [EPL, TNFW], lens_redshift=0.5)
    np.testing.assert_array_equal(scene.planes.redshifts, [0.5])


@pytest.mark.parametrize(
    ("names", "redshifts", "kwargs", "more", "message"),
    [
        (["EPL", "CHAMELEON"], [0.5, 0.5], [EPL, {}], {}, r"lens_model_list\[1\]: 'CHAMELEON' has no counterpart"),
        (["EPL"], [0.5, 0.5], [EPL], {}, "lens_redshift_list: expected 1 entries"),
        (["EPL"], [0.5], [EPL, EPL], {}, "kwargs_lens: expected 1 entries"),
        (["TNFW"], [0.5], [{"Rs": 1.0, "alpha_Rs": 1.0}], {}, r"kwargs_lens\[0\]: TNFW needs 'r_trunc'"),
        (["EPL"], [0.5], [{**EPL, "s": 0.1}], {}, r"kwargs_lens\[0\]: EPL has no parameter 's'"),
        (["EPL", "SIS"], [0.5, 0.7], [EPL, {"theta_E": 0.1}], {}, r"lens_redshift_list\[1\]: SIS stands at 0.7"),
        (["SHEAR"], [0.5], [{"gamma1": 0.0, "gamma2": 0.1, "ra_0": 1.0}], {}, "ra_0 = 1, but lensax centres SHEAR"),
        (["TNFW"], [0.5], [TNFW], {}, "lens_redshift: needed"),
        (["EPL"], None, [EPL], {}, "lens_redshift: needed"),
        (
            ["EPL", "TNFW"],
            [0.5, 1.6],
            [EPL, TNFW],
            {},
            r"lens_redshift_list\[1\]: redshift = 1\.6, expected above 0 and",
        ),
        (["EPL", "TNFW"], [0.5, np.nan], [EPL, TNFW], {}, r"lens_redshift_list\[1\] = nan, expected a positive"),
        (["TNFW"], [0.5], [TNFW], {"lens_redshift": 1.5}, r"lens_redshift: redshift = 1\.5, expected above 0 and in f"),
        (["EPL", "TNFW"], [0.5, 0.5], [EPL, {**TNFW, "Rs": -1.0}], {}, r"kwargs_lens\[1\]: TNFW has Rs = -1"),
        (["EPL", "TNFW"], [0.5, 0.5], [EPL, {**TNFW, "center_x": np.nan}], {}, "center_x = nan, expected"),
        (
            ["EPL", "TNFW"],
            [0.5, 0.5],
            [EPL, {**TNFW, "Rs": "wide"}],
            {},
            r"\[1\]: TNFW has Rs = wide, expected a finite",
        ),
        (
            ["EPL", "CNFW"],
            [0.5, 0.3],
            [EPL, {**CNFW, "r_core": -0.1}],
            {},
            r"\[1\]: CNFW has r_core = -0\.1, expected z",
        ),
        (
            ["EPL", "CNFW"],
            [0.5, 0.3],
            [EPL, {**CNFW, "r_core": 0.31}],
            {},
            r"\[1\]: CNFW has r_core = 0\.31, expected a",
        ),
        (
            ["TNFW", "EPL"],
            [0.5, 0.5],
            [TNFW, {**EPL, "gamma": 3.2}],
            {},
            r"kwargs_lens\[1\]: EPL: PowerLaw: slope must",
        ),
        (["TNFW", "EPL"], [0.5, 0.5], [TNFW, {**EPL, "e1": 1.2}], {}, r"kwargs_lens\[1\]: EPL: PowerLaw: the ellipt"),
        (["SIS", "SIE"], [0.5, 0.5], [SIS, {**SIE, "theta_E": -1.0}], {}, r"kwargs_lens\[1\]: SIE: PowerLaw: einstein"),
        (["SIS", "POINT_MASS"], [0.5, 0.5], [SIS, {"theta_E": -1.0}], {}, r"\[1\]: POINT_MASS: PointMass: einstein_ra"),
        (["EPL", "TNFW"], [0.5, 0.5], [EPL, TNFW], {"slots": 0}, "slots must be at least 1"),
    ],
)
def test_bad_lists_are_refused(
    names: list[str],
    redshifts: list[float] | None,
    kwargs: list[dict[str, float]],
    more: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        read(names, redshifts, kwargs, **more)


@pytest.mark.parametrize("core", [0.0, 0.3])
def test_the_smallest_and_the_largest_core_are_taken(core: float) -> None:
    found = to_lens_model(read(["CNFW"], [0.5], [{**CNFW, "r_core": core}], lens_redshift=0.5))
    assert found.lens_model_list == ["CNFW" if core else "NFW"]
    assert found.kwargs_lens[0]["alpha_Rs"] == pytest.approx(CNFW["alpha_Rs"], rel=1e-14)


def test_another_cosmology_is_refused() -> None:
    from astropy.cosmology import FlatwCDM

    for cosmology, found in (("Planck15", "str"), (FlatwCDM(70.0, 0.3, w0=-0.9), "FlatwCDM")):
        with pytest.raises(TypeError, match=f"cosmology: expected a FlatLambdaCDM of lensax or astropy, found {found}"):
            from_lens_model(["EPL"], [0.5], [EPL], source_redshift=1.5, cosmology=cosmology)


def scene_of(macro: Any = (), halos: dict[str, Any] | None = None) -> lx.Scene:
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, COSMOLOGY)
    catalogue = None if halos is None else lx.halos.HaloCatalogue.from_table({"redshift": [0.5], **halos}, planes)
    return lx.Scene(planes=planes, macro=macro, halos=catalogue)


def test_macro_halos_and_sheets_go_out() -> None:
    halo = lx.mass.Halo(0.01, 0.2, jnp.inf, 0.1, 0.3, -0.4)
    lists = to_lens_model(scene_of((halo, lx.mass.MassSheet(0.05), lx.mass.PointMass(0.1, 1.0, 2.0))))
    assert lists.lens_model_list == ["CNFW", "CONVERGENCE", "POINT_MASS"]
    deflection, _ = halo.deflection(jnp.asarray(0.3 + 0.2), jnp.asarray(-0.4))
    assert lists.kwargs_lens[0]["alpha_Rs"] == pytest.approx(float(deflection), rel=1e-12)


def test_what_lenstronomy_lacks_is_refused() -> None:
    column = {"center_x": [0.0], "center_y": [0.0], "kappa_s": [0.01], "scale_radius": [0.1]}
    both = scene_of(halos={**column, "truncation_radius": [1.0], "core_radius": [0.05]})
    with pytest.raises(ValueError, match=r"halo 0: core_radius = 0\.05 and truncation_radius = 1"):
        to_lens_model(both)

    class Own(lx.mass.MassProfile):
        def deflection(self, x: Any, y: Any) -> Any:
            return x, y

        def convergence(self, x: Any, y: Any) -> Any:
            return x

        def potential(self, x: Any, y: Any) -> Any:
            return x

    with pytest.raises(ValueError, match=r"macro\[1\]: Own has no counterpart"):
        to_lens_model(scene_of((lx.mass.MassSheet(0.1), Own())))
    with pytest.raises(ValueError, match=r"macro\[0\]: core_radius = 0\.1 and truncation_radius = 1, but lenstronomy"):
        to_lens_model(scene_of((lx.mass.Halo(0.01, 0.2, 1.0, 0.1),)))


def test_traced_and_batched_scenes_are_refused() -> None:
    scene = scene_of(lx.mass.ExternalShear(0.1, 0.0))
    with pytest.raises(ValueError, match="being traced"):
        jax.jit(lambda s: to_lens_model(s).kwargs_lens)(scene)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), scene)
    with pytest.raises(ValueError, match="batch of shape"):
        to_lens_model(batch)


def test_live_lenstronomy_agrees(table: dict[str, Any]) -> None:
    """Where lenstronomy is installed: the way out, traced by lenstronomy itself."""
    lens_model = pytest.importorskip("lenstronomy.LensModel.lens_model")
    from astropy.cosmology import FlatLambdaCDM

    macro = (lx.mass.PowerLaw(1.2, 2.1, 0.1, 0.05, 0.02, 0.01), lx.mass.ExternalShear(0.02, -0.03))
    planes = lx.raytrace.Planes([0.3, 0.5, 1.0], 0.5, 1.5, COSMOLOGY)
    halos = {
        "redshift": [0.3, 0.5, 1.0],
        "center_x": [1.0, -0.5, 0.2],
        "center_y": [0.1, 0.9, -1.1],
        "kappa_s": [0.01, 0.02, 0.005],
        "scale_radius": [0.1, 0.2, 0.15],
        "truncation_radius": [1.5, 0.8, np.inf],
    }
    catalogue = lx.halos.HaloCatalogue.from_table(halos, planes, sheets=[0.0, -0.01, -0.002])
    scene = lx.Scene(planes=planes, macro=macro, halos=catalogue)
    names, redshifts, kwargs = to_lens_model(scene)
    model = lens_model.LensModel(
        names, lens_redshift_list=redshifts, z_source=1.5, multi_plane=True, cosmo=FlatLambdaCDM(67.74, 0.3075)
    )
    x, y = np.asarray(table["x"]), np.asarray(table["y"])
    expected = model.ray_shooting(x, y, kwargs)
    trace = lx.raytrace.Direct().trace_at(scene, jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose((trace.source_x, trace.source_y), expected, rtol=0, atol=1e-8)
