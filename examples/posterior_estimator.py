"""Neural posterior estimation of the subhalo mass function, from a campaign or from a stream.

    lensax simulate configs/cdm_subhalos.yaml --count 20000 --out output/subhalos
    python examples/posterior_estimator.py output/subhalos --out output/posterior

    python examples/posterior_estimator.py configs/cdm_subhalos.yaml --out output/posterior    # nothing stored

A small convolutional network looks at a noisy image, and a normalising flow (flowjax) turns what it has seen into the
probability of two parameters, whatever the lens, the source and the line of sight are: these were drawn at random in
every training image, so that they are marginalised over. Both learn together by maximising log q(theta | image).

Writes training.png, calibration.png, posterior.png, results.json and the weights, estimator.eqx.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import calibration
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import paramax
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import Normal
from flowjax.flows import masked_autoregressive_flow

import lensax as lx
from lensax.config import loads

PARAMETERS = ("subhalos.sigma_sub", "subhalos.slope")
FEATURES = 16
CHANNELS = (16, 32, 64, 64)
EDGE = 1e-6
"""Probabilities stay so far from 0 and 1 before they become normal deviates."""


class Targets(eqx.Module):
    """The parameters to infer, as normal deviates of their priors: z = Phi^-1(P(theta)), which the prior makes N(0, 1).

    Whatever a flow gives for z stands for a theta inside its prior, and an estimator that learns nothing gives N(0, 1).
    """

    laws: dict[str, Any]

    def deviates(self, theta: dict[str, jax.Array]) -> jax.Array:
        """z (..., parameters)."""
        shares = [jnp.clip(self.laws[name].cdf(theta[name]), EDGE, 1 - EDGE) for name in self.laws]
        return jax.scipy.special.ndtri(jnp.stack(shares, axis=-1))

    def values(self, deviates: jax.Array) -> dict[str, jax.Array]:
        """theta of z (..., parameters)."""
        shares = jnp.clip(jax.scipy.special.ndtr(deviates), EDGE, 1 - EDGE)
        return {name: law.icdf(shares[..., i]) for i, (name, law) in enumerate(self.laws.items())}


class Embedding(eqx.Module):
    """A few numbers that summarise an image: convolutions that halve it until it is small, then two dense layers."""

    convolutions: list[eqx.nn.Conv2d]
    dense: eqx.nn.MLP

    def __init__(self, shape: tuple[int, int], key: jax.Array):
        keys = jax.random.split(key, len(CHANNELS) + 1)
        sizes = [5] + [3] * (len(CHANNELS) - 1)
        self.convolutions = [
            eqx.nn.Conv2d(before, after, size, stride=2, padding=size // 2, key=one)
            for before, after, size, one in zip((1, *CHANNELS), CHANNELS, sizes, keys)
        ]
        small = [-(-n // 2 ** len(CHANNELS)) for n in shape]
        self.dense = eqx.nn.MLP(CHANNELS[-1] * small[0] * small[1], FEATURES, 64, 1, jax.nn.gelu, key=keys[-1])

    def __call__(self, image: jax.Array) -> jax.Array:
        features = image[None]
        for convolution in self.convolutions:
            features = jax.nn.gelu(convolution(features))
        return self.dense(features.ravel())


class Estimator(eqx.Module):
    """q(z | image)."""

    embedding: Embedding
    flow: Any
    background: float = eqx.field(static=True)

    def __init__(self, shape: tuple[int, int], count: int, background: float, key: jax.Array):
        embedding_key, flow_key = jax.random.split(key)
        self.embedding = Embedding(shape, embedding_key)
        self.flow = masked_autoregressive_flow(
            flow_key,
            base_dist=Normal(jnp.zeros(count)),
            transformer=RationalQuadraticSpline(knots=6, interval=4.0),
            cond_dim=FEATURES,
            flow_layers=4,
            nn_width=32,
        )
        self.background = background

    def features(self, image: jax.Array) -> jax.Array:
        """What the flow is told about an image: brightness counts in units of the background's noise, compressed."""
        return self.embedding(jnp.arcsinh(image / self.background))

    def log_prob(self, deviates: jax.Array, image: jax.Array) -> jax.Array:
        """log q(z | image)."""
        return self.flow.log_prob(deviates, self.features(image))

    def sample(self, image: jax.Array, key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
        """Draws of z (count, parameters), and their log q."""
        return self.flow.sample_and_log_prob(key, (count,), self.features(image))


def turned(images: jax.Array, key: jax.Array) -> jax.Array:
    """Each image turned and mirrored at random.

    The priors of lens, source and halos do not know left from right nor up from down, and the PSF is round, so that
    turned images are as probable as the images are, with the same subhalo mass function.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        flip_x, flip_y, swap = jax.random.bernoulli(key, shape=(3,))
        image = jnp.where(flip_x, image[:, ::-1], image)
        image = jnp.where(flip_y, image[::-1], image)
        return jnp.where(swap, image.T, image) if image.shape[0] == image.shape[1] else image

    return jax.vmap(one)(images, jax.random.split(key, len(images)))


@eqx.filter_jit
def loss_of(estimator: Estimator, deviates: jax.Array, images: jax.Array) -> jax.Array:
    """Mean of -log q(z | image): smaller by one where the posterior is e times as dense at the truth."""
    return -jnp.mean(jax.vmap(paramax.unwrap(estimator).log_prob)(deviates, images))


@eqx.filter_jit
def train_step(
    estimator: Estimator, state: Any, optimiser: Any, deviates: jax.Array, images: jax.Array, key: jax.Array
) -> tuple[Estimator, Any, jax.Array]:
    """One step down the gradient of the loss."""
    trained, fixed = eqx.partition(
        estimator, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )

    def loss(trained: Any) -> jax.Array:
        return loss_of(eqx.combine(trained, fixed), deviates, turned(images, key))

    value, gradient = jax.value_and_grad(loss)(trained)
    updates, state = optimiser.update(gradient, state, trained)
    return eqx.combine(eqx.apply_updates(trained, updates), fixed), state, value


def train(
    estimator: Estimator, targets: Targets, batches: Iterator[Any], steps: int, held: Any, key: jax.Array, rate: float
) -> tuple[Estimator, dict[str, list[float]]]:
    """Train for some steps; keep the weights with the smallest loss on the held-out batch, which is looked at often."""
    schedule = optax.cosine_onecycle_schedule(steps, rate, pct_start=0.1)
    optimiser = optax.chain(optax.clip_by_global_norm(5.0), optax.adamw(schedule, weight_decay=1e-3))
    state = optimiser.init(eqx.filter(estimator, eqx.is_inexact_array))
    nothing = float(-jax.scipy.stats.norm.logpdf(targets.deviates(held[0])).sum(axis=-1).mean())
    history: dict[str, list[float]] = {"step": [], "train": [], "validation": [], "prior": [nothing]}
    best, lowest, recent = estimator, np.inf, []
    for step, (theta, images) in enumerate(itertools.islice(batches, steps)):
        step_key = jax.random.fold_in(key, step)
        estimator, state, loss = train_step(estimator, state, optimiser, targets.deviates(theta), images, step_key)
        recent.append(loss)
        if (step + 1) % max(1, steps // 25) == 0 or step + 1 == steps:
            validation = float(loss_of(estimator, targets.deviates(held[0]), held[1]))
            history["step"].append(step + 1)
            history["train"].append(float(np.mean(recent)))
            history["validation"].append(validation)
            print(f"step {step + 1} of {steps}: loss {history['train'][-1]:.3f}, held out {validation:.3f}", flush=True)
            recent = []
            if validation < lowest:
                best, lowest = estimator, validation
    return best, history


def whole(batches: Iterator[Any], count: int) -> Any:
    """The first `count` rows of some batches as one batch; all where there are fewer."""
    parts, found = [], 0
    for theta, images in batches:
        parts.append((theta, images))
        found += len(images)
        if found >= count:
            break
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays)[:count], *parts)


def data(options: argparse.Namespace, keys: jax.Array) -> tuple[Iterator[Any], Any, Any, lx.Prior]:
    """Endless training batches, one batch to choose the weights by, one to test with, and the prior."""
    count = options.held_out
    if options.source.is_dir():
        campaign = lx.Campaign(options.source)
        train, *others = campaign.split()
        # Noise is drawn again in each epoch where the noiseless images are kept: a network cannot learn it by heart.
        noise = "fresh" if "noiseless" in campaign.plan.keep else "stored"
        batches = train.jax_batches(keys[0], options.batch_size, epochs=None, noise=noise)
        held, test = (
            whole(part.jax_batches(key, min(256, len(part)), drop_last=False), count)
            for part, key in zip(others, keys[1:])
        )
        return batches, held, test, loads(campaign.configuration, options.source).parameters.prior
    model = lx.ForwardModel.from_yaml(options.source)
    held, test = (whole(model.stream(key, min(256, count)), count) for key in keys[1:3])
    return model.stream(keys[0], options.batch_size), held, test, model.prior


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Train, test, draw; returns what results.json holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of a campaign, or a configuration to stream from")
    parser.add_argument("--out", type=Path, default=Path("output/posterior"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--held-out", type=int, default=1000, help="images for validation, and as many for the tests")
    parser.add_argument("--samples", type=int, default=255, help="of the posterior of each test image")
    parser.add_argument("--parameters", nargs="+", default=PARAMETERS, metavar="NAME")
    parser.add_argument("--weights", type=Path, help="an estimator.eqx to examine, instead of training one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    keys = jax.random.split(jax.random.key(options.seed), 6)
    begin, cpu = time.monotonic(), time.process_time()

    batches, held, test, prior = data(options, keys)
    laws = {name: prior.distributions[name] for name in options.parameters}
    targets = Targets(laws)
    # The lowest and the highest row of pixels are sky: their scatter is the background's.
    background = float(np.median(np.abs(np.asarray(held[1])[:, [0, -1]])) / 0.6745)
    estimator = Estimator(held[1].shape[1:], len(laws), background, keys[3])
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"source": options.source.name}
    if options.weights is None:
        estimator, history = train(estimator, targets, batches, options.steps, held, keys[4], options.rate)
        results |= {
            "steps": options.steps,
            "batch_size": options.batch_size,
            "seconds": round(time.monotonic() - begin, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "validation_loss": min(history["validation"]),
        }
        calibration.draw_training(history, options.out / "training.png")
        eqx.tree_serialise_leaves(options.out / "estimator.eqx", estimator)
    else:
        estimator = eqx.tree_deserialise_leaves(options.weights, estimator)
        results["weights"] = options.weights.name

    trained = paramax.unwrap(estimator)
    found = calibration.examine(trained, targets.deviates(test[0]), test[1], options.samples, keys[5])
    results |= found.summary(options.parameters)
    calibration.draw_calibration(found, options.parameters, options.out / "calibration.png")
    calibration.draw_posterior(trained, targets, test[0], test[1], found, keys[5], options.out / "posterior.png")
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    return results


if __name__ == "__main__":
    main()
