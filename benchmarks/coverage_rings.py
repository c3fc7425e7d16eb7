"""The simulated rings of `coverage.py`: lenses from the prior of the fits, clumpy sources or such from a prior too."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import lensax as lx
from lensax.fit import FitModel, Posterior
from lensax.inversion.system import observe_rays
from lensax.parameters import Free, Parameters

PIXELS, PIXEL_SCALE, RADII = 50, 0.08, (0.4, 1.9)
SIMULATED_OVER_SAMPLE = 8
# What the fits of clumpy sources find: at these a source is drawn from the prior.
TYPICAL = {"strength": 0.06, "deviation": 15.0, "radius": 0.16, "source_x": 0.0, "source_y": 0.0, "length": 0.2}


def lens_parameters() -> dict[str, Free]:
    """The prior of the lenses, from which they are drawn as well."""
    from numpyro.distributions import Normal, TruncatedNormal

    laws = {
        "einstein_radius": Normal(1.2, 0.05),
        "slope": TruncatedNormal(2.05, 0.15, low=1.5, high=2.6),
        "e1": Normal(0.0, 0.08),
        "e2": Normal(0.0, 0.08),
        "center_x": Normal(0.0, 0.02),
        "center_y": Normal(0.0, 0.02),
        "gamma_1": Normal(0.0, 0.03),
        "gamma_2": Normal(0.0, 0.03),
    }
    return {name: Free(name, law) for name, law in laws.items()}


def source_of(random: np.random.Generator) -> tuple[lx.light.LightProfile, ...]:
    """A disc and four knots."""
    x, y = random.normal(0.0, 0.08, 2)
    disc = lx.light.Sersic(4.0, random.uniform(0.15, 0.25), 1.0, *random.normal(0, 0.15, 2), x, y)
    knots = [
        lx.light.Gaussian(random.uniform(4, 10), random.uniform(0.04, 0.08), 0.0, 0.0, *(np.array([x, y]) + at))
        for at in random.normal(0.0, 0.13, (4, 2))
    ]
    return (disc, *knots)


def mass_of(theta: Any) -> tuple[lx.mass.MassProfile, ...]:
    """The lens."""
    names = ("einstein_radius", "slope", "e1", "e2", "center_x", "center_y")
    return lx.mass.PowerLaw(*(theta[name] for name in names)), lx.mass.ExternalShear(theta["gamma_1"], theta["gamma_2"])


def ring(theta: Any, number: int) -> lx.Imaging:
    """A noisy image of a source behind a lens."""
    psf = lx.psf.Gaussian(0.12, sampling=1, size=9)
    instrument = lx.Instrument(
        (PIXELS, PIXELS), PIXEL_SCALE, psf, 1000.0, sky_level=0.05, over_sample=SIMULATED_OVER_SAMPLE
    )
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    scene = lx.Scene(planes, mass_of(theta), source=source_of(np.random.default_rng(number)))
    simulator = lx.Simulator(instrument, lx.raytrace.Direct())
    image = instrument.imaging(simulator(scene, jax.random.key(1000 + number)), simulator.noiseless(scene))
    return image.with_mask(lx.Mask.annulus(*RADII))


def truth_of(number: int) -> dict[str, float]:
    """The lens of a ring."""
    drawn = Parameters(lens_parameters()).prior.sample(jax.random.key(number))
    return {name: float(value) for name, value in drawn.items()}


def ring_of_prior(model: FitModel, theta: Any, number: int) -> lx.Imaging:
    """The same with a source that is drawn from the prior of a model, negative light and all, with the model's rays."""
    image = ring(theta, number)
    observation = Posterior(model, image).observation
    parts = model({**theta, **{name: jnp.asarray(TYPICAL[name]) for name in model.regularization_names}})
    mesh, taps, _ = observe_rays(observation, parts.source.mesh, parts.lens)
    precision = np.asarray(parts.source.regularization.precision(mesh).matrix)
    random = np.random.default_rng(number)
    coefficients = np.linalg.solve(np.linalg.cholesky(precision).T, random.normal(size=len(precision)))
    frame = observation.frame
    lensed = np.asarray(frame.place(frame.inner(observation.blurred(taps.evaluate(jnp.asarray(coefficients))))))
    data = lensed + np.asarray(image.noise_map) * random.normal(size=lensed.shape)
    return eqx.tree_at(lambda imaging: imaging.data, image, jnp.asarray(data))
