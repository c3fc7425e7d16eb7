"""Derivatives of every stage of an inversion: automatic, by finite differences, and their ratio.

    python benchmarks/inversion_gradients.py           # writes benchmarks/results/inversion_gradients.md and .json
    python benchmarks/inversion_gradients.py --over-sample 1 --pixel-scale 0.2 --mesh 12

Each stage is turned into one number by random weights, and differentiated along one direction in which every
parameter of the lens and of its light moves. Scenes: a centred isothermal lens on a grid that is symmetric about it, so
that every source coordinate occurs twice; two generic lenses. The finite difference is the central one of fourth order;
of several steps that one is taken that differs least from the one before, whatever the automatic derivative says.

Then the smoothness of the evidence: the deviation of its gradient from a cubic along a line over its size. Where
`make bench` has installed PyAutoLens, its meshes are differentiated in the same way.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lensax as lx
from lensax import inversion
from lensax.inversion.evidence import evidence_of
from lensax.inversion.frame import frame_of
from lensax.inversion.source import prior_matrix
from lensax.inversion.system import Observation, assemble, observe_rays

RESULTS = Path(__file__).resolve().parent / "results"
PEER = Path(__file__).resolve().parents[1] / ".venv-peers" / "autolens" / "bin" / "python"
STAGES = (
    "traced grid",
    "transformed coordinates",
    "sub-cell coordinates",
    "weights",
    "mapping",
    "blurred mapping",
    "data vector D",
    "curvature F",
    "reconstruction, free",
    "reconstruction, non-negative",
    "evidence, free",
    "evidence, non-negative",
)
# Einstein radius, slope, e1, e2, center x, y, shear 1, 2; ellipticity and centre of the lens light.
LENSES = {
    "centred isothermal": (1.6, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "elliptical with shear": (1.6, 2.05, 0.12, -0.07, 0.013, -0.021, 0.03, -0.02, 0.1, -0.05, 0.01, -0.02),
    "flat and off-centre": (1.4, 1.8, -0.2, 0.15, -0.11, 0.07, -0.04, 0.05, -0.15, 0.1, -0.1, 0.05),
}
DIRECTION = (0.31, 0.12, -0.23, 0.17, 0.11, -0.19, 0.13, 0.21, -0.1, 0.15, 0.05, -0.07)
MESHES: dict[str, Callable[[int, int], inversion.Mesh]] = {
    "adaptive": lambda n, degree: inversion.AdaptiveMesh((n, n), degree),
    "uniform": lambda n, degree: inversion.UniformMesh((n, n), None, degree),
}
STEPS = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)


def model(p: jax.Array) -> tuple[Any, Any]:
    """The lens and its light."""
    lens = lx.mass.PowerLaw(*p[:6]), lx.mass.ExternalShear(*p[6:8])
    return lens, (lx.light.GaussianBasis([0.2, 0.5, 1.2], *p[8:12]),)


def dataset(lens: tuple[float, ...], pixel_scale: float, radius: float) -> lx.Imaging:
    """A noisy image of a source with a knot, behind one of the lenses."""
    pixels = 2 * int(np.ceil(radius / pixel_scale + 0.5))
    psf = lx.psf.Gaussian(2 * pixel_scale, size=7)
    instrument = lx.Instrument((pixels, pixels), pixel_scale, psf, 2000.0, sky_level=0.1, over_sample=2)
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    source = lx.light.Sersic(3.0, 0.25, 1.0, 0.1, 0.2, 0.08, 0.05), lx.light.Gaussian(6.0, 0.06, 0, 0, -0.15, 0.1)
    light = lx.light.Gaussian(8.0, 0.5, *lens[8:12])
    scene = lx.Scene(planes, model(jnp.asarray(lens))[0], None, source, (light,))
    simulator = lx.Simulator(instrument)
    image = simulator(scene, jax.random.key(3))
    noise = instrument.noise_map(simulator.noiseless(scene))
    return lx.Imaging(image, noise, psf, pixel_scale, lx.Mask.circular(radius))


def random(seed: int, *shape: int) -> jax.Array:
    """Fixed random weights."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def stages(pixelization: inversion.Pixelization, observation: Observation, p: jax.Array) -> jax.Array:
    """Every stage as one number, (12,)."""
    lens, light = model(p)
    frame = observation.frame
    x, y = jnp.asarray(frame.x, float), jnp.asarray(frame.y, float)
    alpha = [profile.deflection(x, y) for profile in lens]
    source_x, source_y = x - sum(a[0] for a in alpha), y - sum(a[1] for a in alpha)
    placed, taps, _ = observe_rays(observation, pixelization.mesh, lens)
    share_x, share_y = placed.along_x(source_x), placed.along_y(source_y)
    z_x, z_y = placed.coordinates(source_x, source_y)
    weigh = random(0, 2, *x.shape)
    per_ray = taps.evaluate(random(1, placed.n_cells))
    system = assemble(observation, pixelization.mesh, lens, light, pixelization.light_deviation)
    n = system.data_vector.size
    prior, log_det = prior_matrix(pixelization, system)
    arguments = (system.curvature, system.data_vector, prior, log_det, system.data_squared, system.log_normalization)
    free, positive = (evidence_of(*arguments, positive=choice) for choice in (False, True))
    cells = random(6, n)
    return jnp.stack(
        [
            jnp.sum(weigh[0] * source_x + weigh[1] * source_y),
            jnp.sum(weigh[0] * share_x + weigh[1] * share_y),
            jnp.sum(weigh[0] * jnp.sin(2 * jnp.pi * z_x) + weigh[1] * jnp.sin(2 * jnp.pi * z_y)),
            jnp.sum(weigh[0] * jnp.sum(taps.weights() ** 2, -1)),
            jnp.sum(random(2, *frame.samples(per_ray).shape) * frame.samples(per_ray)),
            jnp.sum(random(3, *frame.field) * observation.blurred(per_ray)),
            random(4, n) @ system.data_vector,
            jnp.sum(random(5, n, n) * system.curvature),
            cells @ free.coefficients,
            cells @ positive.coefficients,
            free.log_evidence,
            positive.log_evidence,
        ]
    )


def derivatives(
    pixelization: inversion.Pixelization,
) -> Callable[[Observation, jax.Array], tuple[np.ndarray, np.ndarray]]:
    """A function of the data and the lens that gives the automatic derivatives and the finite differences."""
    direction = jnp.asarray(DIRECTION)

    def along(observation: Observation, p: jax.Array, h: jax.Array) -> jax.Array:
        return stages(pixelization, observation, p + h * direction)

    value = jax.jit(along)

    @jax.jit
    def pull_back(observation: Observation, p: jax.Array, bar: jax.Array) -> jax.Array:
        return jax.vjp(lambda h: along(observation, p, h), jnp.zeros(()))[1](bar)[0]

    def both(observation: Observation, p: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        automatic = np.array([pull_back(observation, p, bar) for bar in jnp.eye(len(STAGES))])
        tried = []
        for h in STEPS:
            f = {k: np.asarray(value(observation, p, jnp.asarray(k * h))) for k in (-2, -1, 1, 2)}
            tried.append((8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h))
        tried = np.array(tried)
        best = np.argmin(np.abs(np.diff(tried, axis=0)), axis=0) + 1
        return automatic, tried[best, np.arange(len(STAGES))]

    return both


def roughness(
    observation: Observation, degree: int, cells: int, mesh: str, over_sample: int, points: int = 31
) -> float:
    """Root mean square of the gradient about a cubic along a line, over its mean size."""
    pixelization = inversion.Pixelization(
        MESHES[mesh](cells, degree), inversion.Constant(1.0), over_sample=over_sample, tile=12
    )
    base, direction = jnp.asarray(LENSES["elliptical with shear"]), jnp.asarray(DIRECTION)

    @jax.jit
    def slope(t: jax.Array) -> jax.Array:
        def evidence(t: jax.Array) -> jax.Array:
            lens, light = model(base + t * direction)
            system = assemble(observation, pixelization.mesh, lens, light, pixelization.light_deviation)
            return pixelization.evidence(system).log_evidence

        return jax.grad(evidence)(t)

    t = np.linspace(-6e-3, 6e-3, points)
    values = np.array([slope(jnp.asarray(at)) for at in t])
    smooth = np.polyval(np.polyfit(t, values, 3), t)
    return float(np.sqrt(np.mean((values - smooth) ** 2)) / np.mean(np.abs(values)))


def measure(mesh: str, over_sample: int, cells: int, pixel_scale: float, radius: float) -> list[dict[str, Any]]:
    """Rows of the table for all scenes of one program."""
    pixelization = inversion.Pixelization(
        MESHES[mesh](cells, 2), inversion.Constant(1.0), over_sample=over_sample, tile=12
    )
    both, rows = derivatives(pixelization), []
    for scene, lens in LENSES.items():
        observation = pixelization.observation(dataset(lens, pixel_scale, radius))
        automatic, difference = both(observation, jnp.asarray(lens))
        for stage, a, d in zip(STAGES, automatic.tolist(), difference.tolist()):
            about = {"scene": scene, "mesh": mesh, "over_sample": over_sample, "stage": stage}
            rows.append({**about, "automatic": a, "difference": d, "ratio": a / d})
    return rows


def peer_rows(python: Path, over_samples: list[int], cells: int, pixel_scale: float, radius: float) -> dict[str, Any]:
    """The same derivatives of the adaptive meshes of the PyAutoLens that this Python has."""
    found: dict[str, Any] = {"rows": []}
    random = np.random.default_rng(0)
    regularization = np.asarray(inversion.Constant(1.0).precision(_unit_mesh(cells)).matrix)
    for scene in ("centred isothermal", "elliptical with shear"):
        image, p = dataset(LENSES[scene], pixel_scale, radius), jnp.asarray(LENSES[scene])
        for over_sample in over_samples:
            frame = frame_of(image, over_sample)
            x, y = (frame.masked(jnp.asarray(axis, float)) for axis in (frame.x, frame.y))

            def rays(p: jax.Array, x: jax.Array = x, y: jax.Array = y) -> tuple[jax.Array, jax.Array]:
                alpha = [profile.deflection(x, y) for profile in model(p)[0]]
                return x - sum(a[0] for a in alpha), y - sum(a[1] for a in alpha)

            (beta_x, beta_y), (dx, dy) = jax.jvp(rays, (p,), (jnp.asarray(DIRECTION),))
            used = np.asarray(frame.pixels)[: frame.n_masked]
            with tempfile.TemporaryDirectory() as folder:
                problem, answer = Path(folder) / "problem.npz", Path(folder) / "answer.json"
                np.savez(
                    problem,
                    x=beta_x,
                    y=beta_y,
                    dx=dx,
                    dy=dy,
                    cells=cells,
                    data=np.asarray(image.data)[used[:, 0], used[:, 1]],
                    noise=np.asarray(image.noise_map)[used[:, 0], used[:, 1]],
                    prior=regularization,
                    random=random.normal(size=(5, beta_x.size)),
                )
                worker = Path(__file__).resolve().parent / "workers" / "autolens_mesh.py"
                subprocess.run([str(python), str(worker), str(problem), str(answer)], check=True)
                read = json.loads(answer.read_text())
            found["version"] = read["version"]
            for transform, row in read["rows"].items():
                for stage, a, d in zip(read["stages"], row["automatic"], row["difference"]):
                    about = {"scene": scene, "mesh": transform, "over_sample": over_sample, "stage": stage}
                    found["rows"].append({**about, "automatic": a, "difference": d, "ratio": a / d if d else np.nan})
    return found


def _unit_mesh(cells: int) -> inversion.PlacedMesh:
    mesh = inversion.UniformMesh((cells, cells), (0.0, 1.0, 0.0, 1.0))
    return mesh.place(jnp.zeros((1, 1)), jnp.zeros((1, 1)), np.zeros((1, 2), int))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """One table for each scene and program."""
    lines = [
        "| scene | mesh | over-sampling | stage | automatic | finite difference | ratio - 1 |",
        "|---|---|--:|---|--:|--:|--:|",
    ]
    for row in rows:
        lines.append(
            f"| {row['scene']} | {row['mesh']} | {row['over_sample']} | {row['stage']} | {row['automatic']:.8e} "
            f"| {row['difference']:.8e} | {row['ratio'] - 1:.1e} |"
        )
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--over-sample", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--pixel-scale", type=float, default=0.1)
    parser.add_argument("--radius", type=float, default=3.5)
    parser.add_argument("--mesh", type=int, default=20, help="cells along either axis")
    parser.add_argument("--peer", type=Path, default=PEER, help="a Python that has PyAutoLens; left out if missing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows: list[dict[str, Any]] = []
    for mesh in MESHES:
        for over_sample in options.over_sample:
            rows += measure(mesh, over_sample, options.mesh, options.pixel_scale, options.radius)
            worst = max(abs(row["ratio"] - 1) for row in rows[-len(STAGES) * len(LENSES) :])
            print(f"{mesh}, over-sampling {over_sample}: largest |ratio - 1| {worst:.1e}", flush=True)
    pixelization = inversion.Pixelization(
        inversion.UniformMesh((9, 9)), inversion.Constant(1.0), over_sample=1, tile=12
    )
    image = dataset(LENSES["elliptical with shear"], options.pixel_scale, options.radius)
    observation = pixelization.observation(image)
    rough = {
        (mesh, degree): roughness(observation, degree, options.mesh, mesh, 1) for mesh in MESHES for degree in (1, 2, 3)
    }
    worst = max(abs(row["ratio"] - 1) for row in rows)
    pixels = image.n_pixels
    lines = [
        f"{pixels} pixels, {options.mesh} x {options.mesh} cells, quadratic splines; largest |ratio - 1|: {worst:.1e}.",
        "",
        *table(rows),
        "",
        "Deviation of the gradient from a cubic along a line of 31 points, over its mean size:",
        "",
        "| mesh | bilinear | quadratic | cubic |",
        "|---|--:|--:|--:|",
        *(f"| {mesh} | " + " | ".join(f"{rough[mesh, d]:.1e}" for d in (1, 2, 3)) + " |" for mesh in MESHES),
    ]
    peer = None
    if options.peer.exists():
        over_samples = [n for n in options.over_sample if n in (1, 4)]
        peer = peer_rows(options.peer, over_samples, options.mesh, options.pixel_scale, options.radius)
        lines += [
            "",
            f"The same of PyAutoLens {peer['version']}, along the same direction: its meshes by rank (`BilinearAdapt`) "
            "and by an exact kernel sum (`RTUAdapt`; without over-sampling alone, its memory grows with the square):",
            "",
            *table(peer["rows"]),
        ]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "inversion_gradients.md").write_text("\n".join(lines) + "\n")
    smoothness = [{"mesh": mesh, "degree": degree, "roughness": value} for (mesh, degree), value in rough.items()]
    (options.out / "inversion_gradients.json").write_text(
        json.dumps({"rows": rows, "smoothness": smoothness, "peer": peer}, indent=1) + "\n"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
