"""The scene that is timed: a power-law lens with shear, and truncated NFW halos on nine planes.

    python benchmarks/scene.py --halos 1000 > lens_model.json    # the lists that lenstronomy takes

Halos have masses between 1e6 and 1e9 Msun with dN/dM ~ M^-1.9, are uniform over the frame and a margin, and spread
evenly over the planes. What matters for the time is their number; masses and radii are of the right size.
"""

import argparse
import json

import jax
import numpy as np

import lensax as lx

COSMOLOGY = {"H0": 67.74, "Om0": 0.3075, "Tcmb0": 0.0}  # without radiation: exact in every code
LENS_REDSHIFT, SOURCE_REDSHIFT = 0.5, 1.5
REDSHIFTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.3)
PIXELS, PIXEL_SCALE = 100, 0.05
HALF_WIDTH = 3.0  # arcsec, of the square that halos fill
MASSES, SLOPE = (1e6, 1e9), -1.9
TRUNCATION = 18.0  # truncation radius over scale radius


def masses(count: int, random: np.random.Generator) -> np.ndarray:
    """Masses of a power law by inversion of its distribution function, Msun."""
    low, high = (m ** (SLOPE + 1) for m in MASSES)
    return (low + random.random(count) * (high - low)) ** (1 / (SLOPE + 1))


def concentration(mass: np.ndarray, redshift: np.ndarray) -> np.ndarray:
    """A power law near the relation of Ludlow et al. (2016)."""
    return 18.0 * (mass / 1e8) ** -0.05 * (1 + redshift) ** -0.7


def scene(count: int, seed: int = 0) -> lx.Scene:
    """The benchmark's scene with `count` halos."""
    random = np.random.default_rng(seed)
    cosmology = lx.cosmology.FlatLambdaCDM(**COSMOLOGY)
    planes = lx.raytrace.Planes(REDSHIFTS, LENS_REDSHIFT, SOURCE_REDSHIFT, cosmology)
    mass = masses(count, random)
    redshift = np.array(REDSHIFTS)[np.arange(count) % len(REDSHIFTS)]
    center_x, center_y = random.uniform(-HALF_WIDTH, HALF_WIDTH, (2, count))
    leaves = (mass, concentration(mass, redshift), redshift)
    halos = jax.vmap(lambda m, c, z: lx.mass.Halo.from_mass(m, c, z, SOURCE_REDSHIFT, cosmology))(
        *(jax.numpy.asarray(leaf, float) for leaf in leaves)
    )
    table = {
        "redshift": redshift,
        "center_x": center_x,
        "center_y": center_y,
        "kappa_s": np.asarray(halos.kappa_s),
        "scale_radius": np.asarray(halos.scale_radius),
        "truncation_radius": TRUNCATION * np.asarray(halos.scale_radius),
        "core_radius": np.zeros(count),
    }
    return lx.Scene(
        planes=planes,
        macro=(lx.mass.PowerLaw(1.2, 2.05, 0.06, -0.04, 0.01, -0.02), lx.mass.ExternalShear(0.03, -0.02)),
        halos=lx.halos.HaloCatalogue.from_table(table, planes),
        source=(lx.light.CoredSersic(20.0, 0.15, 1.5, 0.1, 0.0, 0.06, 0.03, 0.02, 0.25, 3.0),),
    )


def main() -> None:
    """Prints the lists of lenstronomy as JSON."""
    from lensax.interop.lenstronomy import to_lens_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halos", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print(json.dumps(to_lens_model(scene(options.halos, options.seed))._asdict(), indent=1))


if __name__ == "__main__":
    main()
