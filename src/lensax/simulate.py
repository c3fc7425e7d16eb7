"""From a scene to an image, and from theta to an image."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lensax._batching import map_batch
from lensax._compile import compiled
from lensax._prefetch import ahead
from lensax._types import Array, Float, PRNGKeyArray, as_real, concrete
from lensax.instrument import Instrument
from lensax.parameters import Prior
from lensax.parameters.near import check_theta
from lensax.raytrace import Diagnostics, Lattice, RayTracer, Trace
from lensax.recipe import Recipe
from lensax.scene import Scene

if TYPE_CHECKING:
    from lensax.config import Configuration

__all__ = ["ForwardModel", "Observation", "Simulator"]


class Observation(eqx.Module):
    """What one evaluation of a forward model gives; a batch has a leading axis on every array.

    Attributes:
        noiseless: the expected image without sky, electrons / s / pixel, (n_y, n_x).
        noisy: one noisy image, the sky's mean subtracted, electrons / s / pixel, (n_y, n_x).
        diagnostics: how far they can be trusted.
    """

    noiseless: Float[Array, "*batch n_y n_x"]
    noisy: Float[Array, "*batch n_y n_x"]
    diagnostics: Diagnostics


@final
class Simulator(eqx.Module):
    """Takes images of scenes: traces rays, evaluates the light, blurs, bins and adds noise.

    Compiled once for every shape of a scene: the halos, their number on each plane, the redshifts and every parameter
    may change without a new compilation.  Outside of a JAX transform an image for which the tracer lacked room is made
    again with more, and one that lacks halos (see `Diagnostics.overflow`) is refused with an `OverflowError`.  Inside a
    transform neither is possible: the flag is returned by whatever returns diagnostics.

    Args:
        instrument: the telescope and its camera.
        tracer: how the rays are traced.
    """

    instrument: Instrument
    tracer: RayTracer = eqx.field(default_factory=Lattice)

    # One object is one function: `jax.jit` takes it as it is.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def noiseless(self, scene: Scene, diagnostics: bool = False) -> Any:
        """The expected image of a scene without sky, electrons / s / pixel, (n_y, n_x).

        With `diagnostics=True`: (image, Diagnostics) from the same compiled program.
        """
        image, found = _with_room(lambda simulator: _noiseless(simulator, scene), self)
        return (image, found) if diagnostics else _trusted(image, found)

    def __call__(self, scene: Scene, key: PRNGKeyArray, diagnostics: bool = False) -> Any:
        """A noisy image of a scene, sky subtracted, electrons / s / pixel, (n_y, n_x).

        With `diagnostics=True`: (image, Diagnostics) from the same compiled program.
        """
        seen = self.observe(scene, key)
        return (seen.noisy, seen.diagnostics) if diagnostics else _trusted(seen.noisy, seen.diagnostics)

    def observe(self, scene: Scene, key: PRNGKeyArray) -> Observation:
        """The noiseless and the noisy image of a scene with their diagnostics."""
        return _with_room(lambda simulator: _observe(simulator, scene, key), self)

    def diagnose(self, scene: Scene) -> Diagnostics:
        """The diagnostics alone: error estimate, pairs used and capacity, overflow, halos per plane."""
        return self.noiseless(scene, diagnostics=True)[1]

    def batch(self, scenes: Scene, keys: Array, micro_batch: int | None = None, diagnostics: bool = False) -> Any:
        """Noisy images of scenes that are stacked along a leading axis of every leaf, (n, n_y, n_x).

        Args:
            scenes: a Scene whose every array has a leading axis of length n.
            keys: n random keys.
            micro_batch: images that are in memory together; None sizes it to the device.
            diagnostics: also return the Diagnostics, with a leading axis.
        """
        size = self._bytes_per_image(scenes.dtype)
        seen = _with_room(lambda simulator: map_batch(_observe, simulator, (scenes, keys), micro_batch, size), self)
        return (seen.noisy, seen.diagnostics) if diagnostics else _trusted(seen.noisy, seen.diagnostics)

    def _bytes_per_image(self, dtype: Any) -> int:
        """A generous estimate of the temporaries of one image."""
        return 64 * self.instrument.padded_grid.n_rays * jnp.dtype(dtype).itemsize


@final
class ForwardModel(eqx.Module):
    """`theta, key -> noisy image`: a prior over theta, a recipe that makes theta a scene, and a simulator.

    `theta` is a dict of arrays, one for each free parameter of the prior. `jax.jit`, `jax.vmap` and `jax.grad` apply.

    Args:
        prior: the free parameters and their distributions.
        recipe: `recipe(theta, key) -> Scene`, pure.
        simulator: takes the image.
        configuration: the configuration that it was built from, if it was.
    """

    prior: Prior
    recipe: Callable[[Mapping[str, Array], PRNGKeyArray], Scene]
    simulator: Simulator
    configuration: "Configuration | None" = eqx.field(static=True, default=None)

    # One object is one function: `jax.jit` takes it as it is.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @classmethod
    def from_yaml(cls, path: str | Path) -> "ForwardModel":
        """The forward model that a configuration file describes.

        Raises:
            lensax.config.ConfigError: with the line and the key of what is wrong.
        """
        from lensax.config import load

        return cls.from_configuration(load(path))

    @classmethod
    def from_configuration(cls, configuration: "Configuration") -> "ForwardModel":
        """The forward model that a configuration describes.

        Raises:
            lensax.config.ConfigError: with the line and the key of what is wrong.
        """
        prior, recipe, simulator = configuration.build()
        return cls(prior, recipe, simulator, configuration)

    def __call__(self, theta: Mapping[str, Any], key: PRNGKeyArray) -> Float[Array, "n_y n_x"]:
        """A noisy image, electrons / s / pixel."""
        seen = self.both(theta, key)
        return _trusted(seen.noisy, seen.diagnostics)

    def noiseless(self, theta: Mapping[str, Any], key: PRNGKeyArray) -> Float[Array, "n_y n_x"]:
        """The expected image of the universe that `theta` and `key` make, electrons / s / pixel."""
        seen = self.both(theta, key)
        return _trusted(seen.noiseless, seen.diagnostics)

    def both(self, theta: Mapping[str, Any], key: PRNGKeyArray) -> Observation:
        """The noiseless and the noisy image with their diagnostics, from one compiled program."""
        values = self._checked(theta)
        return _with_room(lambda simulator: _evaluate((self.recipe, simulator), values, key), self.simulator)

    def scene(self, theta: Mapping[str, Any], key: PRNGKeyArray) -> Scene:
        """The universe that `theta` and `key` make: the one that the images of the same theta and key show."""
        return _make_scene(self.recipe, self._checked(theta), key)

    def batch(self, theta: Mapping[str, Any], keys: Array, micro_batch: int | None = None) -> Array:
        """Noisy images (n, n_y, n_x) of theta with a leading axis n on every array.

        They are made in micro-batches that fit the device, on all local devices.
        """
        seen = self.batch_both(theta, keys, micro_batch)
        return _trusted(seen.noisy, seen.diagnostics)

    def batch_both(
        self, theta: Mapping[str, Any], keys: Array, micro_batch: int | None = None, enlarge: bool = True
    ) -> Observation:
        """As `batch`, with noiseless images and diagnostics; rows that lack halos are returned and flagged.

        With `enlarge=False` rows for which the tracer lacked room are flagged too, instead of making all again.
        """
        size = self.bytes_per_image
        items = (self._checked(theta, batched=True), keys)

        def run(simulator: Simulator) -> Observation:
            return map_batch(_evaluate, (self.recipe, simulator), items, micro_batch, size)

        return _with_room(run, self.simulator) if enlarge else run(self.simulator)

    @property
    def bytes_per_image(self) -> int:
        """A generous estimate of the memory in which one image is made."""
        return self.simulator._bytes_per_image(jnp.zeros(()).dtype)

    def with_more_pairs(self) -> "ForwardModel":
        """The same model with twice the room for the tracer's corrections; itself where its tracer needs none."""
        tracer = self.simulator.tracer.enlarged()
        if tracer == self.simulator.tracer:
            return self
        simulator = Simulator(self.simulator.instrument, tracer)
        return ForwardModel(self.prior, self.recipe, simulator, self.configuration)

    def calibrated(self, key: PRNGKeyArray, draws: int = 64) -> "ForwardModel":
        """The same model with a tracer whose room suits its universes, as `Lattice.calibrated` finds from some draws.

        An accelerator computes all the room there is, filled or not; on a CPU empty room costs next to nothing.

        Args:
            key: of the draws.
            draws: universes.
        """
        tracer = self.simulator.tracer
        if not isinstance(tracer, Lattice):
            return self

        def draw(key: PRNGKeyArray) -> Scene:
            prior_key, row_key = jax.random.split(key)
            return self.recipe(self.prior.sample(prior_key), row_key)

        tracer = tracer.calibrated(draw, self.simulator.instrument.padded_grid, key, draws)
        simulator = Simulator(self.simulator.instrument, tracer)
        return ForwardModel(self.prior, self.recipe, simulator, self.configuration)

    def with_more_slots(self) -> "ForwardModel":
        """The same model with twice the slots for halos, filled with the same halos; itself where it draws none."""
        recipe = self.recipe.enlarged() if isinstance(self.recipe, Recipe) else self.recipe
        if recipe is self.recipe:
            return self
        return ForwardModel(self.prior, recipe, self.simulator, self.configuration)

    def stream(
        self,
        key: PRNGKeyArray,
        batch_size: int,
        micro_batch: int | None = None,
        start: int = 0,
        prefetch: int = 1,
    ) -> Iterator[tuple[dict[str, Array], Array]]:
        """Endless batches (theta, noisy images) drawn from the prior; the next is being made while one is used.

        Batch n depends on `key`, `batch_size` and n alone: `stream(key, batch_size, start=n)` goes on with batch n.
        A thread makes the batches, so that a device which trains never waits for the host, and a GPU simulates while
        the host is busy; close the iterator, or drop it, to end the thread.

        Args:
            key: of all random numbers.
            batch_size: images in a batch.
            micro_batch: images that are in memory together; None sizes it to the device.
            start: the first batch.
            prefetch: how many batches may be made before they are asked for; each takes the memory of its images.

        Raises:
            ValueError: a batch size below 1, or a negative start or prefetch.
            OverflowError: a batch with an image that lacks halos; `start=n + 1` goes on behind it.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        if start < 0:
            raise ValueError(f"start: expected the number of a batch, 0 or more, found {start}")

        def draw(index: int) -> tuple[dict[str, Array], Array]:
            prior_key, row_key = jax.random.split(jax.random.fold_in(key, index))
            theta = self.prior.sample(prior_key, (batch_size,))
            seen = self.batch_both(theta, jax.random.split(row_key, batch_size), micro_batch)
            return theta, _trusted(seen.noisy, seen.diagnostics)

        return ahead(map(draw, itertools.count(start)), prefetch)

    def _checked(self, theta: Mapping[str, Any], batched: bool = False) -> dict[str, Array]:
        check_theta(theta, self.prior.names)
        values = {name: as_real(theta[name]) for name in self.prior.names}
        for name, value in values.items():
            if jnp.ndim(value) != batched:
                expected = "one leading axis" if batched else "a scalar"
                raise ValueError(f"theta[{name!r}]: expected {expected}, found shape {jnp.shape(value)}")
        return values


@compiled
def _noiseless(simulator: Simulator, scene: Scene) -> tuple[Array, Diagnostics]:
    trace = simulator.tracer.trace(scene, simulator.instrument.padded_grid)

    @jax.named_scope("light")
    def light(trace: Trace) -> Array:
        brightness = jnp.zeros_like(trace.source_x)
        for profile in scene.source:
            brightness = brightness + profile.surface_brightness(trace.source_x, trace.source_y)
        for profile in scene.lens_light:
            brightness = brightness + profile.surface_brightness(trace.lens_x, trace.lens_y)
        return brightness

    # The result of a branch is written out as it is computed. Without one XLA evaluates the light, one ray at a time,
    # in the order in which the Fourier transform reads it: ten times as slow. No ray ends at infinity.
    ends = ~jnp.isposinf(trace.source_x.ravel()[0])
    brightness = lax.cond(ends, light, lambda trace: jnp.full_like(trace.source_x, jnp.nan), trace)
    return simulator.instrument.observe(brightness), trace.diagnostics


@compiled
def _observe(simulator: Simulator, scene: Scene, key: PRNGKeyArray) -> Observation:
    image, diagnostics = _noiseless(simulator, scene)
    return Observation(image, simulator.instrument.add_noise(image, key), diagnostics)


@eqx.filter_jit
@jax.named_scope("population")
def _make_scene(recipe: Callable, theta: dict[str, Array], key: PRNGKeyArray) -> Scene:
    return recipe(theta, jax.random.split(key)[0])


@compiled
def _evaluate(parts: tuple[Callable, Simulator], theta: dict[str, Array], key: PRNGKeyArray) -> Observation:
    recipe, simulator = parts
    return _observe(simulator, _make_scene(recipe, theta, key), jax.random.split(key)[1])


def _with_room(run: Callable[[Simulator], Any], simulator: Simulator) -> Any:
    """What `run` returns with a simulator whose tracer has room for all corrections; inside a transform, `run` once."""
    while True:
        result = run(simulator)
        found = result[1] if isinstance(result, tuple) else result.diagnostics
        pairs = concrete(found.pairs)
        if pairs is None or not (pairs > np.asarray(found.capacity)).any():
            return result
        missing = np.max(pairs / np.asarray(found.capacity))
        tracer = simulator.tracer.enlarged(2 ** math.ceil(math.log2(missing)))
        if tracer == simulator.tracer:
            return result
        simulator = Simulator(simulator.instrument, tracer)


def _trusted(image: Array, diagnostics: Diagnostics) -> Array:
    """The image, unless it is known to lack something."""
    overflow = concrete(diagnostics.overflow)
    if overflow is not None and overflow.any():
        raise OverflowError(
            f"{int(overflow.sum())} of {overflow.size} images lack halos: more were drawn than there are slots in the "
            "catalogue; give it more slots, or ask for diagnostics to receive such images flagged"
        )
    return image
