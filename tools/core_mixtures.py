r"""Fit the Plummer mixtures of halos with cores: writes src/lensax/mass/data/core_mixtures.npz in ten minutes.

    python tools/core_mixtures.py

The discs of every mixture have fixed radii in units of a reach (mass/plummer.py). For the cored NFW family their masses
follow from a formula. The lenses of the cores of self-interacting halos are no mixtures of positive discs, but very
nearly some of discs of both signs. Their masses, as polynomials of ln s, s = tau/f, and piecewise cubics of ln f, the
core fraction, are fitted here by one least-squares problem for each band of s. A ridge keeps them small enough for
single precision. Between two discs the fit is worst: the reach is a multiple of the core that is
constant in a band, with the core at the best place between two discs, and jumps from band to band.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

from lensax.mass.core_mixture import BAND, FIRST_BAND, N_BANDS, N_CORES, ORDER, RANGES, cubic_weights, normalization  # noqa: E402
from lensax.mass.core_shapes import ISOTHERMAL, QUARTIC  # noqa: E402
from lensax.mass.plummer import NODES  # noqa: E402

RIDGE = 1e-6
# Errors are held against the deflection, or this share of its largest value.
FLOOR = 0.5
# Discs far inside of the core have no mass.
SMALLEST_DISC = 0.05
PLACES = tuple(np.arange(1.1, 1.5, 0.05))  # the core over the disc below it
OUT = Path(__file__).parents[1] / "src/lensax/mass/data/core_mixtures.npz"


def sample(lens, name, band, n_cores, n_ratios, n_radii):
    """Coordinates in [-1, 1] of cores and ratios, f, tau, radii and `m/x`, for halos of a band within the ranges."""
    core, ratio = np.meshgrid(-np.cos(np.linspace(0, np.pi, n_cores)), np.linspace(-1, 1, n_ratios))
    core, ratio = core.ravel(), ratio.ravel()
    low, high = np.log(RANGES[name])
    f = np.exp(low + 0.5 * (core + 1) * (high - low))
    tau = f * np.exp(FIRST_BAND + BAND * (band + 0.5 * (ratio + 1)))
    used = (tau >= 0.5 * RANGES["tau"][0]) & (tau <= 2 * RANGES["tau"][1])
    core, ratio, f, tau = (a[used, None] for a in (core, ratio, f, tau))
    steps = np.linspace(0, 1, n_radii)
    low, high = 2e-3 * np.minimum(f, tau), 1e2 * np.maximum(np.maximum(tau, 1), f)
    x = low * (high / low) ** steps
    x = np.concatenate([x, f * np.linspace(0.6, 1.6, n_radii // 3)], axis=1)
    shape = x.shape
    mass = np.asarray(jax.jit(lens.mass)(*(jnp.asarray(np.broadcast_to(a, shape)) for a in (x, f, tau))))
    return core, ratio, f, tau, x, mass / x


def columns_of(x, f, tau, reach):
    """What discs of unit mass over radius contribute to `m/x`, (halos, radii, discs), and which discs are used."""
    discs = np.flatnonzero(NODES * reach > SMALLEST_DISC * min(1, (tau / f).min()))
    b = NODES[discs] * reach * f[..., None]
    return b * x[..., None] / (x[..., None] ** 2 + b**2), discs


def best_fit(lens, name, band):
    """The best fit of a band: coefficients (core node, order of s, disc), reach in cores, largest error."""
    halos = sample(lens, name, band, 3 * N_CORES, ORDER + 3, 60)
    if not len(halos[0]):
        return np.zeros((N_CORES, ORDER, len(NODES))), 1.0, 0.0
    guess = 1.5 + np.exp(FIRST_BAND + BAND * (band + 0.5)) / 7
    reaches = [1 / (step * NODES[disc]) for disc in range(5, 30) for step in PLACES]
    fits = [fit(*halos, reach) for reach in reaches if 0.6 < reach / guess < 1.8]
    return min(fits, key=lambda found: found[2])


def fit(core, ratio, f, tau, x, a, reach):
    """Coefficients, reach and error of one fit."""
    shapes, discs = columns_of(x, f, tau, reach)
    position = 0.5 * (core[:, 0] + 1) * (N_CORES - 1)
    first = np.clip(np.floor(position) - 1, 0, N_CORES - 4).astype(int)
    powers = np.polynomial.chebyshev.chebvander(ratio[:, 0], ORDER - 1)
    basis = np.asarray(cubic_weights(position - first)).T[:, :, None] * powers[:, None, :]  # (halo, 4, order)
    peak = a.max(1, keepdims=True)
    weight = 1 / np.maximum(a, FLOOR * peak)
    size = ORDER * len(discs)
    normal, right = np.zeros((N_CORES * size,) * 2), np.zeros(N_CORES * size)
    shapes = shapes * normalization(f, tau)[..., None]
    rows = [np.einsum("ci,rk->rcik", b, shape).reshape(len(shape), -1) for b, shape in zip(basis, shapes)]
    for start, row, target, w in zip(first * size, rows, a, weight):
        part = slice(start, start + 4 * size)
        weighted = row * w[:, None]
        normal[part, part] += weighted.T @ weighted
        right[part] += weighted.T @ (target * w)
    normal[np.diag_indices(len(normal))] += RIDGE**2 * a.size
    found = np.linalg.solve(normal, right)
    got = np.array([row @ found[start : start + 4 * size] for start, row in zip(first * size, rows)])
    coefficients = np.zeros((N_CORES, ORDER, len(NODES)))
    coefficients[..., discs] = found.reshape(N_CORES, ORDER, -1)
    return coefficients, reach, (np.abs(got - a) / peak).max()


def main():
    table, reaches = [], []
    for name, lens in (("quartic", QUARTIC), ("isothermal", ISOTHERMAL)):
        for band in range(N_BANDS):
            coefficients, reach, error = best_fit(lens, name, band)
            s = np.exp(FIRST_BAND + BAND * band)
            size = np.abs(coefficients).sum((1, 2)).max()
            report = f"{name}: s from {s:.3g}, reach {reach:.3g} cores, error {error:.1e}, masses {size:.2g}"
            print(report, flush=True)
            table.append(coefficients)
            reaches.append(reach)
    OUT.parent.mkdir(exist_ok=True)
    coefficients = np.array(table).reshape(2, N_BANDS, N_CORES, ORDER, len(NODES))
    np.savez_compressed(
        OUT,
        coefficients=coefficients.astype(np.float32),
        reaches=np.array(reaches).reshape(2, N_BANDS).astype(np.float32),
    )


if __name__ == "__main__":
    main()
