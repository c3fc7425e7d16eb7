"""A look at a campaign: what is in it, how good it is, and how it came about, on one page."""

from lensax.report.facts import Facts, gather
from lensax.report.page import page, write_page

__all__ = ["Facts", "gather", "page", "write_page"]
