"""One small campaign of the toy model that all tests read."""

from pathlib import Path

import pytest
from toy import toy_work


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """20 rows in shards of 6, seed 1; whoever changes it works on a copy."""
    folder = tmp_path_factory.mktemp("original") / "campaign"
    outcome = toy_work(folder, 20, seed=1, shard_size=6).run()
    assert (outcome.made, outcome.remaining, outcome.overflow, outcome.non_finite) == (20, 0, [], [])
    return folder
