"""Find or start a Dask cluster: on this machine, at an address, or through Slurm."""

import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lensax._cores import cores
from lensax.campaign.errors import CampaignRefused

__all__ = ["connected", "needs_cluster", "read_slurm"]

ANSWER = 10.0
"""Seconds in which a scheduler must answer."""

SLURM_KEYS = {"jobs", "adapt", "cluster"}


def needs_cluster(module: str) -> Any:
    """Import a module of the extra `cluster`; raises `ImportError` that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is missing: pip install 'lensax[cluster]'") from error


@contextmanager
def connected(kind: str, how: Any, say: Callable[[str], None] = lambda text: None) -> Iterator[Any]:
    """A client of a cluster; one that was started here ends with the block.

    Args:
        kind: "workers", "scheduler" or "slurm".
        how: the number of processes, the scheduler's address, or the path of a YAML file.
        say: told what a person should know.

    Raises:
        CampaignRefused: nobody answers at the address, or the YAML file does not fit.
        ImportError: the extra is not installed.
    """
    distributed = needs_cluster("distributed")
    if kind == "scheduler":
        try:
            client = distributed.Client(how, timeout=ANSWER, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise CampaignRefused(f"no Dask scheduler answers at {how}: {error}") from error
        with client:
            yield client
        return
    cluster = _local(distributed, how) if kind == "workers" else _slurm(Path(how))
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        if kind == "workers":
            from lensax.campaign.interrupts import DeafToInterrupts

            client.register_plugin(DeafToInterrupts())
        else:
            say(f"workers are asked of Slurm; the scheduler is {cluster.scheduler_address}")
        yield client


def _local(distributed: Any, workers: int) -> Any:
    # XLA starts a thread per core in every process: together they should be as many as there are cores.
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        env={"NPROC": str(max(1, cores() // workers))},
    )


def read_slurm(path: Path) -> dict[str, Any]:
    """The YAML file of `--slurm`: `jobs` or `adapt`, and `cluster`, the arguments of `dask_jobqueue.SLURMCluster`.

    Raises:
        CampaignRefused: naming the file and what does not fit.
    """
    import yaml

    try:
        options = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CampaignRefused(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise CampaignRefused(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(options, dict) or not isinstance(options.get("cluster"), dict):
        raise CampaignRefused(f"{path}: expected the keys jobs (or adapt) and cluster")
    unknown = sorted(set(options) - SLURM_KEYS)
    if unknown:
        raise CampaignRefused(f"{path}: unknown key {unknown[0]!r}, expected {', '.join(sorted(SLURM_KEYS))}")
    jobs, adapt = options.get("jobs"), options.get("adapt")
    counted = isinstance(jobs, int) and not isinstance(jobs, bool) and jobs >= 1
    if (adapt is None) == (jobs is None) or (jobs is not None and not counted):
        raise CampaignRefused(f"{path}: expected either jobs, a whole number of at least 1, or adapt, found {jobs!r}")
    if adapt is not None and not (isinstance(adapt, dict) and set(adapt) <= {"minimum_jobs", "maximum_jobs"}):
        raise CampaignRefused(f"{path}: adapt takes minimum_jobs and maximum_jobs, found {adapt!r}")
    return options


def _slurm(path: Path) -> Any:
    options = read_slurm(path)
    jobqueue = needs_cluster("dask_jobqueue")
    # One process with one thread per job: it simulates with all devices that the job has.
    defaults = {"processes": 1, "python": sys.executable, "scheduler_options": {"dashboard_address": None}}
    try:
        cluster = jobqueue.SLURMCluster(**{**defaults, **options["cluster"]})
    except (TypeError, ValueError) as error:
        raise CampaignRefused(f"{path}: {error}") from error
    if options.get("adapt") is not None:
        cluster.adapt(**options["adapt"])
    else:
        cluster.scale(jobs=options["jobs"])
    return cluster
