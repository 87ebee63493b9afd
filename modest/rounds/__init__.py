"""Rounds of choose, reveal, train: the one place that joins selection and the classifier."""

from modest.rounds.loop import loop
from modest.rounds.turn import JOIN, Way, turn

__all__ = ["JOIN", "Way", "loop", "turn"]
