"""pyHalo's lensing quantities in and out; with a real realisation where pyHalo is installed (`make test-peers`)."""

import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensax as lx
from lensax.interop.pyhalo import from_lensing_quantities, from_realization, to_lensing_quantities

COSMOLOGY = lx.cosmology.FlatLambdaCDM(67.5, 0.309)
TNFW = {"alpha_Rs": 4.6e-4, "Rs": 0.062, "center_x": -0.8, "center_y": 0.75, "r_trunc": 0.04}
CNFW = {"alpha_Rs": 4.6e-4, "Rs": 0.062, "r_core": -0.01}


@pytest.fixture(scope="module")
def quantities() -> tuple[list[str], np.ndarray, list[dict[str, Any]], None]:
    """Lists in the order of pyHalo: halos as they come, then the sheets."""
    random = np.random.default_rng(5)
    names, redshifts, kwargs = [], [], []
    for z in (0.5, 0.21, 0.5, 0.8, 0.21, 0.8, 0.8):
        name = str(random.choice(["TNFW", "TNFW", "NFW", "CNFW"]))
        k = {key: np.float64(value * random.uniform(0.5, 2)) for key, value in TNFW.items()}
        if name != "TNFW":
            del k["r_trunc"]
        if name == "CNFW":
            k["r_core"] = 0.3 * k["Rs"]
        names, redshifts, kwargs = [*names, name], [*redshifts, z], [*kwargs, k]
    for z, kappa in ((0.21, -2e-3), (0.8, -1e-3)):
        names, redshifts, kwargs = [*names, "CONVERGENCE"], [*redshifts, z], [*kwargs, {"kappa": kappa, "ra_0": 0.0}]
    assert {"NFW", "TNFW", "CNFW"} < set(names)
    return names, np.array(redshifts), kwargs, None


@pytest.fixture(scope="module")
def planes() -> Any:
    return lx.raytrace.Planes([0.21, 0.5, 0.8], 0.5, 1.5, COSMOLOGY)


def test_what_goes_where(quantities: Any, planes: Any) -> None:
    found = from_lensing_quantities(*quantities, planes=planes, slots=5)
    np.testing.assert_array_equal(found.counts, [2, 2, 3])
    assert found.n_slots == 5
    np.testing.assert_array_equal(found.sheets, [-2e-3, 0.0, -1e-3])
    names, _, kwargs, _ = quantities
    rows = [row for row, name in enumerate(names) if name != "CONVERGENCE"]
    order = [rows[i] for i in (1, 4, 0, 2, 3, 5, 6)]
    filled = np.asarray(found.halos.kappa_s) > 0
    np.testing.assert_array_equal(np.asarray(found.halos.scale_radius)[filled], [kwargs[i]["Rs"] for i in order])
    for halo, row in zip(zip(*(np.asarray(leaf)[filled] for leaf in jax.tree.leaves(found.halos))), order):
        one = lx.mass.Halo(*halo)
        deflection, _ = one.deflection(one.center_x + one.scale_radius, one.center_y)
        if names[row] != "TNFW":  # alpha_Rs is the deflection of the halo without truncation
            np.testing.assert_allclose(deflection, kwargs[row]["alpha_Rs"], rtol=1e-12)


def test_the_round_trip_is_exact(quantities: Any, planes: Any) -> None:
    first = from_lensing_quantities(*quantities, planes=planes)
    lists = to_lensing_quantities(first, planes)
    again = from_lensing_quantities(*lists, planes=planes, slots=first.n_slots)
    for name in ("scale_radius", "truncation_radius", "core_radius", "center_x", "center_y"):
        np.testing.assert_array_equal(getattr(again.halos, name), getattr(first.halos, name))
    np.testing.assert_allclose(again.halos.kappa_s, first.halos.kappa_s, rtol=5e-16)
    np.testing.assert_array_equal(again.sheets, first.sheets)
    # The lists are those that came in, plane by plane.
    entries = zip(*quantities[:3])
    expected = sorted((e for e in entries if e[0] != "CONVERGENCE"), key=lambda entry: entry[1])
    found = [e for e in zip(*lists[:3]) if e[0] != "CONVERGENCE"]
    for (name, z, k), (other, other_z, other_k) in zip(found, expected):
        assert (name, z) == (other, other_z)
        assert k == pytest.approx(other_k, rel=5e-16)


class Realization:
    """As much of a realisation as lensax reads."""

    def __init__(self, quantities: Any, cosmology: Any) -> None:
        self.quantities = quantities
        self.lens_cosmo = types.SimpleNamespace(
            z_lens=0.5, z_source=1.5, cosmo=types.SimpleNamespace(astropy=cosmology)
        )

    def lensing_quantities(self, add_mass_sheet_correction: bool = True) -> Any:
        names, redshifts, kwargs, interp = self.quantities
        keep = [i for i, name in enumerate(names) if add_mass_sheet_correction or name != "CONVERGENCE"]
        return [names[i] for i in keep], redshifts[keep], [kwargs[i] for i in keep], interp


def test_a_realisation_brings_its_planes(quantities: Any, planes: Any) -> None:
    from astropy.cosmology import FlatLambdaCDM

    realization = Realization(quantities, FlatLambdaCDM(67.5, 0.309))
    catalogue, found = from_realization(realization)
    np.testing.assert_array_equal(found.redshifts, planes.redshifts)
    np.testing.assert_allclose(found.distances, planes.distances, rtol=1e-10)
    np.testing.assert_array_equal(
        catalogue.halos.kappa_s, from_lensing_quantities(*quantities, planes=planes).halos.kappa_s
    )
    bare, given = from_realization(realization, planes, slots=9, add_mass_sheet_correction=False)
    assert given is planes
    assert bare.n_slots == 9
    np.testing.assert_array_equal(bare.sheets, 0.0)


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_redshifts_of_a_realisation_that_rounding_tells_apart_share_a_plane(quantities: Any, x64: bool) -> None:
    names, redshifts, kwargs, _ = quantities
    jitter = np.array([0, 1, -1, 2, -4, 0, 3, 4, -2]) * 1e-7
    with jax.enable_x64(x64):
        realization = Realization((names, redshifts + jitter, kwargs, None), COSMOLOGY)
        catalogue, planes = from_realization(realization)
        np.testing.assert_allclose(planes.redshifts, [0.21, 0.5, 0.8], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(catalogue.counts, [2, 2, 3])
        assert int((catalogue.sheets != 0).sum()) == 2


def test_a_realisation_behind_the_source_is_refused(quantities: Any) -> None:
    names, redshifts, kwargs, _ = quantities
    behind = np.where(np.arange(len(names)) == 4, 1.7, redshifts)
    with pytest.raises(ValueError, match=r"redshift_array\[4\]: redshift = 1\.7, expected above 0 and in front of the"):
        from_realization(Realization((names, behind, kwargs, None), COSMOLOGY))
    with pytest.raises(TypeError, match="cosmology: expected a FlatLambdaCDM of lensax or astropy, found str"):
        from_realization(Realization(quantities, "Planck15"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {0: ("TNFWC", 0.5, TNFW)},
            r"lens_model_list\[0\]: 'TNFWC' has no counterpart in a HaloCatalogue; known: CONV",
        ),
        ({0: ("EPL", 0.5, {})}, r"'EPL' has no counterpart in a HaloCatalogue"),
        ({2: ("TNFW", 0.5, {"Rs": 1.0})}, r"kwargs_lens\[2\]: TNFW needs 'alpha_Rs'"),
        ({3: ("TNFW", 0.62, TNFW)}, r"redshift_array\[3\]: redshift = 0.62 is on no plane; the planes stand at"),
        ({8: ("CONVERGENCE", np.nan, {"kappa": 0.1})}, r"redshift_array\[8\] = nan, expected a positive redshift"),
        ({5: ("CNFW", 0.5, CNFW)}, r"kwargs_lens\[5\]: CNFW has r_core = -0\.01, expected zero or a positive number"),
        ({1: ("TNFW", 0.5, {**TNFW, "Rs": np.nan})}, r"kwargs_lens\[1\]: TNFW has Rs = nan"),
        ({8: ("CONVERGENCE", 0.5, {"kappa": 0.1, "ra_0": 0.3})}, "lensax centres CONVERGENCE on 0"),
    ],
)
def test_what_makes_no_catalogue_is_refused(quantities: Any, planes: Any, change: Any, message: str) -> None:
    names, redshifts, kwargs = (list(part) for part in quantities[:3])
    for row, (name, z, k) in change.items():
        names[row], redshifts[row], kwargs[row] = name, z, k
    with pytest.raises(ValueError, match=message):
        from_lensing_quantities(names, redshifts, kwargs, planes=planes)


def test_lists_and_catalogues_that_do_not_fit_are_refused(quantities: Any, planes: Any) -> None:
    names, redshifts, kwargs, _ = quantities
    with pytest.raises(ValueError, match="redshift_array: expected 9 entries as in lens_model_list, found 8"):
        from_lensing_quantities(names, redshifts[:-1], kwargs, planes=planes)
    with pytest.raises(ValueError, match="a profile that is interpolated has no counterpart"):
        from_lensing_quantities(names, redshifts, kwargs, object(), planes=planes)
    catalogue = from_lensing_quantities(*quantities, planes=planes)
    with pytest.raises(ValueError, match="the catalogue has 3 planes, 'planes' has 1"):
        to_lensing_quantities(catalogue, lx.raytrace.Planes([0.5], 0.5, 1.5, COSMOLOGY))
    with pytest.raises(ValueError, match="found a batch of shape"):
        to_lensing_quantities(lx.halos.HaloCatalogue.stack([catalogue] * 2), planes)
    both = lx.halos.HaloCatalogue.from_table(
        {"redshift": [0.5], "center_x": [0.0], "center_y": [0.0], "kappa_s": [0.01], "scale_radius": [0.1],
         "truncation_radius": [1.0], "core_radius": [0.05]}, planes,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"halo 0: core_radius = 0\.05 and truncation_radius = 1"):
        to_lensing_quantities(both, planes)


@pytest.fixture(scope="module")
def realization() -> Any:
    """A realisation of pyHalo itself: cold dark matter, masses above 3e7 Msun."""
    pytest.importorskip("pyHalo", reason="pyHalo is not installed; `make test-peers` runs these tests")
    # pyHalo imports profiles that the released lenstronomy has not; cold dark matter needs none of them.
    for module, name in (
        ("king", "King"),
        ("core_collapsed_halo", "CoreCollapsedHalo"),
        ("core_collapsed_halo_bh", "CoreCollapsedHaloBH"),
    ):
        path = f"lenstronomy.LensModel.Profiles.{module}"
        try:
            __import__(path)
        except ModuleNotFoundError:
            sys.modules[path] = types.ModuleType(path)
            setattr(sys.modules[path], name, object)
    from pyHalo.preset_models import preset_model_from_name

    return preset_model_from_name("CDM")(0.5, 1.5, log_mlow=7.5, cone_opening_angle_arcsec=6.0, sigma_sub=0.01)


def test_a_real_realisation_deflects_as_lenstronomy_says(realization: Any) -> None:
    from lenstronomy.LensModel.lens_model import LensModel

    catalogue, planes = from_realization(realization)
    names, redshifts, kwargs, _ = realization.lensing_quantities()
    assert int(catalogue.counts.sum()) == sum(name != "CONVERGENCE" for name in names) > 50
    assert (np.asarray(catalogue.sheets) <= 0).all()
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-2.5, 2.4, 7), np.linspace(-2.3, 2.6, 7)))
    astropy = realization.lens_cosmo.cosmo.astropy
    model = LensModel(names, z_source=1.5, lens_redshift_list=redshifts, multi_plane=True, cosmo=astropy)
    theirs = model.ray_shooting(x, y, kwargs)
    trace = lx.raytrace.Direct().trace_at(lx.Scene(planes, (), catalogue), jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(trace.source_x, theirs[0], rtol=0, atol=2e-7)
    np.testing.assert_allclose(trace.source_y, theirs[1], rtol=0, atol=2e-7)


def test_a_real_realisation_survives_the_round_trip(realization: Any) -> None:
    catalogue, planes = from_realization(realization)
    again = from_lensing_quantities(*to_lensing_quantities(catalogue, planes), planes=planes, slots=catalogue.n_slots)
    for name in ("scale_radius", "truncation_radius", "core_radius", "center_x", "center_y"):
        np.testing.assert_array_equal(getattr(again.halos, name), getattr(catalogue.halos, name))
    np.testing.assert_allclose(again.halos.kappa_s, catalogue.halos.kappa_s, rtol=5e-16)
    np.testing.assert_array_equal(again.sheets, catalogue.sheets)
