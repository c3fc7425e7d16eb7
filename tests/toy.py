"""A forward model that costs nothing, with the interface of `lensax.simulate.ForwardModel`.

As a program it makes a campaign of the toy model and prints a line for every call: python toy.py DIR COUNT SHARD_SIZE
"""

import sys
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax.campaign import prepare
from lensax.instrument import Grid

NAMES = ("lens.mass.PowerLaw.einstein_radius", "blob.center_x")


class Diagnostics(NamedTuple):
    error_estimate: Any
    pairs: Any
    capacity: Any
    overflow: Any
    halos_per_plane: Any


class Seen(NamedTuple):
    noiseless: Any
    noisy: Any
    diagnostics: Diagnostics


class Prior(eqx.Module):
    names: tuple[str, ...] = eqx.field(static=True, default=NAMES)

    def sample(self, key, shape=()):
        draws = jax.random.normal(key, (len(self.names), *shape))
        return {name: 1 + 0.1 * draws[i] for i, name in enumerate(self.names)}

    def flatten(self, theta):
        return jnp.stack([theta[name] for name in self.names], axis=-1) if self.names else jnp.zeros((1, 0))

    def describe(self):
        return dict.fromkeys(self.names, "Normal(loc=1, scale=0.1)")


class Instrument(eqx.Module):
    grid: Grid

    def noise_map(self, image):
        return jnp.full_like(image, 0.1)


class Scene(eqx.Module):
    radius: Any
    halos: Any

    def without_halos(self):
        return Scene(self.radius, None)


class Tracer(eqx.Module):
    tolerance: float = 2e-5


class Simulator(eqx.Module):
    instrument: Instrument
    tracer: Tracer

    @eqx.filter_jit
    def noiseless(self, scene, diagnostics=False):
        x, y = self.instrument.grid.pixel_centers()
        image = jnp.exp(-((jnp.sqrt(x**2 + y**2) - 0.3 * scene.radius) ** 2) * 50)
        if scene.halos is not None:
            image = image * (1 + 0.2 * jnp.sin(30 * x))
        return (image, None) if diagnostics else image


class Configuration:
    """The configuration of the toy model."""

    text = "lens:\n  redshift: 0.5\nsource:\n  redshift: 1.5\n"
    digest = "0"

    def summary(self):
        return []


class ToyModel(eqx.Module):
    """Rings of Gaussian light whose rows go wrong by their theta, the radius of the ring.

    Above `overflow_above` a row lacks halos, and has room for them where slots may be doubled (`most_slots`); above
    `crowded_above` the tracer lacks room, above `broken_above` the image holds a NaN, above `raising_above` it raises.
    """

    prior: Prior
    simulator: Simulator
    recipe: None
    overflow_above: float = 10.0
    broken_above: float = 10.0
    crowded_above: float = 10.0
    raising_above: float = 10.0
    slots: int = eqx.field(static=True, default=1)
    most_slots: int = eqx.field(static=True, default=1)
    capacity: int = eqx.field(static=True, default=10)

    def __init__(
        self,
        shape=(8, 10),
        names=NAMES,
        overflow_above=10.0,
        broken_above=10.0,
        crowded_above=10.0,
        raising_above=10.0,
        slots=1,
        most_slots=1,
        capacity=10,
    ):
        self.prior = Prior(names)
        self.recipe = None
        self.simulator = Simulator(Instrument(Grid(shape, 0.1)), Tracer())
        self.overflow_above = overflow_above
        self.broken_above = broken_above
        self.crowded_above = crowded_above
        self.raising_above = raising_above
        self.slots, self.most_slots, self.capacity = slots, most_slots, capacity

    @property
    def configuration(self):
        return Configuration()

    def scene(self, theta, key):
        return Scene(theta[self.prior.names[0]] if self.prior.names else jnp.ones(()), halos=True)

    def with_more_pairs(self):
        return self._with(capacity=2 * self.capacity)

    def with_more_slots(self):
        return self if self.slots >= self.most_slots else self._with(slots=2 * self.slots)

    def _with(self, **changes):
        kept = ("overflow_above", "broken_above", "crowded_above", "raising_above", "slots", "most_slots", "capacity")
        values = {name: getattr(self, name) for name in kept} | changes
        return ToyModel(self.simulator.instrument.grid.shape, self.prior.names, **values)

    def batch_both(self, theta, keys, micro_batch=None, enlarge=True):
        raises = self.raising_above < 10.0 and not isinstance(keys, jax.core.Tracer)
        if raises and (theta[self.prior.names[0]] > self.raising_above).any():
            raise ArithmeticError("the ring is too large")
        return _both(self, theta, keys)

    @eqx.filter_jit
    def both(self, theta, key):
        scene = self.scene(theta, key)
        radius, noiseless = scene.radius, self.simulator.noiseless(scene)
        noiseless = jnp.where(radius > self.broken_above, jnp.nan, noiseless)
        # In a row: normal numbers of an image take ten times as long to compile.
        noisy = noiseless + 0.1 * jax.random.normal(key, (noiseless.size,)).reshape(noiseless.shape)
        halos = jax.random.randint(key, (3,), 0, 20)
        pairs = jnp.where(radius > self.crowded_above, 35, 5)
        lacking = (radius > self.overflow_above) & (self.slots < 4)
        found = Diagnostics(0.001 * radius, pairs, jnp.asarray(self.capacity), lacking | (pairs > self.capacity), halos)
        return Seen(noiseless, noisy, found)


@eqx.filter_jit
def _both(model, theta, keys):
    return jax.vmap(model.both)(theta, keys)


TEXT = Configuration.text


def toy_work(folder, count=20, model=None, text=TEXT, **options):
    return prepare(model or ToyModel(), text, str(hash(text) % 1000 if text != TEXT else 0), folder, count, **options)


if __name__ == "__main__":
    work = toy_work(sys.argv[1], int(sys.argv[2]), seed=1, shard_size=int(sys.argv[3]))
    work.run(progress=lambda rows: print(rows, flush=True))
