"""PyTorch data sets of stored rows: every row once, however many workers read them."""

import subprocess
import sys

import numpy as np
import pytest
from stores import make_store, row_values

from lensax.campaign import Campaign

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'lensax[torch]'")
DataLoader = torch.utils.data.DataLoader


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Campaign(make_store(tmp_path_factory.mktemp("rows") / "store", 100, 16))


def loaded(dataset, workers=0, epochs=1, **options):
    """The row numbers of each epoch, in the order in which they come."""
    context = "spawn" if workers else None
    loader = DataLoader(dataset, num_workers=workers, multiprocessing_context=context, **options)
    return [torch.cat([theta[:, 0] for theta, _ in loader]).int().tolist() for _ in range(epochs)]


def test_a_row_is_two_tensors(campaign):
    dataset = campaign.torch()
    theta, image = dataset[41]
    assert len(dataset) == 100
    assert theta.dtype == image.dtype == torch.float32
    expected, _, noisy = row_values([41])
    assert np.array_equal(theta, expected[0])
    assert np.array_equal(image, noisy[0])


def test_the_map_style_is_shuffled_by_the_loader(campaign):
    train, _, _ = campaign.split()
    (rows,) = loaded(train.torch(), batch_size=7, shuffle=True)
    assert sorted(rows) == train.numbers.tolist()
    assert rows != sorted(rows)


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_every_row_comes_once_an_epoch(campaign, workers, persistent):
    dataset = campaign.torch("iterable", batch_size=8, seed=1, shuffle_rows=30)
    options = {"batch_size": None, "persistent_workers": persistent}
    first, second = loaded(dataset, workers, 2, **options)
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second
    assert first != sorted(first)


def test_an_epoch_that_is_set_repeats_even_in_persistent_workers(campaign):
    dataset = campaign.torch("iterable", batch_size=8, seed=1, noise="fresh")
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, persistent_workers=True, multiprocessing_context="spawn"
    )
    found = []
    for epoch in (5, 6, 5):
        dataset.set_epoch(epoch)
        found.append(torch.cat([image for _, image in loader]))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


def test_processes_that_train_together_share_the_rows(campaign):
    rows = []
    for rank in range(3):
        dataset = campaign.torch("iterable", batch_size=8, part=(rank, 3))
        dataset.set_epoch(0)
        rows += loaded(dataset, batch_size=None)[0]
    assert sorted(rows) == list(range(100))


def test_fresh_noise_is_new_at_every_reading_or_fixed_by_the_epoch(campaign):
    dataset = campaign.torch(noise="fresh", seed=3)
    assert not torch.equal(dataset[5][1], dataset[5][1])
    dataset.set_epoch(2)
    again = campaign.torch(noise="fresh", seed=3)
    again.set_epoch(2)
    assert torch.equal(dataset[5][1], again.__getitems__([9, 5])[1][1])
    dataset.set_epoch(3)
    assert not torch.equal(dataset[5][1], again[5][1])


@pytest.mark.parametrize(
    ("style", "options", "message"),
    [
        ("heap", {}, "style: expected 'map' or 'iterable', found 'heap'"),
        ("iterable", {"batch_size": 0}, "batch_size: expected at least 1, found 0"),
        ("iterable", {"part": (2, 2)}, r"part: expected \(k, n\) with 0 <= k < n, found \(2, 2\)"),
    ],
)
def test_options_that_cannot_be(campaign, style, options, message):
    with pytest.raises(ValueError, match=message):
        campaign.torch(style, **options)


def test_batches_can_be_pinned(campaign):
    batch = next(iter(DataLoader(campaign.torch("iterable", batch_size=8), batch_size=None)))
    assert [tensor.is_contiguous() for tensor in batch] == [True, True]
    if torch.cuda.is_available():
        assert all(tensor.pin_memory().is_pinned() for tensor in batch)


def test_an_epoch_with_forked_workers(campaign):
    """The default of Linux until Python 3.14; in a process of its own, because a fork of JAX's threads warns."""
    program = f"""
import torch
from lensax.campaign import Campaign
dataset = Campaign({str(campaign.path)!r}).torch("iterable", batch_size=8)
Campaign({str(campaign.path)!r})[:20]
loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork")
print(sorted(torch.cat([theta[:, 0] for theta, _ in loader]).int().tolist()) == list(range(100)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr[-2000:]
