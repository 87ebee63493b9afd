"""Rounds of choose, reveal, train: the one place that joins selection, pairing and the classifier."""

from modest.rounds.budget import Purchase, mixed, next_kind
from modest.rounds.loop import loop
from modest.rounds.turn import JOIN, Way, turn

__all__ = ["JOIN", "Purchase", "Way", "loop", "mixed", "next_kind", "turn"]
