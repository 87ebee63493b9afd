"""UHerding against the reference picks, its calibration, its bandwidth, and maxherding as its cold start."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.selection.uherding import heated

from .conftest import clusters

CASES = {
    "margin": {},
    "margin_t2": {"temperature": 2.0},
    "entropy": {"uncertainty": "entropy"},
    "conf": {"uncertainty": "confidence"},
}


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/herding.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def labelled(ref):
    return np.isin(np.arange(200), ref["labelled"])


@pytest.mark.parametrize("case", CASES)
def test_picks_by_every_uncertainty(ref, case):
    assert CASES[case].get("temperature", 1.0) in (1.0, float(ref["uherding_temperature_t2"]))
    choice = modest.select(
        ref["x"], 18, "uherding", taken=labelled(ref), proba=softmax(ref["logits"]), **CASES[case]
    )
    np.testing.assert_array_equal(choice.rows, ref[f"uherding_{case}_picks"])
    np.testing.assert_allclose(choice.scores, ref[f"uherding_{case}_gain"], atol=1e-5, rtol=0)
    assert choice.trace["bandwidth"] == pytest.approx(float(ref["uherding_bandwidth"]), abs=1e-6)
    weight = ref[f"uherding_{case}_weight"]
    assert choice.trace["mean_uncertainty"] == pytest.approx(weight[~labelled(ref)].mean(), abs=1e-6)
    assert choice.trace["even"] is False
    told = [float(reason.split("uncertainty ")[-1]) for reason in choice.reasons]
    np.testing.assert_allclose(told, weight[choice.rows], atol=0.006)


def test_labels_say_what_is_taken(ref):
    labels = np.where(labelled(ref), 2, -1)
    by_labels = modest.select(ref["x"], 18, "uherding", proba=softmax(ref["logits"]), labels=labels, temperature=1.0)
    np.testing.assert_array_equal(by_labels.rows, ref["uherding_margin_picks"])
    with pytest.raises(ValueError, match="193 items but only 192 rows are free"):
        modest.select(ref["x"], 193, "uherding", labels=labels)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("taken", [False, True])
def test_without_probabilities_it_is_maxherding(pool, missing, taken):
    mask = np.random.default_rng(0).random((120, 2)) < 0.7
    mask[~mask.any(axis=1), 0] = True
    views = Views(pool.arrays, mask if missing else None, pool.ids)
    rows = np.arange(120) % 9 == 0 if taken else None
    plain, ours = (modest.select(views, 25, method, taken=rows) for method in ("maxherding", "uherding"))
    np.testing.assert_array_equal(ours.ids, plain.ids)
    np.testing.assert_array_equal(ours.scores, plain.scores)
    assert ours.trace["coverage"] == plain.trace["coverage"]
    if taken:  # labels alone are taken rows, no more
        labels = np.where(rows, 1, -1)
        np.testing.assert_array_equal(modest.select(views, 25, "uherding", labels=labels).rows, plain.rows)


def test_even_uncertainty_is_maxherding_at_the_same_reach(pool):
    even = modest.select(pool, 12, "uherding", proba=np.full((120, 4), 0.25))
    plain = modest.select(pool, 12, "maxherding")
    np.testing.assert_array_equal(even.rows, plain.rows)
    np.testing.assert_allclose(even.scores, plain.scores, atol=1e-7)  # nothing labelled: reach 1, margin weight 1
    sure = modest.select(pool, 12, "uherding", proba=np.eye(4)[np.arange(120) % 4])
    assert sure.trace["even"] is True
    np.testing.assert_array_equal(sure.rows, plain.rows)
    taken = np.arange(120) < 2  # what is labelled has no weight, however unsure
    proba = np.where(taken[:, None], [[0.5, 0.5]], [[1.0, 0.0]])
    assert modest.select(pool, 12, "uherding", proba=proba, taken=taken).trace["even"] is True


def test_probabilities_follow_the_ids(pool):
    proba = softmax(np.random.default_rng(1).normal(size=(120, 3)) * 3)
    labels = np.where(np.arange(120) % 11 == 0, np.arange(120) % 3, -1)
    order = np.random.default_rng(2).permutation(120)
    one = modest.select(pool, 15, "uherding", proba=proba, labels=labels)
    other = modest.select(pool[order], 15, "uherding", proba=proba[order], labels=labels[order])
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-7)
    assert one.trace["temperature"] == pytest.approx(other.trace["temperature"])
    assert (one.ids != modest.select(pool, 15, "uherding", labels=labels).ids).any()
    assert not (labels[one.rows] >= 0).any()


def test_uncertain_regions_come_first():
    island = np.repeat(np.arange(4), 10)
    x = np.eye(4)[island] + 0.05 * np.random.default_rng(0).normal(size=(40, 4))
    unsure = np.isin(island, [1, 3])
    proba = np.where(unsure[:, None], [[0.52, 0.48]], [[0.99, 0.01]])
    assert set(island[modest.select(x, 2, "uherding", proba=proba).rows]) == {1, 3}
    assert set(island[modest.select(x, 4, "uherding", proba=proba).rows]) == {0, 1, 2, 3}


def test_a_temperature_is_a_power():
    logits = np.random.default_rng(3).normal(size=(30, 5)) * 4
    for t in (0.5, 1.0, 3.0):
        np.testing.assert_allclose(heated(softmax(logits), t), softmax(logits / t), atol=1e-12)
    assert np.isfinite(heated(np.eye(3), 0.1)).all()


def overconfident(n, factor, seed=4):
    """Labels drawn from honest probabilities, and the same probabilities sharpened by ``factor``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) * 1.5
    honest = softmax(logits)
    return softmax(logits * factor), np.array([rng.choice(3, p=p) for p in honest])


def test_the_temperature_undoes_overconfidence():
    proba, y = overconfident(900, 4.0)
    x = clusters(900, 4, 0)
    labels = np.where(np.arange(900) < 700, y, -1)
    found = modest.select(x, 1, "uherding", proba=proba, labels=labels, bandwidth=0.5).trace["temperature"]
    assert found == pytest.approx(4.0, rel=0.15)
    place = np.arange(700), y[:700]
    loss = {t: -np.log(heated(proba[:700], t)[place]).mean() for t in np.linspace(1, 12, 500)}
    assert found == pytest.approx(min(loss, key=loss.get), abs=0.03)
    cooler = modest.select(x, 1, "uherding", proba=overconfident(900, 0.3)[0], labels=labels, bandwidth=0.5)
    assert cooler.trace["temperature"] == 1.0  # never sharper than what was handed over
    assert modest.select(x, 1, "uherding", proba=proba).trace["temperature"] == 1.0  # nothing to calibrate on
    given = modest.select(x, 1, "uherding", proba=proba, labels=labels, temperature=2.5, bandwidth=0.5)
    assert given.trace["temperature"] == 2.5


def test_the_reach_is_the_smallest_distance_between_labelled_rows_that_are_no_copies():
    angle = np.array([0.0, 0.0005, 0.3, 1.2, 2.0, 2.9])
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    proba = np.full((6, 2), 0.5)
    labels = np.array([0, 0, 1, -1, -1, -1])
    chord = 2 * np.sin(0.29950 / 2)
    assert modest.select(x, 1, "uherding", proba=proba, labels=labels).trace["bandwidth"] == pytest.approx(chord)
    alone = np.array([0, -1, -1, -1, -1, -1])
    assert modest.select(x, 1, "uherding", proba=proba, labels=alone).trace["bandwidth"] == 1.0
    copies = np.array([0, 0, -1, -1, -1, -1])
    assert modest.select(x, 1, "uherding", proba=proba, labels=copies).trace["bandwidth"] == 1.0
    told = modest.select(x, 1, "uherding", proba=proba, labels=labels, bandwidth=0.7)
    assert told.trace["bandwidth"] == 0.7


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"temperature": 0}, "temperature=0 must be above 0"),
        ({"temperature": np.inf}, "temperature=inf"),
        ({"uncertainty": "doubt"}, "uncertainty='doubt' is unknown; known: margin, entropy, confidence"),
        ({"bandwidth": -1}, "bandwidth=-1 must be above 0"),
        ({"kernel": "cosine"}, "kernel='cosine' is unknown"),
        ({"proba": np.full((29, 3), 1 / 3)}, "proba has shape"),
        ({"proba": np.full((30, 3), 0.9)}, "proba row 0 is no distribution"),
        ({"proba": np.full((30, 2), 0.5), "labels": np.arange(30) // 6 - 1}, "class 3 but proba has only 2 columns"),
        ({"labels": np.zeros(29, dtype=int)}, "labels has shape"),
    ],
)
def test_bad_arguments(given, told):
    with pytest.raises(ValueError, match=told):
        modest.select(clusters(30, 4, 0), 3, "uherding", **given)
