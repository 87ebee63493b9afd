"""Measures of doubt against slow loops in float64, and what they say where little or nothing is free."""

import numpy as np
import pytest
from scipy.special import softmax

from modest.neighbours import Rows, softmax_sums
from modest.pairing import acquire
from modest.pairing.margin import UNCERTAINTY, Uncertain
from modest.pairing.sides import read_setting
from modest.types import Views

from .naive import diagonal, margins, sides, unit

WAY, BACK = ("image", "text"), ("text", "image")
SIX = np.arange(6, 30, 4)


def setting(x, pairs=None, **given):
    return read_setting(x, diagonal(5) if pairs is None else pairs, **given)


def cosines(x):
    e = {name: unit(a) for name, a in x.items()}
    return e, e["image"][SIX] @ e["text"][5:].T


@pytest.mark.parametrize("memory", ["2GB", "1MB"])
def test_margin(memory):
    x = sides(m=3000, d=40)
    e, s = cosines(x)
    found = UNCERTAINTY["margin"](setting(x, memory=memory), WAY, SIX, Uncertain())
    np.testing.assert_allclose(found.score, margins(e["image"], SIX, e["text"], range(5, 3000)), atol=1e-6)
    assert found.best.tolist() == (5 + s.argmax(axis=1)).tolist()
    assert found.evaluations == len(SIX) * 2995


@pytest.mark.parametrize("memory", ["2GB", "1MB"])
@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_softmax_measures(memory, temperature):
    x = sides(m=3000, d=40)
    s = cosines(x)[1]
    p = softmax(s / temperature, axis=1)
    knobs = Uncertain(temperature=temperature)
    found = UNCERTAINTY["entropy"](setting(x, memory=memory), WAY, SIX, knobs)
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    np.testing.assert_allclose(found.score, -entropy, atol=2e-4)
    assert found.best.tolist() == (5 + s.argmax(axis=1)).tolist()
    found = UNCERTAINTY["least_confidence"](setting(x, memory=memory), WAY, SIX, knobs)
    np.testing.assert_allclose(found.score, p.max(axis=1), rtol=2e-4)
    assert found.evaluations == 2 * len(SIX) * 2995


def test_softmax_of_far_rows_does_not_underflow():
    """A temperature so low that every exponential but those next to the largest is zero in fp32."""
    rows = Rows(Views({"x": np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])}))
    import torch

    log_sum, mean = softmax_sums(rows, rows.take(np.array([2])).x, 0.001, torch.tensor([True, True, False]))
    assert float(log_sum) == pytest.approx(0.0)
    assert float(mean) == pytest.approx(0.0)


def test_bidirectional_looks_back():
    x = sides(3)
    e, s = cosines(x)
    best = 5 + s.argmax(axis=1)
    back = margins(e["text"], best, e["image"], range(5, 40))
    found = UNCERTAINTY["bidirectional"](setting(x), WAY, SIX, Uncertain())
    expected = margins(e["image"], SIX, e["text"], range(5, 50)) + back
    np.testing.assert_allclose(found.score, expected, atol=1e-6)
    assert found.evaluations == len(SIX) * 45 + len(set(best.tolist())) * 35


def test_csls_takes_off_what_is_near_to_everybody():
    x = sides(4, m=36)  # fewer free rows than rivals are listed, so that the loop over all is the answer
    _, s = cosines(x)
    hub = np.sort(s, axis=0)[-10:].mean(axis=0)
    corrected = 2.0 * s - hub
    order = np.sort(corrected, axis=1)[:, ::-1]
    found = UNCERTAINTY["csls"](setting(x), WAY, SIX, Uncertain())
    np.testing.assert_allclose(found.score, order[:, 0] - order[:, 1], atol=1e-5)
    assert found.best.tolist() == (5 + corrected.argmax(axis=1)).tolist()
    assert found.evaluations == len(SIX) * 31 + len(SIX) * 31


@pytest.mark.parametrize("top", [None, 2, 99])
@pytest.mark.parametrize("way", [WAY, BACK])
def test_hard_negative_is_the_triplet_loss(way, top):
    x, pairs = sides(5), np.array([[0, 7], [3, 1], [9, 9]])
    e = {name: unit(a) for name, a in x.items()}
    own, other = e[way[0]], e[way[1]]
    mine, theirs = (pairs[:, 0], pairs[:, 1]) if way == WAY else (pairs[:, 1], pairs[:, 0])
    expected = []
    for c in SIX:
        terms = [max(0.0, 0.3 + own[c] @ other[j] - own[i] @ other[j]) for i, j in zip(mine, theirs)]
        expected.append(-sum(sorted(terms)[::-1][: top or 3]))
    found = UNCERTAINTY["hard_negative"](setting(x, pairs), way, SIX, Uncertain(alpha=0.3, top=top))
    np.testing.assert_allclose(found.score, expected, atol=1e-5)
    assert found.evaluations == (len(SIX) + 1) * 3


def test_hard_negative_needs_no_free_target_and_no_pairs():
    x = sides(6)
    none = {"text": np.zeros(50, dtype=bool)}
    query = acquire(x, diagonal(5), 4, uncertainty="hard_negative", free=none)
    assert query.modality == "image"
    assert np.isinf(query.margins).all()
    assert len(acquire(x, None, 4, uncertainty="hard_negative")) == 4


@pytest.mark.parametrize("uncertainty", UNCERTAINTY)
@pytest.mark.parametrize("free", [0, 1, 2])
def test_few_free_rows_of_the_target(uncertainty, free):
    mask = {"text": np.arange(50) < free}
    query = acquire(
        sides(7), diagonal(5)[3:], 4, modality_rule="fixed:image", free=mask, uncertainty=uncertainty,
        partner_diversity=True,
    )  # fmt: skip
    assert len(set(query.rows.tolist())) == 4
    assert np.isinf(query.margins).all() == (free < 2)


def test_infinite_margins_tie_by_the_lowest_id():
    query = acquire(sides(7), diagonal(5), 3, 3, modality_rule="fixed:image", free={"text": np.arange(50) == 9})
    assert query.rows.tolist() == sorted(query.rows.tolist())


@pytest.mark.parametrize("uncertainty", UNCERTAINTY)
def test_the_order_asked_is_that_of_the_measure(uncertainty):
    x, pairs = sides(8), diagonal(5)
    query = acquire(x, pairs, 6, 20, uncertainty=uncertainty)
    way, inside = (query.modality, query.target), setting(x)
    scores = UNCERTAINTY[uncertainty](inside, way, query.rows, Uncertain()).score
    if uncertainty != "csls":  # whose hubs are those of the candidates
        assert (np.diff(scores) >= 0).all()
    every = acquire(x, pairs, 6, 1000, uncertainty=uncertainty, modality_rule=f"fixed:{query.modality}")
    whole = UNCERTAINTY[uncertainty](inside, way, np.arange(5, len(x[query.modality])), Uncertain()).score
    assert every.rows.tolist() == (5 + np.argsort(whole, kind="stable")[:6]).tolist()
