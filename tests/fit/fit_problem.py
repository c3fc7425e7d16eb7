"""One small ring for the tests of fits, and models of it; what takes long to compile is made once."""

import functools

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

import lensax as lx
from lensax.fit import FitModel, Posterior
from lensax.inversion import AdaptiveMesh, Constant, ParametricSource, Pixelization
from lensax.parameters import Constant as Fixed
from lensax.parameters import Expression, Free, Parameters
from lensax.recipe import Ingredient

TRUTH = {"radius": 1.0, "slope": 2.0, "e1": 0.1, "light": 0.05}
SCALE = 0.12
LIGHT = (Ingredient(lx.light.GaussianBasis, {"e1": "light"}, {"sigmas": (0.15, 0.4)}),)


@functools.cache
def image(seed: int = 2) -> lx.Imaging:
    """A ring of 28 x 28 pixels with the light of its lens."""
    psf = lx.psf.Gaussian(0.2, size=5)
    instrument = lx.Instrument((28, 28), SCALE, psf, 2000.0, sky_level=0.2, over_sample=2)
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    lens = (lx.mass.PowerLaw(TRUTH["radius"], TRUTH["slope"], TRUTH["e1"], 0.0), lx.mass.ExternalShear(0.02, 0.0))
    source = (lx.light.Gaussian(6.0, 0.15, 0.1, 0.0, 0.05, 0.02),)
    scene = lx.Scene(planes, lens, None, source, (lx.light.Gaussian(3.0, 0.3, TRUTH["light"], 0.0),))
    simulator = lx.Simulator(instrument)
    noiseless = simulator.noiseless(scene)
    made = simulator(scene, jax.random.key(seed))
    rms = instrument.noise_map(jnp.zeros_like(made)).mean()
    noise = instrument.noise_map(noiseless)
    return lx.Imaging(made, noise, psf, SCALE, lx.Mask.annulus(0.35, 1.6), 2000.0, rms)


def parameters(**more) -> Parameters:
    """Those of the lens, and more."""
    entries = {
        "radius": Free("radius", dist.Uniform(0.6, 1.4)),
        "slope": Free("slope", dist.TruncatedNormal(2.0, 0.1, low=1.5, high=2.5)),
        "e1": Free("e1", dist.Normal(0.0, 0.1)),
        "light": Free("light", dist.Normal(0.0, 0.1)),
        "shear": Fixed(jnp.asarray(0.02)),
        "minus": Expression("0 * e1"),
    }
    return Parameters({**entries, **more})


MASS = (
    Ingredient(lx.mass.PowerLaw, {"einstein_radius": "radius", "slope": "slope", "e1": "e1", "e2": "minus"}),
    Ingredient(lx.mass.ExternalShear, {"gamma_1": "shear", "gamma_2": "minus"}),
)


def pixelized() -> FitModel:
    """Free pixels, 7 x 7."""
    regularization = Ingredient(Constant, {"strength": "strength"})
    source = Ingredient(
        Pixelization, {}, {"over_sample": 1}, {"mesh": AdaptiveMesh((7, 7)), "regularization": regularization}
    )
    return FitModel(parameters(strength=Free("strength", dist.LogNormal(-2.0, 2.0))), MASS, source, LIGHT)


def parametric() -> FitModel:
    """A Gaussian with a linear amplitude."""
    gaussian = Ingredient(
        lx.light.Gaussian, {"sigma": "width", "center_x": "x", "center_y": "y", "intensity": "one", "e1": "minus"}
    )
    source = Ingredient(ParametricSource, {}, {"over_sample": 2}, {"components": gaussian})
    more = {
        "width": Free("width", dist.LogNormal(-2.0, 0.5)),
        "x": Free("x", dist.Normal(0.0, 0.2)),
        "y": Free("y", dist.Normal(0.0, 0.2)),
        "one": Fixed(jnp.asarray(1.0)),
    }
    return FitModel(parameters(**more), MASS, source, LIGHT)


START = {"radius": 0.97, "slope": 2.03, "e1": 0.06, "light": 0.0, "strength": 0.1, "width": 0.2, "x": 0.0, "y": 0.0}


def start(posterior: Posterior) -> dict[str, jax.Array]:
    """Near the truth, but not at it."""
    return {name: jnp.asarray(START[name]) for name in posterior.names}


@functools.cache
def posterior(kind: str) -> Posterior:
    """Of the pixelized or of the parametric model."""
    return Posterior({"pixelized": pixelized, "parametric": parametric}[kind](), image())
