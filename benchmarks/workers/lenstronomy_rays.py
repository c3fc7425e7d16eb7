"""Source positions by lenstronomy."""

from astropy.cosmology import FlatLambdaCDM
from lenstronomy.LensModel.lens_model import LensModel
from measure import run


def start(problem):
    """The multi-plane tracer of lenstronomy; distances are computed once, as its users do."""
    model = LensModel(
        problem["lens_model_list"],
        lens_redshift_list=problem["lens_redshift_list"],
        z_source=problem["source_redshift"],
        multi_plane=True,
        cosmo=FlatLambdaCDM(**problem["cosmology"]),
    )

    def trace(x, y, kwargs_lens):
        beta_x, beta_y = model.ray_shooting(x.ravel(), y.ravel(), kwargs_lens)
        return beta_x.reshape(x.shape), beta_y.reshape(y.shape)

    return (lambda kwargs_lens: kwargs_lens), trace


run(start, "lenstronomy")
