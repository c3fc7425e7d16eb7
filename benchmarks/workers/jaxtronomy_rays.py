"""Source positions by the bulk tracer of JAXtronomy, in the precision that the problem asks for."""

import json
import sys
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", json.loads(Path(sys.argv[1]).read_text())["dtype"] == "float64")

from astropy.cosmology import FlatLambdaCDM  # noqa: E402
from jaxtronomy.LensModel.lens_model_bulk import LensModelBulk  # noqa: E402
from measure import run  # noqa: E402


def start(problem):
    """One scan over all profiles; the conversion of the keyword lists into arrays is not timed."""
    names = problem["lens_model_list"]
    model = LensModelBulk(sorted(set(names)), multi_plane=True, cosmo=FlatLambdaCDM(**problem["cosmology"]))

    def prepare(kwargs_lens):
        return model.prepare_ray_shooting_kwargs(
            names, kwargs_lens, z_source=problem["source_redshift"], lens_redshift_list=problem["lens_redshift_list"]
        )

    return prepare, lambda x, y, prepared: jax.block_until_ready(model.ray_shooting(x, y, prepared))


run(start, "jaxtronomy")
