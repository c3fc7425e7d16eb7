"""Every part of lensax has its papers, and every paper can be printed."""

import inspect

import equinox as eqx
import pytest
from toy import ToyModel

from lensax import cosmology, halos, inversion, light, mass
from lensax.citations import bibliography, papers_of, parts_of
from lensax.citations.registry import FIELD, OWN_WORK, PARTS
from lensax.halos import concentration, mass_function


def public_parts():
    """Concrete public classes of what models are made of, and the words that choose tabulated models."""
    for module in (mass, light, halos, inversion):
        for name in module.__all__:
            kind = getattr(module, name)
            if inspect.isclass(kind) and issubclass(kind, eqx.Module) and not inspect.isabstract(kind):
                yield name
    yield from mass_function.MODELS
    yield from concentration.MODELS
    yield from (name for name in cosmology.__all__ if name.startswith("Planck"))


@pytest.mark.parametrize("part", sorted(set(public_parts())))
def test_every_part_names_its_papers_or_says_that_it_has_none(part):
    assert (part in PARTS) != (part in OWN_WORK)


def test_papers_exist_and_are_used():
    cited = {key for keys in PARTS.values() for key in keys}
    assert cited == set(bibliography())


@pytest.mark.parametrize("paper", bibliography().values(), ids=lambda paper: paper.key)
def test_entries_are_complete(paper):
    fields = dict(FIELD.findall(paper.bibtex))
    assert {"author", "title", "year"} <= set(fields)
    assert {"journal", "publisher", "howpublished"} & set(fields)
    assert paper.key.endswith(fields["year"]) or paper.key.startswith("Planck")
    assert paper.bibtex.count("{") == paper.bibtex.count("}")
    assert f"({fields['year']})" in paper.plain
    assert not set("{}\\$") & set(paper.plain)


def test_plain_references():
    plain = {key: paper.plain for key, paper in bibliography().items()}
    assert plain["Tessore2015"] == (
        "Tessore, N. & Metcalf, R. B. (2015), The elliptical power law profile lens, A&A, 580, A79, arXiv:1507.01819"
    )
    assert plain["Sersic1968"].startswith("Sérsic, J. L. (1968), ")
    assert plain["Bose2016"].startswith("Bose, S. et al. (2016), ")


class Part(eqx.Module):
    inside: tuple = ()


class PowerLaw(Part):
    pass


class Row:
    def __init__(self, name, value):
        self.name, self.value = name, value


class Configuration:
    def summary(self):
        return [Row("line_of_sight.mass_function.model", '"sheth99"'), Row("lens.mass.Halo.kappa_s", "0.1")]


class Model(Part):
    configuration = Configuration()


def test_parts_are_found_in_the_model_and_in_its_configuration():
    model = Model((PowerLaw(), [Part()], {"unseen": 1}, float))
    assert {"Model", "PowerLaw", "Part", "float", "sheth99", "Halo"} <= parts_of(model)
    cited = {paper.key: parts for paper, parts in papers_of(model).items()}
    assert cited["Tessore2015"] == ["PowerLaw"]
    assert cited["Eisenstein1998"] == ["sheth99"]
    assert cited["Navarro1997"] == ["Halo"]
    assert "Duffy2008" not in cited


def test_a_model_without_configuration(monkeypatch):
    monkeypatch.setattr(ToyModel, "configuration", None)
    assert {paper.key for paper in papers_of(ToyModel())} >= {"Phan2019"}
