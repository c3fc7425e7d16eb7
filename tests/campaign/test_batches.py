"""Batches of stored rows: every row once, another order each epoch, fresh noise, bounded memory, nothing damaged."""

import itertools
import subprocess
import sys
import tracemalloc

import jax
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import NAMES, TEXT, make_store, row_values

from lensax.campaign import Campaign, CampaignError, CampaignRefused, CampaignWarning
from lensax.campaign.noise import HostNoise
from lensax.campaign.order import Blocks, batches_of, pools
from lensax.campaign.selection import row_fraction
from lensax.campaign.source import RowSource

KEY = jax.random.key(3)
ROWS = NAMES[0]  # its value is the row number


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("rows") / "store", 100, 16)


@pytest.fixture(scope="module")
def campaign(folder):
    return Campaign(folder)


def rows_of(batches):
    return [np.asarray(theta[ROWS]).astype(int) for theta, _ in batches]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(1, 60),
    st.integers(1, 12),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 200),
)
def test_every_row_comes_once(shard_size, block_rows, pool_rows, batch_size, parts, shuffled, count):
    numbers = np.flatnonzero(np.random.default_rng(count).random(count) < 0.7)
    blocks = Blocks(shard_size, min(block_rows, shard_size)).cut(numbers)
    for block in blocks:
        assert len(set(block // shard_size)) == 1
        assert block[-1] - block[0] < block_rows
    seen = []
    for part in range(parts):
        random = np.random.default_rng(5) if shuffled else None
        groups = ((np.concatenate(group),) for group in pools(blocks, pool_rows, random, (part, parts)))
        batches = [rows for (rows,) in batches_of(groups, batch_size, random, drop_last=False)]
        assert all(len(rows) == batch_size for rows in batches[:-1])
        seen += [row for rows in batches for row in rows]
        if not shuffled:
            assert [row for rows in batches for row in rows] == sorted(row for rows in batches for row in rows)
    assert sorted(seen) == numbers.tolist()


def test_an_epoch_in_batches(campaign):
    batches = list(campaign.jax_batches(KEY, 16, shuffle_rows=40, drop_last=False))
    rows = np.concatenate(rows_of(batches))
    assert [len(found) for found in rows_of(batches)] == [16] * 6 + [4]
    assert sorted(rows) == list(range(100))
    assert not np.array_equal(rows, np.sort(rows))
    theta, _, noisy = row_values(rows)
    assert np.array_equal(np.concatenate([images for _, images in batches]), noisy)
    assert np.array_equal(np.concatenate([batch[NAMES[1]] for batch, _ in batches]), theta[:, 1])
    # One batch holds rows of several blocks, and rows of one block are spread over batches.
    assert len(set(rows[:16] // 16)) > 1
    assert len(set(np.flatnonzero(rows < 16) // 16)) > 1


def test_epochs_differ_and_repeat(campaign):
    two = rows_of(campaign.jax_batches(KEY, 20, epochs=2))
    first, second = np.concatenate(two[:5]), np.concatenate(two[5:])
    assert sorted(first) == sorted(second) == list(range(100))
    assert not np.array_equal(first, second)
    assert np.array_equal(np.concatenate(two), np.concatenate(rows_of(campaign.jax_batches(KEY, 20, epochs=2))))
    other = np.concatenate(rows_of(campaign.jax_batches(jax.random.key(4), 20)))
    assert not np.array_equal(first, other)
    endless = campaign.jax_batches(KEY, 30, epochs=None, prefetch=0)
    assert len(list(itertools.islice(endless, 10))) == 10
    assert np.array_equal(np.concatenate(rows_of(campaign.jax_batches(KEY, 20, shuffle=False))), np.arange(100))


def test_an_incomplete_batch_is_left_out_unless_asked_for(campaign):
    assert [len(rows) for rows in rows_of(campaign.jax_batches(KEY, 30))] == [30, 30, 30]


def test_noise_is_drawn_afresh_from_the_stored_instrument(campaign):
    epochs = list(campaign.jax_batches(KEY, 100, epochs=2, noise="fresh", shuffle=False))
    (_, first), (_, second) = epochs
    assert not np.array_equal(first, second)
    _, noiseless, _ = row_values(np.arange(100))
    change = np.asarray(first) - noiseless
    expected = np.asarray(campaign.instrument().noise_map(jax.numpy.asarray(noiseless[50])))
    assert np.std(change[40:60]) == pytest.approx(np.mean(expected), rel=0.1)
    assert abs(np.mean(change)) < 5 * np.std(change) / np.sqrt(change.size)
    # Noise belongs to the row, not to the batch in which it comes.
    batches = list(campaign.jax_batches(KEY, 25, noise="fresh"))
    shuffled = np.concatenate([images for _, images in batches])[np.argsort(np.concatenate(rows_of(batches)))]
    np.testing.assert_allclose(shuffled, first, rtol=1e-6, atol=1e-6)
    (_, none), *_ = campaign.jax_batches(KEY, 100, noise="none", shuffle=False)
    assert np.array_equal(none, noiseless)


def test_noise_on_the_host_is_that_of_the_instrument(campaign):
    instrument, image = campaign.instrument(), np.full((6, 7), 0.8, np.float32)
    images = HostNoise.of(instrument).add(np.tile(image, (4000, 1, 1)), np.random.default_rng(0))
    keys = jax.random.split(KEY, 4000)
    expected = np.asarray(jax.jit(jax.vmap(lambda key: instrument.add_noise(jax.numpy.asarray(image), key)))(keys))
    assert images.dtype == np.float32
    assert images.mean() == pytest.approx(expected.mean(), abs=5e-3)
    assert images.std() == pytest.approx(expected.std(), rel=0.01)
    quantiles = (0.01, 0.16, 0.84, 0.99)
    np.testing.assert_allclose(np.quantile(images, quantiles), np.quantile(expected, quantiles), atol=0.01)
    deviation = np.asarray(instrument.noise_map(jax.numpy.asarray(image)))
    np.testing.assert_allclose(HostNoise.of(instrument).deviation_of(image), deviation, rtol=1e-5)


def test_a_store_without_noisy_images_draws_noise(tmp_path):
    campaign = Campaign(make_store(tmp_path / "store", 8, 4, keep=("noiseless",)))
    (_, images), *_ = campaign.jax_batches(KEY, 8)
    assert np.std(np.asarray(images) - row_values(np.arange(8))[1].mean()) > 0.05
    with pytest.raises(CampaignRefused, match=r"needs noisy images, .* keeps noiseless"):
        campaign.jax_batches(KEY, 8, noise="stored")
    with pytest.raises(ValueError, match="noise: expected one of stored, fresh, none, found 'loud'"):
        campaign.jax_batches(KEY, 8, noise="loud")


def test_images_that_are_stored_in_half_precision_come_in_single(tmp_path):
    campaign = Campaign(make_store(tmp_path / "store", 8, 4, dtype="float16"))
    assert campaign.noisy.dtype == campaign[:2].dtype == np.float16
    (_, images), *_ = campaign.jax_batches(KEY, 8, shuffle=False)
    assert images.dtype == campaign.select([1])[0].dtype == np.float32
    np.testing.assert_allclose(images, row_values(np.arange(8))[2], atol=0.004)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT.replace("read_noise: 5.0", "exposure_time_: 1"), "no instrument in the stored configuration"),
        ("lens: {}", "no instrument"),
        (
            TEXT.replace("exposure_time: 100.0", "exposure_time: ../../etc/passwd"),
            "the file '../../etc/passwd' is not part",
        ),
    ],
)
def test_a_configuration_without_an_instrument_of_its_own(tmp_path, text, reason):
    campaign = Campaign(make_store(tmp_path / "store", 4, 4, text=text))
    with pytest.raises(CampaignRefused, match=reason):
        campaign.jax_batches(KEY, 2, noise="fresh")
    given = Campaign(make_store(tmp_path / "other", 4, 4)).instrument()
    assert len(list(campaign.jax_batches(KEY, 2, noise="fresh", instrument=given))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected at least 1, found 0"),
        ({"batch_size": 4, "shuffle_rows": 0}, "shuffle_rows: expected at least 1, found 0"),
        ({"batch_size": 4, "prefetch": -1}, "prefetch: expected 0 or more"),
    ],
)
def test_numbers_out_of_range(campaign, options, message):
    with pytest.raises(ValueError, match=message):
        campaign.jax_batches(KEY, **options)


def test_bad_rows_are_left_out_and_said(tmp_path):
    status = np.zeros(40, np.uint8)
    status[[3, 4, 20]] = 1, 2, 4
    campaign = Campaign(make_store(tmp_path / "store", 40, 8, status=status, only=[0, 1, 2, 4]))
    message = "11 of 40 rows are left out: 1 overflow, 1 non finite, 1 failed, 8 not made"
    with pytest.warns(CampaignWarning, match=message):
        batches = list(campaign.jax_batches(KEY, 1))
    expected = set(range(40)) - {3, 4, 20} - set(range(24, 32))
    assert set(np.concatenate(rows_of(batches)).tolist()) == expected
    with pytest.warns(CampaignWarning, match=message):
        train, validation, test = campaign.split()
    assert set(np.concatenate([train.numbers, validation.numbers, test.numbers]).tolist()) == expected
    with pytest.raises(
        CampaignRefused, match="2 of the 3 rows asked for are 1 overflow, 1 not made; the first is row 3"
    ):
        campaign.select([3, 30, 1])
    with pytest.raises(CampaignRefused, match="1 of the 3 rows asked for are 1 not made; the first is row 30"):
        campaign.select([3, 30, 1], flagged=True)
    assert campaign.select([4, 3, 1], flagged=True).numbers.tolist() == [1, 3, 4]
    with pytest.warns(CampaignWarning, match="8 of the 16 rows asked for are not made yet"):
        images = campaign[24:40]
    assert np.isnan(images[:8]).all()
    assert np.isfinite(images[8:]).all()


def test_maps_of_the_instrument_come_from_the_store(tmp_path):
    text = TEXT.replace("exposure_time: 100.0", "exposure_time: maps/exposure.fits")
    folder = make_store(tmp_path / "store", 4, 4, text=text)
    with pytest.raises(CampaignRefused, match=r"the file 'maps/exposure.fits' does not exist"):
        Campaign(folder).instrument()
    for place in (folder / ".lensax" / "files", tmp_path):
        (place / "maps").mkdir(parents=True)
        fits.writeto(place / "maps" / "exposure.fits", np.full((6, 7), 50.0 if place == tmp_path else 80.0))
    assert Campaign(folder).instrument().exposure_time.max() == 80.0
    assert Campaign(folder).instrument(tmp_path).exposure_time.max() == 50.0


def test_files_without_a_record_are_not_rows(tmp_path):
    folder = make_store(tmp_path / "store", 24, 8)
    campaign = Campaign(folder)
    campaign._store.record_path(1).unlink()
    assert np.flatnonzero(~campaign.made).tolist() == list(range(8, 16))


@pytest.mark.parametrize("harm", ["flipped", "cut", "deleted"])
@pytest.mark.parametrize("name", ["noisy", "theta"])
def test_a_damaged_shard_is_never_read(tmp_path, harm, name):
    folder = make_store(tmp_path / "store", 40, 8)
    (path,) = folder.glob(f"{name}/c.2*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    {
        "flipped": lambda: path.write_bytes(content),
        "cut": lambda: path.write_bytes(content[:-9]),
        "deleted": path.unlink,
    }[harm]()
    campaign = Campaign(folder)
    said = rf"shard 2 \(rows 16 to 23\) of .* is damaged: {name} "
    with pytest.raises(CampaignError, match=said):
        list(campaign.jax_batches(KEY, 4))
    with pytest.raises(CampaignError, match=said):
        campaign[17]
    with pytest.raises(CampaignError, match=said):
        campaign.to_hdf5(tmp_path / "rows.h5")
    assert not list(tmp_path.glob("*rows.h5*"))
    assert len(campaign[0:16]) == 16
    if harm != "flipped":
        with pytest.raises(CampaignError, match=said):
            list(Campaign(folder, verify=False).jax_batches(KEY, 4))


def test_the_split_is_stable_and_fair(campaign):
    assert np.array_equal(row_fraction(np.arange(1000)), row_fraction(np.arange(10**5))[:1000])
    fractions = row_fraction(np.arange(10**5))
    assert abs(np.mean(fractions < 0.1) - 0.1) < 0.004
    counts, _ = np.histogram(fractions, 50, (0, 1))
    assert np.sum((counts - 2000) ** 2 / 2000) < 100  # chi^2 of 49 degrees of freedom
    assert abs(np.corrcoef(fractions, row_fraction(np.arange(10**5), salt=1))[0, 1]) < 0.02
    # The published first words of SplitMix64: a change of the hash would move rows between training and test.
    words = np.array([0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F], np.uint64)
    assert np.array_equal(row_fraction(np.arange(3)), (words >> np.uint64(11)) * 2.0**-53)
    train, validation, test = campaign.split(0.6, 0.2, 0.2)
    assert sorted([*train.numbers, *validation.numbers, *test.numbers]) == list(range(100))
    assert np.array_equal(test[0], campaign[int(test.numbers[0])])
    assert np.array_equal(train[2:5], campaign[train.numbers[2:5]])
    assert np.array_equal(train.theta[ROWS].astype(int), train.numbers)
    with pytest.raises(ValueError, match=r"expected three shares that sum to 1, found 0\.8, 0\.1, 0\.2"):
        campaign.split(test=0.2)


def test_memory_is_bounded_by_the_pool_and_not_by_the_rows(tmp_path, monkeypatch):
    """A million rows of 4 kB, 4 GB of images: opening and reading a part of an epoch needs a few tens of megabytes."""
    folder = make_store(tmp_path / "store", 10**6, 2000, keep=("noisy",), shape=(32, 32), linked=True)
    read = []
    select = RowSource.read
    monkeypatch.setattr(RowSource, "read", lambda source, rows: read.append(len(rows)) or select(source, rows))
    tracemalloc.start()
    campaign = Campaign(folder)
    batches = campaign.jax_batches(KEY, 256, shuffle_rows=2000)
    for _, images in itertools.islice(batches, 20):
        assert images.shape == (256, 32, 32)
    batches.close()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(campaign) == 10**6
    assert sum(read) <= 20 * 256 + 5 * 2000  # what was used, and what was read ahead
    pool = 2000 * 4096
    index = 8 * 10**6 * 3  # row numbers, and their blocks while they are cut
    assert peak < 6 * pool + index


def test_a_program_may_end_while_batches_are_being_made(folder):
    program = f"""
import jax
from lensax.campaign import Campaign
batches = Campaign({str(folder)!r}).jax_batches(jax.random.key(0), 8, epochs=None, shuffle_rows=20, prefetch=4)
next(batches)
print("read")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == ("read\n", "", 0)
