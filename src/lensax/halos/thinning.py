"""Common random numbers: halos drawn from a fixed envelope, of which the parameters keep a part.

Drawn as usual, a small change of a parameter changes the Poisson count and moves every mass. Drawn from an envelope
that no parameters exceed, halos stay what they are, and a parameter decides which of them exist: halo k is kept where
its uniform number is below `rate(M_k) / envelope(M_k)`. In law this is the same population. Images of one key then
change by few halos at a time, and with a `relaxation` T not even by jumps: the convergence of a halo is multiplied by
`sigmoid((ratio - u) / T)`, so that numbers of halos have gradients too (of a population whose halos fade in and out).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._types import Array, Bool, Float, Scalar, as_real
from lensax.halos.catalogue import with_empty
from lensax.halos.mass_law import MassLaw
from lensax.mass.halo import Halo
from lensax.mass.mixed import MixedHalos

MARGIN = 1e-3  # of ln(rate): what bounds and rounding may hide
MOST_PARAMETERS = 10


@final
class Envelope(eqx.Module):
    """A law of masses that no parameters of a prior exceed.

    Arguments:
        law: the envelope, numbers per plane and ln mass.
        relaxation: width T of the sigmoid that replaces the choice, or 0 for a choice.
    """

    law: MassLaw
    relaxation: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        if not 0 <= self.relaxation <= 1:
            raise ValueError(f"relaxation must lie between 0 and 1, got {self.relaxation}")

    def weight(
        self,
        law: MassLaw,
        amplitude: Scalar,
        log_mass: Float[Array, "planes slots"],
        uniform: Float[Array, "planes slots"],
    ) -> Float[Array, "planes slots"]:
        """How much of each halo of the envelope exists: 0 or 1, or between them where it is relaxed.

        Arguments:
            law, amplitude: the population's own rate is their product.
            log_mass: of the halos drawn from the envelope.
            uniform: a uniform number for each.
        """
        difference = MassLaw(law.log_mass, law.log_rate - self.law.log_rate, law.low, law.high)
        ratio = amplitude * jnp.exp(difference.log_rate_of(log_mass))
        if not self.relaxation:
            inside = (log_mass >= law.low) & (log_mass <= law.high)
            return jnp.where(inside & (uniform < ratio), jnp.ones_like(ratio), jnp.zeros_like(ratio))
        width = self.relaxation
        edges = jax.nn.sigmoid((log_mass - law.low) / width) * jax.nn.sigmoid((law.high - log_mass) / width)
        return edges * jax.nn.sigmoid((ratio - uniform) / width)

    def drawn(self) -> tuple[MassLaw, Float[Array, " planes"]]:
        """The law from which halos are drawn, and their mean number on each plane."""
        return self.law, self.law.number()

    def thin(
        self,
        halos: Halo | MixedHalos,
        law: MassLaw,
        amplitude: Scalar,
        log_mass: Float[Array, "planes slots"],
        uniform: Float[Array, "planes slots"],
    ) -> Halo | MixedHalos:
        """The halos that exist; the slots of the others are empty."""
        weight = self.weight(law, amplitude, log_mass, uniform)
        kept = with_empty(halos, weight > 0)
        return eqx.tree_at(lambda h: h.kappa_s, kept, halos.kappa_s * weight)

    def exceeded(self, law: MassLaw, amplitude: Scalar) -> Bool[Array, ""]:
        """Whether the population is more numerous somewhere than its envelope, which makes the draw wrong."""
        inside = (law.log_mass >= law.low) & (law.log_mass <= law.high)
        ratio = amplitude * jnp.exp(law.log_rate - self.law.log_rate)
        return jnp.any(inside[None] & (ratio > 1 + MARGIN))


def envelope(
    log_rate: Callable[[dict[str, Any]], Float[Array, "planes nodes"]],
    log_mass: Float[Array, " nodes"],
    limits: tuple[float, float],
    bounds: Mapping[str, Sequence[float]],
    relaxation: float,
) -> Envelope:
    """The largest rate of all corners of a box of parameters.

    ln(rate) is affine in each parameter or moves in one direction with it, so that no point of the box exceeds them.

    Arguments:
        log_rate: ln(dN/dlnM) on every plane for parameters by name, amplitude included.
        log_mass: its grid.
        limits: lowest and highest log10 mass that the parameters allow.
        bounds: lowest and highest value of every parameter that may vary.
        relaxation: see `Envelope`.

    Raises:
        ValueError: more than 10 parameters vary, or no halos anywhere.
    """
    if len(bounds) > MOST_PARAMETERS:
        raise ValueError(
            f"common random numbers: {len(bounds)} parameters of one kind of halo vary, at most {MOST_PARAMETERS} can"
        )
    corners = np.array(list(itertools.product(*bounds.values())), float).reshape(-1, len(bounds))
    values = {name: as_real(column) for name, column in zip(bounds, corners.T, strict=True)}
    every = jax.jit(lambda v: jax.lax.map(log_rate, v) if v else log_rate(v)[None])
    rates = jnp.max(every(values), axis=0)
    if not bool(jnp.all(jnp.isfinite(rates))):
        raise ValueError("common random numbers: there are no halos at the upper end of the prior")
    ends = [as_real(float(np.log(10)) * end) for end in limits]
    return Envelope(MassLaw(log_mass, rates + MARGIN, *ends), relaxation)
