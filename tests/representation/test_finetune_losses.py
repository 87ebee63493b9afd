"""CLIP and SigLIP losses against slow loops and closed forms, their gradients, the scale, how batches are dealt."""

import math

import numpy as np
import pytest
import torch

from modest.representation import LOSSES, Scale, clip_loss, info_nce, siglip_loss
from modest.representation.alignment import deal


def features(k=6, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((k, d))), torch.from_numpy(rng.standard_normal((k, d)))


def cosine(x, y):
    return float(sum(p * q for p, q in zip(x, y)) / math.sqrt(sum(p * p for p in x) * sum(q * q for q in y)))


def slow_clip(a, b, t):
    s = [[math.exp(t) * cosine(x, y) for y in b.tolist()] for x in a.tolist()]
    k, total = len(s), 0.0
    for i in range(k):
        total += math.log(sum(math.exp(s[i][j]) for j in range(k))) - s[i][i]
        total += math.log(sum(math.exp(s[j][i]) for j in range(k))) - s[i][i]
    return total / (2 * k)


def slow_siglip(a, b, t, bias):
    total = 0.0
    for i, x in enumerate(a.tolist()):
        for j, y in enumerate(b.tolist()):
            z = 1 if i == j else -1
            total += math.log(1 + math.exp(-z * (math.exp(t) * cosine(x, y) + bias)))
    return total / len(a)


@pytest.mark.parametrize("t", [0.0, 1.3, math.log(100)])
def test_clip_is_the_mean_of_both_cross_entropies(t):
    a, b = features()
    assert float(clip_loss(a, b, t)) == pytest.approx(slow_clip(a, b, t), abs=1e-12)
    assert float(clip_loss(a, b, t)) == pytest.approx(float(info_nce(a, b, math.exp(-t))), abs=1e-12)


def test_clip_at_scale_one_is_info_nce_at_temperature_one():
    a, b = features()
    assert torch.equal(clip_loss(a, b, 0.0), info_nce(a, b, 1.0))


@pytest.mark.parametrize(("t", "bias"), [(0.0, 0.0), (math.log(10), -10.0), (1.0, 0.7)])
def test_siglip_is_the_sum_over_all_pairs_divided_by_the_batch(t, bias):
    a, b = features(5, 3, 1)
    assert float(siglip_loss(a, b, t, bias)) == pytest.approx(slow_siglip(a, b, t, bias), abs=1e-12)


def test_siglip_worked_by_hand():
    # cosines [[1, 0], [0.6, 0.8]], scale 2, bias -1: logits [[1, -1], [0.2, 0.6]], diagonal positive
    a = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    log1p = [math.log(1 + math.exp(v)) for v in (-1.0, -1.0, 0.2, -0.6)]
    assert float(siglip_loss(a, b, math.log(2.0), -1.0)) == pytest.approx(sum(log1p) / 2, abs=1e-12)
    assert sum(log1p) / 2 == pytest.approx(0.931075, abs=1e-6)


def test_gradients_match_finite_differences():
    a, b = (x.requires_grad_() for x in features(4, 3, 2))
    t = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(clip_loss, (a, b, t))
    assert torch.autograd.gradcheck(siglip_loss, (a, b, t, bias))


def test_scale_begins_as_the_papers_say_and_only_clip_is_cut():
    assert float(Scale("clip").logit_scale.detach()) == pytest.approx(math.log(1 / 0.07))
    siglip = Scale("siglip")
    assert float(siglip.logit_scale.detach()) == pytest.approx(math.log(10))
    assert float(siglip.bias.detach()) == -10.0
    for loss in LOSSES:
        scale = Scale(loss, logit_scale=6.0)
        scale.clamp()
        assert float(scale.logit_scale.detach()) == pytest.approx(math.log(100) if loss == "clip" else 6.0)
        assert Scale(**scale.told()).told() == scale.told()
    a, b = features()
    for loss in LOSSES:
        assert Scale(loss)(a.float(), b.float()).requires_grad


@pytest.mark.parametrize("loss", [lambda a, b: clip_loss(a, b, 0.0), lambda a, b: siglip_loss(a, b, 0.0, 0.0)])
def test_losses_refuse_what_is_no_batch_of_pairs(loss):
    with pytest.raises(ValueError, match="hold no pair"):
        loss(torch.zeros(0, 2), torch.zeros(0, 2))
    with pytest.raises(ValueError, match="alike"):
        loss(torch.zeros(3, 2), torch.zeros(2, 2))


# dealing


def dealt(keys, size, epochs=1):
    return [deal(np.asarray(keys), size, np.random.default_rng([0, e])) for e in range(epochs)]


def test_without_shared_rows_a_shuffle_is_cut_and_a_last_batch_of_one_dropped():
    keys = np.arange(22).reshape(11, 2)
    order = np.random.default_rng([0, 0]).permutation(11)
    (parts,) = dealt(keys, 5)
    assert [part.tolist() for part in parts] == [order[:5].tolist(), order[5:10].tolist()]
    seen = {int(p) for parts in dealt(keys, 5, epochs=20) for part in parts for p in part}
    assert seen == set(range(11))


@pytest.mark.parametrize("size", [4, 10, 64])
def test_no_row_stands_twice_in_a_batch_and_every_pair_is_seen_once(size):
    images, captions = np.repeat(np.arange(12), 5), 100 + np.arange(60)
    captions[33] = captions[7]  # one caption of two images
    keys = np.stack([images, captions], axis=1)
    for parts in dealt(keys, size, epochs=8):
        whole = np.concatenate(parts)
        assert len(set(whole.tolist())) == len(whole)
        assert len(whole) >= len(keys) - 5  # less a batch of one, here and there
        for part in parts:
            assert 2 <= len(part) <= size
            for column in keys[part].T:
                assert len(set(column.tolist())) == len(part)
    assert {int(p) for parts in dealt(keys, size, epochs=30) for part in parts for p in part} == set(range(60))


def test_batches_are_as_full_as_rows_allow():
    keys = np.stack([np.repeat(np.arange(40), 5), 100 + np.arange(200)], axis=1)
    (parts,) = dealt(keys, 20)
    assert np.mean([len(part) == 20 for part in parts]) > 0.5
    assert sum(map(len, parts)) >= 198


def test_a_star_cannot_be_dealt():
    assert dealt([[0, 5], [0, 6], [0, 7]], 8) == [[]]
