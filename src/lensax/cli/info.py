"""`lensax info`: what a configuration says, and what it will cost."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lensax.cli.console import bytes_text, say, table, working

__all__ = ["info"]

DRAWS = 64
"""Draws of the prior over which expected numbers of halos are averaged."""


def info(
    config: Annotated[Path, typer.Argument(help="The YAML file of a model or of a fit.", show_default=False)],
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Compile the model to learn how much memory it needs.")
    ] = True,
) -> None:
    """Show parameters with their priors, and what will be computed.

    Of a model: planes, expected halos and slots, rays and memory.
    Of a fit: the data and their mask, mesh and prior of the source, stages, and memory.

    \b
    Example:
      lensax info configs/cdm_hst.yaml
    """
    from lensax.cli.info_fit import info_of_fit
    from lensax.config.fit import FitConfiguration, load_any
    from lensax.simulate import ForwardModel

    with working(f"reading {config}"):
        configuration = load_any(config)
        model = None
        if not isinstance(configuration, FitConfiguration):
            model = ForwardModel.from_configuration(configuration)
    say_parameters(configuration)
    if model is None:
        info_of_fit(configuration, memory)
        return
    with working("counting halos"):
        counted = count_halos(model)
    say_planes(model, *counted)
    with working("compiling"):
        say_work(model, memory)


def say_parameters(configuration: Any) -> None:
    """Every parameter of the configuration: free ones with their priors, then the others."""
    from lensax.campaign.units import unit_of

    rows: dict[str, list[tuple[str, str, str]]] = {"free": [], "derived": [], "fixed": []}
    for row in configuration.summary():
        if row.kind in rows:
            rows[row.kind].append((row.name, row.value, unit_of(row.name) or ""))
    for kind, found in rows.items():
        heading = {"free": "prior", "derived": "follows from", "fixed": "value"}[kind]
        if found:
            table((f"{len(found)} {kind}", heading, "unit"), found)


def count_halos(model: Any) -> tuple[Any, Any, Any]:
    """Mean redshift, mean number of field halos and of subhalos on every plane, over draws of the prior."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from lensax.halos import abundances

    recipe = model.recipe

    @eqx.filter_jit
    def expected(recipe: Any, theta: Any) -> Any:
        values = recipe.parameters.resolve(theta)
        planes = recipe.planes(values)
        field = subhalos = jnp.zeros_like(planes.redshifts)
        if recipe.population is not None:
            of_field, of_subhalos = abundances(recipe.population, planes, values)
            if of_field is not None:
                field = of_field.number()
            if of_subhalos is not None:
                subhalos = subhalos.at[planes.lens_index].set(of_subhalos.number()[0])
        return planes.redshifts, field, subhalos

    theta = model.prior.sample(jax.random.key(0), (DRAWS,))
    if not theta:
        return jax.tree.map(np.asarray, expected(recipe, theta))
    found = jax.vmap(lambda one: expected(recipe, one))(theta)
    return jax.tree.map(lambda numbers: np.asarray(numbers).mean(axis=0), found)


def say_planes(model: Any, redshifts: Any, field: Any, subhalos: Any) -> None:
    """The planes with their halos, and what a fixed number of slots costs."""
    population = model.recipe.population
    slots = 0 if population is None else population.n_slots
    columns = ("plane", "redshift", "field halos", "subhalos", "expected halos", "slots")
    rows: list[Any] = [
        (i, f"{z:.4f}", f"{n:.1f}", f"{m:.1f}" if m else "", f"{n + m:.1f}", slots)
        for i, (z, n, m) in enumerate(zip(redshifts, field, subhalos))
    ]
    sums = (f"{field.sum():.1f}", f"{subhalos.sum():.1f}", f"{(field + subhalos).sum():.1f}")
    rows.append(("all", "", *sums, slots * len(rows)))
    table(columns, rows, right=columns)
    if population is not None:
        table(("population", ""), population_rows(model, field + subhalos))


def population_rows(model: Any, numbers: Any) -> list[tuple[str, str]]:
    """Slots, the probability that they do not suffice, and how much of them is empty."""
    import jax

    from lensax.raytrace.padding import padding_waste

    population, n_planes = model.recipe.population, len(numbers)
    slots = f"{population.n_slots} on each plane, {population.n_halos} on all together"
    if population.subhalos is not None:
        slots += f", at most {population.field_slots} for field halos and {population.n_subhalos} for subhalos"
    chance = f"{population.overflow_probability:.1e} that a draw needs more, where the prior has most halos"
    reserved = population.n_slots * n_planes
    width, skip_empty = halos_in_a_block(model, n_planes), jax.default_backend() == "cpu"
    waste = padding_waste(numbers, population.n_slots, population.n_halos, width, skip_empty)
    empty = 1 - numbers.sum() / reserved
    padding = f"{waste:.0%} of the traced slots are empty (blocks of {width} halos), {empty:.0%} of the reserved ones"
    return [("slots", slots), ("overflow", chance), ("padding", padding)]


def halos_in_a_block(model: Any, n_planes: int) -> int:
    """Halos that the tracer sums together."""
    from lensax.raytrace import Lattice
    from lensax.raytrace.lattice_layout import automatic_layout

    tracer, population = model.simulator.tracer, model.recipe.population
    if isinstance(tracer, Lattice):
        grid = model.simulator.instrument.padded_grid
        return automatic_layout(tracer, grid, n_planes, population.n_slots, population.n_halos).width
    return min(getattr(tracer, "width", 1), population.n_slots)


def say_work(model: Any, memory: bool) -> None:
    """Image, rays, tracer, and the memory of the compiled program."""
    import numpy as np

    from lensax.campaign.provenance import describe_device, describe_part
    from lensax.campaign.rows import RowMaker, row_shapes

    instrument = model.simulator.instrument
    tracer = describe_part(model.simulator.tracer)
    settings = ", ".join(f"{name}={value}" for name, value in tracer.items() if name != "class")
    n_y, n_x = instrument.grid.shape
    shapes = row_shapes(model)
    stored = sum(int(np.prod(shape.shape, dtype=int)) * shape.dtype.itemsize for shape in shapes.values())
    rows = [
        ("image", f"{n_x} × {n_y} pixels of {instrument.grid.pixel_scale:g} arcsec"),
        ("rays", f"{instrument.padded_grid.n_rays:,} per image, the margin of the PSF included"),
        ("tracer", f"{tracer['class']}({settings})"),
        ("device", describe_device()),
        ("stored", f"{bytes_text(stored)} per row before compression"),
    ]
    if memory:
        maker = RowMaker(model, 0, None, 2**32)
        needed = maker.memory()
        text = "unknown" if needed is None else f"{bytes_text(needed)} for {maker.rows_per_call} images in one call"
        rows.append(("memory", text))
    table(("what is computed", ""), rows)
    say(f"configuration {model.configuration.digest[:16]}")
