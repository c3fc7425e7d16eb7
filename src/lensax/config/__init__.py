"""Reading and checking configurations."""

from lensax.config.configuration import Configuration, Row, load, loads
from lensax.config.errors import ConfigError
from lensax.config.section import Choice, Made, Section, choice, section_of
from lensax.config.values import Value

__all__ = [
    "Choice",
    "ConfigError",
    "Configuration",
    "Made",
    "Row",
    "Section",
    "Value",
    "choice",
    "load",
    "loads",
    "section_of",
]
