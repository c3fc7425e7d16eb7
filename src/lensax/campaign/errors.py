"""What can go wrong with a campaign's folder, by name."""

__all__ = [
    "CampaignDamaged",
    "CampaignError",
    "CampaignRefused",
    "DiskFull",
    "FolderLost",
    "LeaseHeld",
    "RowsFail",
    "SchedulerLost",
]


class CampaignRefused(ValueError):
    """The folder, or what is asked of it, does not fit; nothing in the folder was touched."""


class CampaignDamaged(CampaignRefused):
    """The folder's own metadata is damaged, missing, or not what lensax writes; nothing in the folder was touched."""


class CampaignError(RuntimeError):
    """The campaign had to stop; every recorded shard is safe, and the same command continues."""


class DiskFull(CampaignError):
    """There is no room for the next shard, on the disk or within the quota."""


class FolderLost(CampaignError):
    """The folder vanished or can no longer be written to: a network path that went away, changed permissions."""


class LeaseHeld(CampaignError):
    """Another process is writing this shard now, or took it over after a long silence of this one."""


class RowsFail(CampaignError):
    """One row after another fails: the fault lies with the model or the device, not with the rows."""


class SchedulerLost(CampaignError):
    """The cluster's scheduler cannot be reached any more."""
