"""One profile of PyAutoLens at a time, and its cosmology, in lensax's terms."""

import math
from typing import Any

import numpy as np

from lensax.cosmology import FlatLambdaCDM
from lensax.light import CoredSersic, Gaussian, LightProfile, Sersic
from lensax.mass import ExternalShear, MassProfile, PointMass, PowerLaw

__all__ = [
    "HALO_COLUMNS",
    "autolens_module",
    "flat_cosmology",
    "halo_columns",
    "light_profile",
    "macro_profile",
    "sheet_convergence",
]

HALO_COLUMNS = ("kappa_s", "scale_radius", "truncation_radius", "core_radius", "center_x", "center_y")


def autolens_module() -> Any:
    """PyAutoLens, imported where it is needed.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import autolens
    except ImportError as error:
        raise ImportError("PyAutoLens is not installed; lensax[autolens] brings it on Python 3.12 or newer") from error
    return autolens


def halo_columns(profile: Any) -> tuple[float, ...] | None:
    """The columns of a halo, None where the profile is not one.

    Classes that are made from a mass and a concentration hold the same numbers as the halos that they are.
    """
    al = autolens_module()
    if isinstance(profile, al.mp.NFWTruncatedSph):
        cut, core = profile.truncation_radius, 0.0
    elif isinstance(profile, al.mp.cNFWSph):
        cut, core = math.inf, profile.core_radius
    elif isinstance(profile, al.mp.NFWSph):
        cut, core = math.inf, 0.0
    else:
        return None
    y, x = profile.centre
    return tuple(map(float, (profile.kappa_s, profile.scale_radius, cut, core, x, y)))


def sheet_convergence(profile: Any) -> float | None:
    """The convergence of a mass sheet, None where the profile is not one.

    Raises:
        ValueError: a sheet that is not centred on 0, or whose convergence is not finite.
    """
    if type(profile) is not autolens_module().mp.MassSheet:
        return None
    y, x = profile.centre
    if x or y:
        raise ValueError(f"centre = ({y:g}, {x:g}), but lensax centres mass sheets on 0")
    kappa = float(profile.kappa)
    if not math.isfinite(kappa):
        raise ValueError(f"kappa = {kappa:g}, expected a finite number")
    return kappa


def macro_profile(profile: Any) -> MassProfile:
    """A mass of the lens galaxy.

    Raises:
        ValueError: a class without counterpart, or a number outside its range.
    """
    al = autolens_module()
    kind, (y, x) = type(profile), profile.centre
    if kind in (al.mp.PowerLaw, al.mp.PowerLawSph, al.mp.Isothermal, al.mp.IsothermalSph):
        (e2, e1), slope = profile.ell_comps, profile.slope
        if not 1 < slope < 3:
            raise ValueError(f"slope = {slope:g}, expected between 1 and 3 (both excluded)")
        q = _axis_ratio(e1, e2)
        einstein_radius = math.sqrt(q) * (2 / (1 + q)) ** (1 / (slope - 1)) * profile.einstein_radius
        return PowerLaw(einstein_radius, slope, e1, e2, x, y)
    if kind is al.mp.ExternalShear:
        return ExternalShear(profile.gamma_1, profile.gamma_2)
    if kind is al.mp.PointMass:
        return PointMass(profile.einstein_radius, x, y)
    raise ValueError("no counterpart in lensax")


def light_profile(profile: Any, pixel_scale: float | None) -> LightProfile | None:
    """The light, None where the profile is a mass.

    Args:
        profile: of PyAutoLens, which measures brightness per pixel.
        pixel_scale: arcsec.

    Raises:
        ValueError: no pixel scale, a class without counterpart, or a number outside its range.
    """
    al = autolens_module()
    if not isinstance(profile, al.LightProfile):
        return None
    if isinstance(profile, al.mp.MassProfile):
        raise ValueError("light and mass at once, no counterpart in lensax")
    if pixel_scale is None:
        raise ValueError("pixel_scale is needed to convert its brightness per pixel")
    y, x = profile.centre
    e2, e1 = profile.ell_comps
    intensity = profile.intensity / pixel_scale**2
    kind = type(profile)
    if kind in (al.lp.SersicCore, al.lp.SersicCoreSph):
        return CoredSersic(
            intensity=intensity,
            effective_radius=profile.effective_radius,
            sersic_index=profile.sersic_index,
            e1=e1,
            e2=e2,
            center_x=x,
            center_y=y,
            break_radius=profile.radius_break,
            inner_slope=profile.gamma,
            sharpness=profile.alpha,
        )
    if kind in (
        al.lp.Sersic,
        al.lp.SersicSph,
        al.lp.Exponential,
        al.lp.ExponentialSph,
        al.lp.DevVaucouleurs,
        al.lp.DevVaucouleursSph,
    ):
        return Sersic(intensity, profile.effective_radius, profile.sersic_index, e1, e2, x, y)
    if kind in (al.lp.Gaussian, al.lp.GaussianSph):
        return Gaussian(intensity, profile.sigma / math.sqrt(_axis_ratio(e1, e2)), e1, e2, x, y)
    raise ValueError("no counterpart in lensax")


def _axis_ratio(e1: float, e2: float) -> float:
    e = math.hypot(e1, e2)
    if not e < 1:
        raise ValueError(f"ell_comps = ({e2:g}, {e1:g}), expected a length below 1")
    return (1 - e) / (1 + e)


def flat_cosmology(cosmology: Any) -> FlatLambdaCDM:
    """The same universe.

    Raises:
        TypeError: a cosmology that is no `FlatLambdaCDM` of PyAutoLens.
    """
    if not isinstance(cosmology, autolens_module().cosmo.FlatLambdaCDM):
        raise TypeError(f"cosmology: expected a FlatLambdaCDM of PyAutoLens, found {type(cosmology).__name__}")
    return FlatLambdaCDM(
        H0=cosmology.H0, Om0=cosmology.Om0, Tcmb0=cosmology.Tcmb0, Neff=cosmology.Neff, m_nu=np.asarray(cosmology.m_nu)
    )
