"""A vision transformer in plain NumPy, one head and one token at a time: the oracle of the M3AE and CAV-MAE tests."""

import math

import numpy as np


def norm(x, weight, bias, eps):
    """Layer norm of one token (d,)."""
    mean = x.sum() / len(x)
    variance = ((x - mean) ** 2).sum() / len(x)
    return (x - mean) / math.sqrt(variance + eps) * weight + bias


def tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def exact_gelu(x):
    return np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])


def attention(x, qkv, proj, heads, there):
    """x (n, d); qkv = (weight (3 d, d), bias), its rows are the queries of all heads, the keys, the values."""
    n, d = x.shape
    e = d // heads
    both = np.array([qkv[0] @ token + qkv[1] for token in x])
    out = np.zeros((n, d))
    for h in range(heads):
        q, k, v = (both[:, part * d + h * e : part * d + (h + 1) * e] for part in range(3))
        for i in range(n):
            scores = {j: q[i] @ k[j] / math.sqrt(e) for j in range(n) if there[j]}
            top = max(scores.values())
            total = sum(math.exp(s - top) for s in scores.values())
            out[i, h * e : (h + 1) * e] = sum(math.exp(s - top) / total * v[j] for j, s in scores.items())
    return np.array([proj[0] @ token + proj[1] for token in out])


def block(x, w, heads, there, eps, gelu):
    """One block; ``w`` maps norm1, qkv, proj, norm2, fc1, fc2 to (weight, bias)."""
    x = x + attention(np.array([norm(t, *w["norm1"], eps) for t in x]), w["qkv"], w["proj"], heads, there)
    inner = [gelu(w["fc1"][0] @ norm(t, *w["norm2"], eps) + w["fc1"][1]) for t in x]
    return x + np.array([w["fc2"][0] @ t + w["fc2"][1] for t in inner])


def waves(place, hidden):
    """Sines then cosines of one place."""
    angles = [place / 10000 ** (i / (hidden / 2)) for i in range(hidden // 2)]
    return np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def grid(rows, columns, hidden):
    """(rows * columns, hidden): the column in the first half, the row in the second."""
    return np.array(
        [np.concatenate([waves(c, hidden // 2), waves(r, hidden // 2)]) for r in range(rows) for c in range(columns)]
    )
