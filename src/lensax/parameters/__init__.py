"""Parameters of a model: fixed, free with a prior, or derived from others."""

from lensax.parameters.parameter import Constant, Expression, Free, Parameter
from lensax.parameters.parameters import DependencyError, Parameters
from lensax.parameters.prior import Prior

__all__ = ["Constant", "DependencyError", "Expression", "Free", "Parameter", "Parameters", "Prior"]
