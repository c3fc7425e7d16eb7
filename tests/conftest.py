"""Every test runs in float64 with strict dtype and rank promotion; float32 is asked for explicitly."""

import gc
from collections.abc import Iterator
from pathlib import Path

import equinox as eqx
import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Compiling is most of the tests' time: what has been compiled once is kept beside the repository's other caches.
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).resolve().parents[1] / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


# Linux allows a process 65530 memory maps; a compiled program takes a few, and the compiler crashes without any left.
MANY_MAPS = 20_000


@pytest.fixture(scope="module", autouse=True)
def few_memory_maps() -> Iterator[None]:
    """Drop what was compiled for earlier files before there is too much of it."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > MANY_MAPS:
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
