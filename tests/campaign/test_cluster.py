"""A campaign over Dask: the same bytes, whoever is lost."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from test_run import contents
from toy import ToyModel, toy_work

from lensax.campaign import CampaignError, CampaignRefused, DiskFull, LeaseHeld, RowsFail, SchedulerLost, Store, check
from lensax.campaign import cluster as dispatch
from lensax.campaign.cluster import Distributed
from lensax.campaign.connect import connected, read_slurm

dask = pytest.importorskip("dask", reason="needs lensax[cluster]")
distributed = pytest.importorskip("distributed", reason="needs lensax[cluster]")


@pytest.fixture(scope="module")
def client():
    """Two workers inside of this process: what they share is the code, not the dispatching."""
    options = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(dispatch, "LARGEST_PAUSE", 0.05)


def run(work, client, build=ToyModel, **options):
    return work.run(maker=Distributed(client, build=build, **options))


def test_workers_make_the_same_bytes(client, original, tmp_path):
    seen = []
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=6)
    outcome = run(work, client, progress=seen.append)
    assert (outcome.made, outcome.remaining, sum(seen)) == (20, 0, 20)
    assert contents(tmp_path / "made") == contents(original)
    assert check(Store(tmp_path / "made")).runs[0]["scheduler"].startswith("inproc://")


def test_a_stopped_run_finishes_what_is_under_way(client, original, tmp_path):
    calls = []
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=2)
    outcome = run(work, client, stop=lambda: len(calls) >= 1, progress=calls.append)
    assert 0 < outcome.made < 20
    assert len(dict(Store(tmp_path / "made").recorded())) == outcome.made / 2
    assert run(toy_work(tmp_path / "made", 20), client).remaining == 0


def failing(times, error, folder):
    """A model whose building fails so many times, counted by files in a folder."""
    if len(list(folder.iterdir())) < times:
        (folder / str(time.monotonic_ns())).touch()
        raise error
    return ToyModel()


@pytest.mark.parametrize(
    "error", [DiskFull("no room"), LeaseHeld("process 1 has it"), OSError(5, "Input/output error"), MemoryError()]
)
def test_what_may_pass_is_tried_again(client, original, tmp_path, monkeypatch, error):
    (tmp_path / "counted").mkdir()
    said = []
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=6)
    work.store.lease_seconds = 0.1
    run(work, client, partial(failing, 3, error, tmp_path / "counted"), say=said.append)
    assert contents(tmp_path / "made") == contents(original)
    assert len(said) == 3
    assert all("tried again in 0 s" in text for text in said)


def test_a_shard_that_always_fails_is_given_up_and_named(client, tmp_path):
    (tmp_path / "counted").mkdir()
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=10)
    with pytest.raises(CampaignError, match=r"2 shards were given up, among them .: DiskFull: no room"):
        run(work, client, partial(failing, 10**6, DiskFull("no room"), tmp_path / "counted"))
    assert len(list((tmp_path / "counted").iterdir())) == 2 * dispatch.TRIES
    runs = check(Store(tmp_path / "made")).runs
    assert runs[0]["ended"].startswith("CampaignError: 2 shards were given up")


def test_a_model_that_always_fails_is_not_tried_again(client, tmp_path):
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=10)
    with pytest.raises(RowsFail, match="8 rows failed one after another"):
        run(work, client, partial(ToyModel, raising_above=0.0))


def test_a_shard_that_is_whole_is_not_made_again(client, original, tmp_path):
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=6)
    toy_work(tmp_path / "made", 20, seed=1, shard_size=6).run()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "made" / "noisy").iterdir()}
    run(work, client)  # prepared before the other one ran: it has all shards to make
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "made" / "noisy").iterdir()} == times


def test_a_lost_scheduler_is_named(original, tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "SILENCE", 1.0)
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    command += ["--scheduler-file", str(tmp_path / "address.json")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as scheduler:
        try:
            while not (tmp_path / "address.json").exists():
                time.sleep(0.05)
            # How long a client looks for a lost scheduler.
            dask.config.set({"distributed.comm.timeouts.connect": "2s"})
            client = distributed.Client(scheduler_file=str(tmp_path / "address.json"), set_as_default=False)
            said = []

            def say(text):
                said.append(text)
                scheduler.kill()

            with pytest.raises(SchedulerLost, match=r"the scheduler at tcp://.* cannot be reached any more; what is"):
                run(toy_work(tmp_path / "made", 20, seed=1, shard_size=6), client, say=say)
            assert said == ["waiting for workers"]
        finally:
            scheduler.kill()
            client.close(timeout=1)
            dask.config.set({"distributed.comm.timeouts.connect": "30s"})
    toy_work(tmp_path / "made", 20).run()
    assert contents(tmp_path / "made") == contents(original)


def slow_model():
    """The toy model on a worker, slow enough to be killed in between."""
    time.sleep(0.5)
    return ToyModel()


@pytest.mark.extended
def test_a_killed_worker_loses_nothing(original, tmp_path):
    psutil = pytest.importorskip("psutil", reason="comes with lensax[cluster]")
    work = toy_work(tmp_path / "made", 20, seed=1, shard_size=6)
    killed = []

    def kill(rows):
        if not killed:
            workers = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
            killed.append(workers[0].pid)
            workers[0].kill()

    with connected("workers", 2) as client:
        client.run(partial(toy_is_there, str(Path(__file__).parents[1])))
        outcome = work.run(maker=Distributed(client, kill, build=slow_model))
    assert killed
    assert outcome.made == 20
    assert contents(tmp_path / "made") == contents(original)


def toy_is_there(folder):
    """What tests have by themselves, on a worker: the folder of the toy model."""
    sys.path.insert(0, folder)


def test_nobody_at_the_address(monkeypatch):
    monkeypatch.setattr("lensax.campaign.connect.ANSWER", 0.5)
    with pytest.raises(CampaignRefused, match=r"no Dask scheduler answers at tcp://127.0.0.1:1"):  # noqa: SIM117
        with connected("scheduler", "tcp://127.0.0.1:1"):
            pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: [", "is no YAML"),
        ("jobs: 3", "expected the keys jobs"),
        ("cluster: {cores: 1}", "expected either jobs"),
        ("jobs: 0\ncluster: {cores: 1}", "a whole number of at least 1, or adapt, found 0"),
        ("jobs: 1\nadapt: {}\ncluster: {cores: 1}", "expected either jobs"),
        ("adapt: {minimum: 3}\ncluster: {cores: 1}", "adapt takes minimum_jobs and maximum_jobs"),
        ("jobs: 1\nnodes: 3\ncluster: {cores: 1}", "unknown key 'nodes'"),
        ("jobs: 1\ncluster: !!python/object/apply:os.system [ls]", "is no YAML"),
    ],
)
def test_bad_files_for_slurm_are_refused(tmp_path, text, message):
    (tmp_path / "slurm.yaml").write_text(text)
    with pytest.raises(CampaignRefused, match=message):
        read_slurm(tmp_path / "slurm.yaml")


def test_the_job_that_slurm_is_given(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="needs lensax[cluster]")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, text in (("sbatch", f"cp $1 {tmp_path}/job.sh; echo Submitted batch job 7"), ("scancel", "true")):
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    (tmp_path / "slurm.yaml").write_text(
        "jobs: 1\ncluster:\n  queue: gpu\n  cores: 4\n  memory: 16GB\n  walltime: '04:00:00'\n"
        "  job_extra_directives: ['--gpus=1']\n  interface: lo\n"
    )
    said = []
    with connected("slurm", tmp_path / "slurm.yaml", said.append):
        until = time.monotonic() + 30
        while not (tmp_path / "job.sh").exists() and time.monotonic() < until:
            time.sleep(0.05)
    job = (tmp_path / "job.sh").read_text()
    for line in ("#SBATCH -p gpu", "#SBATCH --gpus=1", "#SBATCH -t 04:00:00", sys.executable, "--nthreads 4"):
        assert line in job
    assert said[0].startswith("workers are asked of Slurm; the scheduler is tcp://")
    (tmp_path / "slurm.yaml").write_text("jobs: 1\ncluster: {cores: 1, memory: 1GB, colour: red}\n")
    with pytest.raises(CampaignRefused, match="colour"):  # noqa: SIM117
        with connected("slurm", tmp_path / "slurm.yaml"):
            pass
