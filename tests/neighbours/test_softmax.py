"""Log-sum-exp of rows against rows: value and both gradients against autograd."""

import numpy as np
import pytest
import torch

from modest.neighbours import log_sum_exp


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("tile", [1, 4, 2048])
@pytest.mark.parametrize("one", [True, False])
def test_value_and_gradients(own, tile, one):
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(9, 5)), requires_grad=True)
    y = torch.tensor(x.detach().numpy() if one else rng.normal(size=(9, 5)), requires_grad=True)
    w, scale = torch.as_tensor(rng.random(9)), 1.7
    logits = scale * x @ y.T
    if not own:
        logits = logits.masked_fill(torch.eye(9, dtype=torch.bool), -torch.inf)
    each = torch.logsumexp(logits, dim=1)
    (to_each,) = torch.autograd.grad(each.sum(), x, retain_graph=True)
    (to_y,) = torch.autograd.grad((w * each).sum(), y)
    value, towards_x, towards_y = log_sum_exp(x.detach(), y.detach(), scale, own=own, weights=w, tile=tile)
    np.testing.assert_allclose(value.numpy(), each.detach().numpy(), atol=1e-12, rtol=0)
    np.testing.assert_allclose(towards_x.numpy(), to_each.numpy(), atol=1e-12, rtol=0)
    np.testing.assert_allclose(towards_y.numpy(), to_y.numpy(), atol=1e-12, rtol=0)
    assert log_sum_exp(x.detach(), y.detach(), scale, own=own, tile=tile)[2] is None


def test_rectangular_and_large_logits():
    rng = np.random.default_rng(1)
    x, y = torch.as_tensor(rng.normal(size=(6, 4))), torch.as_tensor(rng.normal(size=(11, 4)))
    value, _, towards_y = log_sum_exp(x, y, 400.0, weights=torch.ones(6, dtype=torch.float64), tile=4)
    expected = [np.logaddexp.reduce([400.0 * float(a @ b) for b in y]) for a in x]
    np.testing.assert_allclose(value.numpy(), expected, atol=1e-9, rtol=0)
    assert towards_y.shape == (11, 4)
    assert torch.isfinite(towards_y).all()


def test_bf16_is_near():
    rng = np.random.default_rng(2)
    x = torch.nn.functional.normalize(torch.as_tensor(rng.normal(size=(64, 32)), dtype=torch.float32), dim=1)
    w = torch.full((64,), 1 / 64)
    exact, rough = (log_sum_exp(x, x, 1 / 0.07, weights=w, fast=fast) for fast in (False, True))
    np.testing.assert_allclose(rough[0].numpy(), exact[0].numpy(), rtol=5e-3)
    for a, b in zip(rough[1:], exact[1:]):
        assert float((a - b).norm() / b.norm()) < 5e-3
