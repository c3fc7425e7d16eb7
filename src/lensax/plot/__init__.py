"""Figures: the montage of a campaign and the previews of a model."""

from lensax.plot.montage import montage
from lensax.plot.planes import planes_figure
from lensax.plot.population import population_figure
from lensax.plot.preview import preview
from lensax.plot.statistics import HaloStatistics, PopulationStatistics, population_statistics
from lensax.plot.style import save
from lensax.plot.substructure import PlaneMap, Substructure, plane_maps, substructure
from lensax.plot.view import View, look, smooth_images, views_of

__all__ = [
    "HaloStatistics",
    "PlaneMap",
    "PopulationStatistics",
    "Substructure",
    "View",
    "look",
    "montage",
    "plane_maps",
    "planes_figure",
    "population_figure",
    "population_statistics",
    "preview",
    "save",
    "smooth_images",
    "substructure",
    "views_of",
]
