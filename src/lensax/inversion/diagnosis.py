"""Why a linear system has no unique solution, in words."""

from typing import Any

import numpy as np

from lensax._types import concrete
from lensax.inversion.evidence import Evidence
from lensax.inversion.system import System

__all__ = ["check_solution"]

# Eigenvalues of a system of unit diagonal below this are zero to the rounding of its assembly.
_ZERO = 1e-13


def check_solution(system: System, regularization: Any, evidence: Evidence) -> None:
    """Refuse a solution that is not certified, as far as it is known.

    Raises:
        ValueError: names the term that is missing.
    """
    known = concrete(evidence.certified)
    value = concrete(evidence.log_evidence)
    if known is None or value is None or (known.all() and np.isfinite(value).all()):
        return
    raise ValueError(f"the inversion has no certified solution: {_reason(system, regularization)}")


def _reason(system: System, regularization: Any) -> str:
    curvature, vector = np.asarray(system.curvature), np.asarray(system.data_vector)
    cells = system.n_cells
    if not (np.all(np.isfinite(curvature)) and np.all(np.isfinite(vector))):
        return "the mapping is not finite; a traced position, or a parameter of the lens or of the light, is not"
    name = type(regularization).__name__
    total = curvature.copy()
    if system.mesh is not None:
        precision = regularization.precision(system.mesh)
        prior = np.asarray(precision.matrix)
        if not (np.all(np.isfinite(prior)) and np.isfinite(np.asarray(precision.log_determinant))):
            return f"the regularization {name} is singular: its matrix or log-determinant is not finite"
        total[:cells, :cells] += prior
    total[np.arange(cells, len(total)), np.arange(cells, len(total))] += np.asarray(system.light_precision)
    diagonal = np.diag(total)
    if diagonal.min() <= 0:
        missing = int(np.sum(diagonal <= 0))
        return (
            f"{missing} coefficients are seen by no ray and the regularization {name} says nothing about them; "
            "a zeroth-order term (a floor) is missing"
        )
    scale = 1 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(total * scale[:, None] * scale[None, :])
    if values[0] > _ZERO:
        return f"the system is regular (smallest scaled eigenvalue {values[0]:.1e}), but the active set did not end"
    direction = vectors[:, 0] * scale
    light = np.flatnonzero(np.abs(vectors[cells:, 0]) > 0.1)
    if light.size:
        return (
            f"components {', '.join(map(str, light))} of the linear light cannot be told from each other or from the "
            "source; leave one out, or give them a smaller light_deviation"
        )
    mean = abs(direction[:cells].sum()) / np.abs(direction[:cells]).sum()
    what = "the mean of the source" if mean > 0.9 else "a combination of coefficients of the source"
    return f"neither the data nor the regularization {name} determine {what}; a zeroth-order term (a floor) is missing"
