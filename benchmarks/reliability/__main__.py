"""Kills, fills, breaks and restarts campaigns, and counts what was lost.

    python benchmarks/reliability
    python benchmarks/reliability --rows 400 --kills 4 --only kill damage

Every experiment runs the real program on a small configuration, does something bad to it at random moments, starts the
same command again, and compares the bytes at the end with those of a campaign that nobody disturbed: every file but the
run history, the locks and the clock times in the records. Needs `lensax[cluster]`; experiments that fill a disk or take
a folder away mount a small tmpfs and are left out, with a word, where that is not permitted.
Writes benchmarks/results/reliability.json and .md; with `--only`, the other experiments' results stay.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments import EXPERIMENTS, Setting
from raytrace import RESULTS, machine


def table(rows: list[dict], about: dict) -> str:
    """The results as Markdown."""
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run. "
        "Images of 12 x 12 pixels, in shards of 16 rows.",
        "",
        "| what happened | rows | how often | what was seen | rows lost | doubled | files that differ at the end |",
        "|---|--:|--:|---|--:|--:|--:|",
    ]
    for row in rows:
        lost, doubled, differ = (row.get(name, "") for name in ("lost", "doubled", "differ"))
        lines.append(
            f"| {row['what']} | {row['rows']} | {row['times']} | {row['seen']} | {lost} | {doubled} | {differ} |"
        )
    return "\n".join(lines) + "\n"


def write(out: Path, rows: list[dict], about: dict) -> None:
    """Write the results; those of experiments that were not run again stay."""
    path = out / "reliability.json"
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    merged = {row["what"]: row for row in [*known, *rows]}
    path.write_text(json.dumps({"machine": about, "rows": list(merged.values())}, indent=1) + "\n")
    (out / "reliability.md").write_text(table(list(merged.values()), about))


def main() -> None:
    """Runs the experiments and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--kills", type=int, default=50, help="of kill -9; the other experiments take a share")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), help="some of the experiments")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    about, rows = machine(), []
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lensax-reliability-") as folder:
        setting = Setting.prepared(Path(folder), options.rows, 16, options.kills, options.seed)
        for name in options.only or EXPERIMENTS:
            started = time.monotonic()
            for row in EXPERIMENTS[name](setting):
                rows.append({"rows": options.rows, **row, "seconds": round(time.monotonic() - started, 1)})
                write(options.out, rows, about)
                print(f"{row['what']}: {row['times']} times, {row['seen']}", flush=True)
                print({key: row[key] for key in ("lost", "doubled", "differ") if key in row}, flush=True)
    sys.exit(1 if any(row.get("lost") or row.get("doubled") or row.get("differ") for row in rows) else 0)


if __name__ == "__main__":
    main()
