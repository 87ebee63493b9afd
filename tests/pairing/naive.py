"""Acquisition as the notes write it, one distance at a time in float64, every distance computed anew and counted."""

import numpy as np


def unit(x):
    x = np.asarray(x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def sides(seed=0, n=40, m=50, d=8):
    """Two sides around shared centres, rows of one side in an order of their own."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, d))
    return {
        "image": centres[rng.integers(12, size=n)] + 0.7 * rng.standard_normal((n, d)),
        "text": centres[rng.integers(12, size=m)] + 0.7 * rng.standard_normal((m, d)),
    }


def diagonal(count):
    return np.repeat(np.arange(count)[:, None], 2, axis=1)


def gaps(e, free, covered):
    """Distance 1 - cosine of every free row to the nearest covered one."""
    return np.array([min(1.0 - e[i] @ e[s] for s in covered) for i in free])


def farthest(e, free, covered, count):
    """Picks of farthest-first with all distances computed at every pick, and how many that were."""
    free, chosen, evaluations = list(free), [], 0
    for _ in range(count):
        known = list(covered) + chosen
        delta = gaps(e, free, known)
        evaluations += len(free) * len(known)
        delta[[free.index(c) for c in chosen]] = -1.0
        chosen.append(free[int(np.argmax(delta))])
    return chosen, evaluations


def margins(e, rows, other, free):
    found = []
    for c in rows:
        s = sorted((float(e[c] @ other[j]) for j in free), reverse=True)
        found.append(s[0] - s[1] if len(s) > 1 else np.inf)
    return np.array(found)


def round_of(x, pairs, budget, count, rule="radius"):
    """Side, rows and margins of one round under ``radius`` or ``relative``."""
    e = {name: unit(a) for name, a in x.items()}
    free = {name: np.setdiff1d(np.arange(len(a)), pairs[:, k]) for k, (name, a) in enumerate(e.items())}
    covered = {name: pairs[:, k] for k, name in enumerate(e)}
    score = {name: gaps(e[name], free[name], covered[name]).max() for name in e}
    if rule == "relative":
        for name, a in e.items():
            score[name] /= np.median([1.0 - a[i] @ a[j] for i in range(len(a)) for j in range(i)])
    side = max(score, key=lambda name: score[name])
    other = next(name for name in e if name != side)
    chosen, naive = farthest(e[side], free[side], covered[side], count)
    margin = margins(e[side], chosen, e[other], free[other])
    order = sorted(range(len(chosen)), key=lambda k: (margin[k], chosen[k]))[:budget]
    return side, [chosen[k] for k in order], margin[order], score, naive
