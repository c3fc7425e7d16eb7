"""Exactly what is bad is made again; what cannot be restored is named."""

import os
import shutil
from pathlib import Path

import pytest
from test_run import contents
from test_store import flip, truncate
from toy import ToyModel, toy_work

from lensax.campaign import CampaignDamaged, CampaignRefused, Store, check, repair, restore_group


@pytest.fixture
def campaign(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "campaign"))


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("c.*") if path.is_file()}


@pytest.mark.parametrize("harm", [truncate, flip, os.remove])
def test_only_the_bad_shards_are_made_again(campaign, original, harm):
    before = times(campaign)
    harm(campaign / "noisy" / "c.2.0.0")
    harm(campaign / "status" / "c.0")
    store = Store(campaign)
    report = check(store)
    assert report.bad_shards == [0, 2]
    made = []
    assert repair(store, report, ToyModel(), made.append).made == sum(made) == 12
    assert check(Store(campaign)).is_good
    assert contents(campaign) == contents(original)
    untouched = {path for path, time in times(campaign).items() if before[path] == time}
    assert {path.name.split(".")[1] for path in untouched} == {"1", "3"}


@pytest.mark.parametrize("harm", [truncate, flip, os.remove])
@pytest.mark.parametrize("name", ["zarr.json", "noisy/zarr.json", "x/c/0", "parameter/c/0"])
def test_damaged_metadata_is_named_and_restored(campaign, original, name, harm):
    harm(campaign / name)
    try:
        store = Store(campaign)
    except CampaignDamaged:
        assert name == "zarr.json"
        assert restore_group(campaign) == [name]
    else:
        report = check(store)
        assert report.metadata == [name]
        assert not report.is_good
        assert repair(store, report, None) is None
    assert check(Store(campaign)).is_good
    assert contents(campaign) == contents(original)


def test_a_damaged_copy_is_named(campaign):
    flip(campaign / ".lensax" / "group.json")
    assert check(Store(campaign)).metadata == [".lensax/group.json"]
    os.remove(campaign / "zarr.json")
    with pytest.raises(CampaignDamaged, match=r"group.json is missing or damaged"):
        restore_group(campaign)


def test_a_campaign_that_is_not_finished_is_not_finished_by_a_repair(tmp_path):
    asked = []
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=6)
    work.run(stop=lambda: len(asked) >= 2 or bool(asked.append(0)))
    os.remove(tmp_path / "made" / "noisy" / "c.1.0.0")
    report = check(Store(tmp_path / "made"))
    assert (report.missing, report.bad_shards, report.was_finished) == ([2, 3], [1], False)


def test_a_shard_of_a_finished_campaign_that_vanished_whole_is_lost(campaign, original):
    for path in [*campaign.glob("*/c.3*"), campaign / ".lensax" / "shards" / "00000003.json"]:
        path.unlink()
    store = Store(campaign)
    report = check(store)
    assert (report.missing, report.bad_shards) == ([3], [3])
    repair(store, report, ToyModel())
    assert contents(campaign) == contents(original)


def test_rows_that_failed_are_tried_again(tmp_path, original):
    toy_work(tmp_path / "made", 20, ToyModel(raising_above=1.1), seed=1, shard_size=6).run()
    store = Store(tmp_path / "made")
    report = check(store)
    assert report.bad_shards == sorted({row // 6 for row in report.failed}) != []
    repair(store, report, ToyModel())
    assert contents(tmp_path / "made") == contents(original)


def test_another_model_does_not_repair(campaign):
    os.remove(campaign / "noisy" / "c.1.0.0")
    store = Store(campaign)
    with pytest.raises(CampaignDamaged, match=r"keeps .*, not what its configuration makes"):
        repair(store, check(store), ToyModel(names=()))
    with Store(campaign).writing(), pytest.raises(CampaignRefused, match="being written by process"):
        repair(store, check(store), ToyModel())
