"""What lies in the folder of a campaign, who may write there, and what happens to damaged files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from test_run import contents
from toy import TEXT, toy_work

from lensax.campaign import Campaign, CampaignDamaged, CampaignRefused, Store, check, restore_group
from lensax.campaign.lock import holder, writer_lock

TOY = Path(__file__).parents[1] / "toy.py"


@pytest.fixture
def campaign(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "campaign"))


def test_the_store_is_plain_zarr(original):
    group = zarr.open_group(original, mode="r")
    assert group.attrs["configuration"] == TEXT
    assert group.attrs["seed"] == 1
    assert group.attrs["tracer"] == {"class": "Tracer", "tolerance": 2e-5}
    assert set(group.attrs["versions"]) >= {"lensax", "jax", "numpy", "zarr", "python"}
    assert group.attrs["prior"]["blob.center_x"] == {"distribution": "Normal(loc=1, scale=0.1)", "units": "arcsec"}
    assert list(group["parameter"][:]) == list(group.attrs["prior"])
    noisy = group["noisy"]
    assert (noisy.shape, noisy.dtype, noisy.shards, noisy.chunks) == ((20, 8, 10), np.float32, (6, 8, 10), (6, 8, 10))
    assert noisy.metadata.dimension_names == ("row", "y", "x")
    assert noisy.attrs["units"] == "electron s-1 pixel-1"
    np.testing.assert_allclose(group["x"][:], (np.arange(10) - 4.5) * 0.1, atol=1e-12)
    assert sorted(path.name for path in (original / "noisy").iterdir()) == [
        *(f"c.{i}.0.0" for i in range(4)),
        "zarr.json",
    ]
    assert not list((original / ".lensax" / "drafts").iterdir())
    assert not list((original / ".lensax" / "leases").iterdir())


def test_xarray_reads_it(original):
    xarray = pytest.importorskip("xarray", reason="needs xarray, which lensax does not")
    data = xarray.open_zarr(original)
    assert data.noisy.dims == ("row", "y", "x")
    assert data.theta.sel(parameter="blob.center_x").shape == (20,)


def test_inspection_of_a_good_campaign(original):
    seen = []
    report = check(Store(original), lambda done, total: seen.append((done, total)))
    assert report.is_good
    assert (report.whole, report.rows, report.devices, report.writer) == (4, 20, ["cpu"], None)
    assert report.size == sum(path.stat().st_size for path in original.rglob("*") if path.is_file())
    assert report.rate > 0
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message", "quick"),
    [
        (truncate, "noisy has .* bytes, not", True),
        (flip, "noisy has other bytes", False),
        (os.remove, "noisy is missing", True),
    ],
)
def test_damage_is_found_and_repaired(campaign, original, damage, message, quick):
    damage(campaign / "noisy" / "c.2.0.0")
    report = check(Store(campaign))
    assert not report.is_good
    assert list(report.damaged) == [2]
    assert len(report.damaged[2]) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(report.damaged[2][0])
    assert (report.whole, report.rows) == (3, 14)
    assert toy_work(campaign).pending == ([2] if quick else [])
    work = toy_work(campaign, verify=True)
    assert work.pending == [2]
    work.run()
    assert contents(campaign) == contents(original)


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"files": {"../noisy": {}}}'])
def test_a_damaged_record_is_found_and_repaired(campaign, original, content):
    (campaign / ".lensax" / "shards" / "00000001.json").write_text(content)
    assert list(check(Store(campaign)).damaged) == [1]
    work = toy_work(campaign)
    assert work.pending == [1]
    work.run()
    assert contents(campaign) == contents(original)


def test_files_without_a_record_are_partial(campaign):
    (campaign / ".lensax" / "shards" / "00000003.json").unlink()
    report = check(Store(campaign))
    assert (report.partial, report.missing, report.whole) == ([3], [], 3)


def test_metadata_of_an_array_is_checked(campaign):
    described = json.loads((campaign / "noisy" / "zarr.json").read_text())
    (campaign / "noisy" / "zarr.json").write_text(json.dumps({**described, "shape": [5, 8, 10]}))
    shutil.rmtree(campaign / "theta")
    report = check(Store(campaign))
    assert report.metadata == ["noisy/zarr.json", "theta/zarr.json"]
    toy_work(campaign).run()
    assert check(Store(campaign)).is_good
    assert json.loads((campaign / "noisy" / "zarr.json").read_text()) == described


@pytest.mark.parametrize("damage", [truncate, os.remove])
def test_a_damaged_group_is_not_taken_for_an_empty_folder(campaign, original, damage):
    damage(campaign / "zarr.json")
    before = contents(campaign)
    with pytest.raises(CampaignDamaged, match=r"zarr.json is missing or damaged; .* --repair restores it"):
        toy_work(campaign, seed=2)
    assert contents(campaign) == before
    assert restore_group(campaign) == ["zarr.json"]
    assert contents(campaign) == contents(original)


def test_foreign_folders_are_refused_untouched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    before = contents(tmp_path)
    for folder, message in [
        (tmp_path, "is not empty and holds no lensax campaign"),
        (tmp_path / "other.zarr", "holds a Zarr store that is not a lensax campaign"),
        (tmp_path / "notes.txt", "is a file, not a folder"),
    ]:
        with pytest.raises(CampaignRefused, match=message):
            toy_work(folder, seed=1)
    assert contents(tmp_path) == before
    for folder, message in [(tmp_path / "absent", "does not exist"), (tmp_path / "empty", "holds no campaign")]:
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(CampaignRefused, match=message):
            Campaign(folder)


def test_a_newer_layout_is_refused(campaign):
    path = campaign / "zarr.json"
    path.write_text(path.read_text().replace('"lensax_campaign": 2', '"lensax_campaign": 3'))
    with pytest.raises(CampaignRefused, match="has layout 3, this lensax reads layout 2"):
        Campaign(campaign)


def test_the_second_writer_is_refused_and_names_the_first(tmp_path):
    work = toy_work(tmp_path / "campaign", 20, seed=1)
    with work.store.writing():
        before = contents(tmp_path / "campaign")
        named = f"is being written by process {os.getpid()} on .* since 20"
        with pytest.raises(CampaignRefused, match=named):
            work.run()
        with pytest.raises(CampaignRefused, match=named):
            toy_work(tmp_path / "campaign", 20, seed=1)
        assert contents(tmp_path / "campaign") == before
    assert work.run().remaining == 0


def test_the_lock_goes_with_its_holder(tmp_path):
    with writer_lock(tmp_path / "lock"):
        assert holder(tmp_path / "lock") is not None
    assert holder(tmp_path / "lock") is None
    assert holder(tmp_path / "absent") is None


@pytest.mark.extended
def test_killed_at_random_moments_the_bytes_are_the_same(tmp_path):
    """kill -9 while shards are being written, three times; what was recorded stays, nothing is lost or doubled."""
    random = np.random.default_rng(5)
    command = [sys.executable, str(TOY), str(tmp_path / "whole"), "150", "6"]
    # Compiled once for all the processes.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    options = {"env": {**os.environ, **cache}}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    folder, recorded = tmp_path / "killed", set()
    command[2] = str(folder)
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
            for _ in range(random.integers(1, 8)):
                assert process.stdout.readline()
            time.sleep(0.02 * random.random())
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        report = check(Store(folder))
        now = {shard for shard, _ in Store(folder).recorded()}
        assert not report.damaged
        assert now >= recorded
        recorded = now
    assert 0 < len(recorded) < 25
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    assert contents(folder) == contents(tmp_path / "whole")
