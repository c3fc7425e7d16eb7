"""Rows are a pure function of (model, seed, row), and a run continues where the last one stopped."""

import errno
import json
import os
import re
import shutil
import time

import jax
import numpy as np
import pytest
import zarr
from toy import TEXT, ToyModel, toy_work

from lensax.campaign import Campaign, CampaignError, CampaignRefused, DiskFull, FolderLost, Store, check
from lensax.campaign.files import write_durably
from lensax.campaign.rows import RowMaker

CLOCK = {"finished", "timed_rows", "timed_seconds"}


def contents(folder):
    """Every file of the store, and the records without what depends on the clock; not who wrote it, and when."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or name in (".lensax/lock", ".lensax/setup", ".lensax/group.json"):
            continue
        if name.startswith((".lensax/runs", ".lensax/parts")):
            continue
        found[name] = path.read_bytes()
        if name.startswith(".lensax/shards"):
            record = json.loads(found[name])
            found[name] = {key: record[key] for key in record.keys() - CLOCK}
        if path.name == "zarr.json":
            # The tests run from a working copy, whose revision may change meanwhile.
            found[name] = re.sub(rb'"git_revision": ("[^"]*"|null)', b"", found[name])
    return found


def test_a_stored_row_is_what_the_model_makes(original):
    campaign, model = Campaign(original), ToyModel()
    root = jax.random.key(1)
    for row in (0, 7, 19):
        theta_key, key = jax.random.split(jax.random.fold_in(root, row))
        theta = model.prior.sample(theta_key)
        seen = model.both(theta, key)
        for name in theta:
            np.testing.assert_allclose(campaign.theta[name][row], theta[name], rtol=1e-12)
        np.testing.assert_allclose(campaign.noiseless[row], np.float32(seen.noiseless), rtol=1e-6)
        np.testing.assert_allclose(campaign.noisy[row], np.float32(seen.noisy), rtol=1e-5, atol=1e-7)
        assert (jax.random.key_data(campaign.keys[row]) == jax.random.key_data(key)).all()
        assert (campaign.array("halos_per_plane")[row] == np.asarray(seen.diagnostics.halos_per_plane)).all()


@pytest.mark.parametrize("options", [{"shard_size": 1}, {"shard_size": 20}, {"shard_size": 5, "batch_size": 3}])
def test_a_row_does_not_depend_on_its_shard(original, tmp_path, options):
    toy_work(tmp_path / "other", 20, seed=1, **options).run()
    one, other = Campaign(original), Campaign(tmp_path / "other")
    for name in ("noiseless", "noisy", "theta", "key", "status", "error_estimate", "halos_per_plane"):
        assert np.array_equal(one.array(name)[:], other.array(name)[:])


def test_another_seed_makes_other_rows(original, tmp_path):
    toy_work(tmp_path / "other", 20, seed=2, shard_size=6).run()
    assert not np.isin(Campaign(tmp_path / "other").theta_matrix, Campaign(original).theta_matrix).any()


def test_a_shorter_call_is_filled_up_and_cut():
    maker = RowMaker(ToyModel(), 1, None, 100)
    assert [len(call) for call in maker.calls(range(3, 24))] == [8, 8, 5]
    whole, part = maker(range(3, 11)).arrays, maker(range(3, 5)).arrays
    assert {name: value.shape[0] for name, value in part.items()} == dict.fromkeys(whole, 2)
    assert all(np.array_equal(whole[name][:2], part[name]) for name in whole)


def test_the_rate_leaves_compiling_out(tmp_path):
    outcome = toy_work(tmp_path / "campaign", 24, seed=1).run()
    report = check(Store(tmp_path / "campaign"))
    assert outcome.rate == pytest.approx(report.rate, rel=0.05)
    assert outcome.rate > outcome.made / outcome.seconds
    assert toy_work(tmp_path / "one", 8, seed=1).run().rate is None


def test_the_compiler_tells_the_memory():
    assert RowMaker(ToyModel((64, 64)), 1, 4, 100).memory() > 8 * 64 * 64 * 8


def test_a_stopped_run_continues_with_the_same_bytes(original, tmp_path):
    folder = tmp_path / "campaign"
    asked = []
    first = toy_work(folder, 20, seed=1, shard_size=6).run(stop=lambda: len(asked) >= 2 or bool(asked.append(0)))
    assert (first.made, first.remaining) == (12, 8)
    assert check(Store(folder)).missing == [2, 3]
    assert np.isnan(Campaign(folder).noisy[12:]).all()
    assert list(Campaign(folder).made) == [True] * 12 + [False] * 8
    second = toy_work(folder, 20)  # seed and sizes are taken from the store
    assert second.pending == [2, 3]
    assert second.run().remaining == 0
    assert contents(folder) == contents(original)
    assert toy_work(folder, 20).pending == []


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("call", ["replace", "fsync", pytest.param("open", marks=pytest.mark.extended)])
def test_a_crash_at_any_file_operation_loses_nothing(original, tmp_path, monkeypatch, call):
    real = getattr(os, call)
    crashes = 0
    for survives in range(0, 400, 11):
        folder = tmp_path / str(survives)
        left = [survives]

        def dying(*arguments, **keywords):
            left[0] -= 1  # noqa: B023
            if left[0] < 0:  # noqa: B023
                raise Crash
            return real(*arguments, **keywords)

        work = toy_work(folder, 20, seed=1, shard_size=6)
        monkeypatch.setattr(f"lensax.campaign.files.os.{call}", dying)
        try:
            work.run()
        except Crash:
            crashes += 1
        monkeypatch.undo()
        if left[0] >= 0:
            break
        recorded = [shard for shard, _ in Store(folder).recorded()]
        again = toy_work(folder, 20, seed=1, shard_size=6)
        assert not set(recorded) & set(again.pending)
        again.run()
        assert contents(folder) == contents(original)
        shutil.rmtree(folder)
    assert crashes >= 3


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_is_named_and_resumed(original, tmp_path, monkeypatch, call):
    folder = tmp_path / "campaign"
    real, left = getattr(os, call), [40]

    def full(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    work = toy_work(folder, 20, seed=1, shard_size=6)
    monkeypatch.setattr(f"lensax.campaign.files.os.{call}", full)
    with pytest.raises(CampaignError, match=r"could not be written to .*: No space left on device"):
        work.run()
    monkeypatch.undo()
    assert not check(Store(folder)).damaged
    toy_work(folder, 20).run()
    assert contents(folder) == contents(original)


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EFBIG, DiskFull), (5, FolderLost)]
)
def test_what_the_system_says_has_a_name(tmp_path, monkeypatch, number, error):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    work = toy_work(tmp_path / "campaign", 20, seed=1, shard_size=6)
    monkeypatch.setattr("lensax.campaign.records.write_draft", refuse)
    with pytest.raises(error, match=rf"shard 0 could not be written to .*: {os.strerror(number)}; what is recorded"):
        work.run()
    assert not list((tmp_path / "campaign" / ".lensax" / "drafts").iterdir())
    assert not list((tmp_path / "campaign" / ".lensax" / "leases").iterdir())


def test_what_a_full_disk_cut_short_does_not_stay(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lensax.campaign.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(tmp_path / "file", b"content", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_drafts_of_a_writer_that_died_meanwhile_do_not_stay(original, tmp_path):
    work, store = toy_work(tmp_path / "campaign", 20, seed=1, shard_size=6), Store(tmp_path / "campaign")

    def leave_drafts(rows):
        (store.drafts / "of-the-dead").mkdir(exist_ok=True)
        (store.drafts / "of-the-dead" / "noisy-c.0.0.0").write_bytes(b"half")

    work.run(leave_drafts)
    assert not list(store.drafts.iterdir())
    assert contents(tmp_path / "campaign") == contents(original)
    with store.leased(0) as mine:
        (store.drafts / mine.token).mkdir()
        leave_drafts(0)
        store.tidy()
        assert [draft.name for draft in store.drafts.iterdir()] == [mine.token]


def test_a_folder_that_vanishes_is_named_and_begins_again(original, tmp_path):
    folder = tmp_path / "campaign"

    def vanish(rows):
        if (folder / ".lensax" / "shards" / "00000000.json").exists():
            # In one step: a shard that is being written beside this would hold up a removal file by file.
            folder.rename(tmp_path / "elsewhere")

    work = toy_work(folder, 20, seed=1, shard_size=2)
    with pytest.raises(FolderLost, match="the folder is gone; the same command continues when it is back"):
        work.run(progress=lambda rows: (time.sleep(0.05), vanish(rows)))
    toy_work(folder, 20, seed=1, shard_size=6).run()
    assert contents(folder) == contents(original)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("lensax.campaign.space.shutil.disk_usage", lambda path: usage)
    with pytest.raises(CampaignRefused, match=r"needs up to .* GB more, the disk has 0.0 GB free"):
        toy_work(tmp_path / "a" / "b", 20, seed=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "its seed is 1, not 2"),
        ({"count": 21}, "its count is 20, not 21"),
        ({"shard_size": 7}, "its shard_size is 6, not 7"),
        ({"batch_size": 2}, "its batch_size is 1, not 2"),
        ({"dtype": "float16"}, "its dtype is float32, not float16"),
        ({"keep": ("noisy",)}, "its keep is noiseless, noisy, not noisy"),
        (
            {"text": TEXT.replace("0.5", "0.7")},
            "line 2 of its configuration is 'redshift: 0.5', not 'redshift: 0.7'",
        ),
    ],
)
def test_another_campaign_in_the_folder_is_refused_and_untouched(original, changes, message):
    before = contents(original)
    with pytest.raises(CampaignRefused, match=message):
        toy_work(original, **{"count": 20, **changes})
    assert contents(original) == before


def test_flagged_rows_are_recorded(tmp_path):
    model = ToyModel(overflow_above=1.05, broken_above=1.15)
    work = toy_work(tmp_path / "campaign", 40, model, seed=3, shard_size=16)
    outcome = work.run()
    campaign = Campaign(tmp_path / "campaign")
    radius = campaign.theta["lens.mass.PowerLaw.einstein_radius"]
    assert 0 < len(outcome.non_finite) < len(outcome.overflow) < 40
    assert outcome.overflow == list(np.flatnonzero(radius > 1.05))
    assert outcome.non_finite == list(np.flatnonzero(radius > 1.15))
    assert np.array_equal(campaign.good, radius <= 1.05)
    report = check(Store(tmp_path / "campaign"))
    assert (report.overflow, report.non_finite, report.is_good) == (outcome.overflow, outcome.non_finite, False)


def test_one_kind_of_image_and_no_parameter(tmp_path):
    work = toy_work(tmp_path / "campaign", 5, ToyModel(names=()), seed=1, keep=["noiseless"])
    work.run()
    campaign = Campaign(tmp_path / "campaign")
    assert campaign[:].shape == (5, 8, 10)
    assert campaign.theta == {}
    assert campaign.theta_matrix.shape == (5, 0)
    assert set(zarr.open_group(tmp_path / "campaign").array_keys()).isdisjoint({"noisy", "theta", "parameter"})


def test_a_fresh_seed_is_drawn_and_kept(tmp_path):
    one, two = (toy_work(tmp_path / name, 5) for name in "ab")
    assert one.plan.seed != two.plan.seed
    one.run()
    assert toy_work(tmp_path / "a", 5).plan.seed == one.plan.seed
