"""Source positions by PyAutoLens (its NumPy path, float64).

It keeps deflections it has computed before; the halos move between repeats, so its memory never answers.
"""

from collections import defaultdict
from math import log, sqrt

import autolens as al
import numpy as np
from measure import run

LN2_TERM = 4 * (1 - log(2))  # deflection of an NFW at its scale radius over kappa_s r_s


def profile(name, kwargs):
    """One mass profile; coordinates and ellipticities are ordered (y, x)."""
    if name == "TNFW":
        return al.mp.NFWTruncatedSph(
            centre=(kwargs["center_y"], kwargs["center_x"]),
            kappa_s=kwargs["alpha_Rs"] / (LN2_TERM * kwargs["Rs"]),
            scale_radius=kwargs["Rs"],
            truncation_radius=kwargs["r_trunc"],
        )
    if name == "SHEAR":
        return al.mp.ExternalShear(gamma_1=kwargs["gamma1"], gamma_2=kwargs["gamma2"])
    if name == "EPL":
        e = sqrt(kwargs["e1"] ** 2 + kwargs["e2"] ** 2)
        q = (1 - e) / (1 + e)
        return al.mp.PowerLaw(
            centre=(kwargs["center_y"], kwargs["center_x"]),
            ell_comps=(kwargs["e2"], kwargs["e1"]),
            einstein_radius=kwargs["theta_E"] / (sqrt(q) * (2 / (1 + q)) ** (1 / (kwargs["gamma"] - 1))),
            slope=kwargs["gamma"],
        )
    raise ValueError(f"{name}: PyAutoLens is given EPL, SHEAR and TNFW")


def start(problem):
    """A `Tracer` with one galaxy per plane; making it is not timed."""
    names, redshifts = problem["lens_model_list"], problem["lens_redshift_list"]
    cosmology = al.cosmo.FlatLambdaCDM(**problem["cosmology"])

    def prepare(kwargs_lens):
        planes = defaultdict(dict)
        for row, (name, z, kwargs) in enumerate(zip(names, redshifts, kwargs_lens)):
            planes[z][f"mass_{row}"] = profile(name, kwargs)
        galaxies = [al.Galaxy(redshift=z, **profiles) for z, profiles in sorted(planes.items())]
        source = al.Galaxy(redshift=problem["source_redshift"], light=al.lp.SersicSph())
        return al.Tracer(galaxies=[*galaxies, source], cosmology=cosmology)

    def trace(x, y, tracer):
        grid = al.Grid2DIrregular(np.stack([y.ravel(), x.ravel()], axis=-1))
        traced = np.asarray(tracer.traced_grid_2d_list_from(grid=grid)[-1].array)
        return traced[:, 1].reshape(x.shape), traced[:, 0].reshape(y.shape)

    return prepare, trace


run(start, "autolens")
