"""A long stream in constant memory: items held, anonymous memory and seconds along the way.

    python -m benchmarks.pair_stream --n 1000000

Pairs of vectors (16 clouds, both halves rotated and noisy) are generated one by one and asked about in buffers; the
"model" is a projection that changes with every round. Nothing of the stream is on disk or kept by the benchmark. The
memory is what no file backs (RssAnon), read every 50 ms; ``peak`` is the highest since the line before.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.select_large import Watch, anonymous
from modest.data.sample_stream import Sample
from modest.pairing import SameKey, parted, stream

CLOUDS, BLOCK = 16, 4096


def samples(n: int, d: int) -> Iterator[Sample]:
    """``n`` samples with fields ``v`` and ``w``, (d,) float16 each; drawn in blocks, given one by one."""
    centres = np.random.default_rng(0).standard_normal((CLOUDS, d)).astype(np.float32)
    for first in range(0, n, BLOCK):
        rng = np.random.default_rng([1, first])
        size = min(BLOCK, n - first)
        z = centres[rng.integers(CLOUDS, size=size)] + 0.5 * rng.standard_normal((size, d), dtype=np.float32)
        v, w = ((z + 0.1 * rng.standard_normal((size, d), dtype=np.float32)).astype(np.float16) for _ in range(2))
        for k in range(size):
            yield Sample(f"{first + k:09d}", "-", {"v": v[k].copy(), "w": w[k].copy()})


def main(args: argparse.Namespace) -> None:
    """Follow the stream and print as it goes."""
    rounds = 0

    def embed(side: str, items: list[np.ndarray]) -> np.ndarray:
        turn = np.random.default_rng(rounds).standard_normal((args.d, args.width)).astype(np.float32)
        return np.stack(items).astype(np.float32) @ turn

    knobs = {} if args.method == "random" else {"candidates": 4 * args.budget}
    steps = stream(
        parted(samples(args.n, args.d), args.buffer, {"image": "v", "text": "w"}),
        embed,
        args.budget,
        method=args.method,
        carry=args.carry,
        reference=args.reference,
        **(knobs if args.method in ("acquire", "paper") else {}),
    )
    oracle, held, marks = SameKey(elsewhere="skipped"), 0, [args.n // 100, args.n // 10, args.n // 2]
    print(f"{args.n} + {args.n} items of {args.d} float16, buffers of {args.buffer}, {args.budget} asked in each by")
    print(f"{args.method}, carry {args.carry}, reference {args.reference}; {anonymous():.0f} MB before", flush=True)
    begin, watch = time.perf_counter(), Watch()
    watch.start()
    try:
        query = next(steps)
        while True:
            told, answers = query.trace["stream"], oracle(query)
            held = max(held, told["held"])
            if marks and told["seen"] >= 2 * marks[0]:
                watch.peak = report(told["seen"] // 2, held, watch.peak, begin)
                marks.pop(0)
            del query
            rounds += 1
            query = steps.send(answers)
    except StopIteration as end:
        told = end.value
    report(told["seen"] // 2, held, watch.peak, begin)
    watch.done.set()
    watch.join()
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def report(seen: int, held: int, peak: float, begin: float) -> float:
    """Print a line; the memory of now, from which the next peak is counted."""
    seconds = time.perf_counter() - begin
    print(f"after {seen:>9} pairs: at most {held} items held, peak {peak:.0f} MB, {seconds:.0f} s", flush=True)
    return anonymous()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--buffer", type=int, default=4096)
    parser.add_argument("--budget", type=int, default=40)
    parser.add_argument("--carry", type=int, default=512)
    parser.add_argument("--reference", type=int, default=2048)
    parser.add_argument("--method", default="acquire")
    main(parser.parse_args())
