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
        typer.Option("--out", "-o", help="The PNG file; by default the configuration's name in this folder."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="As of a campaign.")] = 0,
    row: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Which row of that campaign.")] = 0,
) -> None:
    """Draw one row: noiseless with critical curves, noisy, the halos' convergence, and what they change.

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
        found = plot.substructure(model, model.scene(one, keys[0]))
    with working("drawing"):
        n_y, n_x = view.noisy.shape
        subtitle = f"seed {seed}, row {row}, {n_x} × {n_y} pixels"
        plot.save(plot.preview(view, found, config.stem, subtitle), picture)
    for name, value in one.items():
        say(f"{name} = {float(value):.6g}")
    say(f"preview: {picture}")
    if not np.isfinite(view.noisy).all():
        raise typer.Exit(say_error("the image holds values that are not finite", 1))
