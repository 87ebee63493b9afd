"""Which way of choosing alignments is worth it: chains of rounds on sets whose truth is known, resumable."""

from modest.bench.pairing.protocol import PairProtocol
from modest.bench.pairing.run import KIND, POINT, results, run, seconds
from modest.bench.pairing.sets import PairedSides, PairGround, prepare
from modest.bench.pairing.tables import areas, diagnostics, grid, rounds_per_side, summarise, verdict

__all__ = [
    "KIND",
    "POINT",
    "PairGround",
    "PairProtocol",
    "PairedSides",
    "areas",
    "diagnostics",
    "grid",
    "prepare",
    "results",
    "rounds_per_side",
    "run",
    "seconds",
    "summarise",
    "verdict",
]
