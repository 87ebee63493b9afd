"""LFM: the divergence by loops, by hand and at its bounds; the loss by a slow loop."""

import math

import numpy as np
import pytest
import torch

from modest.learning.fusion import FUSIONS
from modest.learning.lfm import divergence
from tests.learning.test_recipes import CLASSES, N, batch, build, nll, slow_logits


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def slow_divergence(z):
    """Generalised Jensen-Shannon divergence of the rows of z (k, C), as entropies: H(mean) - mean H."""
    p = np.array([softmax(row) for row in z])

    def entropy(q):
        return -sum(x * math.log(x) for x in q if x > 0)

    return entropy(p.mean(axis=0)) - np.mean([entropy(row) for row in p])


def test_divergence_equals_a_slow_loop():
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(4, 30, 5))
    present = rng.random((30, 4)) < 0.6
    present[0], present[1] = False, [True, False, False, False]
    z[~present.T] = 1e6  # what stands there does not matter
    found = divergence(torch.from_numpy(z), torch.from_numpy(present)).numpy()
    for i in range(30):
        expected = slow_divergence(z[present[i], i]) if present[i].any() else 0.0
        assert found[i] == pytest.approx(expected, abs=1e-12)
    assert found[0] == 0
    assert found[1] == pytest.approx(0, abs=1e-15)
    assert (found <= np.log(np.maximum(present.sum(axis=1), 1)) + 1e-12).all()
    assert (found >= -1e-15).all()


def test_divergence_by_hand_and_at_its_bounds():
    everyone = torch.ones(1, 2, dtype=torch.bool)
    # p = (1/2, 1/2), (1/4, 3/4); q = (3/8, 5/8)
    p = torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]], dtype=torch.float64)
    expected = 0.5 * (0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5) + 0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5))
    found = float(divergence(p.log(), everyone))
    assert found == pytest.approx(expected, abs=1e-12)
    released = 0.5 * sum(float((p.mean(0) * (p.mean(0) / one).log()).sum()) for one in p)  # KL's arguments exchanged
    assert abs(found - released) > 1e-4
    same = torch.randn(1, 7, 5, generator=torch.Generator().manual_seed(0)).double()
    assert divergence(same.repeat(3, 1, 1), torch.ones(7, 3, dtype=torch.bool)).abs().max() < 1e-15
    for k in (2, 3, 5):
        sure = 1e4 * torch.eye(k)[:, None, :]
        sure.requires_grad_()
        apart = divergence(sure, torch.ones(1, k, dtype=torch.bool))
        assert float(apart.detach()) == pytest.approx(math.log(k), rel=1e-6)
        apart.sum().backward()
        assert torch.isfinite(sure.grad).all()


def test_divergence_does_not_depend_on_order_or_on_shifts():
    z = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1)).double()
    present = torch.ones(6, 3, dtype=torch.bool)
    expected = divergence(z, present)
    torch.testing.assert_close(divergence(z[[2, 0, 1]] + 5.0, present), expected)


@pytest.mark.parametrize("fill", ["feature", "zero"])
@pytest.mark.parametrize(("options", "weights"), [({}, (0.5, 0.5)), ({"fit": 0.8, "match": 0.3}, (0.8, 0.3))])
def test_loss_and_logits_equal_a_slow_loop(options, weights, fill):
    recipe, one = build("lfm", options, fill), batch()
    recipe.net.add_module("heads", recipe.head)  # the names by which the slow loop asks
    own = slow_logits(recipe, one, fill)
    losses = []
    for i in range(N):
        z = own[~np.isnan(own[:, i, 0]), i]
        losses.append(weights[0] * nll(z.mean(axis=0), int(one.y[i])) + weights[1] * slow_divergence(z))
    ((_, loss),) = recipe.turns(one)
    assert float(loss.detach()) == pytest.approx(2 * np.mean(losses), abs=1e-12)
    found = recipe.logits(one)
    fused, shares = FUSIONS["mean"](torch.from_numpy(np.nan_to_num(own)), recipe.towers.active(one))
    torch.testing.assert_close(found.fused.detach(), fused)
    torch.testing.assert_close(found.weights, shares)
    assert found.fused.shape == (N, CLASSES)


def test_weights_may_follow_the_epoch():
    from dataclasses import replace

    one = batch()
    moving = build("lfm", {"fit": lambda epoch: 1 / (epoch + 1), "match": lambda epoch: epoch / (epoch + 1)})
    for epoch in (0, 3):
        still = build("lfm", {"fit": 1 / (epoch + 1), "match": epoch / (epoch + 1)})
        now = replace(one, epoch=epoch)
        assert torch.equal(next(moving.turns(now))[1], next(still.turns(now))[1])


@pytest.mark.parametrize("options", [{"fit": -1.0}, {"match": float("nan")}, {"match": float("inf")}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build("lfm", options)
