"""The halos of one universe, on planes and slots."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Bool, Float, Int, concrete, real
from lensax.halos import table as tables
from lensax.mass.halo import Halo
from lensax.mass.mixed import CORED_NFW, FAMILIES, MixedHalos

if TYPE_CHECKING:
    from astropy.table import Table

    from lensax.raytrace.planes import Planes

# An empty slot deflects nothing (kappa_s = 0) and stands clear of every ray, so that values and gradients are finite.
EMPTY_SLOT = {
    "kappa_s": 0.0,
    "scale_radius": 1.0,
    "truncation_radius": 1.0,
    "core_radius": 0.0,
    "center_x": 100.0,
    "center_y": 100.0,
    "family": 0,
}


@final
class HaloCatalogue(eqx.Module):
    """Halos of every plane, padded to a fixed number of slots per plane, and one mass sheet per plane.

    An empty slot has `kappa_s = 0`, `scale_radius = truncation_radius = 1`, `core_radius = 0` and lies off-centre.
    All convergences are scaled to the final source plane.

    Args:
        halos: `Halo`, or `MixedHalos` where other families are among them, whose leaves have shape
            `(n_planes, n_slots)`; angles in arcsec.
        sheets: uniform convergence of each plane, `(n_planes,)`; its deflection is `kappa * (x, y)`.
        overflow: whether more halos were drawn than there are slots.
        most: the most halos on all planes together, where that is known: ray tracers then make no room for more.
    """

    halos: Halo | MixedHalos
    sheets: Float[Array, " n_planes"] = real()
    overflow: Bool[Array, ""] = eqx.field(converter=jnp.asarray, default=False)
    most: int | None = eqx.field(static=True, default=None)

    @property
    def counts(self) -> Int[Array, "*batch n_planes"]:
        """Number of filled slots on each plane."""
        return jnp.sum(self.halos.kappa_s != 0, axis=-1)

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return self.halos.kappa_s.shape[-2]

    @property
    def n_slots(self) -> int:
        """Number of slots per plane."""
        return self.halos.kappa_s.shape[-1]

    @property
    def room(self) -> int:
        """The most halos on all planes together."""
        slots = self.n_planes * self.n_slots
        return slots if self.most is None else min(self.most, slots)

    @property
    def cored_nfw(self) -> Halo:
        """The halos as one `Halo`, for what knows no other family.

        Raises:
            ValueError: a halo of another family; the message names it.
        """
        if isinstance(self.halos, Halo):
            return self.halos
        family, filled = np.asarray(self.halos.family), np.asarray(self.halos.kappa_s) != 0
        others = np.argwhere(filled & (family != CORED_NFW))
        if len(others):
            where = tuple(map(int, others[0]))
            raise ValueError(
                f"{len(others)} halos are no truncated cored NFW halos, which is all that can be written here; "
                f"the first is a {FAMILIES[family[where]]} in slot {where[-1]} of plane {where[-2]}"
            )
        return Halo(**{field.name: getattr(self.halos, field.name) for field in dataclasses.fields(Halo)})

    @classmethod
    def empty(cls, n_planes: int, n_slots: int = 1) -> "HaloCatalogue":
        """A catalogue without halos and without sheets."""
        return cls(_filled({}, n_planes, n_slots), jnp.zeros(n_planes), jnp.array(False))

    @classmethod
    def from_table(
        cls,
        table: "Table | Mapping[str, Any] | str | os.PathLike[str]",
        planes: "Planes",
        slots: int | None = None,
        sheets: Any = None,
    ) -> "HaloCatalogue":
        """A catalogue from a table with one halo per row.

        Columns: `redshift`, `center_x`, `center_y`, `kappa_s`, `scale_radius`, and if present `truncation_radius`
        (default infinite) and `core_radius` (default 0). Angles are in arcsec; columns that carry another angular unit
        are converted. `kappa_s = rho_s r_s / Sigma_cr`, with the critical surface density to the final source. A column
        `profile` says of every halo whether it is a `cored_nfw`, as all are without it, `parametric_sidm` or
        `isothermal_core`; `core_radius` is then the radius that `MixedHalos` says.

        Args:
            table: astropy Table, mapping of arrays, or the path of an ECSV, CSV or FITS file.
            planes: the lens planes; each redshift must be one of theirs within 1e-6.
            slots: slots per plane; by default as many as the fullest plane needs.
            sheets: convergence of each plane's sheet, `(n_planes,)`; by default what `to_table` noted, else zero.

        Raises:
            ValueError: what is wrong, with its row, column and value.
            FileNotFoundError: no such file.
        """
        if isinstance(table, (str, os.PathLike)):
            table, label = tables.read_file(table)
        else:
            label = tables.RowLabels()
        columns = tables.read_columns(table, label)
        redshifts = concrete(planes.redshifts)
        if redshifts is None:
            raise ValueError("a table can be sorted onto planes only while their redshifts are not traced")
        plane = tables.plane_of(columns["redshift"], redshifts, label)
        n_planes = len(redshifts)
        counts = np.bincount(plane, minlength=n_planes)
        needed = max(1, int(counts.max()))
        if slots is None:
            slots = needed
        if slots < needed:
            fullest = int(np.argmax(counts))
            raise ValueError(
                f"{label.table}: {counts[fullest]} halos stand on the plane at redshift {redshifts[fullest]:.7g}, "
                f"but there are {slots} slots per plane; slots must be at least {needed}"
            )
        order = np.argsort(plane, kind="stable")
        slot = np.empty(len(plane), int)
        slot[order] = np.arange(len(plane)) - (np.cumsum(counts) - counts)[plane[order]]
        leaves = {}
        for name, values in columns.items():
            if name in EMPTY_SLOT:
                leaves[name] = np.full((n_planes, slots), EMPTY_SLOT[name])
                leaves[name][plane, slot] = values
        if sheets is None:
            sheets = tables.parse_sheets(table)
        return cls(_filled(leaves, n_planes, slots), _sheets(sheets, n_planes, label), jnp.array(False))

    def to_table(self, planes: "Planes") -> "Table":
        """An astropy Table with one halo per row, planes in order; `from_table` restores this catalogue exactly.

        Sheets that are not zero are noted in the table's header (kept by ECSV and FITS, lost in CSV).

        Raises:
            ValueError: the planes do not match, or the catalogue has overflowed.
        """
        from astropy import units
        from astropy.table import Table

        if self.halos.kappa_s.ndim != 2:
            raise ValueError(
                f"a table holds one catalogue, this one is a batch of shape {self.halos.kappa_s.shape[:-2]}"
            )
        redshifts = np.asarray(planes.redshifts)
        if len(redshifts) != self.n_planes:
            raise ValueError(f"the catalogue has {self.n_planes} planes, 'planes' has {len(redshifts)}")
        if bool(self.overflow):
            raise ValueError("the catalogue has overflowed its slots: a table of it would lack halos")
        plane, slot = np.nonzero(np.asarray(self.halos.kappa_s))
        columns = {"redshift": redshifts[plane]}
        for name in tables.COLUMNS[1:]:
            values = np.asarray(getattr(self.halos, name))[plane, slot]
            columns[name] = values * units.arcsec if name in tables.IN_ARCSEC else values
        if isinstance(self.halos, MixedHalos):
            columns[tables.PROFILE] = np.asarray(FAMILIES)[np.asarray(self.halos.family)[plane, slot]]
        table = Table(columns)
        sheets = np.asarray(self.sheets)
        if sheets.any():
            table.meta[tables.SHEETS_KEY] = " ".join(repr(float(kappa)) for kappa in sheets)
        return table

    @classmethod
    def concatenate(cls, catalogues: "Sequence[HaloCatalogue]") -> "HaloCatalogue":
        """The halos of several catalogues on the same planes, one after another in the slots; sheets add up."""
        if not catalogues:
            raise ValueError("nothing to concatenate")
        numbers = {catalogue.n_planes for catalogue in catalogues}
        if len(numbers) > 1:
            raise ValueError(
                f"catalogues with {sorted(numbers)} planes cannot be concatenated: the planes must be the same"
            )
        halos = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=-1), *alike([c.halos for c in catalogues]))
        sheets, overflow = catalogues[0].sheets, catalogues[0].overflow
        for catalogue in catalogues[1:]:
            sheets, overflow = sheets + catalogue.sheets, overflow | catalogue.overflow
        return cls(halos, sheets, overflow, sum(catalogue.room for catalogue in catalogues))

    @classmethod
    def stack(cls, catalogues: "Sequence[HaloCatalogue]") -> "HaloCatalogue":
        """A batch: catalogues on the same number of planes, along a new leading axis, padded to one number of slots."""
        if not catalogues:
            raise ValueError("nothing to stack")
        slots = max(catalogue.n_slots for catalogue in catalogues)
        halos = alike([catalogue.halos for catalogue in catalogues])
        most = max(catalogue.room for catalogue in catalogues)
        padded = [HaloCatalogue(h, c.sheets, c.overflow, most).pad(slots) for h, c in zip(halos, catalogues)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *padded)

    def pad(self, n_slots: int) -> "HaloCatalogue":
        """The same catalogue with empty slots added up to `n_slots` per plane."""
        if n_slots < self.n_slots:
            raise ValueError(f"the catalogue has {self.n_slots} slots per plane and cannot be padded to {n_slots}")
        if n_slots == self.n_slots:
            return self
        fill = alike([_filled({}, self.n_planes, n_slots - self.n_slots), self.halos])[0]
        halos = jax.tree.map(lambda a, b: jnp.concatenate([a, b.astype(a.dtype)], axis=-1), self.halos, fill)
        return HaloCatalogue(halos, self.sheets, self.overflow, self.room if self.most is None else self.most)


def with_empty(halos: Halo | MixedHalos, filled: Bool[Array, "*slots"]) -> Any:
    """The halos with every slot empty that is not filled."""
    names = [field.name for field in dataclasses.fields(halos)]
    return type(halos)(**{name: jnp.where(filled, getattr(halos, name), EMPTY_SLOT[name]) for name in names})


def with_slots(halos: Halo | MixedHalos, n_slots: int) -> Any:
    """The halos (n_planes, fewer slots) with empty slots behind them."""

    def longer(name: str) -> Array:
        leaf = getattr(halos, name)
        return jnp.pad(leaf, ((0, 0), (0, n_slots - leaf.shape[1])), constant_values=EMPTY_SLOT[name])

    return type(halos)(**{field.name: longer(field.name) for field in dataclasses.fields(halos)})


def _filled(leaves: Mapping[str, Any], n_planes: int, n_slots: int) -> Halo | MixedHalos:
    kind = MixedHalos if "family" in leaves else Halo
    shape, names = (n_planes, n_slots), [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: leaves.get(name, np.full(shape, EMPTY_SLOT[name])) for name in names})


def alike(halos: Sequence[Halo | MixedHalos]) -> Sequence[Halo | MixedHalos]:
    """The same halos, all of them `MixedHalos` if one is."""
    if not any(isinstance(each, MixedHalos) for each in halos):
        return halos
    return [MixedHalos.of(each) if isinstance(each, Halo) else each for each in halos]


def _sheets(sheets: Any, n_planes: int, label: tables.RowLabels) -> Any:
    if sheets is None:
        return jnp.zeros(n_planes)
    values = concrete(sheets)
    shape = np.shape(sheets) if values is None else values.shape
    if shape != (n_planes,):
        raise ValueError(f"{label.table}: sheets has shape {shape}, expected one convergence per plane: ({n_planes},)")
    if values is not None and not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{label.table}: sheets[{bad}] = {values[bad]}, expected a finite number")
    return sheets
