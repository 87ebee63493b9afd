"""A small set with a hidden truth, for the tests of the pairing bench."""

import numpy as np

from modest.bench.pairing import PairedSides, PairProtocol


def paired(n=60, d=6, seed=0, noise=0.3, common=False, groups=True):
    """n hidden pairs, column 0 of either side their number; 20 test pairs, two by two in groups; quads as units."""
    rng = np.random.default_rng(seed)
    turn = np.eye(d) if common else np.linalg.qr(rng.standard_normal((d, d)))[0]
    image = rng.standard_normal((n + 20, d))
    text = image @ turn + noise * rng.standard_normal((n + 20, d))
    own, scored = np.arange(n), np.arange(20)
    same = [np.stack([rows, rows], axis=1) for rows in (own, scored)]
    return PairedSides(
        {"image": image[:n].astype(np.float32), "text": text[:n].astype(np.float32)},
        same[0],
        {"image": image[n:].astype(np.float32), "text": text[n:].astype(np.float32)},
        same[1],
        groups=same[1].reshape(-1, 2, 2) if groups else None,
        units=(own // 2).astype(str),
        common=common,
    )


def protocol(out, **changes):
    base = {"methods": ("random", "coreset", "acquire"), "rounds": 3, "seeds": 2, "budget": 6}
    given = {"pool": {"toy": paired()}, **base, **changes}
    return PairProtocol(out=out, **given)


def contents(folder):
    """Every file but seconds and the lock."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.parent.name != "timings"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}
