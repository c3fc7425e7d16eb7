"""Make bad shards again, and a store's model from what the store says."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from lensax.campaign.check import Report
from lensax.campaign.errors import CampaignDamaged, CampaignRefused
from lensax.campaign.group import restore_files
from lensax.campaign.lock import waiting_lock, writer_lock
from lensax.campaign.prepare import layout_of
from lensax.campaign.run import Outcome, Work
from lensax.campaign.store import Store

__all__ = ["repair", "restore_group", "stored_model"]


def stored_model(store: Store, config: str | Path | None = None) -> Any:
    """The forward model that made a campaign.

    Args:
        store: the campaign's folder.
        config: the YAML file that it was made with; None builds the model from the text in the store and from the
            files beside it, and opens no other file, whatever the text names.

    Raises:
        CampaignRefused: a configuration that is not the campaign's, or another precision than the campaign's.
        CampaignDamaged: the stored configuration says something else than it did, or names a file outside of the store.
    """
    from lensax.config import ConfigError, load, loads
    from lensax.simulate import ForwardModel

    plan = store.plan
    if plan.precision != str(jnp.zeros(()).dtype):
        raise CampaignRefused(f"{store.folder} was simulated in {plan.precision}: set JAX_ENABLE_X64 accordingly")
    if config is not None:
        configuration = load(config)
        if configuration.digest != plan.configuration_hash:
            raise CampaignRefused(f"{config} is not the configuration that {store.folder} was made with")
        return ForwardModel.from_configuration(configuration)
    try:
        configuration = loads(plan.configuration, store.files, str(store.folder / "zarr.json"), sealed=True)
    except ConfigError as error:
        raise CampaignDamaged(f"{error}; give the configuration with --config") from error
    if configuration.digest != plan.configuration_hash:
        raise CampaignDamaged(f"the configuration in {store.folder} is not what it was; give it with --config")
    return ForwardModel.from_configuration(configuration)


def restore_group(folder: str | Path) -> list[str]:
    """Write damaged metadata of a campaign again from its copy, before the folder can be opened; returns the names.

    Raises:
        CampaignDamaged: the copy is damaged too.
        CampaignRefused: another process writes.
    """
    private = Path(folder) / ".lensax"
    if not private.is_dir() or private.is_symlink():
        raise CampaignRefused(f"{folder} holds no campaign")
    with writer_lock(private / "lock"), waiting_lock(private / "setup"):
        return restore_files(Path(folder), private / "group.json", private)


def repair(
    store: Store, report: Report, model: Any, progress: Callable[[int], None] = lambda rows: None
) -> Outcome | None:
    """Make exactly the bad shards of a campaign again, and mend its metadata.

    Args:
        store: the campaign's folder.
        report: what `check` found.
        model: the campaign's forward model; it is not called where no shard is bad.
        progress: called with the number of rows made.

    Returns:
        what was made, None where no shard was bad.

    Raises:
        CampaignRefused: another process writes.
        CampaignError: a shard cannot be written.
    """
    bad = report.bad_shards
    if not bad:
        with store.writing(), store.preparing():
            store.restore_metadata()
        return None
    layout = layout_of(model, store.plan)
    described = {variable.name for variable in layout.variables}
    if described != set(store.arrays):
        raise CampaignDamaged(
            f"{store.folder} keeps {', '.join(sorted(store.arrays))}, not what its configuration makes"
        )
    return Work(model, store, dataclasses.replace(layout, plan=store.plan), {}, bad).run(progress)
