"""`lensax preview`: look at one universe of a configuration."""

from pathlib import Path
from typing import Annotated

import typer

from lensax.cli.console import say, say_error, working

__all__ = ["preview"]


def preview(
    config: Annotated[Path, typer.Argument(help="The YAML file that describes the model.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The first PNG file; by default the configuration's name in this folder."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="As of a campaign.")] = 0,
    row: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Which row of that campaign.")] = 0,
) -> None:
    """Draw one row: images with and without substructure, convergence maps, and the halos beside their expectation.

    Three pictures, of which the last two are left out for a model without halos: NAME.png (the images, their difference
    over the noise, critical curves, the halos' convergence), NAME_planes.png (the convergence of every plane) and
    NAME_population.png (masses, numbers, concentrations and places of the halos, drawn and expected).

    \b
    Example:
      lensax preview configs/cdm_hst.yaml --row 3 --out row3.png
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    import lensax.plot as plot
    from lensax.campaign.rows import draw
    from lensax.simulate import ForwardModel

    picture = out or Path(f"{config.stem}.png")
    if picture.suffix.lower() != ".png":
        raise typer.BadParameter(f"expected the name of a PNG file, found {picture}", param_hint="--out")
    if not picture.absolute().parent.is_dir():
        raise typer.BadParameter(f"the folder {picture.parent} does not exist", param_hint="--out")
    with working(f"reading {config}"):
        model = ForwardModel.from_yaml(config)
    with working("simulating"):
        theta, keys = draw(model.prior, jax.random.key(np.uint32(seed)), jnp.asarray([row], jnp.uint32))
        (view,) = plot.look(model, theta, keys, [f"row {row}"])
        one = {name: theta[name][0] for name in model.prior.names}
        scene = model.scene(one, keys[0])
        found = plot.substructure(model, scene)
        statistics = plot.population_statistics(model, one, keys[0])
        maps = plot.plane_maps(model, one, scene)
    with working("drawing"):
        n_y, n_x = view.noisy.shape
        row_name = f"seed {seed}, row {row}"
        figures = {picture: plot.preview(view, found, config.stem, f"{row_name}, {n_x} × {n_y} pixels")}
        if maps:
            what = f"{row_name}, convergence of the halos and the sheet of every plane, scaled to the source"
            figures[_beside(picture, "planes")] = plot.planes_figure(maps, view.extent, config.stem, what)
        if statistics is not None:
            what = f"{row_name}, halos drawn and expected for its parameters"
            figures[_beside(picture, "population")] = plot.population_figure(statistics, config.stem, what)
        for path, figure in figures.items():
            plot.save(figure, path)
    for name, value in one.items():
        say(f"{name} = {float(value):.6g}")
    for path in figures:
        say(f"preview: {path}")
    if not np.isfinite(view.noisy).all():
        raise typer.Exit(say_error("the image holds values that are not finite", 1))


def _beside(picture: Path, what: str) -> Path:
    """`row3.png` to `row3_planes.png`."""
    return picture.with_name(f"{picture.stem}_{what}{picture.suffix}")
