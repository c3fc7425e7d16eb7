"""Populations of dark-matter halos, and the catalogue that every one of them fills."""

from lensax.halos.catalogue import HaloCatalogue

__all__ = ["HaloCatalogue"]
