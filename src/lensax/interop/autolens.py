"""A PyAutoLens `Tracer` as a scene, and halo catalogues as galaxies of PyAutoLens."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lensax.halos import HaloCatalogue
from lensax.halos.table import COLUMNS, PLANE_TOLERANCE, plane_of, read_columns
from lensax.interop.autolens_profiles import (
    HALO_COLUMNS,
    autolens_module,
    flat_cosmology,
    halo_columns,
    light_profile,
    macro_profile,
    sheet_convergence,
)
from lensax.interop.halo_lists import refuse_truncated_core
from lensax.interop.place import Places, at
from lensax.interop.plane_redshifts import merged_redshifts, require_in_front
from lensax.light import LightProfile
from lensax.mass import MassProfile
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
    the light. Coordinates (y, x) become (x, y); Einstein radii and brightnesses are converted. Redshifts within 1e-6 of
    one another, which rounding tells apart, share a plane.

    Args:
        tracer: galaxies with numbers, not a model with priors.
        pixel_scale: arcsec, needed where galaxies shine: PyAutoLens measures brightness per pixel.
        lens_redshift: plane of the macro model; by default that of the galaxies' macro profiles.
        slots: halos per plane that there is room for; by default what the tracer needs.

    Raises:
        ValueError: a profile that lensax does not have, that stands where lensax has no place for it, or with a number
            outside its range; the message names its galaxy's redshift, its name and its class. Also a tracer without
            galaxies, a pixel scale that is not positive, too few `slots`, or no `lens_redshift` where nothing says it.
        TypeError: a cosmology that is no `FlatLambdaCDM` of PyAutoLens.
        ImportError: PyAutoLens is not installed.
    """
    galaxies = list(tracer.galaxies)
    if not galaxies:
        raise ValueError("tracer: expected at least one galaxy, the source, found none")
    if pixel_scale is not None and not 0 < pixel_scale < math.inf:
        raise ValueError(f"pixel_scale = {pixel_scale:g}, expected a positive number of arcsec")
    source_redshift = max(float(galaxy.redshift) for galaxy in galaxies)
    deflectors: list[_Deflector] = []
    macro: list[tuple[float, str, MassProfile]] = []
    source: list[LightProfile] = []
    lens_light: list[tuple[float, str, LightProfile]] = []
    for z, place, profile in _profiles([*galaxies, *tracer.fields]):
        in_front = z < source_redshift - PLANE_TOLERANCE
        with at(place):
            light = light_profile(profile, pixel_scale)
            if light is None and not in_front:
                raise ValueError("deflects nothing at the source's redshift; lensax has no place for it")
            found = light or _halo_or_sheet(z, place, profile) or macro_profile(profile)
        if isinstance(found, _Deflector):
            deflectors.append(found)
        elif isinstance(found, MassProfile):
            macro.append((z, place, found))
        elif in_front:
            lens_light.append((z, place, found))
        else:
            source.append(found)
    lens_redshift = _lens_redshift(macro, lens_light, lens_redshift)
    redshifts = np.array([deflector.redshift for deflector in deflectors], float)
    require_in_front(np.array([lens_redshift], float), source_redshift, lambda row: "lens_redshift")
    require_in_front(redshifts, source_redshift, lambda row: deflectors[row].place)
    plane_redshifts, redshifts = merged_redshifts(redshifts, lens_redshift)
    planes = Planes(plane_redshifts, lens_redshift, source_redshift, flat_cosmology(tracer.cosmology))
    return Scene(
        planes,
        tuple(profile for _, _, profile in macro),
        _catalogue(deflectors, redshifts, planes, slots),
        tuple(source),
        tuple(light for _, _, light in lens_light),
    )


def from_galaxies(galaxies: "Sequence[autolens.Galaxy]", planes: Planes, *, slots: int | None = None) -> HaloCatalogue:
    """A catalogue from galaxies that hold NFWSph, NFWTruncatedSph, cNFWSph halos and MassSheets, and nothing else.

    Args:
        galaxies: each at the redshift of one of the planes within 1e-6.
        planes: the lens planes; the halos' convergences are scaled to their source.
        slots: halos per plane that there is room for; by default what the galaxies need.

    Raises:
        ValueError: another profile, a number outside its range or a redshift on no plane, with its galaxy's redshift,
            its name and its class. Also too few `slots`.
        ImportError: PyAutoLens is not installed.
    """
    deflectors = []
    for z, place, profile in _profiles(galaxies):
        with at(place):
            found = _halo_or_sheet(z, place, profile)
            if found is None:
                raise ValueError("has no place in a HaloCatalogue, which holds spherical NFW halos and mass sheets")
        deflectors.append(found)
    redshifts = np.array([deflector.redshift for deflector in deflectors], float)
    return _catalogue(deflectors, redshifts, planes, slots)


def to_galaxies(catalogue: HaloCatalogue, planes: Planes) -> "list[autolens.Galaxy]":
    """A catalogue as galaxies, one for each plane that holds something; `from_galaxies` restores it exactly.

    Halos become NFWTruncatedSph, NFWSph or cNFWSph called halo_0, halo_1, ... and the sheet a MassSheet.

    Args:
        catalogue: one catalogue, not a batch.
        planes: its planes.

    Raises:
        ValueError: a batch, planes of another number, a catalogue that has overflowed, a halo of another family or
            with a core and a truncation, which PyAutoLens does not have; the message numbers the halos as the rows of
            `catalogue.to_table`.
        ImportError: PyAutoLens is not installed.
    """
    al = autolens_module()
    rows = HaloCatalogue(catalogue.cored_nfw, catalogue.sheets, catalogue.overflow).to_table(planes)
    halos: dict[float, list[Any]] = {}
    for row in range(len(rows)):
        z, x, y, kappa_s, scale, cut, core = (float(rows[name][row]) for name in COLUMNS)
        refuse_truncated_core(core, cut, "PyAutoLens", f"halo {row}")
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


class _Deflector(NamedTuple):
    """What any plane may hold: the columns of a halo, or None and the convergence of a sheet."""

    redshift: float
    place: str
    halo: tuple[float, ...] | None
    kappa: float = 0.0


def _profiles(members: Iterable[Any]) -> Iterator[tuple[float, str, Any]]:
    """(redshift, the words for its place, profile) of everything that galaxies and fields hold."""
    autolens = autolens_module()
    from autogalaxy.profiles.geometry_profiles import GeometryProfile

    lightless = autolens.Pixelization, autolens.ps.Point
    for member in members:
        z = float(member.redshift)
        for name, value in vars(member).items():
            if isinstance(value, lightless):
                raise ValueError(
                    f"galaxy at redshift {z:g}: {name} ({type(value).__name__}) has no light before it is fitted; "
                    "leave it out, or give the profiles that an image is to be made of"
                )
            if isinstance(value, GeometryProfile):
                yield z, f"galaxy at redshift {z:g}: {name} ({type(value).__name__})", value
            elif isinstance(value, dict) and any(isinstance(item, GeometryProfile) for item in value.values()):
                raise ValueError(
                    f"galaxy at redshift {z:g}: {name} is a dict of profiles, which PyAutoLens does not trace; "
                    "give each profile its own name"
                )


def _lens_redshift(
    macro: Sequence[tuple[float, str, Any]], light: Sequence[tuple[float, str, Any]], given: float | None
) -> float:
    """The plane of the macro model: as given, or where it stands; its profiles and light must all stand there."""
    if given is None:
        if not macro and not light:
            raise ValueError(
                "lens_redshift: needed where no galaxy in front of the source has a macro profile or light"
            )
        given = (*macro, *light)[0][0]
    for z, place, _ in macro:
        if abs(z - given) > PLANE_TOLERANCE:
            raise ValueError(f"{place}: the macro model of lensax has one plane, here at redshift {given:g}")
    for z, place, _ in light:
        if abs(z - given) > PLANE_TOLERANCE:
            raise ValueError(f"{place}: light stands on the lens plane, here at {given:g}, or is the source")
    return float(given)


def _catalogue(
    deflectors: Sequence[_Deflector], redshifts: np.ndarray, planes: Planes, slots: int | None
) -> HaloCatalogue:
    """The deflectors on the planes at these redshifts."""
    plane = plane_of(redshifts, np.asarray(planes.redshifts), Places(lambda row: deflectors[row].place))
    sheets = np.zeros(planes.n_planes)
    np.add.at(sheets, plane, [deflector.kappa for deflector in deflectors])
    rows = [row for row, deflector in enumerate(deflectors) if deflector.halo is not None]
    columns = np.array([deflectors[row].halo for row in rows], float).reshape(-1, len(HALO_COLUMNS)).T
    table = {"redshift": redshifts[rows], **dict(zip(HALO_COLUMNS, columns))}
    # The catalogue would count the rows of a table that the user has never seen.
    read_columns(table, Places(lambda row: deflectors[rows[row]].place))
    return HaloCatalogue.from_table(table, planes, slots=slots, sheets=sheets)


def _halo_or_sheet(z: float, place: str, profile: Any) -> _Deflector | None:
    """None where the profile is neither."""
    columns = halo_columns(profile)
    if columns is not None:
        return _Deflector(z, place, columns)
    kappa = sheet_convergence(profile)
    return None if kappa is None else _Deflector(z, place, None, kappa)
