"""The shipped configurations are what they say."""

from pathlib import Path

import jax
import numpy as np
import pytest

from lensax.config import ConfigError, load
from lensax.halos import EqualRedshift

CONFIGS = Path(__file__).parents[2] / "configs"


def test_cdm_hst():
    configuration = load(CONFIGS / "cdm_hst.yaml")
    prior, recipe, simulator = configuration.build()
    instrument = simulator.instrument
    assert (instrument.shape, instrument.pixel_scale, instrument.grid.over_sample) == ((100, 100), 0.05, 4)
    assert instrument.psf.sampling == 4
    values = recipe.parameters.resolve(prior.sample(jax.random.key(0)))
    planes = recipe.planes(values)
    assert recipe.scheme == EqualRedshift(4, 4)
    assert (float(planes.lens_redshift), float(planes.source_redshift), planes.n_planes) == (0.5, 1.5, 9)
    assert float(values["subhalos.mean_number"]) == 20
    expected = np.asarray(recipe.population.expected(planes, values))
    assert expected.sum() - 20 == pytest.approx(1000, rel=0.03)
    assert [entry.profile.__name__ for entry in (*recipe.mass, *recipe.source)] == [
        "PowerLaw",
        "ExternalShear",
        "CoredSersic",
    ]
    ellipticity = np.hypot(values["lens.mass.PowerLaw.e1"], values["lens.mass.PowerLaw.e2"])
    axis_ratio = values["parameters.axis_ratio"]
    assert float(ellipticity) == pytest.approx(float((1 - axis_ratio) / (1 + axis_ratio)))


def test_hst_ring(shared):
    prior, recipe, simulator = load(CONFIGS / "hst_ring.yaml").build()
    instrument = simulator.instrument
    assert (instrument.shape, instrument.pixel_scale, instrument.psf.shape) == ((120, 120), 0.04, (41, 41))
    assert instrument.exposure_time.shape == (120, 120)
    assert float(np.mean(instrument.exposure_time)) == pytest.approx(2655, abs=1)
    values = recipe.parameters.resolve(prior.sample(jax.random.key(0)))
    assert values["lens.light.Sersic.center_x"] == values["lens.mass.PowerLaw.center_x"]
    shift = values["source.light.Gaussian_2.center_y"] - values["source.light.Sersic.center_y"]
    assert float(shift) == pytest.approx(float(values["parameters.knot_2_y"]))


def test_hst_ring_without_its_telescope(tmp_path):
    """The files are not part of the project: without them the error says which is missing, and where it is named."""
    (tmp_path / "hst_ring.yaml").write_text((CONFIGS / "hst_ring.yaml").read_text())
    with pytest.raises(ConfigError, match=r"instrument.psf.FITS.path: the file '\.\./.*psf.fits' does not exist"):
        load(tmp_path / "hst_ring.yaml")
