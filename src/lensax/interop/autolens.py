"""A PyAutoLens `Tracer` as a scene, and halo catalogues as galaxies of PyAutoLens."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lensax.cosmology import FlatLambdaCDM
from lensax.halos import HaloCatalogue
from lensax.halos.table import COLUMNS, RowLabels, plane_of
from lensax.light import CoredSersic, Gaussian, LightProfile, Sersic
from lensax.mass import ExternalShear, MassProfile, MassSheet, PointMass, PowerLaw
from lensax.raytrace import Planes
from lensax.scene import Scene

if TYPE_CHECKING:
    import autolens

__all__ = ["from_galaxies", "from_tracer", "to_galaxies"]


def from_tracer(
    tracer: "autolens.Tracer",
    *,
    pixel_scale: float | None = None,
    lens_redshift: float | None = None,
    slots: int | None = None,
) -> Scene:
    """A scene from a PyAutoLens `Tracer` and its cosmology.

    The galaxies at the largest redshift are the source. NFWSph, NFWTruncatedSph and cNFWSph, also those made from a
    mass and a concentration, become the halos with the numbers that they hold; PowerLaw, Isothermal, ExternalShear,
    MassSheet and PointMass the macro model; Sersic, SersicCore and Gaussian, with their spherical and special cases,
    the light. Coordinates (y, x) become (x, y); Einstein radii and brightnesses are converted.

    Args:
        tracer: galaxies with numbers, not a model with priors.
        pixel_scale: arcsec, needed where galaxies shine: PyAutoLens measures brightness per pixel.
        lens_redshift: plane of the macro model; by default that of the galaxies' macro profiles.
        slots: halos per plane that there is room for; by default what the tracer needs.

    Raises:
        ValueError: a profile that lensax does not have, or that stands where lensax has no place for it; the message
            names its galaxy's redshift, its name and its class.
        ImportError: PyAutoLens is not installed.
    """
    source_redshift = max(float(galaxy.redshift) for galaxy in tracer.galaxies)
    table: dict[str, list[float]] = {name: [] for name in ("redshift", *_HALO_COLUMNS)}
    macro: list[tuple[float, str, MassProfile]] = []
    sheets: list[tuple[float, float]] = []
    lights: list[tuple[float, str, LightProfile]] = []
    for z, name, profile in _profiles((*tracer.galaxies, *tracer.fields)):
        place = f"galaxy at redshift {z:g}: {name} ({type(profile).__name__})"
        light = _light(profile, pixel_scale, place)
        if light is not None:
            lights.append((z, place, light))
            continue
        if z >= source_redshift:
            raise ValueError(f"{place} deflects nothing at the source's redshift; lensax has no place for it")
        halo = _halo(profile)
        if halo is not None:
            for column, value in zip(table, (z, *halo)):
                table[column].append(float(value))
            continue
        deflector = _macro(profile, place)
        if isinstance(deflector, MassSheet):
            sheets.append((z, float(deflector.kappa)))
        else:
            macro.append((z, place, deflector))
    if lens_redshift is None:
        fronts = [z for z, _, _ in (*macro, *lights) if z < source_redshift]
        if not fronts:
            raise ValueError(
                "lens_redshift: needed where no galaxy in front of the source has a macro profile or light"
            )
        lens_redshift = fronts[0]
    for z, place, _ in macro:
        if abs(z - lens_redshift) > 1e-6:
            raise ValueError(f"{place}: the macro model of lensax has one plane, here at redshift {lens_redshift:g}")
    for z, place, _ in lights:
        if abs(z - lens_redshift) > 1e-6 and z < source_redshift:
            raise ValueError(f"{place}: light stands on the lens plane, here at {lens_redshift:g}, or is the source")
    redshifts = np.unique([lens_redshift, *table["redshift"], *(z for z, _ in sheets)])
    planes = Planes(redshifts, lens_redshift, source_redshift, _cosmology(tracer.cosmology))
    kappa = np.zeros(len(redshifts))
    for z, value in sheets:
        kappa[np.searchsorted(redshifts, z)] += value
    return Scene(
        planes,
        tuple(profile for _, _, profile in macro),
        HaloCatalogue.from_table({k: np.array(v) for k, v in table.items()}, planes, slots=slots, sheets=kappa),
        tuple(light for z, _, light in lights if z >= source_redshift),
        tuple(light for z, _, light in lights if z < source_redshift),
    )


def from_galaxies(galaxies: "Sequence[autolens.Galaxy]", planes: Planes, *, slots: int | None = None) -> HaloCatalogue:
    """A catalogue from galaxies that hold NFWSph, NFWTruncatedSph, cNFWSph halos and MassSheets, and nothing else.

    Args:
        galaxies: each at the redshift of one of the planes within 1e-6.
        planes: the lens planes; the halos' convergences are scaled to their source.
        slots: halos per plane that there is room for; by default what the galaxies need.

    Raises:
        ValueError: another profile, with its galaxy's redshift, its name and its class, or a redshift on no plane.
        ImportError: PyAutoLens is not installed.
    """
    table: dict[str, list[float]] = {name: [] for name in ("redshift", *_HALO_COLUMNS)}
    sheets = np.zeros(planes.n_planes)
    redshifts = np.asarray(planes.redshifts)
    for z, name, profile in _profiles(galaxies):
        place = f"galaxy at redshift {z:g}: {name} ({type(profile).__name__})"
        _append_halo(table, z, profile, place, sheets, redshifts)
    return HaloCatalogue.from_table({k: np.array(v) for k, v in table.items()}, planes, slots=slots, sheets=sheets)


def _append_halo(
    table: dict[str, list[float]], z: float, profile: Any, place: str, sheets: np.ndarray, redshifts: np.ndarray
) -> None:
    """Add a halo to the table, or a sheet to its plane."""
    halo = _halo(profile)
    if halo is not None:
        for column, value in zip(table, (z, *halo)):
            table[column].append(float(value))
        return
    deflector = None if isinstance(profile, _module().LightProfile) else _macro(profile, place)
    if not isinstance(deflector, MassSheet):
        raise ValueError(f"{place} has no place in a HaloCatalogue, which holds spherical NFW halos and mass sheets")
    sheets[plane_of(np.array([z]), redshifts, RowLabels())[0]] += float(deflector.kappa)


def to_galaxies(catalogue: HaloCatalogue, planes: Planes) -> "list[autolens.Galaxy]":
    """A catalogue as galaxies, one for each plane that holds something; `from_galaxies` restores it exactly.

    Halos become NFWTruncatedSph, NFWSph or cNFWSph called halo_0, halo_1, ... and the sheet a MassSheet.

    Args:
        catalogue: one catalogue, not a batch.
        planes: its planes.

    Raises:
        ValueError: planes of another number, a catalogue that has overflowed, a halo with a core and a truncation,
            which PyAutoLens does not have.
        ImportError: PyAutoLens is not installed.
    """
    al = _module()
    rows = catalogue.to_table(planes)
    halos: dict[float, list[Any]] = {}
    for row in range(len(rows)):
        z, x, y, kappa_s, scale, cut, core = (float(rows[name][row]) for name in COLUMNS)
        if core > 0 and math.isfinite(cut):
            raise ValueError(
                f"halo {row}: core_radius = {core:g} and truncation_radius = {cut:g}, "
                "but PyAutoLens has no truncated cored NFW"
            )
        if core > 0:
            halo = al.mp.cNFWSph((y, x), kappa_s, scale, core)
        elif math.isfinite(cut):
            halo = al.mp.NFWTruncatedSph((y, x), kappa_s, scale, cut)
        else:
            halo = al.mp.NFWSph((y, x), kappa_s, scale)
        halos.setdefault(z, []).append(halo)
    galaxies = []
    for z, kappa in zip(np.asarray(planes.redshifts, float), np.asarray(catalogue.sheets, float)):
        profiles = {f"halo_{index}": halo for index, halo in enumerate(halos.get(float(z), []))}
        if kappa != 0:
            profiles["sheet"] = al.mp.MassSheet(kappa=float(kappa))
        if profiles:
            galaxies.append(al.Galaxy(redshift=float(z), **profiles))
    return galaxies


def _module() -> Any:
    import autolens

    return autolens


_HALO_COLUMNS = ("kappa_s", "scale_radius", "truncation_radius", "core_radius", "center_x", "center_y")


def _profiles(members: Any) -> Iterator[tuple[float, str, Any]]:
    """(redshift, name, profile) of everything that galaxies and fields hold."""
    from autogalaxy.profiles.geometry_profiles import GeometryProfile

    for member in members:
        z = float(member.redshift)
        for name, value in vars(member).items():
            if isinstance(value, GeometryProfile):
                yield z, name, value
            elif isinstance(value, dict) and any(isinstance(item, GeometryProfile) for item in value.values()):
                raise ValueError(
                    f"galaxy at redshift {z:g}: {name} is a dict of profiles, which PyAutoLens does not trace; "
                    "give each profile its own name"
                )


def _halo(profile: Any) -> tuple[float, ...] | None:
    """The columns of a halo, or None where the profile is not one; mass-concentration classes hold the same numbers."""
    import autolens as al

    y, x = profile.centre
    if isinstance(profile, al.mp.NFWTruncatedSph):
        return profile.kappa_s, profile.scale_radius, profile.truncation_radius, 0.0, x, y
    if isinstance(profile, al.mp.cNFWSph):
        return profile.kappa_s, profile.scale_radius, math.inf, profile.core_radius, x, y
    if isinstance(profile, al.mp.NFWSph):
        return profile.kappa_s, profile.scale_radius, math.inf, 0.0, x, y
    return None


def _macro(profile: Any, place: str) -> MassProfile:
    import autolens as al

    kind, (y, x) = type(profile), profile.centre
    if kind in (al.mp.PowerLaw, al.mp.PowerLawSph, al.mp.Isothermal, al.mp.IsothermalSph):
        e2, e1 = profile.ell_comps
        q, slope = _axis_ratio(e1, e2), profile.slope
        einstein_radius = math.sqrt(q) * (2 / (1 + q)) ** (1 / (slope - 1)) * profile.einstein_radius
        return PowerLaw(einstein_radius, slope, e1, e2, x, y)
    if kind is al.mp.ExternalShear:
        return ExternalShear(profile.gamma_1, profile.gamma_2)
    if kind is al.mp.PointMass:
        return PointMass(profile.einstein_radius, x, y)
    if kind is al.mp.MassSheet:
        if x or y:
            raise ValueError(f"{place}: centre = ({y:g}, {x:g}), but lensax centres mass sheets on 0")
        return MassSheet(profile.kappa)
    raise ValueError(f"{place} has no counterpart in lensax")


def _light(profile: Any, pixel_scale: float | None, place: str) -> LightProfile | None:
    """The light profile, or None where the profile is a mass."""
    import autolens as al

    if not isinstance(profile, al.LightProfile):
        return None
    if isinstance(profile, al.mp.MassProfile):
        raise ValueError(f"{place} is light and mass at once and has no counterpart in lensax")
    if pixel_scale is None:
        raise ValueError(f"pixel_scale: needed to convert the brightness per pixel of {place}")
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
    raise ValueError(f"{place} has no counterpart in lensax")


def _axis_ratio(e1: float, e2: float) -> float:
    e = math.hypot(e1, e2)
    return (1 - e) / (1 + e)


def _cosmology(cosmology: Any) -> FlatLambdaCDM:
    import autolens as al

    if not isinstance(cosmology, al.cosmo.FlatLambdaCDM):
        raise ValueError(f"cosmology: expected a FlatLambdaCDM of PyAutoLens, found {type(cosmology).__name__}")
    return FlatLambdaCDM(
        H0=cosmology.H0, Om0=cosmology.Om0, Tcmb0=cosmology.Tcmb0, Neff=cosmology.Neff, m_nu=np.asarray(cosmology.m_nu)
    )
