"""Figures: the montage of a campaign, the previews of a model, and what a fit found."""

from lensax.plot.fit import fit_figure, residual_figure, source_figure
from lensax.plot.fit_chains import corner_figure, history_figure, trace_figure
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
    "corner_figure",
    "fit_figure",
    "history_figure",
    "look",
    "montage",
    "plane_maps",
    "planes_figure",
    "population_figure",
    "population_statistics",
    "preview",
    "residual_figure",
    "save",
    "smooth_images",
    "source_figure",
    "substructure",
    "trace_figure",
    "views_of",
]
