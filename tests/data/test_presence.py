"""Masks follow the closed form; presence is the mask and never an all-NaN row."""

import itertools

import numpy as np
import pytest

import modest
from modest.data import missing_mask
from modest.data.presence import achieved_rate, observed


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:rate=")
@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_every_pattern_has_the_probability_of_the_reference(shared, modalities):
    with np.load(shared / "reference" / "learning" / "masks.npz", allow_pickle=False) as archive:
        rates = archive["rates"]
        patterns = archive[f"v{modalities}_patterns"].astype(bool)
        wanted = archive[f"v{modalities}_pattern_probability"]
        counts = archive[f"v{modalities}_count_probability"]
        achieved = archive[f"v{modalities}_achieved_rate"]
        views = archive[f"v{modalities}_view_present_probability"]
    n = 20000
    for r, rate in enumerate(rates):
        mask = missing_mask(n, modalities, float(rate), seed=r)
        assert mask.shape == (n, modalities)
        assert mask.any(axis=1).all()
        margin = 4 * np.sqrt(wanted[r] * (1 - wanted[r]) / n)
        found = np.array([(mask == pattern).all(axis=1).mean() for pattern in patterns])
        assert (np.abs(found - wanted[r]) <= margin + 1e-12).all()
        by_count = np.bincount(mask.sum(axis=1), minlength=modalities + 1)[1:] / n
        assert (np.abs(by_count - counts[r]) <= 4 * np.sqrt(counts[r] * (1 - counts[r]) / n) + 1e-12).all()
        assert (np.abs(mask.mean(axis=0) - views[r]) <= 4 * np.sqrt(views[r] * (1 - views[r]) / n) + 1e-12).all()
        assert abs(1 - mask.mean() - achieved[r]) < 4 * np.sqrt(0.25 / (n * modalities))


@pytest.mark.real
@pytest.mark.parametrize("modalities", [2, 3])
def test_we_differ_from_the_released_generator_where_it_loses_a_percent(shared, modalities):
    with np.load(shared / "reference" / "learning" / "masks.npz", allow_pickle=False) as archive:
        rates, v = archive["rates"], f"v{modalities}_"
        limit, q = archive[f"{v}official_limit_keep_probability"], archive[f"{v}keep_probability"]
    n, floored = 120000, np.flatnonzero(limit < q - 1e-9)
    assert len(floored)
    for r in floored:
        full = missing_mask(n, modalities, float(rates[r]), seed=int(r)).all(axis=1).mean()
        right, theirs = q[r] ** (modalities - 1), limit[r] ** (modalities - 1)  # all there: k = M
        assert abs(full - right) <= 4 * np.sqrt(right * (1 - right) / n)
        if abs(right - theirs) > 8 * np.sqrt(0.25 / n):
            assert abs(full - theirs) > 4 * np.sqrt(theirs * (1 - theirs) / n)
    assert np.abs(q ** (modalities - 1) - limit ** (modalities - 1)).max() > 8 * np.sqrt(0.25 / n)  # once at least


@pytest.mark.parametrize(("modalities", "rate", "most"), [(2, 0.7, "0.5"), (3, 0.7, "0.6667"), (1, 0.2, "0")])
def test_a_rate_that_cannot_be_had_is_capped_with_both_rates_named(modalities, rate, most):
    with pytest.warns(UserWarning, match=f"rate={rate} cannot be had.*at most {most} of.*rate {most}") as told:
        mask = missing_mask(300, modalities, rate, seed=0)
    assert told[0].filename == __file__
    assert (mask.sum(axis=1) == 1).all()
    assert achieved_rate(mask) == pytest.approx((modalities - 1) / modalities)


def test_the_largest_rate_is_no_reason_to_warn(recwarn):
    for modalities in (1, 2, 3, 7):
        missing_mask(10, modalities, (modalities - 1) / modalities, seed=0)
    assert not recwarn.list


def test_masks_of_one_seed_are_nested():
    masks = [missing_mask(500, 3, rate, seed=2) for rate in (0.0, 0.1, 0.3, 0.5, 2 / 3)]
    for more, fewer in itertools.pairwise(masks):
        assert not (fewer & ~more).any()


def test_the_achieved_rate_counts_cells():
    mask = np.random.default_rng(0).random((7, 3)) < 0.5
    assert achieved_rate(mask) == sum(not cell for row in mask for cell in row) / 21
    assert np.isnan(achieved_rate(np.zeros((0, 3))))


def test_masks_follow_ids_and_longer_masks_begin_like_shorter_ones():
    ids = np.array([f"i{i}" for i in range(300)])
    shuffle = np.random.default_rng(0).permutation(300)
    mask = missing_mask(300, 3, 0.4, seed=5, ids=ids)
    assert (mask[shuffle] == missing_mask(300, 3, 0.4, seed=5, ids=ids[shuffle])).all()
    assert (missing_mask(100, 3, 0.4, seed=5) == missing_mask(300, 3, 0.4, seed=5)[:100]).all()
    assert (mask != missing_mask(300, 3, 0.4, seed=6, ids=ids)).any()


@pytest.mark.filterwarnings("ignore:rate=")
def test_one_modality_is_never_missing():
    assert missing_mask(50, 1, 0.9, seed=0).all()


@pytest.mark.parametrize("bad", [{"rate": -0.1}, {"rate": 1.5}, {"modalities": 0}, {"n": -1}, {"ids": ["a"]}])
def test_bad_numbers_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        missing_mask(**{"n": 10, "modalities": 2, "rate": 0.2, "seed": 0, **bad})


@pytest.mark.parametrize("memory", ["2GB", "1MB"])
def test_observed_joins_mask_and_nan_rows(memory):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3000, 40)).astype(np.float32), rng.integers(0, 9, (3000, 50))
    gone = rng.random(3000) < 0.3
    a[gone] = np.nan
    a[~gone & (rng.random(3000) < 0.1), 0] = np.nan  # a NaN somewhere is not an absent row
    present = rng.random((3000, 2)) < 0.8
    mask = observed(modest.Views({"a": a, "b": b}, present), memory=memory)
    slow = np.array([[present[i, 0] and not np.isnan(a[i]).all(), present[i, 1]] for i in range(3000)])
    assert (mask == slow).all()
    assert (observed({"a": a})[:, 0] == ~gone).all()


def test_observed_takes_torch_tensors():
    torch = pytest.importorskip("torch")
    a = torch.ones(4, 3)
    a[2] = float("nan")
    assert observed({"a": a, "b": torch.ones(4, 2, dtype=torch.bfloat16)})[:, 0].tolist() == [True, True, False, True]


def test_dense_keeps_double_precision_and_turns_bfloat16_into_float32():
    import torch

    from modest.data.presence import dense

    exact = torch.tensor([[1.0 + 1e-12]], dtype=torch.float64)
    assert dense(exact).dtype == np.float64
    assert dense(exact)[0, 0] == 1.0 + 1e-12
    assert dense(exact.to(torch.bfloat16)).dtype == np.float32
