"""Strong gravitational lensing with dark-matter substructure: simulation and inference in JAX.

>>> import lensax as lx

    mass, light                what bends light, and what shines
    cosmology, halos           distances, and the halos of a universe
    raytrace                   planes and ray tracers
    Scene                      one universe to look at
    Grid, Instrument, psf      the telescope;  Imaging, Mask: a real image
    Simulator                  Scene, key -> image
    Prior, ForwardModel        theta, key -> image
    inversion                  image -> source, and the evidence of a lens
    fit                        image -> posterior of lens, light and source
    Campaign                   the reader of a store of images
"""

from typing import Any

from lensax import cosmology, fit, halos, inversion, light, mass, raytrace
from lensax.instrument import AdaptiveOverSample, Grid, Imaging, Instrument, Mask, psf
from lensax.parameters import Prior
from lensax.scene import Scene
from lensax.simulate import ForwardModel, Observation, Simulator

__version__ = "0.1.0"

__all__ = [
    "AdaptiveOverSample",
    "Campaign",
    "ForwardModel",
    "Grid",
    "Imaging",
    "Instrument",
    "Mask",
    "Observation",
    "Prior",
    "Scene",
    "Simulator",
    "cosmology",
    "fit",
    "halos",
    "inversion",
    "light",
    "mass",
    "psf",
    "raytrace",
]


def __getattr__(name: str) -> Any:
    # The reader of a store needs zarr, which simulating does not: it is loaded when it is asked for.
    if name == "Campaign":
        from lensax.campaign import Campaign

        return Campaign
    raise AttributeError(f"module 'lensax' has no attribute {name!r}")
