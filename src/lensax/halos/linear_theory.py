"""The linear density field, on the host: what colossus needs to know of a cosmology.

colossus holds its cosmology in a module-level variable; `colossus_cosmology` sets it for the length of a `with` block
and puts back what was there.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from lensax._types import concrete
from lensax.cosmology import FlatLambdaCDM, Planck15, Planck18

_NAMED = ((Planck15, "planck15"), (Planck18, "planck18"))


@dataclasses.dataclass(frozen=True)
class LinearTheory:
    """Parameters of the linear power spectrum (Eisenstein & Hu 1998 transfer function, flat universe).

    Args:
        H0: Hubble constant in km / s / Mpc.
        Om0: density of all matter today.
        Ob0: density of baryons today.
        sigma8: amplitude of fluctuations in spheres of 8 Mpc / h.
        ns: spectral index.

    Raises:
        ValueError: a parameter outside its physical range.
    """

    H0: float
    Om0: float
    Ob0: float = 0.0486
    sigma8: float = 0.8159
    ns: float = 0.9667

    def __post_init__(self) -> None:
        for name in ("H0", "Om0", "Ob0", "sigma8", "ns"):
            value = getattr(self, name)
            if not np.isfinite(value) or value <= 0:
                raise ValueError(f"linear theory: {name} must be a positive number, got {value}")
        if not self.Ob0 < self.Om0 <= 1:
            raise ValueError(f"linear theory: expected Ob0 < Om0 <= 1, got Ob0 = {self.Ob0}, Om0 = {self.Om0}")

    @classmethod
    def from_cosmology(cls, cosmology: FlatLambdaCDM, **spectrum: float) -> "LinearTheory":
        """The parameter set that belongs to a cosmology.

        `Planck15` and `Planck18` take colossus' full sets of that name, whose matter density includes neutrinos
        (0.3089, 0.3111) and so differs by 0.5% from astropy's, which the distances use. Any other cosmology takes
        `Ob0`, `sigma8` and `ns` as given here, by default those of Planck 2015.

        Raises:
            ValueError: the cosmology is being traced, or a parameter is outside its range.
        """
        from colossus.cosmology import cosmology as colossus

        hubble, matter = concrete(cosmology.H0), concrete(cosmology.Om0)
        if hubble is None or matter is None:
            raise ValueError("the mass function is tabulated on the host: its cosmology cannot be traced")
        values = [float(hubble), float(matter)]
        for named, name in _NAMED:
            if not spectrum and np.allclose(values, [float(named.H0), float(named.Om0)], rtol=1e-6):
                known = colossus.cosmologies[name]
                return cls(known["H0"], known["Om0"], known["Ob0"], known["sigma8"], known["ns"])
        return cls(*values, **spectrum)

    @property
    def h(self) -> float:
        """Hubble constant over 100 km / s / Mpc."""
        return self.H0 / 100

    @property
    def matter_density(self) -> float:
        """Mean comoving density of matter in Msun / Mpc^3."""
        return 2.77536627e11 * self.h**2 * self.Om0


@contextlib.contextmanager
def colossus_cosmology(theory: LinearTheory) -> Iterator[Any]:
    """Colossus' cosmology object with these parameters, in force inside the `with` block."""
    from colossus.cosmology import cosmology as colossus

    before = colossus.current_cosmo
    parameters = {"flat": True, **dataclasses.asdict(theory)}
    name = "lensax_" + "_".join(f"{value:.10g}" for value in dataclasses.astuple(theory))
    try:
        # persistence "" keeps colossus from writing its tables into the user's home.
        yield colossus.setCosmology(name, params=parameters, persistence="")
    finally:
        colossus.current_cosmo = before


def table_content(theory: LinearTheory, redshifts: np.ndarray, masses: np.ndarray) -> dict[str, Any]:
    """What a table over redshift and mass depends on, for the cache."""
    return {
        "theory": dataclasses.asdict(theory),
        "redshifts": [float(z) for z in redshifts],
        "masses": [float(mass) for mass in masses],
    }
