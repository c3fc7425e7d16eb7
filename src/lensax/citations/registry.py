"""Which part of lensax stands on which papers.

The papers are in `papers.bib`, beside this file. A part is known by the name of its class (`PowerLaw`) or by its word
in a configuration (`sheth99`).
"""

import dataclasses
import functools
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import equinox as eqx

__all__ = ["OWN_WORK", "PARTS", "Paper", "bibliography", "papers_of", "papers_of_fit", "parts_of"]

ENTRY = re.compile(r"@\w+\{(\w+),\n.*?\n\}", re.DOTALL)
FIELD = re.compile(r"^  (\w+) = \{(.*)\},?$", re.MULTILINE)
ACCENTS = {r"{\'e}": "é", r"{\'o}": "ó", r"{\~n}": "ñ", "$^{1/n}$": "^(1/n)", r"\&": "&"}


@dataclass(frozen=True)
class Paper:
    """A publication.

    Arguments
    ---------
    key: of its BibTeX entry.
    bibtex: the entry.
    """

    key: str
    bibtex: str

    @property
    def plain(self) -> str:
        """One line: authors (year), title, journal, volume, pages, arXiv number."""
        text = self.bibtex
        for written, meant in ACCENTS.items():
            text = text.replace(written, meant)
        field = {name: value.strip("{}") for name, value in FIELD.findall(text)}
        names = field["author"].split(" and ")
        people = f"{names[0]} et al." if len(names) > 2 or names[-1] == "others" else " & ".join(names)
        preprint = f"arXiv:{field['eprint']}" if "eprint" in field else ""
        journal = field.get("journal") or field.get("publisher") or field.get("howpublished", "")
        rest = (field["title"], journal, field.get("volume"), field.get("pages"), preprint)
        return f"{people} ({field['year']}), {', '.join(filter(None, rest))}"


@functools.cache
def bibliography() -> dict[str, Paper]:
    """Every paper by its key, in the order of the file."""
    text = (files("lensax.citations") / "papers.bib").read_text(encoding="utf-8")
    return {match[1]: Paper(match[1], match[0]) for match in ENTRY.finditer(text)}


PARTS: dict[str, tuple[str, ...]] = {
    "ForwardModel": ("Bradbury2018", "Kidger2021"),
    "Prior": ("Phan2019",),
    "Planes": ("Schneider1992", "McCully2014"),
    "FlatLambdaCDM": ("Komatsu2011",),
    "Planck15": ("Planck2015",),
    "Planck18": ("Planck2018",),
    "PowerLaw": ("Tessore2015",),
    "Halo": ("Navarro1997", "Bartelmann1996", "Baltz2009", "Penarrubia2012"),
    "Sersic": ("Sersic1968", "Graham2005"),
    "CoredSersic": ("Graham2003", "Trujillo2004"),
    "Moffat": ("Moffat1969",),
    "Population": ("Navarro1997", "Baltz2009", "Diemer2018"),
    "NarrowingCone": ("He2022",),
    "DoubleCone": ("Gilman2020",),
    "Subhalos": ("Gilman2020",),
    "WDM": ("Lovell2020", "Bose2016", "Viel2005"),
    "ParametricSIDM": ("Yang2024",),
    "Parametric": ("Yang2024",),
    "IsothermalCore": ("Kaplinghat2016",),
    "Isothermal": ("Kaplinghat2016",),
    "CoredNFW": ("Penarrubia2012",),
    "NFW": ("Navarro1997",),
    "TwoHalo": ("Gilman2019", "Lazar2021"),
    "RocheTides": ("Gilman2020",),
    "BoundMassTides": ("Gannon2025", "Du2024"),
    "sheth99": ("Sheth1999", "Eisenstein1998"),
    "sheth01": ("Sheth2001", "Eisenstein1998"),
    "press74": ("Press1974", "Eisenstein1998"),
    "tinker08": ("Tinker2008", "Eisenstein1998"),
    "ludlow16": ("Ludlow2016",),
    "diemer19": ("Diemer2019",),
    "duffy08": ("Duffy2008",),
    "FITS": ("Astropy2022",),
    "GaussianBasis": ("Emsellem1994", "Cappellari2002"),
    "Pixelization": ("Warren2003", "Suyu2006", "Portugal1994"),
    "Constant": ("Suyu2006",),
    "Curvature": ("Suyu2006",),
    "Zeroth": ("Suyu2006",),
    "Adaptive": ("Nightingale2015", "Nightingale2018"),
    "Matern": ("Vernardos2022",),
    "GaussianKernel": ("Vernardos2022",),
    "CorrelatedNoise": ("Vecchia1988",),
    "ParametricSource": ("Warren2003", "Suyu2006"),
    "Evidence": ("Suyu2006",),
    "NUTS": ("Hoffman2014", "Phan2019"),
    "FitModel": ("Bradbury2018", "Kidger2021"),
    "Taps": ("deBoor1978",),
}
"""The papers of every part that stands on one."""

OWN_WORK = frozenset({
    "ExternalShear", "MassSheet", "PointMass", "Gaussian", "CDM", "SIDM", "Cylinder", "LensedCone", "DeflectedAxis",
    "EqualRedshift", "EqualComoving", "ThinSlices", "UniformDisc", "CoredNFWDisc", "Host", "ConcentrationTides",
    "FieldTides", "MeanDensityTruncation", "VirialTruncation", "NoTruncation", "Concentration", "MassFunction",
    "LineOfSight", "HaloCatalogue", "power_law", "ProfileBasis", "Sky", "PointSources", "AdaptiveMesh", "UniformMesh",
    "PlacedMesh", "KernelCDF", "LinearTransform", "UniformAmplitude", "BrightnessAmplitude", "MoffatAmplitude",
    "Abundance", "Collapse", "DrawnHalos", "MixedHalos",
    "BrightnessMap", "BrightnessMesh", "IndependentNoise", "Observation", "System", "Reconstruction",
})  # fmt: skip
"""Parts that stand on no paper of others, or whose papers follow from a word of the configuration."""


def parts_of(model: Any) -> set[str]:
    """Names of the classes that a model is built of, and the words of its configuration."""
    found: set[str] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if isinstance(part, type):
            found.add(part.__name__)
        elif isinstance(part, eqx.Module):
            found.add(type(part).__name__)
            waiting += [getattr(part, field.name, None) for field in dataclasses.fields(part)]
        elif isinstance(part, (tuple, list)):
            waiting += part
    if model.configuration is not None:
        found |= _words(model.configuration)
    if "Recipe" in found:
        found.add("Planes")
    return found


def _words(configuration: Any) -> set[str]:
    """All that stands in a configuration: keys, names of classes, words."""
    words: set[str] = set()
    for row in configuration.summary():
        words.update(row.name.split("."))
        words.add(row.value.strip('"'))
    return words


def papers_of(model: Any) -> dict[Paper, list[str]]:
    """The papers of everything that a model uses, each with the parts that stand on it, in the order of the file."""
    return _papers(parts_of(model))


def papers_of_fit(configuration: Any) -> dict[Paper, list[str]]:
    """The papers of everything that a fit uses, in the same form.

    Args:
        configuration: a `FitConfiguration`.
    """
    found = _words(configuration) | {"FitModel", "Prior", "Evidence", "NUTS"}
    noise = configuration.settings.noise
    if noise.name in ("BlankSky", "Correlated") or (noise.name == "Estimated" and noise.section.correlated):
        found.add("CorrelatedNoise")
    if "Pixelization" in found:
        found.add("Taps")
    return _papers(found)


def _papers(parts: set[str]) -> dict[Paper, list[str]]:
    used: dict[str, list[str]] = {}
    for part in sorted(parts & set(PARTS)):
        for key in PARTS[part]:
            used.setdefault(key, []).append(part)
    return {paper: used[key] for key, paper in bibliography().items() if key in used}
