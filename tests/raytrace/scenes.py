"""Scenes that the ray tracers are tested on."""

import jax.numpy as jnp
import numpy as np

from lensax.cosmology import FlatLambdaCDM
from lensax.halos import HaloCatalogue
from lensax.light import Sersic
from lensax.mass import ExternalShear, Halo, PowerLaw
from lensax.raytrace import Planes
from lensax.scene import Scene

COSMOLOGY = FlatLambdaCDM(67.74, 0.3075)
REDSHIFTS = (0.2, 0.35, 0.5, 0.8, 1.1)


def halo_table(counts, seed=0, half_width=2.5):
    """Random truncated, cored and untruncated halos, `counts` of them on each plane of REDSHIFTS."""
    rng = np.random.default_rng(seed)
    redshift = np.repeat(REDSHIFTS[: len(counts)], counts)
    n = len(redshift)
    radius = 10 ** rng.uniform(-1.7, -0.5, n)
    return {
        "redshift": redshift,
        "center_x": rng.uniform(-half_width, half_width, n),
        "center_y": rng.uniform(-half_width, half_width, n),
        "kappa_s": 10 ** rng.uniform(-3, -1.5, n),
        "scale_radius": radius,
        "truncation_radius": np.where(rng.random(n) < 0.2, np.inf, radius * 10 ** rng.uniform(-0.3, 1.3, n)),
        "core_radius": np.where(rng.random(n) < 0.4, 0.0, radius * 10 ** rng.uniform(-2, 0, n)),
    }


def lens_scene(counts=(3, 0, 7, 4, 1), seed=0, slots=None, sheets=None):
    """A power law with shear at z = 0.5, halos on five planes, a source at z = 1.5."""
    planes = Planes(REDSHIFTS, 0.5, 1.5, COSMOLOGY)
    catalogue = HaloCatalogue.from_table(halo_table(counts, seed), planes, slots=slots, sheets=sheets)
    return Scene(
        planes=planes,
        macro=(PowerLaw(1.2, 2.05, 0.08, -0.05, 0.01, 0.02), ExternalShear(0.03, -0.02)),
        halos=catalogue,
        source=(Sersic(20.0, 0.15, 1.2, 0.1, 0.05, 0.03, -0.04),),
        lens_light=(Sersic(5.0, 0.4, 2.0, 0.05, 0.0, 0.0, 0.0),),
    )


def brute_force(scene, x, y):
    """Source positions by the textbook sum over all earlier planes, halo by halo (float64, slow)."""
    planes, halos = scene.planes, scene.halos
    chi = np.append(np.asarray(planes.distances), 1.0)
    alphas_x, alphas_y = [], []
    for j in range(planes.n_planes + 1):
        # beta_ij = D_ij D_s / (D_j D_is), of comoving distances in a flat universe
        beta = [(chi[j] - chi[i]) / (chi[j] * (1 - chi[i])) for i in range(j)]
        at_x = x - sum((b * a for b, a in zip(beta, alphas_x)), jnp.zeros_like(x))
        at_y = y - sum((b * a for b, a in zip(beta, alphas_y)), jnp.zeros_like(y))
        if j == planes.n_planes:
            return at_x, at_y
        total_x, total_y = halos.sheets[j] * at_x, halos.sheets[j] * at_y
        profiles = [
            Halo(*(getattr(halos.halos, name)[j, k] for name in Halo.__dataclass_fields__))
            for k in range(halos.n_slots)
            if halos.halos.kappa_s[j, k] != 0
        ]
        for profile in [*profiles, *(scene.macro if j == planes.lens_index else ())]:
            a_x, a_y = profile.deflection(at_x, at_y)
            total_x, total_y = total_x + a_x, total_y + a_y
        alphas_x.append(total_x)
        alphas_y.append(total_y)
