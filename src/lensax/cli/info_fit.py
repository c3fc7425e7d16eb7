"""What `lensax info` shows of the configuration of a fit."""

import dataclasses
from typing import Any

from lensax.cli.console import bytes_text, say, say_note, table, working

__all__ = ["info_of_fit"]


def info_of_fit(configuration: Any, memory: bool) -> None:
    """Show what will be fitted to which data, in which stages, and what one evaluation needs."""
    import jax

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        with working("reading the data"):
            setup = configuration.build()
        for remark in setup.remarks:
            say_note(remark)
        table(("what is fitted", ""), [*_data(configuration, setup), *_source(configuration, setup)])
        table(("stage", "what"), _stages(setup))
        rows = _work(setup)
        if memory:
            with working("compiling"):
                rows.append(("memory", _memory(setup)))
        table(("what is computed", ""), rows)
    finally:
        jax.config.update("jax_enable_x64", before)
    say(f"configuration {configuration.digest[:16]}")


def _data(configuration: Any, setup: Any) -> list[tuple[str, str]]:
    import numpy as np

    dataset, settings = setup.task.dataset, configuration.settings
    n_y, n_x = dataset.shape
    kind, section = settings.data.name, settings.data.section
    name = section.image.path.written if kind == "FITS" else f"{section.configuration.written}, row {section.row}"
    psf = "none"
    if dataset.psf is not None:
        rows, columns = dataset.psf.shape
        finer = f", {dataset.psf.sampling} per pixel" if dataset.psf.sampling > 1 else ""
        psf = f"{columns} × {rows} samples{finer}"
    level = np.asarray(dataset.noise_map)[np.asarray(dataset.mask)]
    return [
        ("data", f"{kind} {name}"),
        ("image", f"{n_x} × {n_y} pixels of {dataset.pixel_scale:g} arcsec"),
        ("mask", f"{dataset.n_pixels:,} pixels are used"),
        ("psf", psf),
        ("noise", f"{settings.noise.name}; {level.min():.3g} to {level.max():.3g} electrons / s in the mask at first"),
    ]


def _source(configuration: Any, setup: Any) -> list[tuple[str, str]]:
    from lensax.fit.waiting import waiting

    model, settings = setup.task.model, configuration.settings
    lens = [f"{part.name}" for part in settings.lens.mass]
    light = [f"{part.name}" for part in settings.lens.light] or ["none"]
    rows = [("lens", ", ".join(lens)), ("light of the lens", ", ".join(light)), ("source", settings.source.name)]
    section = settings.source.section
    components = ", ".join(part.name for part in section.components or ())
    if settings.source.name == "Pixelization":
        mesh = section.mesh.section
        known = "shape" in type(mesh).model_fields
        size = f"{mesh.shape[0]} × {mesh.shape[1]}" if known else f"at most {mesh.most}"
        rows.append(("mesh", f"{section.mesh.name}, {size} cells"))
        amplitude = getattr(section.regularization.section, "amplitude", None)
        scaled = "" if amplitude is None else f", {amplitude.name}"
        rows.append(("regularization", section.regularization.name + scaled))
    if components:
        rows.append(("components", components))
    if waiting(model.source):
        rows.append(("waits for a pass", ", ".join(waiting(model.source))))
    return rows


def _stages(setup: Any) -> list[tuple[str, str]]:
    from lensax.fit import SourceBox
    from lensax.fit.waiting import is_open

    task, sampling = setup.task, setup.sampling
    plan = task.plan
    held = f"; held: {', '.join(plan.hold_first)}" if plan.hold_first else ""
    starts = f"from {1 + task.starts} starts"
    estimate = "the noise from its residuals" + (", with its correlation" if plan.correlated else "")
    if is_open(task.model):
        rows, columns = plan.first_mesh
        rays = plan.first_over_sample**2
        each = f"{rays} ray{'s' if rays > 1 else ''} per pixel"
        found = [("first pass", f"{rows} × {columns} cells that follow the rays, {each}, {starts}{held}")]
        taken = ["what it waits for", *([estimate] if plan.noise else [])]
        passes = range(2, plan.passes + 2)
        again = f"{len(passes)} times" if len(passes) > 1 else "once"
        drafted = (
            "half of the cells at most" if isinstance(task.model.source.parts.get("mesh"), SourceBox) else "fewer rays"
        )
        draft = f"; at first a draft with {drafted}" if plan.draft and len(passes) > 1 else ""
        what = f"{again} the source itself, with {' and '.join(taken)}{draft}"
        found.append((f"pass {', '.join(map(str, passes))}", what))
    else:
        found = [("first pass", f"everything, {starts}{held}")]
        taken = [*([estimate] if plan.noise else []), *(["nothing held"] if plan.hold_first else [])]
        if taken:
            found.append(("all", f"again, with {' and '.join(taken)}"))
    found.append(("error bars", "Laplace approximation"))
    chains = f"{sampling.chains} chains of {sampling.warmup} + {sampling.draws} steps"
    return [*found, ("samples", f"NUTS, {chains}")]


def _work(setup: Any) -> list[tuple[str, str]]:
    import jax.numpy as jnp

    from lensax.campaign.provenance import describe_device
    from lensax.inversion.frame import frame_of

    task = setup.task
    posterior = _posterior(setup)
    source = posterior.model(posterior.constrain(jnp.zeros(posterior.n_parameters))).source
    frame = frame_of(task.dataset, source.over_sample)
    rays = f"{frame.x.size:,} from {frame.n_traced:,} pixels, those from which light blurs in included"
    return [
        ("rays", rays),
        ("coefficients", f"{posterior.n_coefficients} that are solved for"),
        ("parameters", f"{posterior.n_parameters} that are searched and sampled"),
        ("device", describe_device()),
    ]


def _posterior(setup: Any) -> Any:
    """Of the last stage, as far as its size is known."""
    from lensax.fit import Posterior
    from lensax.fit.waiting import stand_in

    task = setup.task
    model = dataclasses.replace(task.model, source=stand_in(task.model.source))
    return Posterior(model, task.dataset, task.noise, task.positions, task.minimum_magnification)


def _memory(setup: Any) -> str:
    needed = _posterior(setup).memory()
    return "unknown" if needed is None else f"{bytes_text(needed)} for the posterior and its gradient, once compiled"
