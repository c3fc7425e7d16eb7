"""Campaigns: many rows, on disk, with nothing lost."""

from lensax.campaign.check import Report, check
from lensax.campaign.compare import Comparison, Difference, compare_row
from lensax.campaign.errors import (
    CampaignDamaged,
    CampaignError,
    CampaignRefused,
    DiskFull,
    FolderLost,
    LeaseHeld,
    RowsFail,
    SchedulerLost,
)
from lensax.campaign.lock import Part
from lensax.campaign.plan import Plan
from lensax.campaign.prepare import prepare
from lensax.campaign.reader import Campaign, CampaignWarning
from lensax.campaign.repair import repair, restore_group, stored_model
from lensax.campaign.run import Outcome, Work
from lensax.campaign.selection import Selection, Split
from lensax.campaign.store import Store

__all__ = [
    "Campaign",
    "CampaignDamaged",
    "CampaignError",
    "CampaignRefused",
    "CampaignWarning",
    "Comparison",
    "Difference",
    "DiskFull",
    "FolderLost",
    "LeaseHeld",
    "Outcome",
    "Part",
    "Plan",
    "Report",
    "RowsFail",
    "SchedulerLost",
    "Selection",
    "Split",
    "Store",
    "Work",
    "check",
    "compare_row",
    "prepare",
    "repair",
    "restore_group",
    "stored_model",
]
