"""Realisations of pyHalo as halo catalogues, and catalogues in pyHalo's terms."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lensax.halos import HaloCatalogue
from lensax.halos.table import plane_of
from lensax.interop.halo_lists import SHEETS_AND_HALOS, catalogue_entries, catalogue_of, complete
from lensax.interop.lenstronomy import flat_cosmology
from lensax.interop.place import Places
from lensax.interop.plane_redshifts import merged_redshifts, read_redshifts, require_in_front
from lensax.raytrace import Planes

__all__ = ["LensingQuantities", "from_lensing_quantities", "from_realization", "to_lensing_quantities"]


class LensingQuantities(NamedTuple):
    """What `realization.lensing_quantities()` of pyHalo returns.

    Attributes:
        lens_model_list: names of profiles.
        redshift_array: redshift of each.
        kwargs_lens: keyword arguments of each; angles in arcsec, deflections scaled to the source.
        numerical_interp: a profile that is interpolated, always None here.
    """

    lens_model_list: list[str]
    redshift_array: np.ndarray
    kwargs_lens: list[dict[str, float]]
    numerical_interp: None = None


def from_lensing_quantities(
    lens_model_list: Sequence[str],
    redshift_array: Sequence[float] | np.ndarray,
    kwargs_lens: Sequence[Mapping[str, Any]],
    numerical_interp: Any = None,
    *,
    planes: Planes,
    slots: int | None = None,
) -> HaloCatalogue:
    """A catalogue from what `realization.lensing_quantities()` returns: NFW, TNFW, CNFW halos and CONVERGENCE sheets.

    `kappa_s = alpha_Rs / (4 (1 - ln 2) Rs)` for NFW and TNFW; positions and radii stay what they are.

    Args:
        lens_model_list: names of profiles.
        redshift_array: redshift of each, on one of the planes within 1e-6.
        kwargs_lens: keyword arguments of each, scaled to the source of `planes`.
        numerical_interp: the fourth entry; a profile that is interpolated has no counterpart.
        planes: the lens planes.
        slots: halos per plane that there is room for; by default what the lists need.

    Raises:
        ValueError: lists of different lengths, a profile or keyword that is not known or missing, a value outside its
            range, a redshift on no plane; the message names the position. Also too few `slots`, or a profile that is
            interpolated.
    """
    names = list(lens_model_list)
    if numerical_interp is not None:
        raise ValueError("numerical_interp: a profile that is interpolated has no counterpart in a HaloCatalogue")
    if len(kwargs_lens) != len(names):
        raise ValueError(f"kwargs_lens: expected {len(names)} entries as in lens_model_list, found {len(kwargs_lens)}")
    redshifts = read_redshifts("redshift_array", redshift_array, len(names))
    keywords = [
        complete(row, name, given, SHEETS_AND_HALOS, "a HaloCatalogue")
        for row, (name, given) in enumerate(zip(names, kwargs_lens))
    ]
    plane_of(redshifts, np.asarray(planes.redshifts), Places(lambda row: f"redshift_array[{row}]"))
    return catalogue_of(names, redshifts, keywords, planes, slots)


def from_realization(
    realization: Any, planes: Planes | None = None, *, slots: int | None = None, **settings: Any
) -> tuple[HaloCatalogue, Planes]:
    """A catalogue from a realisation of pyHalo, and the planes on which it stands.

    Args:
        realization: a `pyHalo.single_realization.Realization`.
        planes: by default one plane for every redshift in the realisation, in its own cosmology; redshifts within 1e-6
            of one another share theirs.
        slots: halos per plane that there is room for; by default what the realisation needs.
        settings: passed on to `realization.lensing_quantities`, such as `add_mass_sheet_correction`.

    Raises:
        ValueError: as `from_lensing_quantities`; or, without `planes`, a redshift that is not in front of the source.
        TypeError: the realisation's cosmology is no flat Lambda-CDM.
    """
    names, redshifts, kwargs, interpolated = realization.lensing_quantities(**settings)
    if planes is None:
        lens_redshift, source_redshift = float(realization.lens_cosmo.z_lens), float(realization.lens_cosmo.z_source)
        redshifts = read_redshifts("redshift_array", redshifts, len(names))
        require_in_front(redshifts, source_redshift, lambda row: f"redshift_array[{row}]")
        plane_redshifts, redshifts = merged_redshifts(redshifts, lens_redshift)
        cosmology = flat_cosmology(realization.lens_cosmo.cosmo.astropy)
        planes = Planes(plane_redshifts, lens_redshift, source_redshift, cosmology)
    return from_lensing_quantities(names, redshifts, kwargs, interpolated, planes=planes, slots=slots), planes


def to_lensing_quantities(catalogue: HaloCatalogue, planes: Planes) -> LensingQuantities:
    """A catalogue as lists, plane by plane, that `from_lensing_quantities` turns into the same catalogue again.

    The radii, positions and sheets come back as they were, `kappa_s` to its last digit.

    Args:
        catalogue: one catalogue, not a batch.
        planes: its planes.

    Raises:
        ValueError: a batch, planes of another number, a catalogue that has overflowed, a halo of another family or
            with a core and a truncation.
    """
    if catalogue.halos.kappa_s.ndim != 2:
        raise ValueError(f"expected one catalogue, found a batch of shape {catalogue.halos.kappa_s.shape[:-2]}")
    if catalogue.n_planes != planes.n_planes:
        raise ValueError(f"the catalogue has {catalogue.n_planes} planes, 'planes' has {planes.n_planes}")
    entries = list(catalogue_entries(catalogue, np.asarray(planes.redshifts, float)))
    redshifts = np.array([z for z, _, _ in entries])
    return LensingQuantities([name for _, name, _ in entries], redshifts, [k for _, _, k in entries])
