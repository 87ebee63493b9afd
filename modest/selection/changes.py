"""What a look at a missing modality is expected to change, and for the better: pure functions of predictions.

    p (k, C)   prediction without it;   q (k, K, C)   with each of K plausible values;   w (k, K)   their weights, sum 1

The equations stand in ``buying.py``. Each gives (k,), 0 or more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from modest.types import Float, Int

__all__ = ["CHANGES", "nats"]


def _of_class(values: Float, at: Int) -> Float:
    """(k, K) entries of q (k, K, C) at the class (k,) of each row."""
    found: Float = np.take_along_axis(values, at[:, None, None], axis=2)[:, :, 0]
    return found


def nats(p: Float) -> Float:
    """Entropy over the last axis, in nats."""
    safe = np.where(p > 0, p, 1.0)
    found: Float = -(safe * np.log(safe)).sum(axis=-1)
    return found


def _gain(p: Float, q: Float, w: Float) -> Float:
    return np.asarray((w * (q.max(axis=2) - _of_class(q, p.argmax(axis=1)))).sum(axis=1))


def _flip(p: Float, q: Float, w: Float) -> Float:
    return np.asarray((w * (q.argmax(axis=2) != p.argmax(axis=1)[:, None])).sum(axis=1))


def _divergence(p: Float, q: Float, w: Float) -> Float:
    ratio = np.log(np.where(q > 0, q, 1.0)) - np.log(np.maximum(p, np.finfo(np.float64).tiny))[:, None]
    return np.asarray((w * (q * ratio).sum(axis=2)).sum(axis=1))


def _variation(p: Float, q: Float, w: Float) -> Float:
    return np.asarray((w * np.abs(q - p[:, None]).sum(axis=2) / 2).sum(axis=1))


def _information(p: Float, q: Float, w: Float) -> Float:
    return np.asarray(nats((w[:, :, None] * q).sum(axis=1)) - (w * nats(q)).sum(axis=1))


# p (k, C), q (k, K, C), w (k, K) -> score (k,)
CHANGES: Mapping[str, Callable[[Float, Float, Float], Float]] = {
    "gain": _gain,
    "flip": _flip,
    "divergence": _divergence,
    "variation": _variation,
    "information": _information,
}
