"""Source positions by paltax: line-of-sight halos one by one, the halos of the lens plane as a group.

Distances come from the table that paltax interpolates, so its positions differ by the table's error. Only its ray
tracing is loaded; the training half of the package would need TensorFlow.
"""

import importlib.util
import sys
import types
from pathlib import Path

specification = importlib.util.find_spec("paltax")
package = types.ModuleType("paltax")
package.__path__ = [str(Path(specification.origin).parent)]
sys.modules["paltax"] = package

import jax  # noqa: E402
import numpy as np  # noqa: E402
from measure import run  # noqa: E402
from paltax import cosmology_utils, image_simulation, lens_models  # noqa: E402

HALO = {"scale_radius": "Rs", "alpha_rs": "alpha_Rs", "trunc_radius": "r_trunc"}
EPL = {"theta_e": "theta_E", "slope": "gamma", "ellip_x": "e1", "ellip_xy": "e2"}
SHEAR = {"gamma_one": "gamma1", "gamma_two": "gamma2"}
CENTER = {"center_x": "center_x", "center_y": "center_y"}
MACRO = (lens_models.EPLEllip, lens_models.ShearCart)
REDSHIFT_STEP = 0.1  # the planes of the benchmark lie on the table's nodes


def columns(names, kwargs_lens, keys, models):
    """Keyword lists as arrays; a missing number is 0, an empty list is one profile that deflects nothing."""
    if not kwargs_lens:
        return {**{key: np.ones(1, np.float32) for key in keys}, "model_index": np.array([-1])}
    arrays = {key: np.array([k.get(theirs, 0.0) for k in kwargs_lens], np.float32) for key, theirs in keys.items()}
    return {**arrays, "model_index": np.array([models.index(name) for name in names])}


def start(problem):
    """The jitted ray tracing of paltax with its four groups of profiles."""
    names, redshifts = problem["lens_model_list"], np.array(problem["lens_redshift_list"])
    z_lens = redshifts[names.index("EPL")]
    numbers = problem["cosmology"]
    cosmology = cosmology_utils.add_lookup_tables_to_cosmology_params(
        {
            "omega_m_zero": numbers["Om0"],
            "omega_b_zero": 0.05,
            "omega_de_zero": 1 - numbers["Om0"],
            "omega_rad_zero": 0.0,
            "temp_cmb_zero": 2.7,
            "hubble_constant": numbers["H0"],
            "n_s": 0.97,
            "sigma_eight": 0.8,
        },
        z_lookup_max=problem["source_redshift"] + REDSHIFT_STEP,
        dz=REDSHIFT_STEP,
        r_min=1e-4,
        r_max=1e3,
        n_r_bins=2,
    )
    models = {
        "all_los_models": (lens_models.TNFW,),
        "all_subhalo_models": (lens_models.TNFW,),
        "all_main_deflector_models": MACRO,
    }
    order = np.argsort(redshifts, kind="stable")
    halos = [i for i in order if names[i] == "TNFW"]
    groups = {
        "los_before": [i for i in halos if redshifts[i] < z_lens],
        "subhalos": [i for i in halos if redshifts[i] == z_lens],
        "los_after": [i for i in halos if redshifts[i] > z_lens],
        "main_deflector": [i for i in order if names[i] in ("EPL", "SHEAR")],
    }

    def prepare(kwargs_lens):
        lenses = {}
        for group, rows in groups.items():
            is_macro = group == "main_deflector"
            keys = {**EPL, **SHEAR, **CENTER, "zero_x": "ra_0", "zero_y": "dec_0"} if is_macro else {**HALO, **CENTER}
            chosen = [kwargs_lens[i] for i in rows]
            kinds = ["EPL", "SHEAR"] if is_macro else ["TNFW"]
            lenses[f"kwargs_{group}"] = columns([names[i] for i in rows], chosen, keys, kinds)
            lenses[f"z_array_{group}"] = redshifts[rows].astype(np.float32) if rows else np.full(1, z_lens, np.float32)
        return lenses

    @jax.jit
    def shoot(x, y, lenses):
        far = image_simulation._ray_shooting(x, y, lenses, cosmology, problem["source_redshift"], models)
        return cosmology_utils.comoving_to_angle(*far, cosmology, problem["source_redshift"])

    def trace(x, y, lenses):
        return jax.block_until_ready(shoot(x.astype(np.float32), y.astype(np.float32), lenses))

    return prepare, trace


run(start, "paltax")
