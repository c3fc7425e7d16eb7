"""Subhalos, their union with field halos, parameters by name, and the number of slots."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lensax import halos
from lensax._types import cast
from lensax.cosmology import Planck15
from lensax.halos.rendering import LensPlanes
from lensax.mass.far_field import truncated_total_mass

LN10 = np.log(10)


def test_subhalo_numbers_of_the_reference(subhalos, planes):
    """physics.md 3.5: 2864, 360 and 44.7 above 1e6, 1e7 and 1e8 Msun within 3 arcsec."""
    model = subhalos((6.0, 10.0), sigma_sub=jnp.array(0.025))
    lens = LensPlanes.of(planes, Planck15).at(planes.lens_index)
    for low, number in ((6.0, 2864.0), (7.0, 360.0), (8.0, 44.7)):
        found = dataclasses.replace(model, log10_mass_min=jnp.array(low)).expected(lens, halos.CDM())
        np.testing.assert_allclose(found, number, rtol=2e-3)
    host = dataclasses.replace(model, host=halos.Host(jnp.array(13.0))).expected(lens, halos.CDM())
    np.testing.assert_allclose(2864.0 / host, 10 ** (0.55 * 0.3), rtol=2e-3)


def test_a_mean_number_is_the_mean_number(subhalos, planes):
    model = subhalos((8.0, 10.0), mean_number=jnp.array(20.0))
    lens = LensPlanes.of(planes, Planck15).at(planes.lens_index)
    np.testing.assert_allclose(model.expected(lens, halos.CDM()), 20.0, rtol=1e-12)
    assert 5.0 < float(model.expected(lens, halos.WDM(jnp.array(8.5)))) < 20.0


def test_subhalos_are_drawn_as_expected(subhalos, planes):
    """4000 lenses: counts, masses and positions; the sheet balances the subhalos."""
    model = halos.Population(
        Planck15, halos.CDM(), None, subhalos((8.0, 10.0), mean_number=jnp.array(12.0)), n_slots=40
    )
    model, lens = cast(model, jnp.float32), cast(planes, jnp.float32)

    @jax.jit
    def universes(keys):
        catalogue = jax.vmap(lambda key: model.draw(key, lens))(keys)
        h = jax.tree.map(lambda leaf: leaf[:, 4], catalogue.halos)
        return catalogue.counts, h, catalogue.sheets, catalogue.overflow

    counts, drawn, sheets, overflow = universes(jax.random.split(jax.random.key(2), 4000))
    assert not overflow.any()
    np.testing.assert_array_equal(np.delete(np.asarray(counts), 4, 1), 0)
    number = np.asarray(counts)[:, 4]
    assert abs(number.mean() - 12) < 3.5 * np.sqrt(12 / 4000)
    assert abs(number.var() / 12 - 1) < 4 * np.sqrt(2 / 4000)
    filled = np.asarray(drawn.kappa_s) > 0
    r = np.hypot(np.asarray(drawn.center_x)[filled], np.asarray(drawn.center_y)[filled])
    assert stats.kstest(r[:5000] ** 2 / 9, "uniform").pvalue > 1e-3

    scale, kappa_s = np.asarray(drawn.scale_radius), np.asarray(drawn.kappa_s)
    tau = jnp.asarray(np.asarray(drawn.truncation_radius) / scale)
    mass = np.pi * 4 * kappa_s * scale**2 * np.asarray(truncated_total_mass(jnp.zeros_like(tau), tau))
    kappa = (mass * filled).sum(1) / (np.pi * 9) + np.asarray(sheets)[:, 4]
    assert abs(kappa.mean()) < 3.5 * kappa.std() / np.sqrt(4000)
    np.testing.assert_array_equal(np.delete(np.asarray(sheets), 4, 1), 0)


def test_subhalos_join_the_field_halos_of_the_lens_plane(line_of_sight, subhalos, planes, draw):
    los, sub = line_of_sight((7.0, 10.0)), subhalos((8.0, 10.0), mean_number=jnp.array(20.0))
    both = draw(halos.Population(Planck15, halos.CDM(), los, sub, n_slots=400), 5, planes)
    field = draw(halos.Population(Planck15, halos.CDM(), los, n_slots=400), 5, planes)
    more = np.asarray(both.counts - field.counts)
    np.testing.assert_array_equal(np.delete(more, 4), 0)
    assert more[4] > 5
    for name in ("kappa_s", "scale_radius", "truncation_radius", "core_radius", "center_x", "center_y"):
        joined, alone = np.asarray(getattr(both.halos, name)), np.asarray(getattr(field.halos, name))
        np.testing.assert_allclose(np.delete(joined, 4, 0), np.delete(alone, 4, 0), rtol=1e-12)
        count = int(field.counts[4])
        np.testing.assert_allclose(joined[4, :count], alone[4, :count], rtol=1e-12)
    filled = np.asarray(both.halos.kappa_s[4]) > 0
    np.testing.assert_array_equal(filled, np.arange(400) < int(both.counts[4]))
    added = np.asarray(both.halos.truncation_radius[4])[int(field.counts[4]) : int(both.counts[4])]
    assert (added > 1.0).all()  # 1e8 Msun and more, all of them
    assert float(both.sheets[4]) < float(field.sheets[4])
    np.testing.assert_allclose(
        np.delete(np.asarray(both.sheets), 4), np.delete(np.asarray(field.sheets), 4), rtol=1e-12
    )


def test_parameters_have_dotted_names(line_of_sight, subhalos):
    model = halos.Population(
        Planck15, halos.WDM(jnp.array(7.0)), line_of_sight(), subhalos(sigma_sub=jnp.array(0.02)), n_slots=5
    )
    assert {
        "line_of_sight.mass_function.delta_los",
        "line_of_sight.mass_function.log10_mass_min",
        "line_of_sight.concentration.scatter_dex",
        "subhalos.sigma_sub",
        "subhalos.positions.radius",
        "dark_matter.WDM.log10_m_hm",
    } < set(model.names)
    assert "subhalos.mean_number" not in model.names
    changed = model.with_values({"subhalos.sigma_sub": 0.05, "lens.redshift": 0.7})
    assert float(changed.values["subhalos.sigma_sub"]) == 0.05
    assert float(model.values["subhalos.sigma_sub"]) == 0.02
    with pytest.raises(ValueError, match=r"has no parameter 'subhalos.sigma'; it has line_of_sight"):
        model.with_values({"subhalos.sigma": 0.05})


def test_slots_hold_the_upper_end_of_the_prior(line_of_sight, planes):
    """physics.md 3.4: the fullest plane of 1e7 Msun and more needs 360 slots at a probability of 1e-9 per plane."""
    model = halos.Population(Planck15, halos.CDM(), line_of_sight((7.0, 10.0)))
    sized = model.sized(planes, probability=3e-9)
    assert sized.n_slots == pytest.approx(360, abs=2)
    name = "line_of_sight.mass_function.delta_los"
    wider = model.sized(planes, {name: (0.0, 2.0)})
    fullest = np.asarray(model.expected(planes, {name: 2.0}))
    sf = stats.poisson.sf
    share = 1e-9 / 4  # of the planes, of their field halos, of all halos together, and of the subhalos
    assert sf(wider.n_slots, fullest).sum() < share < sf(wider.n_slots - 1, fullest).sum()
    assert sf(wider.n_halos, fullest.sum()) < share < sf(wider.n_halos - 1, fullest.sum())
    assert wider.overflow_probability < 1e-9


@pytest.mark.extended
def test_slots_for_field_halos_do_not_grow_with_the_subhalos(line_of_sight, subhalos, planes, draw):
    field = line_of_sight((8.0, 10.0))
    model = halos.Population(Planck15, halos.CDM(), field, subhalos((8.0, 10.0), mean_number=jnp.array(300.0)))
    sized, alone = model.sized(planes), halos.Population(Planck15, halos.CDM(), field).sized(planes)
    assert sized.n_slots > 300
    assert alone.n_field <= sized.n_field < alone.n_field + 5
    found, expected = draw(sized, 3, planes), draw(alone, 3, planes)
    assert not found.overflow
    filled = np.asarray(expected.halos.kappa_s) > 0
    width = filled.shape[1]
    for leaf in ("kappa_s", "center_x", "scale_radius"):
        both = (np.asarray(getattr(one.halos, leaf))[:, :width][filled] for one in (found, expected))
        np.testing.assert_array_equal(*both)
    # Room for half of the field halos is not enough, and does not pass in silence.
    short = dataclasses.replace(sized, n_field=int(expected.counts.max()) - 1)
    assert draw(short, 3, planes).overflow


def test_what_makes_no_population_is_refused(line_of_sight, subhalos, planes):
    model = halos.Population(Planck15, halos.CDM(), line_of_sight((7.0, 10.0)))
    with pytest.raises(ValueError, match="has no slots"):
        model.draw(jax.random.key(0), planes)
    with pytest.raises(ValueError, match=r"delta_los: the number of slots needs a finite range"):
        model.sized(planes, {"line_of_sight.mass_function.delta_los": (0.0, np.inf)})
    with pytest.raises(ValueError, match=r"GiB for 9 planes of \d+ slots, but only"):
        model.sized(planes, {"line_of_sight.mass_function.delta_los": (0.0, 1e7)})
    with pytest.raises(ValueError, match="either sigma_sub or mean_number, got neither"):
        subhalos((8.0, 10.0))
    other = dataclasses.replace(
        model, line_of_sight=dataclasses.replace(model.line_of_sight, planes=halos.EqualRedshift(1, 1))
    )
    with pytest.raises(ValueError, match="the population's scheme has 3 planes, got 9"):
        other.expected(planes)


@pytest.mark.parametrize("tides", ["bound_mass", pytest.param("roche", marks=pytest.mark.extended)])
def test_sheets_balance_stripped_subhalos(subhalos, planes, tides):
    """3000 lenses of 40 subhalos: infall, positions in the host and tides are averaged as they are drawn."""
    rule = halos.BoundMassTides.tabulate(Planck15) if tides == "bound_mass" else halos.RocheTides()
    model = subhalos(
        (7.0, 9.0), mean_number=jnp.array(40.0), truncation=rule, positions=halos.CoredNFWDisc(), infall=True
    )
    model = halos.Population(Planck15, halos.CDM(), None, model, n_slots=90, n_subhalos=90)
    model, lens = cast(model, jnp.float32), cast(planes, jnp.float32)

    @jax.jit
    def convergence(keys):
        def one(key):
            catalogue = model.draw(key, lens)
            h = jax.tree.map(lambda leaf: leaf[4], catalogue.halos)
            tau = h.truncation_radius / h.scale_radius
            mass = 4 * h.kappa_s * h.scale_radius**2 * truncated_total_mass(jnp.zeros_like(tau), tau)
            return jnp.sum(mass) / 9, catalogue.sheets[4]

        return jax.vmap(one)(keys)

    kappa, sheets = map(np.asarray, convergence(jax.random.split(jax.random.key(9), 3000)))
    assert (sheets < 0).all()
    assert abs((kappa + sheets).mean()) < 3.5 * kappa.std() / np.sqrt(3000)
    assert kappa.std() / np.sqrt(3000) < 0.02 * abs(sheets[0])
