"""A population of halos as a pure function of its parameters and a key."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Float, Int, PRNGKeyArray, Scalar, cast
from lensax.cosmology import FlatLambdaCDM
from lensax.halos import rendering, slots
from lensax.halos.catalogue import HaloCatalogue, alike, with_empty, with_slots
from lensax.halos.dark_matter import DarkMatter
from lensax.halos.envelopes import enveloped
from lensax.halos.free import parameter_paths, replace
from lensax.halos.line_of_sight import LineOfSight
from lensax.halos.rendering import LensPlanes
from lensax.halos.subhalos import Subhalos

if TYPE_CHECKING:
    from lensax.raytrace.planes import Planes

SECTIONS = ("line_of_sight", "subhalos", "dark_matter")


@final
class Population(eqx.Module):
    """Subhalos on the lens plane and field halos on every plane.

    `draw` is pure JAX: it compiles into the program of the image. Parameters have dotted names (`names`), which are the
    attributes that they stand under, with the kind of dark matter in between: `line_of_sight.mass_function.delta_los`,
    `subhalos.sigma_sub`, `dark_matter.WDM.log10_m_hm`.

    Gradients are those of the halos that were drawn: masses, concentrations and positions follow the parameters, their
    number does not.

    Arguments:
        cosmology: of the distances.
        dark_matter: what both kinds of halos are made of.
        line_of_sight: field halos, or None.
        subhalos: subhalos, or None.
        n_slots: slots per plane of the catalogues (`sized` chooses it).
        n_field: slots per plane that field halos can fill, which few planes but that of the lens share with others
            (`sized` chooses it); 0 for all of them.
        n_subhalos: the most subhalos that can be drawn (`sized` chooses it).
        n_halos: the most halos on all planes together (`sized` chooses it); 0 for as many as there are slots.
        overflow_probability: of more halos on some plane than slots, at the worst values of the parameters.
    """

    cosmology: FlatLambdaCDM
    dark_matter: DarkMatter
    line_of_sight: LineOfSight | None = None
    subhalos: Subhalos | None = None
    n_slots: int = eqx.field(static=True, default=0)
    n_field: int = eqx.field(static=True, default=0)
    n_subhalos: int = eqx.field(static=True, default=1000)
    n_halos: int = eqx.field(static=True, default=0)
    overflow_probability: float = eqx.field(static=True, default=1.0)

    @property
    def field_slots(self) -> int:
        """Slots per plane that field halos can fill."""
        return min(self.n_field or self.n_slots, self.n_slots)

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted names of all parameters."""
        return tuple(self._paths())

    @property
    def values(self) -> dict[str, Scalar]:
        """Every parameter's present value by name."""
        found = {}
        for name, path in self._paths().items():
            leaf: Any = self
            for attribute in path:
                leaf = getattr(leaf, attribute)
            found[name] = leaf
        return found

    def _paths(self) -> dict[str, tuple[str, ...]]:
        paths: dict[str, tuple[str, ...]] = {}
        for section in SECTIONS:
            module = getattr(self, section)
            if module is None:
                continue
            prefix = f"{section}.{type(module).__name__}." if section == "dark_matter" else f"{section}."
            for name, path in parameter_paths(module, prefix):
                paths[name] = (section, *path)
        return paths

    def with_values(self, values: Mapping[str, Any]) -> "Population":
        """The population with these parameters; names outside of its sections are passed over.

        Raises:
            ValueError: a name in one of its sections that is no parameter.
        """
        paths = self._paths()
        for name in values:
            if name.partition(".")[0] in SECTIONS and name not in paths:
                raise ValueError(f"the population has no parameter '{name}'; it has {', '.join(paths) or 'none'}")
        return replace(self, paths, values)

    def expected(self, planes: "Planes", values: Mapping[str, Any] | None = None) -> Float[Array, " planes"]:
        """Mean number of halos on each plane, subhalos included."""
        population, lenses = self._prepared(planes, values)
        counts = jnp.zeros_like(lenses.redshift)
        if population.line_of_sight is not None:
            counts = counts + population.line_of_sight.expected(planes, self.cosmology, population.dark_matter)
        if population.subhalos is not None:
            number = population.subhalos.expected(lenses.at(planes.lens_index), population.dark_matter)
            counts = counts.at[planes.lens_index].add(number)
        return counts

    def draw(self, key: PRNGKeyArray, planes: "Planes", values: Mapping[str, Any] | None = None) -> HaloCatalogue:
        """Draw one universe.

        Arguments:
            key: a JAX key; the same key and values give the same halos, in float32 and in float64.
            planes: the lens planes; their number is that of the population's scheme, their dtype the catalogue's.
            values: parameters by name (see `names`); those left out keep the values that the population holds.

        Returns:
            A catalogue whose `overflow` says whether more halos were drawn than it has slots for.

        Raises:
            ValueError: the population has no slots yet, or planes of another number, or an unknown name.
        """
        if self.n_slots < 1:
            raise ValueError("the population has no slots: choose their number with `sized`")
        population, lenses = self._prepared(planes, values)
        key_los, key_sub = jax.random.split(key)
        wrong = jnp.array(False)
        n_planes, n_slots, dark_matter = planes.n_planes, self.n_slots, population.dark_matter
        if population.line_of_sight is None:
            halos = cast(HaloCatalogue.empty(n_planes, n_slots).halos, lenses.redshift.dtype)
            counts, sheets = jnp.zeros(n_planes, jnp.int32), jnp.zeros_like(lenses.redshift)
        else:
            n_field = self.field_slots
            halos, counts, sheets, wrong = population.line_of_sight.draw(
                key_los, planes, lenses, self.cosmology, dark_matter, n_field
            )
            halos, wrong = with_slots(halos, n_slots), wrong | jnp.any(counts > n_field)
        if population.subhalos is not None:
            i = planes.lens_index
            more, number, sheet, too_low = population.subhalos.draw(
                key_sub, lenses.at(i), self.cosmology, dark_matter, min(n_slots, self.n_subhalos)
            )
            halos, more = alike([halos, more])
            halos = jax.tree.map(lambda row, new: row.at[i].set(_append(row[i], counts[i], new[0])), halos, more)
            wrong = wrong | too_low | (number > more.kappa_s.shape[1])
            counts, sheets = counts.at[i].add(number), sheets.at[i].add(sheet)
            halos = with_empty(halos, rendering.first_slots(counts, n_slots))
        most = self.n_halos or n_planes * n_slots
        return HaloCatalogue(halos, sheets, jnp.any(counts > n_slots) | (counts.sum() > most) | wrong, most)

    def _prepared(self, planes: "Planes", values: Mapping[str, Any] | None) -> tuple["Population", LensPlanes]:
        if self.line_of_sight is not None and planes.n_planes != self.line_of_sight.planes.n_planes:
            raise ValueError(
                f"the population's scheme has {self.line_of_sight.planes.n_planes} planes, got {planes.n_planes}"
            )
        population = cast(self.with_values(values or {}), planes.redshifts.dtype)
        return population, LensPlanes.of(planes, self.cosmology)

    def sized(
        self,
        planes: "Planes | Callable[[Mapping[str, Any]], Planes]",
        bounds: Mapping[str, Sequence[float]] | None = None,
        probability: float = 1e-9,
        common_random_numbers: Sequence[str] = (),
        relaxation: float = 0.0,
    ) -> "Population":
        """The population with as many slots per plane as its fullest universe needs.

        Arguments:
            planes: the lens planes, or a function that makes them from parameters by name (for free redshifts).
            bounds: lowest and highest value of every parameter that may vary, by name; all others stay as they are.
            common_random_numbers: sections, of `line_of_sight` and `subhalos`, to draw from an envelope, so that small
                changes of parameters change few halos of a universe (see `thinning`); a draw that its envelope does
                not hold reports an overflow.
            relaxation: with common random numbers, let halos fade in and out over this width instead of appear.
            probability: that some plane overflows, at the values within the bounds for which halos are most numerous.

        Raises:
            ValueError: infinite bounds, or a catalogue that would not fit into memory.
        """
        population = enveloped(self, planes, bounds or {}, common_random_numbers, relaxation)
        found = slots.needed(population, planes, bounds or {}, probability)
        return dataclasses.replace(
            population,
            n_slots=found.on_a_plane,
            n_field=found.for_field_halos,
            n_subhalos=found.for_subhalos,
            n_halos=found.together,
            overflow_probability=found.overflow_probability,
        )

    def enlarged(self) -> "Population":
        """The population with twice the slots; the halos of a key that fitted before are the same."""
        return dataclasses.replace(
            self,
            n_slots=2 * self.n_slots,
            n_field=2 * self.n_field,
            n_subhalos=2 * self.n_subhalos,
            n_halos=2 * self.n_halos,
        )

    def slots_used(self, planes: "Planes", values: Mapping[str, Any] | None = None) -> Float[Array, " entries"]:
        """Mean number of slots that a draw fills on each plane, of those for field halos on the plane that has most of
        them, and of those for subhalos: more than there are halos where they are drawn from an envelope."""
        population, lenses = self._prepared(planes, values)
        field, number = jnp.zeros_like(lenses.redshift), jnp.zeros_like(lenses.redshift[0])
        los, sub = population.line_of_sight, population.subhalos
        if los is not None:
            field = los.expected(planes, self.cosmology, population.dark_matter)
            field = field if los.envelope is None else los.envelope.drawn()[1]
        if sub is not None:
            number = sub.expected(lenses.at(planes.lens_index), population.dark_matter)
            number = number if sub.envelope is None else sub.envelope.drawn()[1][0]
        every = field.at[planes.lens_index].add(number)
        return jnp.concatenate([every, jnp.max(field)[None], number[None]])


def _append(row: Array, count: Int[Array, ""], new: Array) -> Array:
    """The first `count` entries of a row, then the new ones, as many as fit."""
    place = jnp.arange(row.shape[0], dtype=count.dtype)
    return jnp.where(place < count, row, new[jnp.clip(place - count, 0, new.shape[0] - 1)])
