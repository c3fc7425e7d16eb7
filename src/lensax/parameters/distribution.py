"""NumPyro's distributions, by name: built, checked and measured.

NumPyro is imported inside the functions: it takes longer to import than a small simulation takes to run.
"""

import contextlib
import difflib
import functools
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import as_real

__all__ = ["N_DRAWS", "build", "check", "describe", "numpyro_rules", "quantile", "sample", "support"]

N_DRAWS = 1024  # with which a prior is tried
LARGEST = 1e30  # no quantile is looked for beyond it
COMMON = (
    "Uniform",
    "Normal",
    "TruncatedNormal",
    "LogUniform",
    "LogNormal",
    "HalfNormal",
    "Beta",
    "Gamma",
    "Exponential",
    "StudentT",
    "Cauchy",
)


@contextlib.contextmanager
def numpyro_rules() -> Iterator[None]:
    """JAX's default promotion rules: NumPyro relies on them, whatever stricter ones the caller has chosen."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def build(name: str, arguments: Sequence[Any] | Mapping[str, Any]) -> Any:
    """A univariate continuous NumPyro distribution, for example `build("Normal", [1.2, 0.05])`.

    Positional arguments follow the order of the signature, keyword-only ones included, so that
    `build("TruncatedNormal", [loc, scale, low, high])` works.

    Raises:
        ValueError: an unknown name, wrong arguments, or parameters that leave the distribution without support.
    """
    import numpyro.distributions as library

    maker = getattr(library, name, None) if name in library.__all__ and name[:1].isupper() else None
    if maker is None or maker is library.Distribution:
        near = difflib.get_close_matches(name, library.__all__, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"unknown distribution '{name}'; {hint}common ones are {', '.join(COMMON)}")
    allowed = [key for key in inspect.signature(maker).parameters if key != "validate_args"]
    signature = f"{name}({', '.join(allowed)})"
    if not isinstance(arguments, Mapping):
        if len(arguments) > len(allowed):
            raise ValueError(f"{signature} takes at most {len(allowed)} arguments, found {len(arguments)}")
        arguments = dict(zip(allowed, arguments))
    for key, value in arguments.items():
        if key not in allowed:
            raise ValueError(f"{signature} has no argument '{key}'")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{signature}: {key} must be a finite number, found {value!r}")
    try:
        with numpyro_rules():
            made = maker(**{key: as_real(value) for key, value in arguments.items()}, validate_args=True)
    except Exception as error:  # NumPyro's constructors raise whatever comes first: AssertionError, TypeError, ...
        raise ValueError(f"{signature} refuses {_list(arguments)}: {_first_line(error)}") from None
    check(made, f"{name}({_list(arguments)})")
    return made


def _list(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value:g}" for key, value in arguments.items())


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def check(distribution: Any, label: str) -> None:
    """Raise a ValueError unless it is a univariate continuous distribution from which finite numbers can be drawn."""
    import numpyro.distributions as library

    if not isinstance(distribution, library.Distribution):
        raise ValueError(f"{label}: expected a NumPyro distribution, found {type(distribution).__name__}")
    if distribution.event_shape or distribution.batch_shape:
        raise ValueError(f"{label}: a prior must be univariate, one distribution for each parameter")
    if distribution.support is None or distribution.support.is_discrete:
        raise ValueError(f"{label}: a prior must be continuous")
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(distribution)):
        return  # its numbers are being traced: they have been looked at before
    low, high = support(distribution)
    if not low < high:
        raise ValueError(f"{label} has no support: its lower end {low:g} is not below its upper end {high:g}")
    try:
        with numpyro_rules():
            draws = sample(distribution, jax.random.key(0), (N_DRAWS,))
            finite = all(np.isfinite(values).all() for values in (draws, _log_prob(distribution, draws)))
    except NotImplementedError:
        raise ValueError(f"{label}: cannot be sampled, so it cannot be a prior") from None
    if not finite:
        raise ValueError(f"{label} has no support: its draws or their densities are not finite")


# One program for each kind of distribution, instead of one for each operation in it.
@functools.partial(jax.jit, static_argnames="shape")
def sample(distribution: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Draws of this shape; within `numpyro_rules`."""
    return distribution.sample(key, shape)


@jax.jit
def _log_prob(distribution: Any, values: Any) -> Any:
    return distribution.log_prob(values)


def support(distribution: Any) -> tuple[float, float]:
    """The ends of the support; infinite where it has none."""
    low = getattr(distribution.support, "lower_bound", -math.inf)  # only bounded constraints have these
    high = getattr(distribution.support, "upper_bound", math.inf)
    return float(low), float(high)


def quantile(distribution: Any, probability: float) -> float:
    """The value that a draw stays below with this probability; 0 and 1 give the ends of the support.

    Closed form where NumPyro has one, bisection of the distribution function otherwise, and the end of the support
    on the same side of the middle where it has neither.  Computed in float64: 1 - 1e-9 is 1 in float32.
    """
    low, high = support(distribution)
    if probability <= 0 or probability >= 1:
        return low if probability <= 0 else high
    with numpyro_rules(), jax.enable_x64(True):
        distribution = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), distribution)
        try:
            value = float(_inverse(distribution, jnp.asarray(probability, float)))
        except (NotImplementedError, ImportError):  # NumPyro asks for TensorFlow Probability in some
            try:
                value = _bisect(distribution, probability, low, high)
            except NotImplementedError:
                value = low if probability < 0.5 else high
    return min(max(value, low), high)  # rounding may step over the end of the support


@jax.jit
def _inverse(distribution: Any, probability: Any) -> Any:
    return distribution.icdf(probability)


@jax.jit
def _cumulative(distribution: Any, value: Any) -> Any:
    return distribution.cdf(value)


def _bisect(distribution: Any, probability: float, low: float, high: float) -> float:
    """The quantile from the distribution function; a missing end of the support is found by doubling."""

    def below(value: float) -> bool:
        return float(_cumulative(distribution, jnp.asarray(value, float))) < probability

    if not math.isfinite(low):
        low = -1.0
        while not below(low) and low > -LARGEST:
            low *= 2
    if not math.isfinite(high):
        high = max(low, 0.0) + 1.0
        while below(high) and high < LARGEST:
            high *= 2
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if below(middle) else (low, middle)
    return high


def describe(distribution: Any) -> str:
    """The distribution as one writes it, for example `Normal(loc=1.2, scale=0.05)`."""
    import numpyro.distributions as library

    truncated = (
        library.LeftTruncatedDistribution,
        library.RightTruncatedDistribution,
        library.TwoSidedTruncatedDistribution,
    )
    if isinstance(distribution, truncated):
        base, ends = distribution.base_dist, support(distribution)
        arguments = {key: getattr(base, key) for key in base.arg_constraints}
        arguments |= {key: end for key, end in zip(("low", "high"), ends) if math.isfinite(end)}
        return f"Truncated{type(base).__name__}({_list(arguments)})"
    arguments = {key: getattr(distribution, key) for key in distribution.arg_constraints}
    return f"{type(distribution).__name__}({_list(arguments)})"
