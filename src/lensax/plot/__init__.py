"""Figures: the montage of a campaign and the preview of a model."""

from lensax.plot.montage import montage
from lensax.plot.preview import Substructure, preview, substructure
from lensax.plot.style import save
from lensax.plot.view import View, look, smooth_images, views_of

__all__ = ["Substructure", "View", "look", "montage", "preview", "save", "smooth_images", "substructure", "views_of"]
