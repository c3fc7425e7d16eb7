"""What can go wrong with a campaign's folder."""

__all__ = ["CampaignError", "CampaignRefused"]


class CampaignRefused(ValueError):
    """The folder, or what is asked of it, does not fit; nothing in the folder was touched."""


class CampaignError(RuntimeError):
    """The campaign had to stop; every recorded shard is safe, and the same command continues."""
