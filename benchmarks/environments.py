"""Environments of the other lensing codes, one folder each below .venv-peers, so that none meets the other's versions.

    python benchmarks/environments.py               # every code that this machine can hold
    python benchmarks/environments.py lenstronomy   # one of them
    python benchmarks/environments.py tests         # lensax beside those that its bridges read

PEER_PYTHON names the interpreter; without it the newest fitting one on PATH is taken. A code that cannot be installed
is reported and left out: the benchmark then runs without it.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-peers"
INTERPRETERS = ("python3.12", "python3.13", "python3.11", "python3", "python")


class Peer(NamedTuple):
    """What a code needs: the oldest Python, and the packages with the versions that were compared."""

    python: tuple[int, int]
    packages: tuple[str, ...]
    options: tuple[str, ...] = ()


PEERS = {
    "lenstronomy": Peer((3, 11), ("lenstronomy==1.14.1", "numba")),
    "jaxtronomy": Peer((3, 11), ("jaxtronomy==0.1.5",)),
    "caustics": Peer((3, 11), ("caustics==1.7.1", "torch==2.13.0")),
    # Only the ray tracing of paltax is used; its own list of dependencies would bring TensorFlow.
    "paltax": Peer(
        (3, 11), ("paltax==1.0.1", "jax", "jaxlib", "ml_dtypes", "numpy", "opt_einsum", "scipy"), ("--no-deps",)
    ),
    "autolens": Peer((3, 12), ("autolens==2026.10.26.1",)),
    # pyHalo names no dependencies of its own.
    "pyhalo": Peer((3, 11), ("pyHalo==1.5.2", "lenstronomy==1.14.2", "colossus==1.4.0", "mcfit", "h5py", "numba")),
}
# lensax itself with the codes that its bridges read, for `make test-peers`.
TESTS = Peer((3, 12), ("-e", ".[dev,lenstronomy,autolens,pyhalo]"))


def interpreter(oldest: tuple[int, int]) -> str | None:
    """The interpreter to use for a code that needs at least Python `oldest`, or None."""
    named = os.environ.get("PEER_PYTHON")
    candidates = [named] if named else [*INTERPRETERS, sys.executable]
    check = f"import sys, venv; sys.exit(sys.version_info < {oldest})"
    for candidate in candidates:
        path = shutil.which(candidate)
        if path and subprocess.run([path, "-c", check], capture_output=True).returncode == 0:
            return path
    return None


def peer_of(name: str) -> Peer:
    """What the environment of that name holds."""
    return TESTS if name == "tests" else PEERS[name]


def python_of(name: str) -> Path | None:
    """The interpreter of an environment that is complete, or None."""
    stamp, python = FOLDER / name / "complete", FOLDER / name / "bin" / "python"
    wanted = "\n".join(peer_of(name).packages)
    return python if stamp.exists() and stamp.read_text() == wanted else None


def build(name: str) -> str:
    """Makes the environment of one code unless it is complete; returns what happened in a few words."""
    peer = peer_of(name)
    if python_of(name):
        return "is there"
    python = interpreter(peer.python)
    if python is None:
        return f"left out: needs Python {peer.python[0]}.{peer.python[1]} or newer (set PEER_PYTHON)"
    shutil.rmtree(FOLDER / name, ignore_errors=True)
    FOLDER.mkdir(exist_ok=True)
    log = FOLDER / f"{name}.log"
    own = FOLDER / name / "bin"
    pip = [str(own / "python"), "-m", "pip", "install"]
    uv = [str(own / "uv"), "pip", "install", "--python", str(own / "python")]
    what = [*peer.options, *peer.packages]
    with log.open("w") as out:

        def done(*command: str) -> bool:
            return subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT).returncode == 0

        made = done(python, "-m", "venv", str(FOLDER / name))
        if not made or not ((done(*pip, "uv") and done(*uv, *what)) or done(*pip, *what)):
            return f"left out: could not be installed, see {log.relative_to(ROOT)}"
    (FOLDER / name / "complete").write_text("\n".join(peer.packages))
    return "installed"


def main() -> None:
    """Builds the environments named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PEERS)} (default: these), tests")
    names = parser.parse_args().names or list(PEERS)
    for name in names:
        if name not in (*PEERS, "tests"):
            parser.error(f"{name!r} is not one of {', '.join(PEERS)}, tests")
        print(f"{name}: {build(name)}", flush=True)


if __name__ == "__main__":
    main()
