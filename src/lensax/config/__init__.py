"""Reading and checking configurations."""

from lensax.config.errors import ConfigError
from lensax.config.section import Choice, Made, Section, choice, section_of
from lensax.config.values import Value

__all__ = ["Choice", "ConfigError", "Made", "Section", "Value", "choice", "section_of"]
