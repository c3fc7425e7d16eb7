"""Makes tests/data/lenstronomy_rays.json: a lens model in lenstronomy's lists, rays, and where lenstronomy sends them.

python benchmarks/environments.py lenstronomy
.venv-peers/lenstronomy/bin/python tests/interop/make_lenstronomy_reference.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from astropy.cosmology import FlatLambdaCDM
from lenstronomy.LensModel.lens_model import LensModel

SOURCE_REDSHIFT = 1.5
COSMOLOGY = {"H0": 67.74, "Om0": 0.3075}
PLANES = (0.2, 0.5, 0.8, 1.2)


def lists() -> tuple[list[str], list[float], list[dict[str, float]]]:
    """A macro model of every kind at z = 0.5, halos of every kind on every plane, two mass sheets."""
    random = np.random.default_rng(20)
    macro = [
        ("EPL", 0.5, {"theta_E": 1.1, "gamma": 2.1, "e1": 0.07, "e2": -0.05, "center_x": 0.02, "center_y": -0.01}),
        ("SIE", 0.5, {"theta_E": 0.1, "e1": -0.2, "e2": 0.1, "center_x": 1.7, "center_y": 1.3}),
        ("SIS", 0.5, {"theta_E": 0.05, "center_x": -1.9, "center_y": 0.2}),
        ("SHEAR", 0.5, {"gamma1": 0.03, "gamma2": -0.02}),
        ("SHEAR_GAMMA_PSI", 0.5, {"gamma_ext": 0.02, "psi_ext": 0.4}),
        ("POINT_MASS", 0.5, {"theta_E": 0.04, "center_x": 0.3, "center_y": 1.9}),
        ("CONVERGENCE", 0.5, {"kappa": -0.01}),
        ("CONVERGENCE", 1.2, {"kappa": -0.004}),
    ]
    halos = []
    for z in PLANES:
        for name, more in (("TNFW", "r_trunc"), ("NFW", None), ("CNFW", "r_core"), ("TNFW", "r_trunc")):
            scale = float(random.uniform(0.03, 0.3))
            x, y = random.uniform(-2, 2, 2)
            k = {"Rs": scale, "alpha_Rs": float(random.uniform(5e-4, 4e-3)), "center_x": float(x), "center_y": float(y)}
            if more:
                k[more] = scale * float(random.uniform(2, 20) if more == "r_trunc" else random.uniform(0.1, 0.9))
            halos.append((name, z, k))
    names, redshifts, kwargs = zip(*macro, *halos)
    return list(names), list(redshifts), list(kwargs)


def main() -> None:
    """Writes the table."""
    names, redshifts, kwargs = lists()
    line = np.linspace(-2.05, 2.15, 9)
    x, y = (grid.ravel() for grid in np.meshgrid(line, line))
    model = LensModel(
        names,
        lens_redshift_list=redshifts,
        z_source=SOURCE_REDSHIFT,
        multi_plane=True,
        cosmo=FlatLambdaCDM(**COSMOLOGY),
    )
    beta_x, beta_y = model.ray_shooting(x, y, kwargs)
    table = {
        "made_with": f"lenstronomy {version('lenstronomy')}",
        "cosmology": COSMOLOGY,
        "source_redshift": SOURCE_REDSHIFT,
        "lens_model_list": names,
        "lens_redshift_list": redshifts,
        "kwargs_lens": kwargs,
        "x": x.tolist(),
        "y": y.tolist(),
        "beta_x": beta_x.tolist(),
        "beta_y": beta_y.tolist(),
    }
    path = Path(__file__).resolve().parents[1] / "data" / "lenstronomy_rays.json"
    path.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
