"""Bridges to other lensing codes.

Importing them imports none of those codes. The lists of lenstronomy and the realisations of pyHalo are read and written
without either; the functions for PyAutoLens import it when they are called.
"""

from lensax.interop import autolens, lenstronomy, pyhalo

__all__ = ["autolens", "lenstronomy", "pyhalo"]
