"""The unit of a parameter, by its name: a parameter has one name everywhere."""

__all__ = ["unit_of"]

UNITS = {
    "einstein_radius": "arcsec",
    "center_x": "arcsec",
    "center_y": "arcsec",
    "effective_radius": "arcsec",
    "break_radius": "arcsec",
    "sigma": "arcsec",
    "scale_radius": "arcsec",
    "truncation_radius": "arcsec",
    "core_radius": "arcsec",
    "fwhm": "arcsec",
    "intensity": "electron s-1 arcsec-2",
    "sky_level": "electron s-1 pixel-1",
    "exposure_time": "s",
    "sigma_sub": "kpc-2",
    "H0": "km s-1 Mpc-1",
    "mass": "solMass",
    "host_mass": "solMass",
    "pivot_mass": "solMass",
}

DIMENSIONLESS = {
    "slope", "e1", "e2", "gamma_1", "gamma_2", "kappa", "kappa_s", "sersic_index", "inner_slope", "sharpness",
    "redshift", "delta_los", "log10_mass", "log10_m_hm", "scatter_dex", "Om0",
}  # fmt: skip


def unit_of(name: str) -> str | None:
    """The unit of a dotted parameter name, "" for a pure number, None where the last part is not known."""
    last = name.rpartition(".")[2]
    return "" if last in DIMENSIONLESS else UNITS.get(last)
