r"""The unconstrained vector z in which a posterior is searched and sampled.

    theta = T(center + scale z),    ln pi(z) = ln pi(theta) + ln|d theta / d z|

T is the map from the real line to each prior's support. Center and scale are the median and the spread of the prior
itself, so that z is of the order of one wherever the prior is not negligible: no optimiser or sampler needs to be told
about units.
"""

from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Float, Scalar, as_real
from lensax.parameters.distribution import numpyro_rules
from lensax.parameters.prior import Prior

__all__ = ["Coordinates"]

_DRAWS = 4096  # of each prior, for its median and its spread


@final
class Coordinates(eqx.Module):
    """The map from z to the parameters of a prior.

    Attributes:
        prior: of the parameters, in the order of z.
        center, scale: median and spread of each on the real line.
    """

    prior: Prior
    center: Float[Array, " parameters"]
    scale: Float[Array, " parameters"]

    def __init__(self, prior: Prior) -> None:
        draws = prior.sample(jax.random.key(0), (_DRAWS,))
        centers, scales = [], []
        with numpyro_rules():
            for name, law in prior.distributions.items():
                low, middle, high = np.quantile(np.asarray(_biject(law).inv(draws[name])), (0.1587, 0.5, 0.8413))
                centers.append(middle)
                scales.append(0.5 * (high - low))
        self.prior = prior
        self.center, self.scale = as_real(np.array(centers)), as_real(np.array(scales))

    def constrain(self, z: Float[Array, "*batch parameters"]) -> dict[str, Float[Array, "*batch"]]:
        """The parameters at a point z."""
        return self._transformed(z)[0]

    def unconstrained(self, theta: Mapping[str, Any]) -> Float[Array, "*batch parameters"]:
        """The point z of parameters.

        Raises:
            ValueError: a concrete value outside of its prior's support.
        """
        prior = self.prior
        flat = prior.flatten(theta)
        with numpyro_rules():
            parts = [_biject(law).inv(flat[..., i]) for i, law in enumerate(prior.laws)]
        for name, value, part in zip(prior.names, jnp.moveaxis(flat, -1, 0), parts):
            if not isinstance(part, jax.core.Tracer) and not np.all(np.isfinite(part)):
                raise ValueError(
                    f"theta: {name} must lie inside its prior {prior.describe()[name]}, got {np.asarray(value)}"
                )
        u = jnp.stack(parts, -1)
        return (u - jnp.broadcast_to(self.center, u.shape)) / jnp.broadcast_to(self.scale, u.shape)

    def with_log_prior(self, z: Float[Array, " parameters"]) -> tuple[Scalar, dict[str, Scalar]]:
        """The logarithm of the prior density of z, and the parameters there."""
        theta, log_volume = self._transformed(z)
        return self.prior.log_prob(theta) + log_volume, theta

    def _transformed(self, z: Array) -> tuple[dict[str, Array], Array]:
        """theta, and the logarithm of the volume that z takes up in it."""
        u = jnp.broadcast_to(self.center, z.shape) + jnp.broadcast_to(self.scale, z.shape) * z
        theta, log_volume = {}, jnp.sum(jnp.log(self.scale))
        with numpyro_rules():
            for i, (name, law) in enumerate(self.prior.distributions.items()):
                transform = _biject(law)
                theta[name] = transform(u[..., i])
                log_volume = log_volume + transform.log_abs_det_jacobian(u[..., i], theta[name])
        return theta, log_volume


def _biject(law: Any) -> Any:
    """NumPyro's map from the real line to the support of a distribution."""
    from numpyro.distributions import biject_to

    return biject_to(law.support)
