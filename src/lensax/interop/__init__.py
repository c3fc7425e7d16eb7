"""Bridges to other lensing codes; none needs the other code to be imported."""

from lensax.interop import autolens, lenstronomy, pyhalo

__all__ = ["autolens", "lenstronomy", "pyhalo"]
