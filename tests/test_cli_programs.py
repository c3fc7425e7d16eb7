"""Compiled programs that the command line keeps for the next command."""

import os
import subprocess
import sys

import pytest

from lensax.cli.programs import processor

PROGRAM = """
import jax
from lensax.cli.programs import keep_programs
keep_programs()
print(jax.config.jax_compilation_cache_dir)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 1)(1.0)
"""


def kept(home, **more):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(home), "JAX_PLATFORMS": "cpu", **more}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


def test_programs_lie_in_the_users_cache_by_kind_of_processor(tmp_path):
    folder = tmp_path / "lensax" / f"programs-{processor()}"
    assert kept(tmp_path) == str(folder)
    assert list(folder.glob("*-cache"))


def test_another_folder_wins(tmp_path):
    other = tmp_path / "other"
    assert kept(tmp_path / "home", JAX_COMPILATION_CACHE_DIR=str(other)) == str(other)
    assert not (tmp_path / "home").exists()
    assert list(other.glob("*-cache"))


def test_nothing_is_kept_where_nothing_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    assert kept(tmp_path / "file") == "None"
    kept(tmp_path / "home", JAX_ENABLE_COMPILATION_CACHE="0")
    assert not list(tmp_path.rglob("*-cache"))


@pytest.mark.parametrize("flags", ["flags : avx2", "flags : avx2 avx512f"])
def test_a_kind_of_processor_has_a_name(monkeypatch, flags):
    from pathlib import Path

    here = processor()
    assert len(here) == 12
    monkeypatch.setattr(Path, "read_text", lambda self: f"model name : X\n{flags}\n")
    there = processor()
    assert there != here
    assert there == processor()
