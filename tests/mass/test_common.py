"""One battery for every mass profile."""

import battery
import jax.numpy as jnp
import numpy as np
import pytest
from battery import Case

from lensax.mass import ExternalShear, Halo, IsothermalCore, MassSheet, ParametricSIDM, PointMass, PowerLaw


def everything(profile, x, y):
    """Deflection along x and y, convergence, potential."""
    return jnp.stack([*profile.deflection(x, y), profile.convergence(x, y), profile.potential(x, y)])


def mass(name, profile, radii, **known):
    return Case(name, profile, everything, radii, **({"float32": (2e-6, 2e-6, 2e-6, 2e-6)} | known))


def halo(name, fixed, *numbers, radii=(0.03, 0.1, 0.5)):
    # The potential is what is least well conditioned: time delays are for float64.
    return mass(f"halo: {name}", Halo(*numbers), radii, float32=(5e-6, 5e-6, 1e-4, 1e-3), fixed=fixed)


def sidm(name, kind, fixed, *numbers):
    # By quadrature: its own accuracy is 1e-9, and the isothermal core has a kink in its slope at the matching radius.
    known = {"potential": 1e-8, "convergence": 1e-8, "derivative": 1e-5}
    return mass(name, kind(*numbers), (0.02, 0.1, 0.5), float32=(1e-5, 1e-5, 1e-4, 1e-4), fixed=fixed, tolerances=known)


CASES = [
    mass("isothermal sphere", PowerLaw(1.2, 2.0), (0.01, 1.2, 20.0)),
    mass("isothermal ellipse", PowerLaw(1.2, 2.0, 0.1, -0.05, 0.02, -0.03), (0.01, 1.2, 20.0)),
    mass("shallow", PowerLaw(0.8, 1.2, -0.3, 0.4, 0.02, -0.03), (0.01, 0.8, 5.0)),
    mass("steep", PowerLaw(1.5, 2.8, 0.0, 0.35, 0.02, -0.03), (0.01, 1.5, 5.0)),
    mass("shear", ExternalShear(0.05, -0.03), (0.01, 1.0, 20.0)),
    mass("sheet", MassSheet(-0.02), (0.01, 1.0, 20.0)),
    mass("point", PointMass(0.5, 0.02, -0.03), (0.01, 0.5, 20.0), float32=(2e-6, 2e-6)),
    halo("NFW", ("truncation_radius", "core_radius"), 0.05, 0.1, np.inf, 0.0, 0.02, -0.03),
    halo("truncated", ("core_radius",), 0.05, 0.1, 0.5, 0.0, 0.02, -0.03),
    halo("cored", ("truncation_radius",), 0.05, 0.1, np.inf, 0.03, 0.02, -0.03),
    halo("truncated and cored", (), 0.05, 0.1, 0.5, 0.03, 0.02, -0.03),
    halo("collapsed", (), 3.0, 0.01, 0.03, 0.0005, 0.02, -0.03, radii=(0.0005, 0.01, 0.03)),
    halo("empty slot", ("core_radius",), 0.0, 1.0, 1.0, 0.0, 40.0, -30.0),
    halo("large core", (), 0.05, 0.1, 0.03, 0.08, 0.02, -0.03, radii=(0.03, 0.08, 0.1)),
    sidm("parametric", ParametricSIDM, (), 0.05, 0.1, 0.5, 0.06, 0.02, -0.03),
    sidm("isothermal core", IsothermalCore, (), 0.05, 0.1, 0.5, 0.045, 0.02, -0.03),
]
FIRST_OF_ITS_CLASS = list({type(case.profile): case for case in reversed(CASES)}.values())


def each(cases):
    """A test of each; the isothermal core is made of the parts of the parametric halo, and slow to compile."""
    late = {"isothermal core": pytest.mark.extended}
    return pytest.mark.parametrize(
        "case", [pytest.param(case, marks=late.get(case.name, ()), id=case.name) for case in cases]
    )


each_case, each_class = each(CASES), each(FIRST_OF_ITS_CLASS)


@each_case
def test_deflection_is_the_gradient_of_the_potential(case):
    x, y = case.rings()
    forward, _, _ = battery.derivatives(everything, case.profile, x, y)
    found = battery.values(everything, case.profile, x, y)
    for axis in (0, 1):
        battery.assert_close(found[axis], forward[axis, 3], case.tolerances.get("potential", 1e-9), case.name)


@each_case
def test_convergence_is_half_the_divergence_and_there_is_no_curl(case):
    x, y = case.rings()
    forward = np.asarray(battery.derivatives(everything, case.profile, x, y)[0])
    convergence = np.asarray(battery.values(everything, case.profile, x, y))[2]
    jacobian = forward[:2, :2]  # (axis, component, point)
    allowed = case.tolerances.get("convergence", 1e-9) * np.abs(jacobian).max((0, 1))
    assert np.all(np.abs(convergence - (jacobian[0, 0] + jacobian[1, 1]) / 2) <= allowed)
    assert np.all(np.abs(jacobian[0, 1] - jacobian[1, 0]) <= allowed)


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.extended)])
@each_case
def test_finite_everywhere(case, dtype):
    battery.check_finite(case, dtype)


@each_case
def test_derivatives(case):
    battery.check_derivatives(case)


@each_class
def test_batch_is_a_loop(case):
    battery.check_vmap(case)


@each_class
def test_eager_and_any_shape(case):
    battery.check_eager_and_shapes(case)


@each_case
def test_float32(case):
    battery.check_float32(case)
