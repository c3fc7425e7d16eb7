"""One small lens for all tests of inversions: 0.1 arcsec pixels, a mask of 1.2 arcsec, an asymmetric PSF."""

import jax
import numpy as np
import pytest

import lensax as lx

LENS = (lx.mass.PowerLaw(0.7, 2.1, 0.1, 0.05, 0.01, -0.02), lx.mass.ExternalShear(0.03, 0.02))
SIZE, SCALE = 30, 0.1


def make_dataset(mask=None, sampling=1, psf=True, seed=0) -> lx.Imaging:
    random = np.random.default_rng(5)
    kernel = lx.psf.Kernel(random.uniform(0.2, 1.0, (5 * sampling if sampling % 2 else 9, 3)), sampling)
    instrument = lx.Instrument((SIZE, SIZE), SCALE, kernel if psf else None, 2000.0, sky_level=0.1, over_sample=2)
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    source = lx.light.Sersic(3.0, 0.2, 1.0, 0.1, 0.2, 0.05, 0.03)
    scene = lx.Scene(planes, LENS, None, source, lx.light.Gaussian(5.0, 0.4, 0.1, 0.0))
    simulator = lx.Simulator(instrument)
    image = simulator(scene, jax.random.key(seed))
    noise = instrument.noise_map(simulator.noiseless(scene))
    return lx.Imaging(image, noise, kernel if psf else None, SCALE, mask or lx.Mask.annulus(0.3, 1.2))


@pytest.fixture(scope="session")
def ring() -> lx.Imaging:
    """A noisy ring with lens light."""
    return make_dataset()
