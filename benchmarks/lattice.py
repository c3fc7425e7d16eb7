"""The lattice against the exact tracer, over random scenes: accuracy, gradients, and where the time goes.

    python benchmarks/lattice.py accuracy --scenes 200      # errors and estimates, for 300 to 10000 halos
    python benchmarks/lattice.py accuracy --config configs/cdm_hst.yaml --scenes 200
    python benchmarks/lattice.py gradients --scenes 20      # gradients against the exact tracer's
    python benchmarks/lattice.py profile --halos 1000 --over-sample 1 2 4   # where the time goes
    python benchmarks/lattice.py profile --config configs/cdm_hst.yaml

Prints a table and adds it to those in benchmarks/results/. The lattice runs in float32, the exact tracer in float64.
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from operations import times_by_scope

import lensax as lx
from lensax._compile import WIDEST
from lensax._types import cast
from lensax.raytrace import Direct, Lattice

COSMOLOGY = lx.cosmology.FlatLambdaCDM(67.74, 0.3075)
REDSHIFTS, LENS_REDSHIFT, SOURCE_REDSHIFT = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.3), 0.5, 1.5
PLANES = lx.raytrace.Planes(REDSHIFTS, LENS_REDSHIFT, SOURCE_REDSHIFT, COSMOLOGY)
MASSES, SLOPE = (1e6, 1e10), -1.9
HALF_WIDTH = 3.0  # arcsec, of the square that halos fill
RESULTS = Path(__file__).parent / "results"
# Scopes of an image's program, and what they are.
PARTS = {
    "population": "drawing the halos",
    "packing": "packing the halos, discs of each",
    "nodes": "nodes: every halo, all planes",
    "choice": "choice of pairs, error estimate",
    "rays": "rays: interpolation, planes, tides",
    "pairs": "pairs",
    "macro": "macro model",
    "exact_tiles": "exact tiles",
    "light": "light",
    "pixels": "binning, point spread function",
    "noise": "noise",
}
REST = "all other"


@jax.jit
@jax.vmap
def halos_of(mass: Any, concentration: Any, redshift: Any) -> lx.mass.Halo:
    """NFW halos of mass M200c."""
    return lx.mass.Halo.from_mass(mass, concentration, redshift, SOURCE_REDSHIFT, COSMOLOGY)


def random_table(count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Cuspy, cored and collapsed halos, truncated or not, dN/dM ~ M^-1.9 between 1e6 and 1e10 Msun."""
    low, high = (mass ** (SLOPE + 1) for mass in MASSES)
    mass = (low + random.random(count) * (high - low)) ** (1 / (SLOPE + 1))
    redshift = random.choice(REDSHIFTS, count)
    concentration = 18 * (mass / 1e8) ** -0.05 * (1 + redshift) ** -0.7 * np.exp(0.3 * random.standard_normal(count))
    halos = halos_of(*(jnp.asarray(column, float) for column in (mass, concentration, redshift)))
    kappa_s, radius = np.asarray(halos.kappa_s, float), np.asarray(halos.scale_radius, float)
    shrink = np.where(random.random(count) < 0.03, 10 ** random.uniform(-1.5, -0.5, count), 1.0)
    kappa_s, radius = kappa_s / shrink**2, radius * shrink
    cored = random.random(count) < 0.3
    return {
        "redshift": redshift,
        "center_x": random.uniform(-HALF_WIDTH, HALF_WIDTH, count),
        "center_y": random.uniform(-HALF_WIDTH, HALF_WIDTH, count),
        "kappa_s": kappa_s,
        "scale_radius": radius,
        "truncation_radius": radius / shrink * random.choice([3.0, 10.0, 20.0, np.inf], count),
        "core_radius": np.where(cored, random.uniform(0.01, 0.9, count), 0.0) * radius,
    }


def random_scene(count: int, seed: int, slots: int) -> lx.Scene:
    """A random lens, population and source, in float64."""
    random = np.random.default_rng([seed, count])
    e1, e2, gamma_1, gamma_2 = random.normal(0, [0.1, 0.1, 0.04, 0.04])
    center = random.uniform(-0.1, 0.1, 2)
    # Every tenth lens is centred on the corner of a pixel, every tenth on the centre of one.
    center = {0: np.zeros(2), 1: np.full(2, 0.025)}.get(seed % 10, center)
    macro = (
        lx.mass.PowerLaw(random.normal(1.2, 0.1), random.uniform(1.8, 2.3), e1, e2, *center),
        lx.mass.ExternalShear(gamma_1, gamma_2),
    )
    halos = lx.halos.HaloCatalogue.from_table(random_table(count, random), PLANES, slots=slots)
    source = lx.light.Sersic(20.0, random.uniform(0.05, 0.3), 1.0, 0.1, 0.0, *random.normal(0, 0.08, 2))
    return lx.Scene(PLANES, macro, halos, (source,))


def slots_for(count: int) -> int:
    """Slots per plane that no random population of this size overflows."""
    mean = count / len(REDSHIFTS)
    return int(mean + 7 * np.sqrt(mean) + 8)


def population(config: str | None) -> str:
    """What the tables call the scenes."""
    return "random" if config is None else Path(config).stem


def scenes_of(config: str | None, count: int, scenes: int) -> Iterator[lx.Scene]:
    """Random scenes of this script, or of a configuration."""
    if config is None:
        for seed in range(scenes):
            yield random_scene(count, seed, slots_for(count))
        return
    model = lx.ForwardModel.from_yaml(config)
    for key in jax.random.split(jax.random.key(1), scenes):
        prior_key, row_key = jax.random.split(key)
        yield cast(model.scene(model.prior.sample(prior_key), row_key), jnp.float64)


def grid_of(options: argparse.Namespace, factor: int) -> lx.Grid:
    """The rays: of the configuration's frame, or of the frame that the options tell."""
    if options.config is None:
        return lx.Grid((options.pixels, options.pixels), options.pixel_scale, factor)
    frame = lx.ForwardModel.from_yaml(options.config).simulator.instrument.grid
    return lx.Grid(frame.shape, frame.pixel_scale, factor)


def brightness(scene: lx.Scene, x: Any, y: Any) -> Any:
    """Surface brightness of the source at source positions."""
    return sum(profile.surface_brightness(x, y) for profile in scene.source)


def comparison(tracer: Lattice, grid: lx.Grid, exact: Direct) -> Callable[[lx.Scene], dict[str, float]]:
    """A function that measures the errors of one scene."""

    @eqx.filter_jit
    def measure(scene: lx.Scene) -> dict[str, Any]:
        found, truth = tracer.trace(cast(scene, jnp.float32), grid), exact.trace(scene, grid)
        d_x, d_y = (getattr(found, a).astype(jnp.float64) - getattr(truth, a) for a in ("source_x", "source_y"))
        square = d_x**2 + d_y**2
        light = brightness(scene, truth.source_x, truth.source_y)
        bright = light > 0.05 * jnp.max(light)
        return {
            "rms": jnp.sqrt(jnp.mean(square)),
            "bright_max": jnp.sqrt(jnp.max(jnp.where(bright, square, 0))),
            "estimate": found.diagnostics.error_estimate,
            "pairs": found.diagnostics.pairs,
            "overflow": found.diagnostics.overflow,
            "halos": jnp.sum(found.diagnostics.halos_per_plane),
        }

    return lambda scene: {name: float(value) for name, value in measure(scene).items()}


def accuracy(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each number of halos and over-sampling."""
    print("   halos  over  scenes  rms median      max  bright max  estimate/rms min  median  bounded  pairs  overflow")
    rows = []
    for count in options.halos if options.config is None else [0]:
        for factor in options.over_sample:
            grid, exact = grid_of(options, factor), Direct(options.closed_form)

            @functools.cache
            def measure(tracer: Lattice, grid: lx.Grid = grid, exact: Direct = exact) -> Callable[[lx.Scene], Any]:
                return comparison(tracer, grid, exact)

            found = []
            for scene in scenes_of(options.config, count, options.scenes):
                tracer = Lattice(tolerance=options.tolerance)
                row = measure(tracer)(scene)
                again = row["overflow"]
                while row["overflow"]:  # a simulator traces again, too
                    tracer = tracer.enlarged()
                    row = measure(tracer)(scene)
                found.append(row | {"overflow": again})
            column = {name: np.array([row[name] for row in found]) for name in found[0]}
            ratio = column["estimate"] / column["rms"]
            rows.append(
                {
                    "population": population(options.config),
                    "halos": float(np.median(column["halos"])),
                    "over_sample": factor,
                    "tolerance": options.tolerance,
                    "scenes": len(found),
                    "rms_median": float(np.median(column["rms"])),
                    "rms_max": float(column["rms"].max()),
                    "bright_max": float(column["bright_max"].max()),
                    "ratio_min": float(ratio.min()),
                    "ratio_median": float(np.median(ratio)),
                    "bounded": float((ratio >= 1).mean()),
                    "pairs_max": int(column["pairs"].max()),
                    "overflow": int(column["overflow"].sum()),
                }
            )
            print(
                "{halos:8.0f} {over_sample:5d} {scenes:7d}    {rms_median:.2e} {rms_max:.2e}    {bright_max:.2e}"
                "              {ratio_min:.2f}    {ratio_median:.2f}    {bounded:.3f}  {pairs_max:5d}         "
                "{overflow:d}".format(**rows[-1]),
                flush=True,
            )
    return rows


def image_sum(scene: lx.Scene, tracer: Any, grid: lx.Grid) -> Any:
    """A smoothly weighted sum of the image, whose gradient is compared."""
    trace = tracer.trace(scene, grid)
    light = brightness(scene, trace.source_x, trace.source_y)
    x, y = grid.positions(light.dtype)
    return jnp.mean(light * (1 + 0.5 * jnp.sin(3 * x + 1) * jnp.cos(2 * y)))


def gradient_distances(found: lx.Scene, truth: lx.Scene, scene: lx.Scene) -> dict[str, float]:
    """Relative rms errors: macro model, masses and positions of the 100 strongest halos; 1 - cosine over all halos."""

    def of_halos(gradient: lx.Scene, name: str) -> np.ndarray:
        return np.asarray(getattr(gradient.halos.halos, name), float).ravel()

    def relative(mine: np.ndarray, exact: np.ndarray) -> float:
        return float(np.linalg.norm(mine - exact) / np.linalg.norm(exact))

    strength = np.asarray(scene.halos.halos.kappa_s * scene.halos.halos.scale_radius**2, float).ravel()
    strongest = np.argsort(-strength)[:100]
    macro = [np.array(jax.tree.leaves(gradient.macro), float) for gradient in (found, truth)]
    pairs = {name: (of_halos(found, name), of_halos(truth, name)) for name in ("kappa_s", "center_x", "center_y")}
    position = np.concatenate([pairs["center_x"], pairs["center_y"]], axis=1)
    both = {"mass": pairs["kappa_s"], "position": position}
    cosines = {name: float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for name, (a, b) in both.items()}
    size = len(strength)
    return {
        "macro": relative(*macro),
        "mass": relative(*(a[strongest] for a in both["mass"])),
        "position": relative(*(a[np.concatenate([strongest, strongest + size])] for a in position)),
        "mass_cosine": cosines["mass"],
        "position_cosine": cosines["position"],
    }


def gradients(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The gradient of a sum of the image, in float64, against the exact tracer's: medians and maxima over scenes."""
    names = ("macro", "mass", "position", "mass_cosine", "position_cosine")
    print(
        "   halos  over  tolerance  scenes   " + "   ".join(f"{name:>17s}" for name in names) + "   (median, largest)"
    )
    rows = []
    for count in options.halos if options.config is None else [0]:
        for factor in options.over_sample:
            grid = grid_of(options, factor)
            scenes = list(scenes_of(options.config, count, options.scenes))

            def gradient(tracer: Any, grid: lx.Grid = grid) -> Callable[[lx.Scene], lx.Scene]:
                return eqx.filter_jit(eqx.filter_grad(functools.partial(image_sum, tracer=tracer, grid=grid)))

            exact = gradient(Direct(closed_form=options.closed_form))
            truths = [exact(scene) for scene in scenes]
            for tolerance in (options.tolerance, options.tolerance / 10):
                function = gradient(Lattice(tolerance=tolerance))
                found = [gradient_distances(function(a), b, a) for a, b in zip(scenes, truths)]
                column = {name: [row[name] for row in found] for name in names}
                row = {"population": population(options.config), "halos": count, "over_sample": factor}
                row |= {"tolerance": tolerance, "scenes": len(scenes)}
                for name in names:
                    row[name], row[f"{name}_max"] = float(np.median(column[name])), float(np.max(column[name]))
                rows.append(row)
                print(
                    f"{count:8d} {factor:5d}    {tolerance:.1e} {len(scenes):7d}   "
                    + "   ".join(f"{row[name]:.1e}, {row[f'{name}_max']:.1e} " for name in names),
                    flush=True,
                )
    return rows


def program_of(
    config: str | None, count: int, factor: int, options: argparse.Namespace
) -> tuple[Any, Any, dict[str, Any]]:
    """An image as one function of some arguments, these arguments, and what they are.

    Of random halos a noiseless one without a point spread function; of a configuration everything.
    """
    if config is not None:
        model = lx.ForwardModel.from_yaml(config)
        given = model.prior.sample(jax.random.key(0)), jax.random.key(1)
        halos, grid = model.scene(*given).halos, model.simulator.instrument.grid
        return model.both, given, {"halos": int(jnp.sum(halos.counts)), "over_sample": grid.over_sample}
    scene = cast(next(scenes_of(None, count, 1)), jnp.float32)
    instrument = lx.Instrument((options.pixels, options.pixels), options.pixel_scale, None, 1000.0, over_sample=factor)
    simulator = lx.Simulator(instrument, Lattice(options.tolerance))
    about = {"halos": int(jnp.sum(scene.halos.counts)), "over_sample": factor}
    return functools.partial(simulator.noiseless, diagnostics=True), (scene,), about


def profile_of(count: int, factor: int, options: argparse.Namespace) -> dict[str, Any]:
    """The operations of an image, by what they are for."""
    function, given, about = program_of(options.config, count, factor, options)
    compiled = eqx.filter_jit(function, compiler_options=WIDEST).lower(*given).compile()
    found = times_by_scope(compiled.compiled.as_text(), functools.partial(compiled, *given), PARTS, REST, 20)
    parts = {PARTS.get(name, name): 1e3 * seconds for name, seconds in found.items() if seconds > 0}
    row = {"population": population(options.config), **about}
    total = sum(parts.values())
    print(*row.values(), f"{total:.1f} ms")
    for name, value in parts.items():
        print(f"  {name:48s} {value:6.2f} ms", flush=True)
    return {**row, "processor_ms": total, "parts": parts}


def profile(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Where the time goes, on one core: the times of operations add up there."""
    if options.config is not None:
        return [profile_of(0, 0, options)]
    return [profile_of(count, factor, options) for count in options.halos for factor in options.over_sample]


def profile_table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = []
    for row in rows:
        head = f"{row['population']}, {row['halos']} halos, over-sampling {row['over_sample']}"
        lines += [f"| {head} | ms on one core |", "|---|--:|"]
        lines += [f"| {name} | {value:.2f} |" for name, value in row["parts"].items()]
        lines += [f"| **image** | **{row['processor_ms']:.1f}** |", ""]
    return "\n".join(lines)


def accuracy_table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| population | halos | over-sampling | scenes | rms, median | rms, largest | worst bright ray | "
        "estimate / rms, smallest | median | scenes bounded | traced again |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        lines.append(
            f"| {row['population']} | {row['halos']:.0f} | {row['over_sample']} | {row['scenes']} | "
            f"{row['rms_median']:.1e} | {row['rms_max']:.1e} | {row['bright_max']:.1e} | {row['ratio_min']:.2f} | "
            f"{row['ratio_median']:.2f} | {100 * row['bounded']:.1f}% | {row['overflow']} |"
        )
    return "\n".join(lines) + "\n"


def gradients_table(rows: list[dict[str, Any]]) -> str:
    """Markdown; medians and, in brackets, the largest over the scenes."""
    names = ("macro", "mass", "position", "mass_cosine", "position_cosine")
    lines = [
        "| population | halos | over-sampling | tolerance | scenes | macro model | masses | positions | "
        "1 - cosine, masses | 1 - cosine, positions |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        values = " | ".join(f"{row[name]:.1e} ({row[f'{name}_max']:.1e})" for name in names)
        lines.append(
            f"| {row['population']} | {row['halos']} | {row['over_sample']} | {row['tolerance']:.0e} | {row['scenes']} "
            f"| {values} |"
        )
    return "\n".join(lines) + "\n"


TABLES = {"accuracy": accuracy_table, "gradients": gradients_table, "profile": profile_table}
# What makes two rows measurements of the same thing: the later one stays.
SAME: dict[str, Any] = {"population": "random", "halos": 0, "over_sample": 0, "tolerance": 0.0}


def merged(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with those of earlier runs that they do not replace, in order."""
    earlier = json.loads(path.read_text())["rows"] if path.exists() else []

    def same(row: dict[str, Any]) -> tuple[Any, ...]:
        # A configuration's number of halos is found, not given: the median of the scenes.
        names = [name for name in SAME if name != "halos" or row.get("population", "random") == "random"]
        return tuple(row.get(name) for name in names)

    every = {same(row): row for row in [*earlier, *rows]}
    return sorted(every.values(), key=lambda row: [row.get(name, other) for name, other in SAME.items()])


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "gradients", "profile"])
    parser.add_argument("--halos", type=int, nargs="+", default=[300, 1000, 3000, 10000])
    parser.add_argument("--over-sample", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--pixels", type=int, default=100)
    parser.add_argument("--pixel-scale", type=float, default=0.05)
    parser.add_argument("--tolerance", type=float, default=2e-5)
    parser.add_argument(
        "--closed-form",
        action="store_true",
        help="the reference takes the closed forms of the halos, not their mixtures (50 times slower)",
    )
    parser.add_argument("--config", help="draw the scenes from this configuration")
    options = parser.parse_args()
    if options.what == "profile" and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.execv(sys.executable, [sys.executable, *sys.argv])  # JAX has counted the cores already
    jax.config.update("jax_enable_x64", options.what != "profile")
    rows = {"accuracy": accuracy, "gradients": gradients, "profile": profile}[options.what](options)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"lattice_{options.what}.json"
    rows = merged(path, rows)
    path.write_text(json.dumps({"device": str(jax.devices()[0]), "rows": rows}, indent=1) + "\n")
    if options.what in TABLES:
        path.with_suffix(".md").write_text(TABLES[options.what](rows))
    print(f"written to {path}")


if __name__ == "__main__":
    main()
