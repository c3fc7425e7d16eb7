"""Work that cannot fit into the memory of the machine is refused, and says why."""

import jax
import pytest
from test_plot import POPULATION

from lensax import _memory
from lensax._memory import available_memory, check_memory
from lensax.config import loads
from lensax.config.errors import ConfigError


def test_there_is_memory() -> None:
    assert 2**20 < available_memory() < 2**50
    assert available_memory(jax.devices("cpu")[0]) > 2**20


def test_what_does_not_fit_is_named() -> None:
    parts = {"3 planes of 10 slots": 2**30, "400 rays": 2**31}
    check_memory(parts, "one image", "use fewer", available=3 * 2**30)
    message = (
        "one image needs 1 GiB for 3 planes of 10 slots and 2 GiB for 400 rays, "
        "but only 2.5 GiB of memory are available; use fewer"
    )
    with pytest.raises(ValueError, match=message):
        check_memory(parts, "one image", "use fewer", available=5 * 2**29)


def test_nothing_is_refused_where_memory_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "available_memory", lambda: None)
    check_memory({"everything": 1e30}, "one image", "use fewer")


def test_too_many_halos_are_refused_before_anything_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "available_memory", lambda: 2**30)
    crowded = POPULATION.replace("{Uniform: [0.5, 1.5]}", "{Uniform: [0.5, 1.0e+5]}")
    with pytest.raises(ConfigError, match=r"population\.yaml:\d+: line_of_sight: one universe .* lower the amplitude"):
        loads(crowded, file="population.yaml").build()


def test_halos_and_rays_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "available_memory", lambda: 2**20)
    wide = POPULATION.replace("shape: [16, 20]", "shape: [256, 256]")
    with pytest.raises(
        ConfigError, match=r"one image needs .* slots on each of 3 planes and .* rays, but only 0\.000977"
    ):
        loads(wide, file="population.yaml").build()
