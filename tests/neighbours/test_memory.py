"""No strategy ever makes a tensor as large as items x parameters, whatever the table and the budget."""

import tracemalloc

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import modest
from modest import Views

N, B = 20_000, 200


class Largest(TorchDispatchMode):
    """Remembers the most elements any operation ever returned in memory of its own."""

    def __init__(self):
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.most = max(self.most, leaf.untyped_storage().nbytes() // leaf.element_size())
        return result


@pytest.mark.parametrize(
    ("method", "knobs"),
    [("activeft", {"steps": 2, "refresh": 1}), ("activeft", {"steps": 1, "refresh": 1, "init": "farthest"}),
     ("mmcsal", {"steps": 2, "refresh": 1}), ("kcenter", {}), ("kmeans", {"rounds": 2, "restarts": 1}),
     ("maxherding", {"candidates": 2_500, "targets": 2_500}), ("uherding", {"candidates": 2_500, "targets": 2_500}),
     ("probcover", {"candidates": 2_500, "targets": 2_500, "delta": 0.8}), ("typiclust", {}),
     ("auto", {"candidates": 2_500, "targets": 2_500})],
)  # fmt: skip
def test_largest_tensor(method, knobs):
    rng = np.random.default_rng(0)
    views = Views({m: rng.standard_normal((N, 16), dtype=np.float32) for m in ("image", "text")})
    with Largest() as seen:
        choice = modest.select(views, B, method, memory="8MB", **knobs)
    assert len(choice) == B
    assert N <= seen.most < N * B / 4


def test_numpy_holds_no_more():
    """What auto keeps outside of tensors: the space shared by modalities, agreement, reasons."""
    rng = np.random.default_rng(0)
    views = Views({m: rng.standard_normal((N, 16), dtype=np.float32) for m in ("image", "text")})
    modest.select(views[:500], 20, "auto")  # imports are no part of it
    tracemalloc.start()
    try:
        modest.select(views, B, "auto", memory="8MB", candidates=2_500, targets=2_500)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < N * B * 4 / 2


def test_the_watch_sees_a_large_tensor():
    with Largest() as seen:
        (torch.ones(N, 1) @ torch.ones(1, B)).sum()
    assert seen.most >= N * B
