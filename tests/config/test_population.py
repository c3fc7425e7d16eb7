"""The sections of a population: what they make, and what they say of bad ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from lensax import halos
from lensax.config.population import DarkMatter, LineOfSight, Subhalos, build_population, plane_scheme
from lensax.config.section import find
from lensax.config.values import Value
from lensax.cosmology import Planck15
from lensax.parameters import Constant, Parameters
from lensax.raytrace.planes import Planes

CONE = {"geometry": "narrowing", "radius": 3.0}


def parameters(source=1.5, **sections):
    entries = {"lens.redshift": Constant(0.5), "source.redshift": Constant(source)}
    for section, model in sections.items():
        for path, value in find(model, Value):
            name = ".".join(map(str, (section, *path)))
            entries[name] = value.parameter(name)
    return Parameters(entries)


def build(line_of_sight=None, subhalos=None, dark_matter=None):
    sections = {
        "line_of_sight": None if line_of_sight is None else LineOfSight.model_validate(line_of_sight),
        "subhalos": None if subhalos is None else Subhalos.model_validate(subhalos),
        "dark_matter": None if dark_matter is None else DarkMatter.model_validate(dark_matter),
    }
    known = parameters(**{name: model for name, model in sections.items() if model is not None})
    return build_population(*sections.values(), known, Planck15), known


def test_the_outline_of_the_design_makes_a_population():
    population, known = build(
        {
            "planes": {"scheme": "redshift", "front": 4, "back": 4},
            "cone": CONE,
            "mass_function": {"model": "sheth99", "log10_mass": [8, 10], "delta_los": {"Uniform": [0.0, 2.0]}},
            "concentration": {"model": "ludlow16", "scatter_dex": 0.15},
            "truncation": {"model": "r100"},
            "sheets": True,
        },
        {"sigma_sub": {"LogUniform": [0.005, 0.1]}, "log10_mass": [8, 10], "truncation": {"model": "bound_mass"}},
        {"WDM": {"log10_m_hm": {"Uniform": [5.0, 9.0]}}},
    )
    assert set(known.prior.names) == {
        "line_of_sight.mass_function.delta_los",
        "subhalos.sigma_sub",
        "dark_matter.WDM.log10_m_hm",
    }
    assert set(known.prior.names) < set(population.names)
    assert population.overflow_probability < 1e-9
    scheme = population.line_of_sight.planes
    values = known.resolve(known.prior.sample(jax.random.key(0)))
    lens, source = values["lens.redshift"], values["source.redshift"]
    planes = Planes(scheme.redshifts(lens, source, Planck15), lens, source, Planck15)
    catalogue = jax.jit(lambda key, values: population.draw(key, planes, values))(jax.random.key(1), values)
    assert not catalogue.overflow
    assert catalogue.halos.kappa_s.shape == (9, population.n_slots)
    assert np.isfinite(np.asarray(catalogue.halos.kappa_s)).all()


def test_nothing_makes_no_population_and_the_lens_plane_alone():
    population, known = build()
    assert population is None
    assert plane_scheme(None, known).n_planes == 1


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"cone": {"geometry": "double", "radius": 3.0, "closing": 0.9}}, halos.DoubleCone),
        ({"cone": {"geometry": "cylinder", "radius": 3.0}}, halos.Cylinder),
        ({"cone": {"geometry": "lensed", "radius": 3.0, "einstein_radius": 1.3}}, halos.LensedCone),
        ({"cone": CONE, "planes": {"scheme": "comoving", "front": 2, "back": 3}}, halos.EqualComoving),
        ({"cone": CONE, "planes": {"scheme": "thin", "step": 0.05}}, halos.ThinSlices),
    ],
)
def test_geometries_and_schemes(section, expected):
    model = LineOfSight.model_validate(section)
    made = (model.cone.make(), plane_scheme(model, parameters(line_of_sight=model)))
    assert expected in [type(part) for part in made]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "cone"),
        ({"cone": {"geometry": "conical", "radius": 3.0}}, "'narrowing', 'double', 'cylinder' or 'lensed'"),
        ({"cone": {**CONE, "radius": -1.0}}, "greater than 0"),
        ({"cone": {**CONE, "closing": 0.5}}, "the geometry 'narrowing' has no key 'closing'"),
        ({"cone": {**CONE, "einstein_radius": 4.0}}, "einstein_radius must lie between 0 and the radius"),
        ({"cone": CONE, "mass_function": {"log10_mass": [10, 7]}}, "upside down"),
        ({"cone": CONE, "mass_function": {"log10_mass": [1e7, 1e10]}}, "expected log10 of masses in Msun"),
        ({"cone": CONE, "mass_function": {"log10_mass": 7}}, "the lowest and the highest"),
        ({"cone": CONE, "mass_function": {"log10_mass": [7, 10], "log10_mass_min": 6}}, "not both"),
        ({"cone": CONE, "mass_function": {"model": "sheth"}}, "'sheth99'"),
        ({"cone": CONE, "concentration": {"model": "ludlow16", "amplitude": 3.0}}, "has no key 'amplitude'"),
        ({"cone": CONE, "truncation": {"model": "none"}}, "set sheets: false"),
        ({"cone": CONE, "truncation": {"model": "mean_density"}}, "needs the key 'overdensity'"),
        ({"cone": CONE, "planes": {"scheme": "thin", "front": 4}}, "the scheme 'thin' has no key 'front'"),
        ({"cone": CONE, "planes": {"front": -1}}, "greater than or equal to 0"),
        ({"cone": CONE, "colour": "blue"}, "colour"),
    ],
)
def test_bad_sections_of_the_line_of_sight_are_refused(section, message):
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        LineOfSight.model_validate(section)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "either sigma_sub .* or mean_number"),
        ({"sigma_sub": 0.02, "mean_number": 20}, "one of them"),
        ({"mean_number": 20, "truncation": {"model": "roche", "power": 3.0}}, "the model 'roche' has no key 'power'"),
        ({"mean_number": 20, "truncation": {"model": "bound_mass", "factor": 3.0}}, "has no key 'factor'"),
        ({"mean_number": 20, "positions": {"model": "nfw"}}, "'uniform' or 'cored_nfw'"),
    ],
)
def test_bad_sections_of_subhalos_are_refused(section, message):
    with pytest.raises(ValidationError, match=message):
        Subhalos.model_validate(section)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"WDM": {"log10_m_hm": "1e8 Msun"}}, "expected a number"),
        ({"WDM": {}}, "either log10_m_hm"),
        ({"WDM": {"log10_m_hm": 8.0, "thermal_mass": 3.3}}, "one of them"),
        ({"HDM": {}}, "HDM"),
    ],
)
def test_bad_dark_matter_is_refused(section, message):
    with pytest.raises(ValidationError, match=message):
        DarkMatter.model_validate(section)


@pytest.mark.parametrize(
    ("line_of_sight", "subhalos", "dark_matter", "message"),
    [
        (
            {"cone": CONE, "mass_function": {"delta_los": {"Normal": [1.0, 0.5]}}},
            None,
            None,
            "delta_los: expected a value",
        ),
        (
            {"cone": CONE, "mass_function": {"log10_mass": [{"Uniform": [6, 9]}, {"Uniform": [8, 10]}]}},
            None,
            None,
            "log10_mass_min may reach 9 and log10_mass_max 8",
        ),
        (None, {"mean_number": 1e9}, None, "mean_number: expected a value"),
        (None, {"mean_number": 20}, {"WDM": {"log10_m_hm": 1e8}}, "log10_m_hm: expected a value between -20 and 14"),
        (
            None,
            {"mean_number": 20},
            {"SIDM": {"field": {"CoredNFW": {"core_fraction": 2.0}}}},
            "dark_matter.SIDM.field.CoredNFW.core_fraction: expected a value between 0 and 0.8, found 2",
        ),
        (
            None,
            {"mean_number": 20},
            {"SIDM": {"power": 9.0}},
            "dark_matter.SIDM.power: expected a value between 0 and 7.5, found 9",
        ),
        (
            None,
            {"mean_number": 20},
            {"SIDM": {"subhalos": {"Parametric": {"boost": {"Uniform": [-1.0, 2.0]}}}}},
            "dark_matter.SIDM.subhalos.Parametric.boost: expected a value between 0 and 1000, found -1 to 2",
        ),
    ],
)
def test_priors_that_make_no_population_are_refused(line_of_sight, subhalos, dark_matter, message):
    with pytest.raises(ValueError, match=message):
        build(line_of_sight, subhalos, dark_matter)


def test_a_population_larger_than_memory_is_refused_before_anything_is_compiled():
    with pytest.raises(ValueError, match=r"needs \d.* GiB for 9 planes of \d+ slots"):
        build({"cone": {**CONE, "radius": 90.0}, "mass_function": {"log10_mass": [3, 10]}})


def test_half_mode_masses_of_thermal_relics():
    """physics.md 3.6: the first formula."""
    masses = {3.3: 3.56e8, 5.0: 8.9e7, 6.5: 3.7e7, 10.0: 8.9e6}
    section = DarkMatter.model_validate({"WDM": {"thermal_mass": 5.0}}).section
    model = section.make(halos.LinearTheory.from_cosmology(Planck15))
    from lensax.halos.dark_matter import thermal_half_mode_mass

    for keV, half_mode in masses.items():
        found = 10 ** thermal_half_mode_mass(jnp.array(keV), *model.relic)
        np.testing.assert_allclose(found, half_mode, rtol=0.01)
