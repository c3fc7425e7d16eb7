"""The joint prior of all free parameters."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from lensax._types import Array, Float, PRNGKeyArray, as_real
from lensax.parameters import distribution as distributions
from lensax.parameters.near import check_theta, unknown

__all__ = ["Prior"]


@final
class Prior(eqx.Module):
    """Independent distributions, one for each free parameter, by name.

    `theta`, a point of the parameter space, is a dict of arrays by name; `flatten` and `unflatten` convert between it
    and a vector in the order of `names`.

    Args:
        distributions_by_name: univariate continuous NumPyro distributions; their order is kept.

    Raises:
        ValueError: something that is not one, or has no support.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    laws: tuple[Any, ...]

    def __init__(self, distributions_by_name: Mapping[str, Any]):
        for name, law in distributions_by_name.items():
            distributions.check(law, name)
        self.names = tuple(distributions_by_name)
        self.laws = tuple(jax.tree.map(as_real, law) for law in distributions_by_name.values())

    @property
    def distributions(self) -> dict[str, Any]:
        """NumPyro distributions by name."""
        return dict(zip(self.names, self.laws))

    def sample(self, key: PRNGKeyArray, shape: tuple[int, ...] = ()) -> dict[str, Float[Array, "..."]]:
        """Draw `theta`: arrays of this shape, in the default floating dtype.

        Every name has a key of its own, so that adding or removing a parameter changes no other's draws.
        """
        with distributions.numpyro_rules():
            return {
                name: as_real(distributions.sample(law, _key(key, name), shape))
                for name, law in zip(self.names, self.laws)
            }

    def log_prob(self, theta: Mapping[str, Any]) -> Float[Array, "..."]:
        """Logarithm of the prior density; minus infinity outside the support, where its gradient is zero."""
        check_theta(theta, self.names)
        total = jnp.zeros((), float)
        with distributions.numpyro_rules():
            for name, law in zip(self.names, self.laws):
                value = as_real(theta[name])
                inside = law.support(value)
                safe = jnp.where(inside, value, law.support.feasible_like(value))
                total = total + jnp.where(inside, law.log_prob(safe), -math.inf)
        return total

    def flatten(self, theta: Mapping[str, Any]) -> Float[Array, "*batch n"]:
        """The vector of a `theta`, in the order of `names`, along a new last axis."""
        check_theta(theta, self.names)
        if not self.names:
            return jnp.zeros((0,), float)
        return jnp.stack([as_real(theta[name]) for name in self.names], axis=-1)

    def unflatten(self, vector: Float[Array, "*batch n"]) -> dict[str, Float[Array, "*batch"]]:
        """The `theta` of a vector whose last axis is in the order of `names`."""
        vector = as_real(vector)
        if vector.ndim == 0 or vector.shape[-1] != len(self.names):
            raise ValueError(
                f"a vector of shape {vector.shape} does not fit: the last axis must hold the {len(self.names)} "
                f"parameters {', '.join(self.names)}"
            )
        return {name: vector[..., index] for index, name in enumerate(self.names)}

    def upper(self, name: str, probability: float = 1.0) -> float:
        """The value that a draw stays below with this probability; 1 gives the end of the support."""
        return distributions.quantile(self._law(name), probability)

    def lower(self, name: str, probability: float = 1.0) -> float:
        """The value that a draw stays above with this probability; 1 gives the end of the support."""
        return distributions.quantile(self._law(name), 1 - probability)

    def describe(self) -> dict[str, str]:
        """Each prior as one would write it, by name."""
        return {name: distributions.describe(law) for name, law in zip(self.names, self.laws)}

    def _law(self, name: str) -> Any:
        if name not in self.names:
            raise ValueError(unknown(name, self.names, "free parameter"))
        return self.laws[self.names.index(name)]


def _key(key: PRNGKeyArray, name: str) -> PRNGKeyArray:
    """The key of a name: the same on every machine (Python's own hash is not), and of no other name."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    for word in (digest[:4], digest[4:]):
        key = jax.random.fold_in(key, int.from_bytes(word, "big"))
    return key
