"""The names that people type: they exist, take the documented parameters, and explain themselves."""

import inspect
from types import ModuleType
from typing import Any

import pytest

import lensax as lx

# name: leading parameters of its signature, as the documentation shows them
NAMES = {
    "mass.MassProfile": None,
    "mass.PowerLaw": "einstein_radius slope e1 e2 center_x center_y",
    "mass.ExternalShear": "gamma_1 gamma_2",
    "mass.MassSheet": "kappa",
    "mass.PointMass": "einstein_radius center_x center_y",
    "mass.Halo": "kappa_s scale_radius truncation_radius core_radius center_x center_y",
    "mass.Halo.from_mass": (
        "mass concentration redshift source_redshift cosmology truncation_radius core_fraction center_x center_y"
    ),
    "light.LightProfile": None,
    "light.Sersic": "intensity effective_radius sersic_index e1 e2 center_x center_y",
    "light.CoredSersic": (
        "intensity effective_radius sersic_index e1 e2 center_x center_y break_radius inner_slope sharpness"
    ),
    "light.Gaussian": "intensity sigma e1 e2 center_x center_y",
    "cosmology.Planck15": None,
    "cosmology.Planck18": None,
    "cosmology.FlatLambdaCDM": "H0 Om0 Tcmb0 Neff m_nu",
    "raytrace.Planes": "redshifts lens_redshift source_redshift cosmology",
    "raytrace.RayTracer": None,
    "raytrace.Direct": "",
    "raytrace.Direct.trace": "scene grid",
    "raytrace.Direct.trace_at": "scene x y",
    "raytrace.Trace": None,
    "raytrace.Diagnostics": None,
    "halos.HaloCatalogue": "halos sheets overflow",
    "halos.HaloCatalogue.from_table": "table planes slots sheets",
    "halos.HaloCatalogue.to_table": "planes",
    "Scene": "planes macro halos source lens_light",
    "Grid": "shape pixel_scale over_sample",
    "instrument.Grid": "shape pixel_scale over_sample",
    "Instrument": "shape pixel_scale psf exposure_time sky_level over_sample read_noise",
    "psf.Gaussian": "fwhm",
    "psf.Moffat": "fwhm beta",
    "psf.Kernel": "array sampling",
    "psf.from_fits": "path sampling",
    "Simulator": "instrument tracer",
    "Simulator.noiseless": "scene diagnostics",
    "Simulator.batch": "scenes keys",
    "Simulator.diagnose": "scene",
    "ForwardModel": "prior recipe simulator",
    "ForwardModel.from_yaml": "path",
    "ForwardModel.noiseless": "theta key",
    "ForwardModel.batch": "theta keys",
    "ForwardModel.scene": "theta key",
    "ForwardModel.stream": "key batch_size",
    "Imaging.from_fits": "data noise_map psf pixel_scale",
    "Imaging.with_mask": "mask",
    "Mask.annulus": None,
    "Mask.circular": None,
    "Mask.from_fits": None,
    "Mask.threshold": "data noise_map level smoothing grow smallest",
    "Campaign": "path",
    "Campaign.split": "train validation test",
    "Campaign.jax_batches": "key batch_size",
    "Campaign.torch": "",
    "Campaign.to_hdf5": "path",
    "Campaign.to_fits": "rows",
    "light.GaussianBasis": "sigmas e1 e2 center_x center_y",
    "inversion.AdaptiveMesh": "shape",
    "inversion.UniformMesh": "shape extent",
    "inversion.Constant": "strength",
    "inversion.Pixelization": "mesh regularization",
    "inversion.Pixelization.log_evidence": "dataset lens light",
    "inversion.Pixelization.fit": "dataset lens light",
    "inversion.Reconstruction.source_image": "shape extent",
}


def reach(name: str) -> Any:
    found: Any = lx
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(("name", "parameters"), NAMES.items(), ids=NAMES.keys())
def test_documented_name(name: str, parameters: str | None) -> None:
    found = reach(name)
    if parameters is not None:
        expected = parameters.split()
        actual = [p for p in inspect.signature(found).parameters if p != "self"]
        assert actual[: len(expected)] == expected


def public_modules() -> list[ModuleType]:
    modules = [getattr(lx, name) for name in lx.__all__ if isinstance(getattr(lx, name), ModuleType)]
    return [lx, *(module for module in modules if module.__name__.startswith("lensax."))]


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_all_is_true(module: ModuleType) -> None:
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def undocumented(value: Any, name: str) -> list[str]:
    """Names at and below a public object that have no docstring of their own or of the method they implement."""
    if not (inspect.isclass(value) or inspect.isroutine(value)) or not value.__module__.startswith("lensax"):
        return []
    missing = [] if value.__doc__ else [name]
    if inspect.isclass(value):
        missing += [] if "__doc__" in vars(value) and value.__doc__ else [name]
        for key, member in inspect.getmembers(value):
            own = inspect.isroutine(member) or isinstance(inspect.getattr_static(value, key), property)
            if own and not key.startswith("_") and defined_in_lensax(value, key) and not inspect.getdoc(member):
                missing.append(f"{name}.{key}")
    return missing


def defined_in_lensax(kind: type, key: str) -> bool:
    return any(key in vars(base) and base.__module__.startswith("lensax") for base in kind.__mro__)


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_public_names_have_docstrings(module: ModuleType) -> None:
    missing = [
        row for name in module.__all__ for row in undocumented(getattr(module, name), f"{module.__name__}.{name}")
    ]
    assert missing == []
