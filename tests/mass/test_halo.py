"""The halo as a lens: scaling, awkward places, derivatives, populations, and halos from masses."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from lensax._types import cast
from lensax.cosmology import Planck15
from lensax.mass import Halo, cored_nfw_mass, truncated_total_mass

PARAMETERS = ("kappa_s", "scale_radius", "truncation_radius", "core_radius", "center_x", "center_y")
# Members of the family: kappa_s, r_s, r_t, r_c, centre.
FAMILY = np.array([
    (0.05, 0.10, np.inf, 0.00, 0.02, -0.03),  # NFW
    (0.05, 0.10, 0.50, 0.00, 0.02, -0.03),  # truncated
    (0.05, 0.10, np.inf, 0.02, 0.02, -0.03),  # cored
    (0.05, 0.10, 0.50, 0.02, 0.02, -0.03),  # truncated and cored
    (0.05, 0.10, 0.04, 0.08, 0.02, -0.03),  # stripped into its core
    (0.05, 0.10, 0.50, 0.10, 0.02, -0.03),  # core = scale radius
    (3.00, 0.01, 0.03, 0.0005, 0.02, -0.03),  # collapsed
    (-0.05, 0.10, 0.50, 0.02, 0.02, -0.03),  # negative mass
    (0.00, 1.00, 1.00, 0.00, 20.0, -30.0),  # empty slot
])  # fmt: skip


def family(dtype=jnp.float64):
    """The members as one `Halo` of leaves (9,)."""
    return cast(Halo(*(jnp.asarray(column) for column in FAMILY.T)), dtype)


def awkward_places(dtype=jnp.float64):
    """Offsets (9, n): the centre, next to it, and on and off the axes at the halo's own radii, and far away."""
    radii = np.where(np.isinf(FAMILY[:, 1:4]), 1.0, FAMILY[:, 1:4])
    radii = np.concatenate([np.broadcast_to([0.0, 1e-25, 1e-12, 1e-6, 1e3], (len(FAMILY), 5)), radii], 1)
    dx, dy = np.stack([radii, 0 * radii, 0.6 * radii], -1), np.stack([0 * radii, -radii, 0.8 * radii], -1)
    x, y = dx + FAMILY[:, 4, None, None], dy + FAMILY[:, 5, None, None]
    return jnp.asarray(x.reshape(len(FAMILY), -1), dtype), jnp.asarray(y.reshape(len(FAMILY), -1), dtype)


def lens(halo, x, y):
    """Deflection along x and y, convergence, potential: (4, *shape)."""
    return jnp.stack([*halo.deflection(x, y), halo.convergence(x, y), halo.potential(x, y)])


def test_table_in_angular_units(data):
    """kappa, alpha and psi of the reference, scaled and moved; the tangential eigenvalue is the mean convergence."""
    reference = json.loads((data / "profile_reference.json").read_text())
    x = np.array(reference["x"])[::5]
    scale, strength = 0.7, 0.03
    entries = [entry for name in ("nfw", "tnfw", "cnfw", "tcnfw") for entry in reference["profiles"][name]]
    truncations = [entry["params"].get("tau", np.inf) * scale for entry in entries]
    cores = [entry["params"].get("f_c", 0.0) * scale for entry in entries]
    halos = Halo(*(np.full(len(entries), value) for value in (strength, scale)), truncations, cores)
    halos = eqx.tree_at(lambda h: (h.center_x, h.center_y), halos, (jnp.full(27, 0.25), jnp.full(27, -0.5)))
    positions = jnp.asarray(0.25 + 0.6 * scale * x), jnp.asarray(-0.5 + 0.8 * scale * x)
    found = np.asarray(jax.jit(jax.vmap(lens, (0, None, None)))(halos, *positions))
    kappa, alpha, psi = (
        np.array([np.array(entry[key])[::5] for entry in entries]) for key in ("kappa", "alpha", "psi")
    )
    # Near the centre the position itself is rounded, to 1e-16 of the centre's coordinates.
    rounding = 1e-16 / (scale * x)
    for value, expected in [
        (found[:, 0], 0.6 * strength * scale * alpha),
        (found[:, 1], 0.8 * strength * scale * alpha),
        (found[:, 2], strength * kappa),
        (found[:, 3], strength * scale**2 * psi),
    ]:
        assert np.max(np.abs(value / expected - 1) / (1e-13 + 4 * rounding)) < 1


def test_float32_deflection():
    single = jax.jit(jax.vmap(lens))(family(jnp.float32), *awkward_places(jnp.float32))
    assert single.dtype == jnp.float32
    double = jax.jit(jax.vmap(lens))(
        cast(family(jnp.float32), jnp.float64), *map(as_double, awkward_places(jnp.float32))
    )
    single, double = np.asarray(single, np.float64), np.asarray(double)
    # A deflection that is zero by symmetry is compared with the other component.
    size = np.hypot(double[:, 0], double[:, 1])
    assert np.all(np.abs(single[:, :2] - double[:, :2]) <= 5e-6 * size[:, None])
    assert np.all(np.abs(single[:, 2] - double[:, 2]) <= 1e-4 * np.abs(double[:, 2]))
    assert np.all(np.abs(single[:, 3] - double[:, 3]) <= 1e-5 * np.abs(double[:, 3]) + 1e-20)


def as_double(array):
    return array.astype(jnp.float64)


def test_gradients_of_the_deflection_are_finite_everywhere():
    """Forward and reverse; nothing depends on an infinite truncation, and an empty slot pulls on nothing."""

    def outputs(halo, x, y):
        value, back = jax.vjp(Halo.deflection, halo, x, y)
        direction = jax.tree.map(jnp.ones_like, (halo, x, y))
        return back(value), jax.jvp(Halo.deflection, (halo, x, y), direction)

    found = jax.jit(jax.vmap(outputs))(family(), *awkward_places())
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))
    halo = found[0][0]
    assert np.all(np.asarray(halo.truncation_radius)[np.isinf(FAMILY[:, 2])] == 0)
    for name in PARAMETERS[1:]:
        assert np.asarray(getattr(halo, name))[-1] == 0
    assert np.asarray(halo.scale_radius)[0] != 0


def test_centre():
    """No deflection and no potential at the centre; the Jacobian there is the mean convergence next to it."""
    halo = Halo(0.05, 0.1, 0.5, 0.02, 0.3, -0.2)
    x, y = halo.center_x, halo.center_y
    assert tuple(map(float, halo.deflection(x, y))) == (0.0, 0.0)
    assert abs(float(halo.potential(x, y))) < 1e-20
    jacobian = np.asarray(jnp.stack([jnp.stack(row) for row in jax.jacfwd(halo.deflection, argnums=(0, 1))(x, y)]))
    np.testing.assert_allclose(jacobian, float(halo.convergence(x, y)) * np.eye(2), rtol=1e-12)
    # Inside a core the convergence is flat: 2 [f - 1 - ln f] / (1 - f)^2 without truncation.
    core = Halo(0.05, 0.1, np.inf, 0.02)
    expected = 0.05 * 2 * (0.2 - 1 - np.log(0.2)) / 0.8**2
    assert float(core.convergence(jnp.asarray(0.0), jnp.asarray(0.0))) == pytest.approx(expected, rel=1e-12)


def test_jacobian_of_the_deflection_is_convergence_and_shear():
    radii = np.array([0.003, 0.02, 0.05, 0.1, 0.13, 0.5, 2.0])
    dx, dy = jnp.asarray(0.28 * radii), jnp.asarray(-0.96 * radii)

    def point(halo, dx, dy):
        x, y = halo.center_x + dx, halo.center_y + dy
        jacobian = jax.jacfwd(lambda x, y: jnp.stack(halo.deflection(x, y)), argnums=(0, 1))(x, y)
        hessian = jax.hessian(halo.potential, argnums=(0, 1))(x, y)
        mean = jnp.hypot(*halo.deflection(x, y)) / jnp.hypot(dx, dy) * jnp.sign(halo.kappa_s)
        return jnp.stack(jacobian, -1), jnp.stack([jnp.stack(row) for row in hessian]), halo.convergence(x, y), mean

    every = jax.jit(jax.vmap(jax.vmap(point, (None, 0, 0)), (0, None, None)))
    jacobian, hessian, kappa, mean = (np.asarray(result) for result in every(family(), dx, dy))
    size = np.abs(mean)[..., None, None]
    assert np.all(np.abs(jacobian - hessian) <= 1e-11 * size)
    # Along the radius 2 kappa - mean kappa, across it the mean convergence.
    radial = np.array([0.28, -0.96])
    across = np.array([0.96, 0.28])
    np.testing.assert_allclose(np.einsum("i,...ij,j", radial, jacobian, radial), 2 * kappa - mean, rtol=0, atol=1e-11)
    np.testing.assert_allclose(np.einsum("i,...ij,j", across, jacobian, across), mean, rtol=1e-10, atol=1e-15)
    assert np.all(np.abs(np.einsum("i,...ij,j", across, jacobian, radial)) <= 1e-11 * size[..., 0, 0])


def test_gradient_of_the_jacobian_is_its_difference():
    """Reverse over forward: the Jacobian of the deflection differentiated in all eight numbers."""
    numbers = np.array([0.05, 0.1, 0.5, 0.03, 0.02, -0.03, 0.11, 0.08])

    def jacobian(numbers):
        halo, x, y = Halo(*numbers[:6]), numbers[6], numbers[7]
        columns = jax.jacfwd(halo.deflection, argnums=(0, 1))(x, y)
        return jnp.stack([columns[0][0], columns[0][1], columns[1][1]])

    compiled = jax.jit(jacobian)
    found = np.asarray(jax.jit(jax.jacrev(jacobian))(jnp.asarray(numbers)))
    for i, size in enumerate([0.05, 0.1, 0.5, 0.03, 0.1, 0.1, 0.1, 0.1]):
        move = np.zeros(8)
        move[i] = 1e-3 * size
        values = [np.asarray(compiled(jnp.asarray(numbers + k * move))) for k in (-2, -1, 1, 2)]
        difference = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12e-3 * size)
        np.testing.assert_allclose(found[:, i], difference, rtol=1e-6, atol=1e-9)


def test_one_program_for_the_whole_family():
    """Values decide, not the program: NFW, truncated and cored halos share one compilation, batched or not."""
    x, y = jnp.linspace(-0.3, 0.3, 12), jnp.linspace(0.1, 0.2, 12)
    traces = []

    @jax.jit
    def deflection(halo):
        traces.append(halo)
        return jnp.stack(halo.deflection(x, y))

    halos = family()
    loop = jnp.stack([deflection(jax.tree.map(lambda leaf, i=i: leaf[i], halos)) for i in range(len(FAMILY))])
    assert len(traces) == 1
    planes = jax.tree.map(lambda leaf: leaf.reshape(3, 3), halos)
    batch = jax.jit(jax.vmap(jax.vmap(lambda halo: jnp.stack(halo.deflection(x, y)))))(planes)
    np.testing.assert_allclose(batch.reshape(loop.shape), loop, rtol=1e-12, atol=1e-16)
    many = jax.vmap(lambda h: Halo(h.kappa_s, h.scale_radius, core_radius=h.core_radius))(halos)
    assert many.truncation_radius.shape == (9,)


def test_defaults_are_an_nfw_halo_at_the_origin():
    halo = Halo(0.05, 0.1)
    assert [float(getattr(halo, name)) for name in PARAMETERS[2:]] == [np.inf, 0.0, 0.0, 0.0]
    leaves = jax.tree.leaves(halo)
    assert len(leaves) == 6
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == jnp.float64 for leaf in leaves)
    assert float(halo.convergence(jnp.asarray(0.1), jnp.asarray(0.0))) == pytest.approx(0.05 * 2 / 3, rel=1e-14)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scale_radius": -1.0}, "scale_radius must be a positive number of arcsec, got -1.0"),
        ({"scale_radius": [1.0, np.nan]}, r"scale_radius must be a positive number of arcsec, got nan at index \(1,\)"),
        ({"scale_radius": np.inf}, "scale_radius must be"),
        ({"truncation_radius": 0.0}, "truncation_radius must be positive, in arcsec \\(or infinite\\), got 0.0"),
        ({"truncation_radius": np.nan}, "truncation_radius must be"),
        ({"core_radius": -1e-3}, "core_radius must be at least 0, in arcsec, got -0.001"),
        ({"core_radius": 3.5}, "core_radius / scale_radius must be at most 3.0, got 3.5"),
        ({"kappa_s": np.nan}, "kappa_s must be a finite number, got nan"),
        ({"center_y": np.inf}, "center_y must be a finite number, got inf"),
    ],
)
def test_refuses(parameters, message):
    with pytest.raises(ValueError, match=f"Halo: {message}"):
        Halo(**({"kappa_s": 0.05, "scale_radius": 1.0} | parameters))
    traced = jax.jit(lambda values: Halo(**({"kappa_s": 0.05, "scale_radius": 1.0} | values)).scale_radius)
    traced(jax.tree.map(jnp.asarray, parameters, is_leaf=lambda v: isinstance(v, list)))


@pytest.fixture(scope="module")
def reference_halos(data):
    table = json.loads((data / "population_reference.json").read_text())["halos"]
    return {key: np.array([row[key] for row in table]) for key in table[0]}


def test_from_mass_agrees_with_the_reference(reference_halos):
    expected = reference_halos
    halos = Halo.from_mass(expected["M"], expected["c"], expected["z"], 1.5, Planck15, expected["rt_arcsec"])
    assert all(leaf.shape == (20,) for leaf in jax.tree.leaves(halos))
    np.testing.assert_allclose(halos.kappa_s, expected["kappa_s"], rtol=1e-10)
    np.testing.assert_allclose(halos.scale_radius, expected["rs_arcsec"], rtol=1e-10)
    tau = halos.truncation_radius / halos.scale_radius
    np.testing.assert_allclose(tau, expected["tau"], rtol=1e-10)
    einstein = 4 * halos.kappa_s * halos.scale_radius**2 * truncated_total_mass(jnp.zeros(20), tau)
    np.testing.assert_allclose(einstein, expected["thE2_arcsec2"], rtol=1e-10)
    untruncated = Halo.from_mass(expected["M"], expected["c"], expected["z"], 1.5, Planck15)
    assert np.all(np.isinf(untruncated.truncation_radius))
    along = jax.vmap(lambda halo: halo.deflection(halo.scale_radius, jnp.zeros(()))[0])(untruncated)
    np.testing.assert_allclose(along, expected["alpha_rs_nfw_arcsec"], rtol=1e-10)


def test_from_mass_in_float32(reference_halos):
    expected = {key: jnp.asarray(value, jnp.float32) for key, value in reference_halos.items()}
    halos = Halo.from_mass(
        *(expected[key] for key in ("M", "c", "z")), jnp.full(20, 1.5, jnp.float32), Planck15, expected["rt_arcsec"],
        *(jnp.zeros(20, jnp.float32) for _ in range(3)),
    )  # fmt: skip
    assert halos.kappa_s.dtype == jnp.float32
    np.testing.assert_allclose(halos.kappa_s, reference_halos["kappa_s"], rtol=1e-5)
    np.testing.assert_allclose(halos.scale_radius, reference_halos["rs_arcsec"], rtol=1e-5)


@pytest.mark.parametrize("core_fraction", [0.0, 0.05, 0.3, 1.0])
def test_from_mass_encloses_the_mass(core_fraction):
    """The 3-D density of the halo, integrated to r200, is the mass; its mean is 200 critical densities."""
    mass, concentration, redshift, source = 1e9, 12.042, 0.5, 1.5
    halo = Halo.from_mass(mass, concentration, redshift, source, Planck15, core_fraction=core_fraction)
    scale = float(halo.scale_radius * Planck15.kpc_per_arcsec(redshift))
    density = float(halo.kappa_s * Planck15.critical_surface_density(redshift, source)) / scale
    radius = concentration * scale
    core = float(halo.core_radius * Planck15.kpc_per_arcsec(redshift)) / scale
    enclosed, _ = quad(
        lambda r: 4 * np.pi * r**2 * density / ((r / scale + core) * (1 + r / scale) ** 2), 0, radius, epsrel=1e-12
    )
    assert core == pytest.approx(core_fraction, abs=1e-14)
    assert enclosed == pytest.approx(mass, rel=1e-9)
    mean = mass / (4 / 3 * np.pi * radius**3)
    assert mean == pytest.approx(200 * float(Planck15.critical_density(redshift)), rel=1e-10)


def test_truncation_radius_is_an_angle():
    """2 r200 of a 1e9 Msun halo at z = 0.5: 24.1 scale radii when it is converted; the raw kpc would be 151."""
    mass, concentration, redshift = 1e9, 12.042, 0.5
    density = 200 * float(Planck15.critical_density(redshift))
    radius_kpc = (mass / (4 / 3 * np.pi * density)) ** (1 / 3)
    angle = 2 * radius_kpc / float(Planck15.kpc_per_arcsec(redshift))
    halo = Halo.from_mass(mass, concentration, redshift, 1.5, Planck15, truncation_radius=angle)
    assert float(halo.truncation_radius / halo.scale_radius) == pytest.approx(2 * concentration, rel=1e-10)


def test_from_mass_is_batched_and_differentiable():
    masses = jnp.asarray([[1e7, 1e8, 1e9], [1e6, 1e8, 1e10]])

    def strength(log_mass, concentration, redshift, fraction):
        halo = Halo.from_mass(10**log_mass, concentration, redshift, 1.5, Planck15, None, fraction)
        assert halo.kappa_s.shape == halo.center_y.shape == log_mass.shape
        return jnp.sum(jnp.log(halo.kappa_s) + jnp.log(halo.scale_radius))

    start = (jnp.log10(masses), jnp.full((2, 3), 12.0), jnp.asarray([[0.3], [0.8]]), jnp.asarray(0.1))
    gradient = jax.jit(jax.grad(strength, argnums=(0, 1, 2, 3)))(*start)
    # kappa_s ~ M^(1/3) and r_s ~ M^(1/3) at fixed concentration.
    np.testing.assert_allclose(gradient[0], 2 / 3 * np.log(10), rtol=1e-10)
    slope = jax.grad(lambda f: jnp.sum(jnp.log(cored_nfw_mass(jnp.full((2, 3), 12.0), jnp.full((2, 3), f)))))(0.1)
    np.testing.assert_allclose(gradient[3], -slope, rtol=1e-10)
    for i in (1, 2):
        step = 1e-4 * start[i]
        ahead, behind = ([a + sign * step if i == j else a for j, a in enumerate(start)] for sign in (1, -1))
        np.testing.assert_allclose(jnp.sum(gradient[i] * step), (strength(*ahead) - strength(*behind)) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mass": -1e9}, "mass must be a positive number of Msun, got -1000000000.0"),
        ({"concentration": 0.0}, "concentration must be a positive number, got 0.0"),
        ({"core_fraction": -0.1}, "core_fraction must be a number of at least 0, got -0.1"),
        ({"truncation_radius": -3.0}, "truncation_radius must be positive"),
        ({"mass": np.array([1e9, np.nan])}, r"mass must be a positive number of Msun, got nan at index \(1,\)"),
    ],
)
def test_from_mass_refuses(change, message):
    arguments = {"mass": 1e9, "concentration": 12.0, "redshift": 0.5, "source_redshift": 1.5, "cosmology": Planck15}
    with pytest.raises(ValueError, match=message):
        Halo.from_mass(**(arguments | change))
