"""The transformer block and the pooling against slow loops; the reference vectors are in ``test_tate.py``."""

import numpy as np
import pytest
import torch

from modest.completion.attention import Block, Pool, attended, matrix


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def slow_attention(q, k, v, there, heads):
    """Item by item, head by head, query by query."""
    out = np.zeros_like(v)
    for i in range(len(q)):
        size = -(-q.shape[2] // heads)
        for start in range(0, q.shape[2], size):
            columns = np.arange(q.shape[2])[start : start + size]
            for t in np.flatnonzero(there[i]):
                keys = np.flatnonzero(there[i])
                a = softmax(np.array([q[i, t, columns] @ k[i, u, columns] for u in keys]) / np.sqrt(size))
                out[i, t, columns] = sum(w * v[i, u, columns] for w, u in zip(a, keys))
    return out


def normal(x, eps=1e-8):
    return (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + eps)


@pytest.mark.parametrize(("width", "heads"), [(8, 4), (7, 3), (5, 1), (2, 2), (3, 8)])
def test_attention_is_a_loop_over_items_heads_and_queries(width, heads):
    rng = np.random.default_rng(width)
    q, k, v = rng.normal(size=(3, 4, 5, width))
    there = rng.random((4, 5)) < 0.6
    there[0] = False  # nothing at all: zero, not a mean and not NaN
    found = attended(*map(torch.from_numpy, (q, k, v, there)), heads)
    np.testing.assert_allclose(found, slow_attention(q, k, v, there, heads), atol=1e-12)
    assert not found[0].any()


def test_block_by_hand():
    block = Block(6, 2, 0.5, torch.Generator().manual_seed(0), torch.float64).eval()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 6))
    x[1, 2:] = 0.0
    with torch.no_grad():
        found = block(torch.from_numpy(x)).numpy()
        q, k, v = (x @ w.detach().numpy().T for w in (block.query, block.key, block.value))
        y = x + slow_attention(q, k, v, (x != 0).any(axis=-1), 2)
        for i in range(3):
            for t in range(4):
                row = normal(y[i, t])
                inner = np.maximum(block.inner.weight.numpy() @ row + block.inner.bias.numpy(), 0)
                want = normal(row + block.outer.weight.numpy() @ inner + block.outer.bias.numpy())
                np.testing.assert_allclose(found[i, t], want, atol=1e-9)


def test_dropout_falls_on_training_only():
    block = Block(6, 2, 0.5, torch.Generator().manual_seed(0), torch.float64)
    x = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng():
        assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_pooling_weighs_every_step_of_a_row():
    pool = Pool(5, torch.Generator().manual_seed(0), torch.float64)
    x = np.random.default_rng(0).normal(size=(2, 3, 5))
    weight, pooled = (part.detach().numpy() for part in pool(torch.from_numpy(x)))
    up, gate, rate = (w.detach().numpy() for w in (pool.up, pool.gate, pool.rate))
    for i in range(2):
        a = softmax(np.array([rate[0] @ ((up @ x[i, t]) / (1 + np.exp(-gate @ x[i, t]))) for t in range(3)]))
        np.testing.assert_allclose(weight[i], a, atol=1e-12)
        np.testing.assert_allclose(pooled[i], sum(a[t] * x[i, t] for t in range(3)), atol=1e-12)


def test_first_weights_come_from_the_generator():
    first, again, other = (matrix(16, 3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.shape == (3, 16)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0.15 < float(first.detach().abs().max()) <= 0.25
