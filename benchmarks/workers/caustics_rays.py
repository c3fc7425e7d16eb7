"""Source positions by caustics (PyTorch, CPU), the halos of a plane as one batched lens."""

import json
import sys
from collections import defaultdict
from math import atan2, hypot, log, pi
from pathlib import Path

import torch

DTYPE = getattr(torch, json.loads(Path(sys.argv[1]).read_text())["dtype"])
torch.set_default_dtype(DTYPE)

import caustics  # noqa: E402
from caustics.constants import arcsec_to_rad  # noqa: E402
from measure import run  # noqa: E402

CHUNK = 16  # halos at a time, keeps the memory bounded
LN2_TERM = 4 * (1 - log(2))  # deflection of an NFW at its scale radius over kappa_s r_s


def mass_factor(tau):
    """Total mass of a truncated NFW over 4 pi rho_s r_s^3 (Baltz, Marshall & Oguri 2009)."""
    return (tau / (tau * tau + 1)) ** 2 * ((tau * tau - 1) * torch.log(tau) + pi * tau - tau * tau - 1)


def start(problem):
    """A caustics `Multiplane` whose planes hold the halos in batches; the lens plane holds the macro model as well."""
    numbers = problem["cosmology"]
    cosmology = caustics.FlatLambdaCDM(h0=numbers["H0"] / 100, Om0=numbers["Om0"])
    z_source = torch.tensor(problem["source_redshift"])
    rows = defaultdict(list)
    for row, (name, z) in enumerate(zip(problem["lens_model_list"], problem["lens_redshift_list"])):
        rows[z, name].append(row)

    def batch(z, kwargs):
        z_l = torch.tensor(z)
        column = {key: torch.tensor([k[key] for k in kwargs]) for key in kwargs[0]}
        scale = cosmology.critical_surface_density(z_l, z_source)
        scale = scale * (cosmology.angular_diameter_distance(z_l) * arcsec_to_rad) ** 2  # Msun / arcsec^2
        tau = column["r_trunc"] / column["Rs"]
        strength = column["alpha_Rs"] * column["Rs"] / LN2_TERM  # kappa_s r_s^2
        lens = caustics.TNFW(
            cosmology,
            x0=column["center_x"],
            y0=column["center_y"],
            mass=4 * pi * strength * mass_factor(tau) * scale,
            Rs=column["Rs"],
            tau=tau,
        )
        lens.to_dynamic()
        return caustics.BatchedPlane(cosmology, lens, z_l=z, chunk_size=CHUNK, name=f"halos_{round(1e6 * z)}")

    def single(z, name, kwargs):
        if name == "SHEAR":
            return caustics.ExternalShear(
                cosmology, z_l=z, x0=0.0, y0=0.0, gamma_1=kwargs["gamma1"], gamma_2=kwargs["gamma2"]
            )
        if name == "EPL":
            e = hypot(kwargs["e1"], kwargs["e2"])
            return caustics.EPL(
                cosmology,
                z_l=z,
                x0=kwargs["center_x"],
                y0=kwargs["center_y"],
                q=(1 - e) / (1 + e),
                phi=atan2(kwargs["e2"], kwargs["e1"]) / 2,
                Rein=kwargs["theta_E"],
                t=kwargs["gamma"] - 1,
            )
        raise ValueError(f"{name}: caustics is given EPL, SHEAR and TNFW")

    def prepare(kwargs_lens):
        planes = defaultdict(list)
        for (z, name), members in rows.items():
            kwargs = [kwargs_lens[row] for row in members]
            if name == "TNFW":
                planes[z].append(batch(z, kwargs))
            else:
                planes[z].extend(single(z, name, k) for k in kwargs)
        lenses = [
            lenses[0]
            if len(lenses) == 1
            else caustics.SinglePlane(cosmology, lenses, z_l=z, name=f"plane_{round(1e6 * z)}")
            for z, lenses in sorted(planes.items())
        ]
        model = caustics.Multiplane(cosmology, lenses, z_s=problem["source_redshift"])
        model.to(dtype=DTYPE)
        return model, model.get_values("list")

    def trace(x, y, prepared):
        model, halos = prepared
        with torch.no_grad():
            beta_x, beta_y = model.raytrace(torch.as_tensor(x, dtype=DTYPE), torch.as_tensor(y, dtype=DTYPE), halos)
        return beta_x.numpy(), beta_y.numpy()

    return prepare, trace


run(start, "caustics")
