"""The benchmark of ray tracing runs, compares and writes; on a scene that is small enough for a test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments], capture_output=True, text=True, timeout=300
    )


@pytest.mark.extended
def test_lensax_is_timed_and_compared(tmp_path: Path) -> None:
    done = run(
        "raytrace.py",
        *("--halos", "27", "--over-sample", "1", "--repeats", "1", "--out", str(tmp_path)),
        *("--codes", "lensax", "lensax exact", "lensax exact float64"),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "raytrace.json").read_text())["rows"]
    assert [row["code"] for row in rows] == ["lensax", "lensax exact", "lensax exact float64"]
    fast, single, double = rows
    assert single["rays"] == 100 * 100
    assert double["reference"] == "lensax exact float64"
    assert double["rms_arcsec"] == 0.0
    assert 0.0 < single["rms_arcsec"] < 1e-6
    assert 0.0 < fast["rms_arcsec"] < 2e-5
    assert fast["time_over_lensax"] == 1.0
    assert single["peak_bytes"] > single["start_bytes"] > 0
    written = (tmp_path / "raytrace.md").read_text()
    assert "**27 halos, 10000 rays**" in written
    assert "float64 |" in written
    assert "| reference |" in written
    assert (tmp_path / "raytrace.png").stat().st_size > 10_000


def test_scene_goes_out_in_lenstronomys_terms() -> None:
    done = run("scene.py", "--halos", "18", "--seed", "3")
    assert done.returncode == 0, done.stderr
    lists = json.loads(done.stdout)
    assert lists["lens_model_list"].count("TNFW") == 18
    assert set(lists["lens_redshift_list"]) == {0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.3}


def test_unknown_environment_is_refused() -> None:
    done = run("environments.py", "numpy")
    assert done.returncode == 2
    assert "'numpy' is not one of lenstronomy" in done.stderr


def test_populations_that_are_compared_are_valid_configurations() -> None:
    program = (
        "from populations import MATTER, SIZES, cases\n"
        "from lensax.config import loads\n"
        "for case in cases(list(SIZES), list(MATTER), 1):\n"
        "    for text in case['configurations'].values():\n"
        "        assert loads(text).settings.line_of_sight is not None\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=BENCHMARKS, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


OPERATIONS = """
import functools, json, sys
import jax, jax.numpy as jnp
sys.path.insert(0, sys.argv[1])
from operations import times_by_scope

@jax.named_scope("heavy")
def heavy(x):
    return jax.lax.fori_loop(0, 50, lambda _, y: jnp.sin(y @ y), x)

@jax.named_scope("light")
def light(x):
    return jnp.sort(x, axis=0)

compiled = jax.jit(lambda x: light(heavy(x))).lower(jnp.ones((200, 200))).compile()
call = functools.partial(compiled, jnp.eye(200))
print(json.dumps(times_by_scope(compiled.as_text(), call, ("light", "heavy", "absent"), "rest", 3)))
"""


def test_operations_are_counted_where_they_belong() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPERATIONS, str(BENCHMARKS)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    times = json.loads(done.stdout.splitlines()[-1])
    assert list(times) == ["light", "heavy", "absent", "rest"]
    assert times["absent"] == 0.0
    assert 0.0 < times["light"] < times["heavy"]
    assert times["rest"] < 0.1 * times["heavy"]
