"""The papers behind each part of lensax."""

from lensax.citations.registry import Paper, bibliography, papers_of, papers_of_fit, parts_of

__all__ = ["Paper", "bibliography", "papers_of", "papers_of_fit", "parts_of"]
