"""Scenes of the right sizes for the lattice: halos of a mass function on nine planes behind a cuspy lens."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from lensax._types import cast
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import HaloCatalogue
from lensax.instrument import Grid
from lensax.light import Sersic
from lensax.mass import ExternalShear, PowerLaw
from lensax.raytrace import Direct, Lattice, Planes
from lensax.raytrace.lattice_layout import automatic_layout
from lensax.scene import Scene

COSMOLOGY = FlatLambdaCDM(67.74, 0.3075)
REDSHIFTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.3)
PLANES = Planes(REDSHIFTS, 0.5, 1.5, COSMOLOGY)
LENS_PLANE = 4


def halo_columns(mass, plane, concentration):
    """kappa_s and scale radius (arcsec) of NFW halos of M200c in solar masses on the planes of index `plane`."""
    redshift = np.asarray(REDSHIFTS)[plane]
    critical = 2.77536627e11 * 0.6774**2 * (0.3075 * (1 + redshift) ** 3 + 0.6925) * 1e-9  # Msun / kpc^3
    c = concentration
    scale_radius = (3 * mass / (800 * np.pi * critical)) ** (1 / 3) / c
    density = critical * 200 / 3 * c**3 / (np.log(1 + c) - c / (1 + c))
    kappa_s = density * scale_radius / np.asarray(PLANES.critical_surface_density)[plane]
    return kappa_s, scale_radius / np.asarray(PLANES.kpc_per_arcsec)[plane]


def population(count, seed=0, masses=(1e6, 1e9), half_width=3.0, planes=9):
    """A table of cuspy, cored, truncated, untruncated and collapsed halos, dN/dM ~ M^-1.9."""
    random = np.random.default_rng(seed)
    low, high = (mass**-0.9 for mass in masses)
    mass = (low + random.random(count) * (high - low)) ** (-1 / 0.9)
    plane = random.integers(0, planes, count)
    concentration = 14 * (mass / 1e8) ** -0.06 * np.exp(0.3 * random.standard_normal(count))
    kappa_s, radius = halo_columns(mass, plane, concentration)
    collapsed = np.where(random.random(count) < 0.03, 10 ** random.uniform(-1.5, -0.5, count), 1.0)
    kappa_s, radius = kappa_s / collapsed**2, radius * collapsed
    truncation = random.choice([3.0, 10.0, 20.0, np.inf], count)
    cored = random.random(count) < 0.3
    return {
        "redshift": np.asarray(REDSHIFTS)[plane],
        "center_x": random.uniform(-half_width, half_width, count),
        "center_y": random.uniform(-half_width, half_width, count),
        "kappa_s": kappa_s,
        "scale_radius": radius,
        "truncation_radius": truncation * radius,
        "core_radius": np.where(cored, random.uniform(0.01, 0.9, count), 0.0) * radius,
    }


def lattice_scene(table, slots=None, center=(0.013, -0.021), slope=2.05, einstein_radius=1.2, sheets=None):
    """A power law with shear, the halos of a table, and a small source."""
    return Scene(
        planes=PLANES,
        macro=(PowerLaw(einstein_radius, slope, 0.08, -0.05, *center), ExternalShear(0.03, -0.02)),
        halos=HaloCatalogue.from_table(table, PLANES, slots=slots, sheets=sheets),
        source=(Sersic(20.0, 0.15, 1.2, 0.1, 0.05, 0.05, -0.04),),
    )


GRID = Grid((40, 40), 0.05, 2)
EXACT = Direct(closed_form=False)
LATTICE = Lattice()
SLOTS = 96


def random_scene(count=500, seed=0, **keywords):
    """A population in the frame of GRID, behind a lens whose images lie in it."""
    table = population(count, seed, half_width=1.5)
    return lattice_scene(table, slots=SLOTS, einstein_radius=0.6, **keywords)


# Where rays and nodes start, the very numbers: nothing has displaced them on the first plane.
RAYS = GRID.positions(float)
NODES = automatic_layout(LATTICE, GRID, 9, SLOTS, 9 * SLOTS).geometry.nodes(float)


def start_of(axes, row, column):
    """x and y of one of the rays or nodes."""
    x, y = (float(axis[row, column]) for axis in axes)
    return {"x": x, "y": y}


@eqx.filter_jit
def traced(tracer, scene, grid=GRID):
    return tracer.trace(scene, grid)


def errors(scene, tracer=LATTICE, grid=GRID):
    """Errors of the source positions, whether the rays are bright, and the diagnostics."""
    found = traced(tracer, scene, grid)
    exact = traced(EXACT, cast(scene, jnp.float64), grid)
    error = np.hypot(*(np.asarray(getattr(found, a)) - np.asarray(getattr(exact, a)) for a in ("source_x", "source_y")))
    source = cast(scene.source[0], jnp.float64)
    brightness = np.asarray(source.surface_brightness(exact.source_x, exact.source_y))
    return error, brightness > 0.05 * brightness.max(), found.diagnostics


def assert_accurate(scene, tracer=LATTICE, grid=GRID, least_estimate=1.0):
    """Within the tolerance, and the estimate at least so many times the error."""
    error, bright, diagnostics = errors(scene, tracer, grid)
    rms = np.sqrt(np.mean(error**2))
    assert rms <= tracer.tolerance
    assert error[bright].max(initial=0.0) <= 5 * tracer.tolerance
    assert float(diagnostics.error_estimate) >= least_estimate * rms
    assert not bool(diagnostics.overflow)
    return rms, diagnostics


def with_halo(scene, mass, x, y, plane=LENS_PLANE, concentration=15.0, collapse=1.0, core=0.0, slot=0):
    """The scene with one halo replaced by another on a plane."""
    kappa_s, radius = (float(value) for value in halo_columns(np.float64(mass), plane, concentration))
    values = {
        "kappa_s": kappa_s / collapse**2,
        "scale_radius": radius * collapse,
        "truncation_radius": 15 * radius,
        "core_radius": core * radius,
        "center_x": x,
        "center_y": y,
    }
    halos = scene.halos.halos
    halos = dataclasses.replace(
        halos, **{name: getattr(halos, name).at[plane, slot].set(value) for name, value in values.items()}
    )
    return eqx.tree_at(lambda scene: scene.halos.halos, scene, halos)
