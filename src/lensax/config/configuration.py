"""A configuration of a forward model: read, checked, and ready to be built."""

from pathlib import Path
from typing import TYPE_CHECKING, final

from lensax.config.base import BaseConfiguration, Row, read_text
from lensax.config.schema import Schema
from lensax.parameters import Prior

if TYPE_CHECKING:
    from lensax.recipe import Recipe
    from lensax.simulate import Simulator

__all__ = ["Configuration", "Row", "load", "loads"]


@final
class Configuration(BaseConfiguration):
    """What a YAML file says about a forward model (arguments and errors: `BaseConfiguration`)."""

    schema = Schema

    def build(self) -> "tuple[Prior, Recipe, Simulator]":
        """The prior, the recipe and the simulator of the forward model.

        Raises:
            ConfigError: a file that cannot be read, or numbers that the parts of the model refuse.
        """
        from lensax.config.build import build

        return build(self)

    def _check_kind(self) -> None:
        data = self.document.data
        if "data" in data and "instrument" not in data:
            raise self.document.error(("data",), "this describes a fit (`lensax fit`), not a model to simulate")

    def _check(self) -> None:
        """The source lies behind the lens, wherever the priors put them."""
        names = ("lens.redshift", "source.redshift")
        lens, source = (self.parameters.bounds(name) for name in names)
        written = [self.parameters[name].describe() for name in names]
        for name, ends, text in zip(names, (lens, source), written):
            if not ends.low > 0:
                reach = "" if ends.low == ends.high else f", which reaches down to {ends.low:g}"
                raise self.error(name, f"a redshift must be greater than 0, found {text}{reach}")
        if source.low <= lens.high and not self._ordered_draws():
            reach = "" if source.low == source.high else f", which reaches down to {source.low:g}"
            other = "" if lens.low == lens.high else f", which reaches up to {lens.high:g}"
            reason = (
                f"the source must lie behind the lens: found {written[1]}{reach}; lens.redshift is {written[0]}{other}"
            )
            raise self.error(names[1], reason)

    def _ordered_draws(self) -> bool:
        """Whether draws have the source behind the lens, where one follows from the other; their ranges may overlap."""
        import jax
        import numpy as np

        if all(self.parameters[name].kind != "derived" for name in ("lens.redshift", "source.redshift")):
            return False
        values = self.parameters.resolve(self.parameters.prior.sample(jax.random.key(0), (4096,)))
        return bool(np.all(values["source.redshift"] > values["lens.redshift"]))


def loads(text: str, folder: str | Path = ".", file: str | None = None, sealed: bool = False) -> Configuration:
    """The configuration in a YAML text; names of files are relative to `folder`, and `sealed` keeps them in it."""
    return Configuration(text, folder, file, sealed)


def load(path: str | Path) -> Configuration:
    """The configuration in a YAML file.

    Raises:
        ConfigError: the file cannot be read, or says something that is not allowed; with line and key.
    """
    path = Path(path)
    return Configuration(read_text(path), path.parent, str(path))
