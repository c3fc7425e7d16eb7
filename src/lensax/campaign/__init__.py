"""Campaigns: many rows, on disk, with nothing lost."""

from lensax.campaign.check import Report, check
from lensax.campaign.errors import CampaignError, CampaignRefused
from lensax.campaign.plan import Plan
from lensax.campaign.reader import Campaign
from lensax.campaign.run import Outcome, Work, prepare
from lensax.campaign.store import Store

__all__ = [
    "Campaign",
    "CampaignError",
    "CampaignRefused",
    "Outcome",
    "Plan",
    "Report",
    "Store",
    "Work",
    "check",
    "prepare",
]
