"""Every test runs in float64 with strict dtype and rank promotion; float32 is asked for explicitly."""

import gc
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# Compiling is most of the tests' time: what has been compiled once is kept beside the other caches, also for
# the programs that tests start. JAX reads the environment when it is imported.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).resolve().parents[1] / ".jax_cache")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
# Programs of tests run once: they are not optimised, and loops are fused in the older way, which compiles in two thirds
# of the time and which jaxlib 0.11 knows no more. Another XLA_FLAGS wins.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
)

import equinox as eqx
import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Python looks for garbage seldom, and never among the modules, which live as long as the tests.
gc.freeze()
gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> Iterator[None]:
    """Drop what was compiled for a file: searching gigabytes of it for garbage takes longer than the tests, and the
    compiler crashes when a process has no memory maps left, of which Linux allows 65530."""
    yield
    jax.clear_caches()
    eqx.clear_caches()
    gc.collect()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of reference tables that travel with the project."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the repository; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data" / "README.md").exists():
        pytest.skip("needs the real images of ../shared/data, which do not travel with the project")
    return folder
