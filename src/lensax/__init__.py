"""Strong gravitational lensing with dark-matter substructure: simulation and inference in JAX."""

__version__ = "0.1.0"
