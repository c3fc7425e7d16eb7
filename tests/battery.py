"""What every profile is held to, whatever it is: the checks as functions of one `Case`.

The tests of mass and of light profiles list their cases and run these on each; a case says by `outputs` what the
profile gives at a position.  All cases have as many positions, so that everything is compiled once for a class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, cast

DIRECTIONS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.6, 0.8], [-0.8, 0.6]])
WEIGHTS = np.array([1.0, -0.7, 0.4, 1.3])  # of the outputs in the sum whose gradient is taken backwards


@dataclass(frozen=True)
class Case:
    """One profile and what is known about it."""

    name: str
    profile: Any
    outputs: Callable[[Any, Array, Array], Array]  # (n_outputs, *shape): what the profile gives at positions
    radii: tuple[float, float, float]  # arcsec, where its formulas change
    float32: tuple[float, ...]  # error allowed to each output in float32
    fixed: tuple[str, ...] = ()  # parameters at the end of their range, which cannot be varied to both sides
    tolerances: dict[str, float] = field(default_factory=dict)  # where the profile's own accuracy sets them

    def _positions(self, radii: np.ndarray) -> tuple[Array, Array]:
        centre = np.array([float(getattr(self.profile, name, 0.0)) for name in ("center_x", "center_y")])
        points = (radii[:, None, None] * DIRECTIONS).reshape(-1, 2) + centre
        return jnp.asarray(points[:, 0]), jnp.asarray(points[:, 1])

    def rings(self) -> tuple[Array, Array]:
        """Positions in six directions, along and off the axes, at and around each characteristic radius."""
        return self._positions(np.outer(self.radii, (0.3, 1.0, 1.7)).ravel())

    def awkward(self) -> tuple[Array, Array]:
        """The centre, positions next to it and very far from it, and those on the axes at characteristic radii."""
        return self._positions(np.array([0.0, 1e-30, 1e-12, 1e-7, 1e-4, 1e3, *self.radii]))


@partial(jax.jit, static_argnums=0)
def values(outputs, profile, x, y):
    """Outputs at all positions, (n_outputs, n_points)."""
    return outputs(profile, x, y)


@partial(jax.jit, static_argnums=0)
def derivatives(outputs, profile, x, y):
    """Derivatives of the outputs with respect to x, y and each parameter, forward and reverse.

    Forward: (2 + n_parameters, n_outputs, n_points).  Reverse, of the weighted sum of the outputs over positions:
    with respect to x and y, each (n_points,), and to the parameters, (n_parameters,).
    """
    leaves, structure = jax.tree.flatten(profile)

    def function(x, y, *leaves):
        return outputs(jax.tree.unflatten(structure, leaves), x, y)

    arguments = (x, y, *leaves)
    basis = jnp.eye(len(arguments), dtype=x.dtype)
    # Forward and reverse mode share what they need of the function: it is half as long to compile.
    _, linear = jax.linearize(function, *arguments)

    def along(direction):
        return linear(*(d * jnp.ones_like(argument) for d, argument in zip(direction, arguments, strict=True)))

    forward = jax.vmap(along)(basis)
    n_outputs = forward.shape[1]
    weights = jnp.asarray(WEIGHTS[:n_outputs, None], x.dtype) * jnp.ones((n_outputs, x.size), x.dtype)
    along_x, along_y, *along_parameters = jax.linear_transpose(linear, *arguments)(weights)
    return forward, (along_x, along_y), jnp.stack(along_parameters)


def parameter_names(profile) -> list[str]:
    return [name for name, leaf in vars(profile).items() if isinstance(leaf, jax.Array)]


def central_difference(function: Callable[[float], np.ndarray], step: float) -> np.ndarray:
    """Fourth-order central difference at 0."""
    near, far = function(step) - function(-step), function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


def assert_close(found: Any, expected: Any, relative: float, of: str) -> None:
    """Equality within `relative` of each number or, where it passes through zero, of a hundredth of the largest."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    largest = np.max(np.abs(expected), initial=1e-300)
    np.testing.assert_allclose(found, expected, rtol=relative, atol=1e-2 * relative * largest, err_msg=of)


def check_finite(case: Case, dtype: Any) -> None:
    """Values and derivatives, forward and reverse, in position and parameters are finite everywhere."""
    x, y = (z.astype(dtype) for z in case.awkward())
    profile = cast(case.profile, dtype)
    results = {"value": values(case.outputs, profile, x, y)}
    results["forward"], results["reverse"], results["parameters"] = derivatives(case.outputs, profile, x, y)
    for name, result in results.items():
        for part in jax.tree.leaves(result):
            assert part.dtype == dtype
            bad = np.argwhere(~np.isfinite(part))
            assert len(bad) == 0, f"{case.name}: {name}{list(part.shape)} has {len(bad)} not finite, first at {bad[:3]}"


def check_derivatives(case: Case) -> None:
    """Automatic derivatives in position and parameters are central differences; reverse mode is forward mode."""
    x, y = case.rings()
    forward, reverse, parameters = (jax.tree.map(np.asarray, d) for d in derivatives(case.outputs, case.profile, x, y))
    leaves, structure = jax.tree.flatten(case.profile)
    names = parameter_names(case.profile)
    # A step in proportion to the radius stays away from the centre.
    radius = np.repeat(np.outer(case.radii, (0.3, 1.0, 1.7)).ravel(), len(DIRECTIONS))
    steps = [1e-3 * radius, 1e-3 * radius]
    steps += [1e-3 * min(max(abs(float(leaf)), 0.02), 3 * min(case.radii)) for leaf in leaves]
    for index, (name, step) in enumerate(zip(["x", "y", *names], steps, strict=True)):
        if name in case.fixed:
            continue

        def shifted(h, index=index, step=step):
            moved = [z + h * step if place == index else z for place, z in enumerate((x, y, *leaves))]
            return np.asarray(values(case.outputs, jax.tree.unflatten(structure, moved[2:]), *moved[:2]))

        expected = central_difference(shifted, 1.0) / step
        for output, row in enumerate(expected):
            of = f"{case.name}: derivative of output {output} in {name}"
            assert_close(forward[index, output], row, case.tolerances.get("derivative", 1e-6), of)
    weighted = WEIGHTS[: forward.shape[1], None] * forward
    for axis in (0, 1):
        assert_close(reverse[axis], weighted[axis].sum(0), 1e-8, f"{case.name}: reverse mode along axis {axis}")
    size = np.abs(weighted[2:]).sum((1, 2))
    error = np.abs(parameters - weighted[2:].sum((1, 2)))
    assert np.all(error <= 1e-10 * size), f"{case.name}: reverse mode in {names}: {error / size}"


def check_vmap(case: Case) -> None:
    """A batch of profiles is a loop over profiles."""
    x, y = case.rings()
    family = [jax.tree.map(lambda leaf, factor=factor: leaf * factor, case.profile) for factor in (1.0, 0.97, 1.04)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *family)
    batch = jax.jit(jax.vmap(lambda profile: case.outputs(profile, x, y)))(stacked)
    for row, profile in zip(batch, family, strict=True):
        for found, expected in zip(row, values(case.outputs, profile, x, y), strict=True):
            assert_close(found, expected, case.tolerances.get("vmap", 1e-11), case.name)


def check_eager_and_shapes(case: Case) -> None:
    """Not compiled, an image and a single position give the numbers of the compiled row."""
    x, y = case.rings()
    expected = np.asarray(values(case.outputs, case.profile, x, y))
    image = case.outputs(case.profile, x.reshape(6, 9), y.reshape(6, 9))
    single = case.outputs(case.profile, x[4], y[4])
    assert image.shape == (len(expected), 6, 9)
    assert single.shape == (len(expected),)
    for output, row in enumerate(expected):
        assert_close(image[output].ravel(), row, case.tolerances.get("eager", 1e-11), case.name)
        assert_close(single[output], row[4], 1e-9, case.name)


def check_float32(case: Case) -> None:
    """Single precision agrees with double precision at the same, exactly representable, positions and parameters."""
    single = cast(case.profile, jnp.float32)
    x, y = (z.astype(jnp.float32) for z in case.rings())
    found = np.asarray(values(case.outputs, single, x, y))
    expected = np.asarray(values(case.outputs, cast(single, jnp.float64), x.astype(float), y.astype(float)))
    assert found.dtype == np.float32
    for output, tolerance in enumerate(case.float32):
        assert_close(found[output], expected[output], tolerance, f"{case.name}: output {output} in float32")
