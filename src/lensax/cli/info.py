"""`lensax info`: what a configuration says, and what it will cost."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lensax.cli.console import bytes_text, say, table, working

__all__ = ["info"]

DRAWS = 64
"""Draws of the prior over which expected numbers of halos are averaged."""


def info(
    config: Annotated[Path, typer.Argument(help="The YAML file that describes the model.", show_default=False)],
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Compile the model to learn how much memory it needs.")
    ] = True,
) -> None:
    """Show parameters with their priors, planes, expected halos and slots, and what will be computed.

    \b
    Example:
      lensax info configs/cdm_hst.yaml
    """
    from lensax.simulate import ForwardModel

    with working(f"reading {config}"):
        model = ForwardModel.from_yaml(config)
    say_parameters(model)
    with working("counting halos"):
        counted = count_halos(model)
    say_planes(*counted)
    with working("compiling"):
        say_work(model, memory)


def say_parameters(model: Any) -> None:
    """Every parameter of the configuration: free ones with their priors, then the others."""
    from lensax.campaign.units import unit_of

    rows: dict[str, list[tuple[str, str, str]]] = {"free": [], "derived": [], "fixed": []}
    for row in model.configuration.summary():
        if row.kind in rows:
            rows[row.kind].append((row.name, row.value, unit_of(row.name) or ""))
    for kind, found in rows.items():
        heading = {"free": "prior", "derived": "follows from", "fixed": "value"}[kind]
        if found:
            table((f"{len(found)} {kind}", heading, "unit"), found)


def count_halos(model: Any) -> tuple[Any, Any, int]:
    """Mean redshift and mean number of halos of every plane over draws of the prior, and the slots per plane."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    recipe = model.recipe

    @eqx.filter_jit
    def expected(recipe: Any, theta: Any) -> Any:
        values = recipe.parameters.resolve(theta)
        planes = recipe.planes(values)
        if recipe.population is None:
            return planes.redshifts, jnp.zeros_like(planes.redshifts)
        return planes.redshifts, recipe.population.expected(planes, values)

    theta = model.prior.sample(jax.random.key(0), (DRAWS,))
    if theta:
        redshifts, numbers = jax.vmap(lambda one: expected(recipe, one))(theta)
        redshifts, numbers = redshifts.mean(axis=0), numbers.mean(axis=0)
    else:
        redshifts, numbers = expected(recipe, theta)
    return redshifts, numbers, 0 if recipe.population is None else recipe.population.n_slots


def say_planes(redshifts: Any, numbers: Any, slots: int) -> None:
    """The planes with their halos."""
    columns = ("plane", "redshift", "expected halos", "slots")
    rows: list[Any] = [
        (i, f"{float(z):.4f}", f"{float(n):.1f}", slots) for i, (z, n) in enumerate(zip(redshifts, numbers))
    ]
    rows.append(("all", "", f"{float(numbers.sum()):.1f}", slots * len(rows)))
    table(columns, rows, right=columns)


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
