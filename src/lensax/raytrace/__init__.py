"""How light finds its way from the source to the observer."""

from lensax.raytrace.corrections import Corrections
from lensax.raytrace.direct import Direct
from lensax.raytrace.lattice import Lattice
from lensax.raytrace.maps import LensMaps, caustics, critical_curves, halo_convergence, lens_maps
from lensax.raytrace.planes import Planes
from lensax.raytrace.time_delay import arrival_time, fermat_potential, time_delay_distance
from lensax.raytrace.tracer import Diagnostics, RayTracer, Trace

__all__ = [
    "Corrections",
    "Diagnostics",
    "Direct",
    "Lattice",
    "LensMaps",
    "Planes",
    "RayTracer",
    "Trace",
    "arrival_time",
    "caustics",
    "critical_curves",
    "fermat_potential",
    "halo_convergence",
    "lens_maps",
    "time_delay_distance",
]
