"""Batch sizes that are measured, and shards that are written while the next are made."""

import threading
import time

import pytest
from toy import ToyModel, toy_work

from lensax.campaign import CampaignError, Store
from lensax.campaign.runs import read_runs
from lensax.campaign.tuning import FEW, measured_batch_size
from lensax.campaign.writer import AHEAD, Writer

SECONDS_PER_CALL = {1: 8.0, 2: 4.0, 4: 3.9}
"""Of eight rows, by batch size."""


@pytest.fixture
def clock(monkeypatch):
    """A clock that only rows move: so long for a call, and a minute more for the first one, which compiles."""
    now, compiled, failing = [0.0], set(), []

    class Maker:
        def __init__(self, model, seed, batch_size, shard_size):
            self.batch_size, self.rows_per_call = batch_size, 8

        def __call__(self, rows):
            if self.batch_size in failing:
                raise CampaignError("no memory")
            now[0] += SECONDS_PER_CALL[self.batch_size] + 60.0 * (self.batch_size not in compiled)
            compiled.add(self.batch_size)

    monkeypatch.setattr("lensax.campaign.tuning.RowMaker", Maker)
    return now, failing


def measured(clock, count):
    return measured_batch_size(ToyModel(), 1, count, 256, clock=lambda: clock[0][0])


def test_the_fastest_size_is_chosen_and_a_little_faster_is_not_worth_it(clock):
    found = measured(clock, 10**6)
    assert found.batch_size == 2
    assert found.rates == {1: 1.0, 2: 2.0, 4: pytest.approx(8 / 3.9)}
    assert found.to_json()["rows_per_second"] == {"1": 1.0, "2": 2.0, "4": 2.051}
    assert found.seconds == pytest.approx(3 * 60 + 2 * (8 + 4 + 3.9))


def test_measuring_stops_where_it_does_not_pay(clock):
    # 76 s for a size and as much for another are 5% of 3040 rows of a second.
    assert measured(clock, 3100).rates.keys() == {1, 2}
    clock[0][0] = 0.0
    assert measured(clock, FEW).rates == {}
    assert measured(clock, FEW - 1).seconds == 0.0


def test_sizes_that_do_not_fit_are_left_out(clock):
    clock[1].append(2)
    assert measured(clock, 10**6).batch_size == 1


def test_the_choice_is_kept_with_the_campaign(tmp_path):
    toy_work(tmp_path / "made", 20, seed=1, shard_size=6).run(stop=lambda: True)
    toy_work(tmp_path / "made", 20).run()
    store = Store(tmp_path / "made")
    assert store.plan.batch_size == 1
    runs = read_runs(store.runs)
    assert [(run["batch_size"], run["made"], run["ended"]) for run in runs] == [(1, 0, "stopped"), (1, 20, "finished")]
    assert all(run["finished"] >= run["started"] and run["host"] for run in runs)


def test_shards_are_written_while_the_next_is_made():
    written, alone = [], threading.get_ident()

    def write(shard):
        assert threading.get_ident() != alone
        time.sleep(0.02)
        written.append(shard)

    with Writer(write) as writer:
        for shard in range(8):
            time.sleep(0.04)
            writer.put(shard)
    assert written == list(range(8))
    assert writer.busy > 0.1
    assert writer.waited < 0.2 * writer.busy


def test_a_slow_disk_is_waited_for_and_memory_is_bounded():
    release, most, waiting = threading.Event(), [0], [0]

    def write(shard):
        release.wait(5)
        waiting[0] -= 1

    def put(writer):
        for shard in range(8):
            writer.put(shard)
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])

    with Writer(write) as writer:
        thread = threading.Thread(target=put, args=(writer,))
        thread.start()
        time.sleep(0.1)
        assert most[0] == AHEAD + 1  # one at the disk, the others in the queue
        release.set()
        thread.join()
    assert writer.waited > 0.05
    assert waiting[0] == 0


def test_an_error_of_the_disk_is_raised_and_nothing_more_is_written():
    written = []

    def write(shard):
        if shard == 1:
            raise OSError("full")
        written.append(shard)

    def put_all():
        with Writer(write) as writer:
            for shard in range(100):
                writer.put(shard)
                time.sleep(0.001)

    with pytest.raises(OSError, match="full"):
        put_all()
    assert written == [0]
