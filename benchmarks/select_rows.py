"""Rows for the benchmarks of selection, the plain product they are measured by, warm arrays without a classifier."""

import time
from pathlib import Path

import numpy as np


def make(
    folder: Path,
    n: int,
    dims: list[int],
    seed: int = 0,
    clusters: int = 300,
    noise: float = 1.0,
    dtype: type = np.float32,
) -> None:
    """Rows around cluster centres shared by all modalities, one .npy per modality.

    ``noise`` 1 makes rows of one cluster 60 degrees apart, and all others nearly at right angles: hard for whatever
    lives on neighbours being near.
    """
    rng = np.random.default_rng(seed)
    label = rng.integers(0, clusters, n)
    for m, d in enumerate(dims):
        centres = rng.standard_normal((clusters, d)).astype(np.float32)
        out = np.lib.format.open_memmap(folder / f"m{m}.npy", mode="w+", dtype=dtype, shape=(n, d))
        for start in range(0, n, 8192):
            part = label[start : start + 8192]
            out[start : start + len(part)] = centres[part] + noise * rng.standard_normal(
                (len(part), d), dtype=np.float32
            )
        out.flush()


def opened(folder: str):
    """Views of what :func:`make` wrote, memory-mapped."""
    import modest

    return modest.Views({p.stem: np.load(p, mmap_mode="r") for p in sorted(Path(folder).glob("m*.npy"))})


def product_seconds(n: int, budget: int, width: int, device: str) -> tuple[float, float]:
    """Median seconds, and processor time, of three plain fp32 products n x budget x width, in row tiles."""
    import torch

    x, u = torch.randn(min(n, 8192), width, device=device), torch.randn(budget, width, device=device)
    found = []
    for _ in range(3):
        begin, used = time.perf_counter(), time.process_time()
        for start in range(0, n, len(x)):
            x[: min(len(x), n - start)] @ u.T
        if device == "cuda":
            torch.cuda.synchronize()
        found.append((time.perf_counter() - begin, time.process_time() - used))
    return sorted(f[0] for f in found)[1], sorted(f[1] for f in found)[1]


def warm(views, needs: tuple[str, ...], classes: int = 101) -> dict:
    """Arrays of a classifier with fixed random weights: the views as features, their softmax as probabilities."""
    rng = np.random.default_rng(0)
    given: dict = {}
    if "features" in needs:
        given["features"] = views.arrays
    if "proba" in needs:
        x = next(iter(views.arrays.values()))
        weights = rng.standard_normal((x.shape[1], classes)).astype(np.float32) / x.shape[1] ** 0.5
        logits = np.concatenate([np.asarray(x[s : s + 8192]) @ weights for s in range(0, len(x), 8192)])
        power = np.exp(logits - logits.max(axis=1, keepdims=True))
        given["proba"] = power / power.sum(axis=1, keepdims=True)
    return given
