"""What a campaign is made of, and how two of them differ."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensax.campaign import CampaignRefused, Plan
from lensax.campaign.plan import MAX_SEED, default_shard_size


def plan(**changes):
    values = {
        "configuration": "lens:\n  redshift: 0.5\nsource:\n  redshift: 1.5\n",
        "configuration_hash": "a",
        "seed": 1,
        "count": 100,
        "shard_size": 32,
        "batch_size": None,
        **changes,
    }
    return Plan(**values)


@given(count=st.integers(1, 10**6), shard_size=st.integers(1, 10**5))
def test_shards_hold_every_row_once(count, shard_size):
    made = plan(count=count, shard_size=shard_size)
    first, last = made.rows(0), made.rows(made.n_shards - 1)
    assert first.start == 0
    assert last.stop == count
    assert 1 <= len(last) <= len(first) == min(shard_size, count)
    middle = made.n_shards // 2
    assert middle == 0 or made.rows(middle - 1).stop == made.rows(middle).start


@given(
    text=st.text(),
    seed=st.integers(0, MAX_SEED),
    count=st.integers(1, 10**9),
    batch_size=st.none() | st.integers(1, 512),
    keep=st.sampled_from([("noiseless",), ("noisy",), ("noisy", "noiseless")]),
    precision=st.sampled_from(["float32", "float64"]),
)
def test_attributes_hold_the_plan(text, seed, count, batch_size, keep, precision):
    made = plan(configuration=text, seed=seed, count=count, batch_size=batch_size, keep=keep, precision=precision)
    assert Plan.from_attributes(json.loads(json.dumps(made.to_attributes()))) == made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "count must be a whole number from 1 to 4294967296, found 0"),
        ({"count": -3}, "count must be .* found -3"),
        ({"seed": -1}, "seed must be .* found -1"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4294967295"),
        ({"shard_size": 0}, "shard_size must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"keep": ("nosy",)}, "keep must name noiseless or noisy or both, found 'nosy'"),
        ({"keep": ()}, "keep must name"),
    ],
)
def test_numbers_out_of_range_are_refused(changes, message):
    with pytest.raises(CampaignRefused, match=message):
        plan(**changes)


@pytest.mark.parametrize("damage", [{"seed": "1"}, {"count": None}, {"keep": "noisy"}, {"shard_size": True}])
def test_damaged_attributes_are_refused(damage):
    with pytest.raises(CampaignRefused, match=f"metadata is damaged: {next(iter(damage))}"):
        Plan.from_attributes({**plan().to_attributes(), **damage})


def test_differences_are_named():
    assert plan().differences(plan()) == []
    assert plan().differences(plan(seed=2, count=7)) == [
        "seed is 1, not 2",
        "count is 100, not 7",
        "shard_size is 32, not 7",
    ]
    assert plan().differences(plan(batch_size=4)) == ["batch_size is not set, not 4"]
    assert plan().differences(plan(precision="float64")) == ["precision is float32, not float64"]
    assert plan(keep=("noisy",)).differences(plan()) == ["keep is noisy, not noiseless, noisy"]


def test_the_differing_line_of_the_configuration_is_shown():
    other = plan(configuration=plan().configuration.replace("0.5", "0.6"), configuration_hash="b")
    assert plan().differences(other) == ["line 2 of its configuration is 'redshift: 0.5', not 'redshift: 0.6'"]
    added = plan(configuration=plan().configuration + "subhalos: {}\n", configuration_hash="c")
    assert plan().differences(added) == ["line 5 of its configuration is 'nothing', not 'subhalos: {}'"]
    files = plan(configuration_hash="d")
    assert plan().differences(files) == ["the files that the configuration names have other contents"]


def test_a_comment_makes_no_other_campaign():
    assert plan().differences(plan(configuration="# why\n" + plan().configuration)) == []


@pytest.mark.parametrize(
    ("row_bytes", "count", "size"), [(40_000, 10**6, 256), (40_000, 64, 64), (2**30, 10, 1), (256, 10**6, 65536)]
)
def test_default_shards_have_about_16_mebibytes(row_bytes, count, size):
    assert default_shard_size(row_bytes, count) == size
