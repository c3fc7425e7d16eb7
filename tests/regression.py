"""The shipped configuration's image at one theta and key, and its gradient: what every later change is held against.

    python tests/regression.py      writes tests/data/regression_cdm_hst.npz anew

Do that only when a change is meant to move the image, and say so where the change is described.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lensax as lx

CONFIGURATION = Path(__file__).resolve().parents[1] / "configs" / "cdm_hst.yaml"
TABLE = Path(__file__).parent / "data" / "regression_cdm_hst.npz"
SEED = 20


def exact_model() -> lx.ForwardModel:
    """The shipped model with the exact sum over halos, whose image has no threshold that rounding could cross."""
    model = lx.ForwardModel.from_yaml(CONFIGURATION)
    simulator = lx.Simulator(model.simulator.instrument, lx.raytrace.Direct(closed_form=False))
    return lx.ForwardModel(model.prior, model.recipe, simulator)


def evaluate(theta: dict[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The noiseless image in float64, and the gradient of half the sum of its squares."""
    model = exact_model()
    key = jax.random.key(SEED)

    def energy(theta: dict[str, Any]) -> tuple[Any, Any]:
        image = model.noiseless(theta, key)
        return 0.5 * jnp.sum(image**2), image

    (_, image), gradient = jax.jit(jax.value_and_grad(energy, has_aux=True))(theta)
    return np.asarray(image), {name: np.asarray(value) for name, value in gradient.items()}


def main() -> None:
    """Write the table."""
    jax.config.update("jax_enable_x64", True)
    model = lx.ForwardModel.from_yaml(CONFIGURATION)
    theta = model.prior.sample(jax.random.key(SEED))
    image, gradient = evaluate(theta)
    names = list(theta)
    np.savez_compressed(
        TABLE,
        names=np.array(names),
        theta=np.array([theta[name] for name in names]),
        gradient=np.array([gradient[name] for name in names]),
        image=image,
    )
    print(f"{TABLE}: peak {image.max():.4g} electrons / s / pixel")


if __name__ == "__main__":
    main()
