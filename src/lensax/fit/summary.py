"""Parameters with their errors: one table of everything that a fit says about them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lensax.campaign.units import unit_of
from lensax.parameters import Parameters

__all__ = ["QUANTILES", "summary_table"]

QUANTILES = {"q025": 0.025, "q16": 0.16, "median": 0.5, "q84": 0.84, "q975": 0.975}
"""Columns of the table, and the share of the draws below them."""

_FORMAT = ".6g"


def summary_table(
    parameters: Parameters,
    best: Mapping[str, Any],
    laplace: Mapping[str, Any] | None = None,
    draws: Mapping[str, Any] | None = None,
    r_hat: Mapping[str, float] | None = None,
    n_effective: Mapping[str, float] | None = None,
    truth: Mapping[str, float] | None = None,
) -> Any:
    """A table with a row for every free parameter, and for those that follow from them.

    Args:
        parameters: of the model.
        best: free parameters at the maximum of the posterior.
        laplace: draws of the Laplace approximation, each (n,).
        draws: draws of the posterior, each (chains, draws).
        r_hat, n_effective: convergence of the chains and their effective number of draws, by free parameter.
        truth: values that made a simulated image; those that are not known are left out.

    Returns:
        an astropy `Table`; columns without a value are masked.
    """
    from astropy.table import MaskedColumn, Table

    def resolved(theta: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in parameters.resolve(dict(theta)).items()}

    names = [name for name in parameters if parameters[name].kind != "fixed"]
    at_best = resolved(best)
    columns: dict[str, list[Any]] = {
        "parameter": names,
        "unit": [unit_of(name) or "" for name in names],
        "prior": [parameters[name].describe() for name in names],
        "maximum": [float(at_best[name]) for name in names],
    }
    if laplace is not None:
        found = resolved(laplace)
        columns["laplace_mean"] = [float(np.mean(found[name])) for name in names]
        columns["laplace_deviation"] = [float(np.std(found[name])) for name in names]
    if draws is not None:
        found = resolved(draws)
        columns["mean"] = [float(np.mean(found[name])) for name in names]
        columns["deviation"] = [float(np.std(found[name])) for name in names]
        for column, share in QUANTILES.items():
            columns[column] = [float(np.quantile(found[name], share)) for name in names]
    for column, values in (("r_hat", r_hat), ("effective_draws", n_effective), ("truth", truth)):
        if values and any(name in values for name in names):
            columns[column] = [float(values.get(name, np.nan)) for name in names]
    table = Table()
    for column, entries in columns.items():
        if column in ("parameter", "unit", "prior"):
            table[column] = entries
        else:
            numbers = np.asarray(entries, float)
            table[column] = MaskedColumn(numbers, mask=~np.isfinite(numbers), format=_FORMAT)
    return table
