"""Never two writers on one shard: locks of folders and parts, leases of shards."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from test_run import contents
from toy import toy_work

from lensax.campaign import CampaignRefused, LeaseHeld, Part, Store, check
from lensax.campaign.lease import lease, live_leases
from lensax.campaign.lock import part_holders


def test_a_lease_has_one_holder(tmp_path):
    with lease(tmp_path, 7) as held:
        held.confirm()
        with pytest.raises(LeaseHeld, match=f"shard 7 is being written by process {os.getpid()}"), lease(tmp_path, 7):
            pass
        with lease(tmp_path, 8):
            assert set(live_leases(tmp_path)) == {7, 8}
    assert list(tmp_path.iterdir()) == []
    with lease(tmp_path, 7):
        pass


def test_the_lease_of_a_dead_process_is_taken_over_at_once(tmp_path):
    script = f"""
import os, sys
from pathlib import Path
from lensax.campaign.lease import lease
with lease(Path({str(tmp_path)!r}), 3):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == ["3"]
    with lease(tmp_path, 3) as held:
        held.confirm()


def other_node(path, age):
    """The lease of a process of another node, touched so many seconds ago."""
    path.write_text(json.dumps({"token": "theirs", "host": "elsewhere", "process": 1, "born": "boot:1"}))
    os.utime(path, (time.time() - age, time.time() - age))


def test_the_lease_of_another_node_is_taken_over_when_it_is_stale(tmp_path):
    other_node(tmp_path / "3", 30)
    with pytest.raises(LeaseHeld, match="process 1 on elsewhere"), lease(tmp_path, 3, seconds=60.0):
        pass
    other_node(tmp_path / "3", 90)
    with lease(tmp_path, 3, seconds=60.0) as held:
        held.confirm()
    other_node(tmp_path / "3", 90)
    other_node(tmp_path / "4", 5)
    assert set(live_leases(tmp_path, seconds=60.0)) == {4}
    assert not (tmp_path / "3").exists()


def test_a_holder_that_was_silent_for_too_long_publishes_nothing(original, tmp_path):
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=6)
    confirm = []

    def taken_over(store, shard, real=Store.leased):
        context = real(store, shard)
        if shard == 1 and not confirm:
            confirm.append(shard)

            class Stolen:
                def __enter__(self):
                    held = context.__enter__()
                    other_node(held.path, 0)
                    return held

                def __exit__(self, *error):
                    return context.__exit__(*error)

            return Stolen()
        return context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "leased", taken_over)
        with pytest.raises(LeaseHeld, match="shard 1 was taken over by another process"):
            work.run()
    report = check(Store(tmp_path / "made"))
    assert (report.damaged, 1 in report.missing) == ({}, True)
    os.utime(tmp_path / "made" / ".lensax" / "leases" / "1", (0, 0))
    toy_work(tmp_path / "made", 20).run()
    assert contents(tmp_path / "made") == contents(original)


def test_many_contenders_for_a_stale_lease(tmp_path):
    other_node(tmp_path / "3", 90)
    inside, most, got = [], [], []

    def contend():
        try:
            with lease(tmp_path, 3, seconds=60.0) as held:
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.02)
                held.confirm()
                inside.pop()
                got.append(1)
        except LeaseHeld:
            pass

    threads = [threading.Thread(target=contend) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert got


def test_parts_make_the_whole(original, tmp_path):
    folder = tmp_path / "made"
    for number in (2, 1, 3):
        work = toy_work(folder, 20, seed=1, shard_size=6, part=Part(number, 3))
        assert work.pending == [shard for shard in range(4) if shard % 3 == number - 1]
        assert work.run().remaining == 0
    assert contents(folder) == contents(original)


def test_parts_at_the_same_time_and_who_is_refused(tmp_path):
    folder = tmp_path / "made"
    options = {"seed": 1, "shard_size": 6}
    first, second = (toy_work(folder, 20, part=Part(number, 2), **options) for number in (1, 2))
    with first.store.writing(first.part):
        assert second.run().made == 8  # shards 1 and 3, the last one of two rows
        named = f"process {os.getpid()} on .* since 20"
        with pytest.raises(CampaignRefused, match=f"part 1/2 of {folder} is being written by {named}"):
            toy_work(folder, 20, part=Part(1, 2), **options).run()
        with pytest.raises(CampaignRefused, match="is being written in 2 parts, not 3, by process"):
            toy_work(folder, 20, part=Part(2, 3), **options).run()
        with pytest.raises(CampaignRefused, match=f"being written by part 1/2: {named}"):
            toy_work(folder, 20)
        with pytest.raises(CampaignRefused, match=r"is being written by .* \(part 1/2\)"), Store(folder).writing():
            pass
        assert part_holders(folder / ".lensax" / "lock").keys() == {"1/2"}
    whole = toy_work(folder, 20)
    with whole.store.writing(), pytest.raises(CampaignRefused, match=f"is being written by {named}"):
        first.run()
    assert whole.run().remaining == 0


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "-1/2", "1/0"])
def test_parts_that_do_not_exist(text):
    with pytest.raises(CampaignRefused, match="part must be k/n with k from 1 to n, found"):
        Part.parse(text)


def test_parts_need_a_common_seed(tmp_path):
    with pytest.raises(CampaignRefused, match="share a seed"):
        toy_work(tmp_path / "made", 20, part=Part(1, 2))
