"""Campaigns: many rows, on disk, with nothing lost."""

from lensax.campaign.check import Report, check
from lensax.campaign.errors import CampaignError, CampaignRefused
from lensax.campaign.plan import Plan
from lensax.campaign.reader import Campaign, CampaignWarning
from lensax.campaign.run import Outcome, Work, prepare
from lensax.campaign.selection import Selection, Split
from lensax.campaign.store import Store

__all__ = [
    "Campaign",
    "CampaignError",
    "CampaignRefused",
    "CampaignWarning",
    "Outcome",
    "Plan",
    "Report",
    "Selection",
    "Split",
    "Store",
    "Work",
    "check",
    "prepare",
]
