"""Strong gravitational lensing with dark-matter substructure, in JAX."""
