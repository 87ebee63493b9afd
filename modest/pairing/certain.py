"""Certain first: ask about the rows whose best partner is farthest ahead; a check of sanity that should lose.

What it buys is what the model believes it knows. Everything is as in ``uncertainty.py`` with the order turned round,
but for rows without a second partner, whose margin is infinite: they say nothing and come last here too.
Cost and memory as there.
"""

from __future__ import annotations

from modest.pairing.asking import gathered
from modest.pairing.sides import Asked, Setting
from modest.pairing.uncertainty import by_margin


def certain(setting: Setting, budget: int) -> list[Asked]:
    """Ask about the ``budget`` largest margins; ``trace`` has ``evaluations``, similarities computed."""
    picks, count = by_margin(setting, budget, largest=True)
    return gathered(picks, {"evaluations": count})
