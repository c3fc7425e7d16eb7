"""HaloCatalogue: tables in, tables out, and every complaint about a bad one."""

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from lensax.halos import HaloCatalogue
from lensax.mass import MixedHalos

PLANES = SimpleNamespace(redshifts=jnp.array([0.1, 0.3, 0.5, 0.9]))


def columns(**changes):
    table = {
        "redshift": [0.5, 0.1, 0.5, 0.9],
        "center_x": [0.1, -1.0, 2.0, 0.0],
        "center_y": [0.2, 0.5, -0.3, 1.5],
        "kappa_s": [0.01, 0.002, 0.005, 0.004],
        "scale_radius": [0.1, 0.2, 0.3, 0.4],
        "truncation_radius": [2.0, np.inf, 1.0, 4.0],
        "core_radius": [0.0, 0.01, 0.02, 0.0],
    }
    table.update(changes)
    return {name: np.asarray(values) for name, values in table.items() if values is not None}


def test_halos_stand_on_their_planes_and_empty_slots_deflect_nothing():
    catalogue = HaloCatalogue.from_table(columns(), PLANES)
    np.testing.assert_array_equal(catalogue.counts, [1, 0, 2, 1])
    assert catalogue.halos.kappa_s.shape == (4, 2)
    np.testing.assert_array_equal(catalogue.halos.kappa_s[2], [0.01, 0.005])
    np.testing.assert_array_equal(catalogue.halos.center_x[2], [0.1, 2.0])
    assert catalogue.halos.truncation_radius[0, 0] == np.inf
    empty = np.asarray(catalogue.halos.kappa_s) == 0
    np.testing.assert_array_equal(np.asarray(catalogue.halos.scale_radius)[empty], 1.0)
    np.testing.assert_array_equal(np.asarray(catalogue.halos.truncation_radius)[empty], 1.0)
    assert (np.hypot(catalogue.halos.center_x, catalogue.halos.center_y)[empty] > 50).all()
    np.testing.assert_array_equal(catalogue.sheets, 0.0)
    assert not catalogue.overflow


def test_optional_columns_have_the_nfw_halo_as_default():
    catalogue = HaloCatalogue.from_table(columns(truncation_radius=None, core_radius=None), PLANES, slots=5)
    filled = np.asarray(catalogue.halos.kappa_s) > 0
    assert catalogue.n_slots == 5
    assert (np.asarray(catalogue.halos.truncation_radius)[filled] == np.inf).all()
    assert (np.asarray(catalogue.halos.core_radius)[filled] == 0).all()


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits", "memory", "dict"])
def test_round_trip_is_exact(tmp_path: Path, suffix: str):
    rng = np.random.default_rng(3)
    table = columns(
        redshift=np.asarray(PLANES.redshifts)[[0, 1, 1, 2, 3, 3, 3]],
        **{name: rng.normal(size=7) for name in ("center_x", "center_y")},
        **{name: np.exp(rng.normal(size=7)) for name in ("kappa_s", "scale_radius", "core_radius")},
        truncation_radius=np.where(rng.random(7) < 0.5, np.inf, 2.0 / 3.0),
    )
    sheets = None if suffix in ("csv", "dict") else rng.normal(size=4) / 3
    catalogue = HaloCatalogue.from_table(table, PLANES, sheets=sheets)
    written = catalogue.to_table(PLANES)
    if suffix == "dict":
        again = HaloCatalogue.from_table({name: np.asarray(written[name]) for name in written.colnames}, PLANES)
    elif suffix == "memory":
        again = HaloCatalogue.from_table(written, PLANES)
    else:
        path = tmp_path / f"halos.{suffix}"
        written.write(path)
        again = HaloCatalogue.from_table(path, PLANES)
    for one, other in zip(jax.tree.leaves(catalogue), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    for name, values in table.items():
        np.testing.assert_array_equal(np.asarray(written[name]), values)


def mixed_columns(**changes):
    return columns(**{"profile": ["parametric_sidm", "cored_nfw", "isothermal_core", "cored_nfw"], **changes})


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits", "memory"])
def test_the_round_trip_of_a_mixed_population_is_exact(tmp_path: Path, suffix: str):
    catalogue = HaloCatalogue.from_table(mixed_columns(), PLANES)
    assert isinstance(catalogue.halos, MixedHalos)
    written = catalogue.to_table(PLANES)
    if suffix != "memory":
        written.write(tmp_path / f"halos.{suffix}")
    again = HaloCatalogue.from_table(written if suffix == "memory" else tmp_path / f"halos.{suffix}", PLANES)
    assert jax.tree.structure(catalogue) == jax.tree.structure(again)
    for one, other in zip(jax.tree.leaves(catalogue), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixed_populations_join_plain_ones_and_are_written_only_where_they_can_be():
    mixed, plain = HaloCatalogue.from_table(mixed_columns(), PLANES), HaloCatalogue.from_table(columns(), PLANES)
    both = HaloCatalogue.concatenate([plain, mixed])
    np.testing.assert_array_equal(both.counts, [2, 0, 4, 2])
    assert sorted(np.asarray(both.halos.family)[np.asarray(both.halos.kappa_s) > 0]) == [0] * 6 + [1, 2]
    assert HaloCatalogue.stack([plain, mixed.pad(3)]).halos.family.shape == (2, 4, 3)
    assert plain.cored_nfw is plain.halos
    simple = HaloCatalogue.from_table(mixed_columns(profile=["cored_nfw"] * 4), PLANES).cored_nfw
    np.testing.assert_array_equal(simple.kappa_s, plain.halos.kappa_s)
    with pytest.raises(
        ValueError, match=r"2 halos are no truncated cored NFW halos.*a parametric_sidm in slot 0 of plane"
    ):
        _ = mixed.cored_nfw
    with pytest.raises(ValueError, match="row 2: profile = 'burkert', expected one of cored_nfw, parametric_sidm"):
        HaloCatalogue.from_table(mixed_columns(profile=["cored_nfw", "cored_nfw", "burkert", "cored_nfw"]), PLANES)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_table_survives_the_round_trip(data: st.DataObject):
    length = data.draw(st.integers(0, 12))
    positive = st.floats(1e-30, 1e30)
    draw = lambda values: np.array(data.draw(st.lists(values, min_size=length, max_size=length)), float)  # noqa: E731
    table = columns(
        redshift=np.asarray(PLANES.redshifts)[draw(st.integers(0, 3)).astype(int)],
        center_x=draw(st.floats(-1e9, 1e9)),
        center_y=draw(st.floats(-1e9, 1e9)),
        kappa_s=draw(positive),
        scale_radius=draw(positive),
        truncation_radius=draw(st.one_of(positive, st.just(np.inf))),
    )
    table["core_radius"] = table["scale_radius"] * draw(st.floats(0, 2.9))
    catalogue = HaloCatalogue.from_table(table, PLANES)
    order = np.argsort(table["redshift"], kind="stable")
    written = catalogue.to_table(PLANES)
    for name, values in table.items():
        np.testing.assert_array_equal(np.asarray(written[name]), values[order])


def test_angular_units_are_converted_at_the_border():
    table = Table(columns(core_radius=None))
    table["center_x"].unit = units.arcmin
    table["scale_radius"].unit = units.mas
    catalogue = HaloCatalogue.from_table(table, PLANES)
    np.testing.assert_allclose(catalogue.halos.center_x[2], [6.0, 120.0], rtol=1e-14)
    np.testing.assert_allclose(catalogue.halos.scale_radius[0, 0], 2e-4, rtol=1e-14)
    quantity = HaloCatalogue.from_table(columns(center_x=np.ones(4)) | {"center_x": np.ones(4) * units.deg}, PLANES)
    np.testing.assert_allclose(quantity.halos.center_x[0, 0], 3600.0, rtol=1e-14)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kappa_s": [0.01, np.nan, 0.005, 0.004]}, r"row 1: kappa_s = nan, expected positive"),
        ({"center_y": [0.0, 0.0, np.inf, 0.0]}, r"row 2: center_y = inf, expected a finite number"),
        ({"redshift": [0.5, 0.1, 0.31, 0.9]}, r"row 2: redshift = 0.31 is on no plane; .* 0.1, 0.3, 0.5, 0.9 .*1e-06"),
        ({"scale_radius": [0.1, 0.2, 0.3, 0.0]}, r"row 3: scale_radius = 0, expected positive"),
        ({"truncation_radius": [-1.0, 1.0, 1.0, 1.0]}, r"row 0: truncation_radius = -1, expected positive"),
        ({"core_radius": [0.0, -0.5, 0.0, 0.0]}, r"row 1: core_radius = -0.5, expected zero or positive"),
        ({"core_radius": [0.0, 0.0, 2.0, 0.0]}, r"row 2: core_radius = 2, expected at most 3 scale radii of 0.3"),
        ({"center_x": [1.0, 2.0]}, r"column 'center_x' has 2 rows, 'redshift' has 4"),
        ({"center_x": np.ones((4, 2))}, r"column 'center_x' has shape \(4, 2\)"),
        ({"kappa_s": None}, r"column 'kappa_s' is missing"),
        ({"scale_radus": np.ones(4)}, r"unknown column 'scale_radus' \(did you mean 'scale_radius'\?\)"),
        ({"kappa_s": ["0.1", "big", "0.1", "0.1"]}, r"row 1: kappa_s = 'big' is not a number"),
    ],
)
def test_a_bad_table_is_refused_with_the_row_and_the_value(changes, message):
    with pytest.raises(ValueError, match=message):
        HaloCatalogue.from_table(columns(**changes), PLANES)


def test_a_unit_that_is_no_angle_is_refused():
    table = Table(columns())
    table["scale_radius"].unit = units.kpc
    with pytest.raises(ValueError, match="column 'scale_radius' has the unit 'kpc', expected arcsec"):
        HaloCatalogue.from_table(table, PLANES)
    table = Table(columns())
    table["kappa_s"].unit = units.Msun
    with pytest.raises(ValueError, match="column 'kappa_s' has the unit 'solMass', expected a plain number"):
        HaloCatalogue.from_table(table, PLANES)


def test_too_few_slots_say_how_many_are_needed():
    with pytest.raises(ValueError, match=r"2 halos stand on the plane at redshift 0.5, .* must be at least 2"):
        HaloCatalogue.from_table(columns(), PLANES, slots=1)


def test_sheets_must_be_one_number_per_plane():
    with pytest.raises(ValueError, match=r"sheets has shape \(3,\), expected .* \(4,\)"):
        HaloCatalogue.from_table(columns(), PLANES, sheets=[0.0, 0.1, 0.2])
    with pytest.raises(ValueError, match=r"sheets\[2\] = nan"):
        HaloCatalogue.from_table(columns(), PLANES, sheets=[0.0, 0.1, np.nan, 0.0])


def test_errors_of_files_name_the_line(tmp_path: Path):
    path = tmp_path / "halos.csv"
    text = "# two halos\nredshift,center_x,center_y,kappa_s,scale_radius\n0.5,0,0,0.01,0.1\n\n{},1,1,0.02,0.3\n"
    path.write_text(text.format("0.32"))
    with pytest.raises(ValueError, match=r"halos.csv, line 5 \(row 1\): redshift = 0.32"):
        HaloCatalogue.from_table(path, PLANES)
    path.write_text(text.format(""))
    with pytest.raises(ValueError, match=r"halos.csv, line 5 \(row 1\): column 'redshift' is empty"):
        HaloCatalogue.from_table(path, PLANES)
    path.write_text(text.format("0.5"))
    np.testing.assert_array_equal(HaloCatalogue.from_table(str(path), PLANES).counts, [0, 0, 2, 0])
    ecsv = tmp_path / "halos.ecsv"
    Table(columns(scale_radius=[0.1, 0.1, -2.0, 0.1])).write(ecsv)
    lines = ecsv.read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if " -2.0 " in line)
    with pytest.raises(ValueError, match=rf"halos.ecsv, line {number} \(row 2\): scale_radius = -2"):
        HaloCatalogue.from_table(ecsv, PLANES)


def test_files_that_are_absent_or_no_tables_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nothing.csv: no such table"):
        HaloCatalogue.from_table(tmp_path / "nothing.csv", PLANES)
    with pytest.raises(ValueError, match=r"is an .ecsv, .csv or .fits file, not '.npy'"):
        HaloCatalogue.from_table(tmp_path / "halos.npy", PLANES)
    broken = tmp_path / "halos.fits"
    broken.write_text("no FITS file at all")
    with pytest.raises(ValueError, match=r"halos.fits: cannot be read as fits"):
        HaloCatalogue.from_table(broken, PLANES)


def test_empty_concatenate_stack_and_pad():
    catalogue = HaloCatalogue.from_table(columns(), PLANES, sheets=[0.1, 0.2, 0.3, 0.4])
    empty = HaloCatalogue.empty(4, 3)
    np.testing.assert_array_equal(empty.counts, 0)
    both = HaloCatalogue.concatenate([catalogue, empty, catalogue])
    assert both.n_slots == 7
    np.testing.assert_array_equal(both.counts, [2, 0, 4, 2])
    np.testing.assert_allclose(both.sheets, [0.2, 0.4, 0.6, 0.8])
    batch = HaloCatalogue.stack([catalogue, empty])
    assert batch.halos.kappa_s.shape == (2, 4, 3)
    np.testing.assert_array_equal(batch.counts, [[1, 0, 2, 1], [0, 0, 0, 0]])
    with pytest.raises(ValueError, match=r"catalogues with \[3, 4\] planes"):
        HaloCatalogue.concatenate([catalogue, HaloCatalogue.empty(3)])
    with pytest.raises(ValueError, match="a batch of shape"):
        batch.to_table(PLANES)
    with pytest.raises(ValueError, match="cannot be padded to 1"):
        catalogue.pad(1)


def test_a_table_of_an_overflowed_catalogue_is_refused():
    catalogue = HaloCatalogue.from_table(columns(), PLANES)
    with pytest.raises(ValueError, match="overflowed"):
        HaloCatalogue(catalogue.halos, catalogue.sheets, jnp.array(True)).to_table(PLANES)
