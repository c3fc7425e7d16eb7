"""Fitting a model to an image: posterior, maximum, error bars and samples."""

from lensax.fit.coordinates import Coordinates
from lensax.fit.images import FitImages, fit_images
from lensax.fit.laplace import Laplace, laplace
from lensax.fit.maximum import History, Maximum, maximize, starting_points
from lensax.fit.model import FitModel, Parts
from lensax.fit.positions import Positions
from lensax.fit.posterior import Evaluation, Posterior
from lensax.fit.preparation import SourceBox, brightness_of, noise_of
from lensax.fit.sample import Samples, sample
from lensax.fit.stages import Memory, Plan, Stage, fit_in_stages
from lensax.fit.waiting import BrightnessMesh

__all__ = [
    "BrightnessMesh",
    "Coordinates",
    "Evaluation",
    "FitImages",
    "FitModel",
    "History",
    "Laplace",
    "Maximum",
    "Memory",
    "Parts",
    "Plan",
    "Positions",
    "Posterior",
    "Samples",
    "SourceBox",
    "Stage",
    "brightness_of",
    "fit_images",
    "fit_in_stages",
    "laplace",
    "maximize",
    "noise_of",
    "sample",
    "starting_points",
]
