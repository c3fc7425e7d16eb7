"""What happens to campaigns: each experiment yields rows of the table."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from setting import Setting, n_records, total

__all__ = ["EXPERIMENTS", "Setting"]

Row = dict[str, Any]


def killed(setting: Setting, number: int, times: int, what: str, *options: str) -> Row:
    """The program is ended by a signal at random moments and started again each time."""
    done, lives, judgements, codes = 0, [], [], set()
    while done < times:
        out = setting.folder / f"killed-{number}-{len(judgements)}-{len(options)}"
        while done < times:
            before = n_records(out)
            with setting.running(out, *options) as process:
                # A fifth of the moments while the program starts, the others while it makes and writes rows.
                if setting.moments.random() < 0.2:
                    time.sleep(setting.moments.uniform(0.0, setting.starting))
                else:
                    setting.wait_for_rows(out, process)
                    time.sleep(setting.moments.uniform(0.0, 1.5 * setting.lasting / times))
                if process.poll() is not None:
                    break
                process.send_signal(number)
                process.wait()
                codes.add(process.returncode)
            done += 1
            lives.append(n_records(out) - before)
        code, errors = setting.finish(out, *options)
        assert code == 0, errors
        judgements.append(setting.judged(out))
    made = f"{min(lives)} to {max(lives)} shards between two of them"
    return {"what": what, "times": times, "seen": f"{made}; exit codes {sorted(codes)}", **total(judgements)}


def kill(setting: Setting) -> Iterator[Row]:
    """SIGKILL and SIGTERM."""
    yield killed(setting, signal.SIGKILL, setting.kills, "kill -9 at random moments")
    few = max(1, setting.kills // 5)
    yield killed(setting, signal.SIGTERM, few, "SIGTERM (Slurm's preemption) at random moments")


def parts(setting: Setting) -> Iterator[Row]:
    """Two parts in two processes at the same time, both killed."""
    out, times = setting.folder / "parts", max(1, setting.kills // 10)
    for _ in range(times):
        with setting.running(out, "--part", "1/2") as one, setting.running(out, "--part", "2/2") as two:
            setting.wait_for_rows(out, one)
            time.sleep(setting.moments.uniform(0.0, 0.5 * setting.lasting / times))
            one.kill()
            two.kill()
    codes = [setting.finish(out, "--part", part)[0] for part in ("1/2", "2/2")]
    seen = f"exit codes at the end {codes}"
    yield {"what": "two parts at the same time, kill -9 for both", "times": times, "seen": seen, **setting.judged(out)}


def dask(setting: Setting) -> Iterator[Row]:
    """A worker, the coordinator and the scheduler of a Dask cluster are killed."""
    out, times, losses = setting.folder / "workers", max(1, setting.kills // 10), 0
    with setting.running(out, "--workers", "2") as process:
        setting.wait_for_rows(out, process)
        while losses < times and process.poll() is None:
            workers = dask_workers(process.pid)
            if workers:
                setting.moments.choice(workers).kill()
                losses += 1
            setting.wait_for_rows(out, process)
        code = process.wait()
    yield {
        "what": "kill -9 of a Dask worker while it works",
        "times": losses,
        "seen": f"the same run went on, exit code {code}",
        **setting.judged(out),
    }
    times = max(1, setting.kills // 25)
    yield killed(setting, signal.SIGKILL, times, "kill -9 of the process that leads Dask workers", "--workers", "2")
    yield scheduler_killed(setting, times)


def dask_workers(process: int) -> list[psutil.Process]:
    """The worker processes that a campaign has started and that live."""
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(process).children():
            with suppress(psutil.Error):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
    return found


def scheduler_killed(setting: Setting, times: int) -> Row:
    """The scheduler goes away under a running campaign; a new one is started for the next."""
    out, codes, named = setting.folder / "scheduler", [], 0
    for life in range(times + 1):
        with dask_cluster(setting) as (address, scheduler), setting.running(out, "--scheduler", address) as process:
            if life < times:
                setting.wait_for_rows(out, process)
                time.sleep(setting.moments.uniform(0.0, 0.5 * setting.lasting / times))
                scheduler.kill()
            _, errors = process.communicate()
            codes.append(process.returncode)
            named += "cannot be reached any more; what is recorded is safe" in errors
    seen = f"named {named} times, exit codes {codes}"
    return {"what": "kill -9 of the Dask scheduler", "times": times, "seen": seen, **setting.judged(out)}


@contextmanager
def dask_cluster(setting: Setting) -> Iterator[tuple[str, subprocess.Popen]]:
    """A scheduler and two workers as processes of their own."""
    file = setting.folder / "scheduler.json"
    file.unlink(missing_ok=True)
    module = [sys.executable, "-m"]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    started = [subprocess.Popen([*module, "distributed.cli.dask_scheduler", "--port", "0", *where], **options)]
    try:
        while not file.exists():
            time.sleep(0.05)
        worker = [
            *module,
            "distributed.cli.dask_worker",
            *where,
            "--nthreads",
            "1",
            "--no-nanny",
            "--death-timeout",
            "5",
        ]
        started += [subprocess.Popen(worker, cwd=setting.folder, **options) for _ in range(2)]
        yield str(json.loads(file.read_text())["address"]), started[0]
    finally:
        for process in started:
            process.kill()
            process.wait()


def damage(setting: Setting) -> Iterator[Row]:
    """Files of shards are truncated, flipped and deleted; inspect finds them and repairs exactly those."""
    from lensax.campaign import Store, check, repair, stored_model

    out = setting.folder / "damage"
    setting.finish(out)
    store = Store(out)
    model = stored_model(store)

    def truncate(path: Path) -> None:
        os.truncate(path, setting.moments.randrange(path.stat().st_size))

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[setting.moments.randrange(len(content))] ^= 1 << setting.moments.randrange(8)
        path.write_bytes(content)

    for what, harm in (("truncated", truncate), ("with one flipped bit", flip), ("deleted", os.remove)):
        times = max(1, setting.kills // 5)
        names = setting.moments.sample(
            [(name, shard) for name in store.arrays for shard in range(store.plan.n_shards)], times
        )
        for name, shard in names:
            harm(store.shard_path(name, shard))
        report = check(store)
        found = sum(any(text.startswith(f"{name} ") for text in report.damaged.get(shard, [])) for name, shard in names)
        exact = sorted(report.damaged) == sorted({shard for _, shard in names})
        repair(store, report, model)
        seen = f"{found} found, no other shard named: {exact}; repaired, good at the end: {check(store).is_good}"
        yield {"what": f"a shard's file {what}", "times": times, "seen": seen, **setting.judged(out)}


def second(setting: Setting) -> Iterator[Row]:
    """A second process in the folder of a running one."""
    out, seen = setting.folder / "second", []
    with setting.running(out) as process:
        setting.wait_for_rows(out, process)
        code, errors = setting.finish(out)
        seen.append(f"exit code {code}, names the first: {f'process {process.pid} on' in errors}")
        _, errors = process.communicate()
    wrong = f", which says: {errors.strip().splitlines()[-1]}" if process.returncode else ""
    seen.append(f"exit code of the first {process.returncode}{wrong}")
    yield {"what": "a second process on the folder", "times": 1, "seen": "; ".join(seen), **setting.judged(out)}


def disk(setting: Setting) -> Iterator[Row]:
    """A full disk, a read-only one, and a folder that goes away."""
    place = setting.folder / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True).returncode:
        yield {
            "what": "a full disk, a read-only one, a folder that goes away",
            "times": 0,
            "seen": "mount not permitted",
        }
        return
    try:
        out = place / "made"
        with setting.running(out) as process:
            setting.wait_for_rows(out, process)
            with suppress(OSError), (place / "filler").open("wb") as filler:
                while True:
                    filler.write(bytes(4096))
                    filler.flush()
            _, errors = process.communicate()
            last = errors.strip().splitlines()[-1]
        named = "No space left on device; what is recorded is safe" in last
        seen = f"exit code {process.returncode}, named: {named}, damaged shards: {damaged(out)}"
        (place / "filler").unlink()
        code, _ = setting.finish(out)
        yield {"what": "disk full while writing", "times": 1, "seen": f"{seen}; resumed: {code}", **setting.judged(out)}
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        code, errors = setting.finish(place / "other")
        seen = f"exit code {code}: {errors.strip().splitlines()[-1].replace(str(place), 'DIR')}"
        yield {"what": "a read-only disk", "times": 1, "seen": seen}
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        with setting.running(place / "gone") as process:
            setting.wait_for_rows(place / "gone", process)
            subprocess.run(["umount", "-l", str(place)], check=True)
            _, errors = process.communicate()
        last = errors.strip().splitlines()[-1].replace(str(place), "DIR")
        yield {"what": "the folder goes away", "times": 1, "seen": f"exit code {process.returncode}: {last}"}
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True)


def damaged(out: Path) -> int:
    """Recorded shards whose files are not what was written."""
    from lensax.campaign import Store, check

    return len(check(Store(out)).damaged)


EXPERIMENTS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "damage": damage,
    "second": second,
    "disk": disk,
    "parts": parts,
    "dask": dask,
    "kill": kill,
}
