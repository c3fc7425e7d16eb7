"""Fitting a model to an image: posterior, maximum, error bars and samples."""

from lensax.fit.model import FitModel, Parts
from lensax.fit.positions import Positions
from lensax.fit.posterior import Evaluation, Posterior

__all__ = ["Evaluation", "FitModel", "Parts", "Positions", "Posterior"]
