"""Distances and densities against astropy's values, quadrature, finite differences, and float32."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from lensax._types import cast
from lensax.cosmology import SPEED_OF_LIGHT, FlatLambdaCDM, Planck15, Planck18

COSMOLOGIES = {
    "astropy_Planck15(massive nu)": Planck15,
    "astropy_Planck18(massive nu)": Planck18,
    "flatLCDM_H0=67.74_Om0=0.3075_noRad": FlatLambdaCDM(67.74, 0.3075),
    "flatLCDM_H0=67.66_Om0=0.30966_noRad": FlatLambdaCDM(67.66, 0.30966),
    "flatLCDM_H0=67.74_Om0=0.3089_noRad": FlatLambdaCDM(67.74, 0.3089),
}


@jax.jit
def table(cosmology, z, z_lens, z_source):
    """Every quantity of the reference table."""
    return {
        "D_C": cosmology.comoving_distance(z),
        "D_A": cosmology.angular_diameter_distance(z),
        "kpc_per_arcsec": cosmology.kpc_per_arcsec(z),
        "rho_crit": cosmology.critical_density(z),
        "E": cosmology.efunc(z),
        "age_Gyr": cosmology.age(z),
        "D_A_z_to_1.5": cosmology.angular_diameter_distance_between(z_lens, z_source),
        "sigma_crit_zs1.5": cosmology.critical_surface_density(z_lens, z_source),
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-12), (jnp.float32, 1e-6)])
@pytest.mark.parametrize("name", COSMOLOGIES)
def test_reference_table(data, name, dtype, tolerance):
    rows = json.loads((data / "cosmology_reference.json").read_text())["distances"][name]
    redshifts = np.array([row["z"] for row in rows])
    z, z_lens = jnp.asarray(redshifts, dtype), jnp.asarray(redshifts[redshifts < 1.5], dtype)
    for quantity, value in table(COSMOLOGIES[name], z, z_lens, jnp.asarray(1.5, dtype)).items():
        expected = [row[quantity] for row in rows if quantity in row]
        assert value.dtype == dtype
        np.testing.assert_allclose(value, expected, rtol=tolerance, err_msg=quantity)


@pytest.mark.parametrize("om0", [0.05, 0.3075, 1.0])
def test_without_radiation_agrees_with_quadrature(om0):
    z = np.array([1e-6, 0.3, 3.0, 20.0, 1100.0])
    integrals = [
        quad(lambda u: np.exp(u) / np.sqrt(om0 * np.exp(3 * u) + 1 - om0), 0, np.log1p(end), epsabs=0, epsrel=1e-13)[0]
        for end in z
    ]
    expected = SPEED_OF_LIGHT / 67.74 * np.array(integrals)
    np.testing.assert_allclose(FlatLambdaCDM(67.74, om0).comoving_distance(z), expected, rtol=1e-12)


def test_einstein_de_sitter_closed_forms():
    cosmology = FlatLambdaCDM(70.0, 1.0)
    z = jnp.array([0.0, 0.5, 8.0])
    hubble_distance = SPEED_OF_LIGHT / 70.0
    np.testing.assert_allclose(cosmology.comoving_distance(z), 2 * hubble_distance * (1 - (1 + z) ** -0.5), rtol=1e-14)
    np.testing.assert_allclose(cosmology.age(z), 2 / 3 * 977.7922216807891 / 70 * (1 + z) ** -1.5, rtol=1e-12)


@pytest.mark.parametrize("masses", [0.0, 0.06, (0.0, 0.01, 0.05), (0.3, 0.3, 0.3)])
def test_neutrinos_and_high_redshift_agree_with_astropy(masses):
    astropy = pytest.importorskip("astropy.cosmology")
    units = pytest.importorskip("astropy.units")
    theirs = astropy.FlatLambdaCDM(70.0, 0.3, Tcmb0=2.7, Neff=3.2, m_nu=np.asarray(masses) * units.eV)
    ours = FlatLambdaCDM(70.0, 0.3, Tcmb0=2.7, Neff=3.2, m_nu=masses)
    z = np.array([0.1, 2.0, 30.0, 1100.0])
    values = table(ours, z, z, np.asarray(2000.0))
    np.testing.assert_allclose(values["E"], theirs.efunc(z), rtol=1e-12)
    np.testing.assert_allclose(values["D_C"], theirs.comoving_distance(z).value, rtol=1e-10)
    # astropy's own age is accurate to 1e-8 of the Hubble time only, too little at redshift 1100.
    integrals = [
        quad(lambda u: float(theirs.inv_efunc(np.expm1(u))), np.log1p(low), 60.0, epsabs=0, epsrel=1e-12)[0]
        for low in z
    ]
    np.testing.assert_allclose(values["age_Gyr"], theirs.hubble_time.to_value("Gyr") * np.array(integrals), rtol=1e-10)


def test_volume_of_the_whole_sky_and_of_shells():
    sphere = 4 / 3 * np.pi * Planck15.comoving_distance(1.2) ** 3
    shells = Planck15.comoving_volume(np.array([0.0, 0.4]), np.array([0.4, 1.2]), 4 * np.pi)
    np.testing.assert_allclose(shells.sum(), sphere, rtol=1e-13)


def test_distance_between_neighbours_keeps_its_digits_in_float32():
    z_1 = jnp.asarray(0.5, jnp.float32)
    z_2 = jnp.nextafter(z_1, jnp.asarray(1.0, jnp.float32))
    exact = Planck15.angular_diameter_distance_between(z_1.astype(float), z_2.astype(float))
    value = Planck15.angular_diameter_distance_between(z_1, z_2)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, exact, rtol=1e-6)


def summary(cosmology, z):
    """One number that depends on every method."""
    return (
        jnp.log(cosmology.critical_surface_density(z, z + 1.0))
        + cosmology.age(z)
        + jnp.log(cosmology.critical_density(z))
        + cosmology.kpc_per_arcsec(z)
        + cosmology.comoving_volume(z, z + 0.5, 1e-6)
        + cosmology.efunc(z)
    )


def test_gradient_is_the_finite_difference():
    point = np.array([67.74, 0.3075, 2.7255, 3.046, 0.06, 0.5])  # H0, Om0, Tcmb0, Neff, m_nu, z

    @jax.jit
    def function(point):
        return summary(FlatLambdaCDM(*point[:5]), point[5])

    def difference(step):
        return (function(point + step) - function(point - step)) / (2 * np.max(step))

    finite = [(4 * difference(step) - difference(2 * step)) / 3 for step in np.diag(1e-4 * point)]
    np.testing.assert_allclose(jax.jit(jax.grad(function))(point), finite, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(function))(point), finite, rtol=1e-6)


@jax.jit
def gradients(cosmology, z):
    """Of everything in parameters and redshift, and of what is defined there at redshift 0."""

    def at_zero(z):
        return cosmology.comoving_distance(z) + cosmology.age(z)

    return jax.grad(summary, (0, 1))(cosmology, z), jax.grad(at_zero)(jnp.zeros_like(z))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("masses", [0.0, (0.0, 0.0, 0.06)])
@pytest.mark.parametrize("temperature", [0.0, 2.7])
def test_gradients_are_finite_without_radiation_or_neutrino_masses(temperature, masses, dtype):
    cosmology = cast(FlatLambdaCDM(70.0, 0.3, temperature, m_nu=masses), dtype)
    found = gradients(cosmology, jnp.asarray(0.5, dtype))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))


def test_any_shape_and_any_transform():
    z = jnp.linspace(0.1, 1.4, 6).reshape(2, 3)
    values = Planck15.critical_surface_density(z, 1.5)
    assert values.shape == (2, 3)
    mapped = jax.jit(jax.vmap(jax.vmap(lambda z: Planck15.critical_surface_density(z, 1.5))))(z)
    np.testing.assert_allclose(mapped, values, rtol=1e-13)
    compiled = jax.jit(lambda c, z: c.critical_surface_density(z, 1.5))(Planck15, z)
    np.testing.assert_allclose(compiled, values, rtol=1e-13)
    hubble = jnp.array([60.0, 70.0])
    distances = jax.jit(jax.vmap(lambda h: FlatLambdaCDM(h, 0.3).comoving_distance(1.0)))(hubble)
    np.testing.assert_allclose(distances * hubble, (distances * hubble)[0], rtol=1e-14)


def test_one_trace_for_all_parameters():
    traces = []

    @jax.jit
    def distance(cosmology, z):
        traces.append(None)
        return cosmology.comoving_distance(z)

    for cosmology in (FlatLambdaCDM(70.0, 0.3), FlatLambdaCDM(67.0, 0.31), FlatLambdaCDM(60.0, 0.2, m_nu=0.1)):
        distance(cosmology, 0.5)
    assert len(traces) == 1


def test_planck_is_float64_although_imported_before_x64_is_enabled():
    program = """
import jax
from lensax.cosmology import Planck15
from jax.extend.backend import backends
import jax._src.xla_bridge as bridge
assert not bridge._backends, "importing lensax.cosmology started a backend"
assert Planck15.comoving_distance(0.5).dtype == "float32"
jax.config.update("jax_enable_x64", True)
print(repr(float(Planck15.comoving_distance(0.5))))
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert float(printed) == float(Planck15.comoving_distance(0.5))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"H0": -70.0, "Om0": 0.3}, "H0 must be a positive number.*got -70"),
        ({"H0": float("nan"), "Om0": 0.3}, "H0 must be.*got nan"),
        ({"H0": 70.0, "Om0": -0.1}, "Om0 must be.*between 0 and 1.*got -0.1"),
        ({"H0": 70.0, "Om0": 1.1}, "Om0 must be.*got 1.1"),
        ({"H0": 70.0, "Om0": 0.3, "Tcmb0": -1.0}, "Tcmb0 must be.*got -1"),
        ({"H0": 70.0, "Om0": 0.3, "Neff": -3.0}, "Neff must be.*got -3"),
        ({"H0": 70.0, "Om0": 0.3, "m_nu": (0.0, 0.0, -0.1)}, "m_nu must be neutrino masses of at least 0"),
        (
            {"H0": 70.0, "Om0": 0.3, "m_nu": (0.0, 0.1)},
            r"one for each of the floor\(Neff\) species \(Neff = 3.046\), got an array of shape \(2,\)",
        ),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        FlatLambdaCDM(**parameters)


def test_bad_redshifts_are_named():
    with pytest.raises(ValueError, match=r"z must be a redshift of at least 0, got -0\.5"):
        Planck15.comoving_distance(np.array([0.3, -0.5]))
    with pytest.raises(ValueError, match="got nan"):
        Planck15.efunc(float("nan"))
    with pytest.raises(ValueError, match=r"z_lens = 1.5 lies behind z_source = 0.5"):
        Planck15.critical_surface_density(1.5, 0.5)
    with pytest.raises(ValueError, match=r"z_1 = 0.9 lies behind z_2 = 0.4"):
        Planck15.angular_diameter_distance_between(np.array([0.2, 0.9]), 0.4)
