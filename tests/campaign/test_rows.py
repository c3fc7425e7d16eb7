"""Rows that lack room are made again, rows that fail are recorded, and no row depends on its neighbours."""

import numpy as np
import pytest
from toy import ToyModel, toy_work

from lensax.campaign import Campaign, CampaignError, RowsFail, Store, check, compare_row
from lensax.campaign.room import FIRST, Room
from lensax.campaign.rows import RowMaker

SEED = 3
IMAGES = ("noiseless", "noisy")


def run(folder, model, **options):
    outcome = toy_work(folder, 40, model, seed=SEED, **{"shard_size": 16, **options}).run()
    return outcome, Campaign(folder, verify=False), check(Store(folder))


def radii(campaign):
    return campaign.theta["lens.mass.PowerLaw.einstein_radius"]


def test_rows_without_room_are_made_again_with_more(tmp_path):
    plain, _, _ = run(tmp_path / "plain", ToyModel())
    model = ToyModel(crowded_above=1.1, overflow_above=1.05, most_slots=8)
    outcome, campaign, report = run(tmp_path / "made", model)
    assert (plain.overflow, outcome.overflow, report.errors) == ([], [], {})
    crowded, lacking = (set(np.flatnonzero(radii(campaign) > limit)) for limit in (1.1, 1.05))
    assert 0 < len(crowded) < len(lacking) < 40
    assert set(report.remade) == lacking
    assert campaign.good.all()
    for row, how in report.remade.items():
        # 10 pairs of room become 20 and 40 for the 35 that are wanted; one slot becomes two and four.
        pairs = {"tracer_room": 4, "pairs": 35, "capacity": 40} if row in crowded else {}
        expected = {"tracer_room": 1, "slot_room": 4, "pairs": 5, "capacity": 10, **pairs}
        assert how == {**expected, "attempts": 4 if row in crowded else 2}
    # More room shows the same universe: here even the same bits, and nothing of the neighbours has changed.
    for name in IMAGES:
        assert np.array_equal(campaign.array(name)[:], Campaign(tmp_path / "plain").array(name)[:])


def test_rows_that_find_no_room_are_flagged_and_show_nothing(tmp_path):
    outcome, campaign, report = run(tmp_path / "made", ToyModel(overflow_above=1.1, most_slots=2))
    lacking = list(np.flatnonzero(radii(campaign) > 1.1))
    assert outcome.overflow == lacking
    assert np.isnan(campaign.noisy[:][lacking]).all()
    assert np.isfinite(campaign.noisy[:][campaign.good]).all()
    assert set(report.errors) == set(lacking)
    assert (
        "lacks halos or corrections, also with 1 times the tracer's room and 2 times the slots"
        in (report.errors[lacking[0]])
    )


def test_a_tracer_that_wants_everything_is_given_up():
    maker = RowMaker(ToyModel(crowded_above=0.0, capacity=1), SEED, 1, 8)
    made = maker(range(8))
    assert set(maker.models) == {FIRST, *(Room(pairs=n) for n in range(1, 7))}
    assert (made.arrays["status"] == 0).all()
    endless = RowMaker(ToyModel(overflow_above=0.0), SEED, 1, 8)(range(8))
    assert all("the model has no more room to give" in text for text in endless.errors.values())


def test_a_row_that_raises_is_recorded_and_the_campaign_goes_on(tmp_path):
    outcome, campaign, report = run(tmp_path / "made", ToyModel(raising_above=1.15))
    failing = list(np.flatnonzero(radii(campaign) > 1.15))
    assert 0 < len(failing) < 8
    assert outcome.failed == report.failed == failing
    assert report.errors == dict.fromkeys(failing, "ArithmeticError: the ring is too large")
    assert (campaign.status[failing] == 4).all()
    assert np.isnan(campaign.noisy[:][failing]).all()
    others = campaign.status == 0
    assert others.sum() == 40 - len(failing)
    whole = run(tmp_path / "whole", ToyModel())[1]
    for name in (*IMAGES, "halos_per_plane", "key"):
        assert np.array_equal(campaign.array(name)[:][others], whole.array(name)[:][others])
    assert np.array_equal(campaign.theta_matrix, whole.theta_matrix)


def test_rows_with_nan_say_where(tmp_path):
    outcome, campaign, report = run(tmp_path / "made", ToyModel(broken_above=1.1))
    broken = list(np.flatnonzero(radii(campaign) > 1.1))
    assert outcome.non_finite == broken
    assert report.errors[broken[0]] == (
        "noiseless has 80 values that are not finite; noisy has 80 values that are not finite"
    )


def test_a_model_that_always_fails_stops_the_campaign(tmp_path):
    work = toy_work(tmp_path / "made", 40, ToyModel(raising_above=0.0), seed=SEED)
    with pytest.raises(RowsFail, match="8 rows failed one after another, the last is 7: ArithmeticError: the ring"):
        work.run()
    assert check(Store(tmp_path / "made")).missing == [0]


def test_a_device_without_memory_is_named(monkeypatch):
    def full(*arguments):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte.")

    monkeypatch.setattr("lensax.campaign.rows._make", full)
    with pytest.raises(CampaignError, match=r"no memory for 4 rows side by side: .* smaller batch size"):
        RowMaker(ToyModel(), SEED, 4, 8)(range(8))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_half_precision_is_rounded_once(tmp_path, original, dtype):
    toy_work(tmp_path / "half", 20, seed=1, dtype=dtype).run()
    half, whole = Campaign(tmp_path / "half"), Campaign(original)
    assert half.noisy.dtype == dtype
    assert half.theta_matrix.dtype == whole.theta_matrix.dtype
    for name in IMAGES:
        assert np.array_equal(half.array(name)[:], whole.array(name)[:].astype(dtype))


def test_values_beyond_half_precision_are_flagged():
    maker = RowMaker(ToyModel(), SEED, 1, 8, "float16")
    numbers, made = np.arange(1), {"overflow": np.zeros(1, bool)}
    errors: dict[int, str] = {}
    made |= {name: np.full((1, 2, 2), 1e5, np.float32) for name in IMAGES}
    status = maker._finished(numbers, made, errors)["status"]
    assert (status[0], errors[0].count("4 values that are not finite")) == (2, 2)


@pytest.mark.parametrize("options", [{}, {"batch_size": 5, "shard_size": 9}, {"dtype": "float16"}])
def test_one_row_alone_has_the_stored_bits(tmp_path, options):
    model = ToyModel(crowded_above=1.1)
    run(tmp_path / "made", model, **options)
    store = Store(tmp_path / "made")
    remade = check(store).remade
    for row in (0, 17, 39, next(iter(remade))):
        found = compare_row(store, model, row)
        assert found.exact
        assert found.agrees
        assert found.remade == remade.get(row)


def test_another_row_is_told_from_rounding(tmp_path, original):
    store = Store(original)
    other = compare_row(store, ToyModel((8, 10), raising_above=9.0), 3)
    assert other.exact  # the same model under another limit
    changed = RowMaker.__call__

    def shifted(self, rows, by):
        made = changed(self, rows)
        made.arrays["noiseless"] = made.arrays["noiseless"] * np.float32(1 + by)
        return made

    for by, agrees in ((3e-7, True), (1e-3, False)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RowMaker, "__call__", lambda self, rows, by=by: shifted(self, rows, by))
            found = compare_row(store, ToyModel(), 3)
        assert (found.exact, found.agrees) == (False, agrees)
        assert [difference.name for difference in found.differences if not difference.exact] == ["noiseless"]
