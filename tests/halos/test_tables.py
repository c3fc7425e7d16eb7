"""Host tables against the reference and against colossus at run time."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from colossus.cosmology import cosmology as colossus
from colossus.halo import concentration
from colossus.lss import mass_function

from lensax import halos
from lensax.cosmology import FlatLambdaCDM, Planck15, Planck18
from lensax.halos.linear_theory import colossus_cosmology
from lensax.halos.mass_function import tabulated_density


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    """Tables are made here, not found."""
    monkeypatch.setenv("LENSAX_CACHE", "off")


@pytest.fixture(scope="module")
def cosmology_reference(data):
    return json.loads((data / "cosmology_reference.json").read_text())


@pytest.mark.parametrize(("name", "cosmology"), [("planck15", Planck15), ("planck18", Planck18)])
def test_named_cosmologies_have_the_linear_theory_of_the_reference(name, cosmology, cosmology_reference):
    theory = halos.LinearTheory.from_cosmology(cosmology)
    reference = cosmology_reference["colossus"][name]
    assert reference["params"]["Om0"] == theory.Om0
    masses = np.array(reference["M"])
    with colossus_cosmology(theory) as found:
        sigma = found.sigma(np.array(reference["R_lagrangian_Mpc_h"]), 0.0)
        np.testing.assert_allclose(sigma, reference["sigma_z0"], rtol=1e-4)
        for z, row in reference["z"].items():
            np.testing.assert_allclose(found.growthFactor(float(z)), row["growth"], rtol=1e-4)
    z = np.array([float(z) for z in reference["z"]])
    for model in ("sheth99", "press74"):
        expected = np.array([row[f"dndlnM_{model}"] for row in reference["z"].values()])
        low = masses < 1e12
        np.testing.assert_allclose(tabulated_density(theory, model, z, masses)[:, low], expected[:, low], rtol=1e-3)


@pytest.mark.parametrize("model", ["sheth99", "sheth01", "press74", "tinker08"])
def test_mass_function_is_that_of_colossus(model, theory):
    table = halos.MassFunction.tabulate(theory, 1.5, model, (6.3, 9.9)).table
    masses = np.geomspace(3e6, 7e9, 5)
    keywords = {"mdef": "200c"} if model == "tinker08" else {}
    colossus.setCosmology("planck15", persistence="")
    for z in (0.05, 0.37, 1.21):
        found = table.at(jnp.array([z]), jnp.log(jnp.asarray(masses))[None])[0]
        name = "sheth99" if model == "sheth01" else model
        expected = mass_function.massFunction(masses * theory.h, z, q_out="dndlnM", model=name, **keywords)
        np.testing.assert_allclose(np.exp(found), expected * theory.h**3, rtol=1e-3)


@pytest.mark.parametrize("model", ["ludlow16", "diemer19", "duffy08"])
def test_concentrations_are_those_of_colossus_and_the_reference(model, theory, cosmology_reference):
    table = halos.Concentration.tabulate(theory, 1.5, model, (6.0, 10.5))
    masses = np.geomspace(3e6, 7e9, 5)
    colossus.setCosmology("planck15", persistence="")
    for z in (0.05, 0.37, 1.21):
        found = np.exp(table.log_median(jnp.array([z]), jnp.log(jnp.asarray(masses))[None])[0])
        expected = concentration.concentration(masses * theory.h, "200c", z, model=model, range_return=False)
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    reference = cosmology_reference["colossus"]["planck15"]
    index = [reference["M"].index(mass) for mass in (1e7, 1e9)]
    for z in ("0.3", "0.5", "1.0"):
        expected = np.array(reference["z"][z][f"c200c_{model}"])[index]
        found = table.log_median(jnp.array([float(z)]), jnp.log(jnp.array([[1e7, 1e9]])))
        np.testing.assert_allclose(np.exp(found[0]), expected, rtol=1e-3)


def test_power_law_concentration(theory):
    table = halos.Concentration.tabulate(theory, 1.5, "power_law", (7.0, 10.0), 0.1, (15.0, -0.1, -0.8))
    found = np.exp(table.log_median(jnp.array([0.5]), jnp.log(jnp.array([[1e8, 1e9]]))))
    np.testing.assert_allclose(found[0], 15.0 * np.array([1.0, 10**-0.1]) * 1.5**-0.8, rtol=1e-3)


def test_colossus_is_left_as_it_was(theory):
    colossus.setCosmology("WMAP9", persistence="")
    tabulated_density(theory, "sheth99", np.array([0.3]), np.array([1e8]))
    assert colossus.getCurrent().name == "WMAP9"


def test_another_cosmology_takes_its_own_parameters():
    theory = halos.LinearTheory.from_cosmology(FlatLambdaCDM(70.0, 0.3), sigma8=0.9)
    assert (theory.H0, theory.Om0, theory.sigma8, theory.ns) == (70.0, 0.3, 0.9, 0.9667)
    with pytest.raises(ValueError, match="expected Ob0 < Om0"):
        halos.LinearTheory(70.0, 0.04)
    with pytest.raises(ValueError, match="sigma8 must be a positive number, got -1"):
        halos.LinearTheory(70.0, 0.3, sigma8=-1.0)


def test_tables_refuse_what_they_do_not_know(theory):
    with pytest.raises(ValueError, match="unknown mass function 'tinker8'; expected one of sheth99"):
        halos.MassFunction.tabulate(theory, 1.5, "tinker8")
    with pytest.raises(ValueError, match=r"log10_mass = \[10, 7\] is upside down"):
        halos.MassFunction.tabulate(theory, 1.5, "sheth99", (10.0, 7.0))
    with pytest.raises(ValueError, match=r"log10_mass = \[1e\+07, 1e\+10\]: expected log10 of masses"):
        halos.MassFunction.tabulate(theory, 1.5, "sheth99", (1e7, 1e10))
    with pytest.raises(ValueError, match="unknown concentration 'ludlow'"):
        halos.Concentration.tabulate(theory, 1.5, "ludlow")
