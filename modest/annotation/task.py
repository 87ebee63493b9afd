"""What people are asked and what they say: frozen words that pass between the store, the page and the exchange."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("label", "pair")
# what a person can say of a task; "undone" takes back the same annotator's answer to the task
VERDICTS = ("label", "match", "none", "unsure", "skip", "undone")


@dataclass(frozen=True)
class Task:
    """One question to a person.

    ``number`` in the store (0 before it is there); ``round`` of the pool and ``round_hash`` of the file that asked;
    ``kind`` "label" (which class is this item?) or "pair" (which of these belongs to it?); ``place`` 0, 1, 2 ... in the
    order to ask; ``id`` of the item; ``score`` and ``reason`` why it was chosen (score None where there is none). A
    pair is asked about the modality ``side`` of the item, its partner is a ``target``, ``shortlist`` likely ones' ids.
    """

    round: int
    kind: str
    place: int
    id: str
    round_hash: str
    score: float | None = None
    reason: str = ""
    side: str = ""
    target: str = ""
    shortlist: tuple[str, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class Said:
    """One answer as it was given; never changed afterwards.

    ``number`` ascending in the order answers came; ``task`` the number of the task; ``verdict`` one of VERDICTS:
    "label" (``value`` is the class), "match" (``value`` are ids of partners), "none" (none of these), "unsure" (cannot
    tell; counts as an answer), "skip" (asked of somebody else; counts as none), "undone" (takes the earlier one back).
    ``at`` seconds since 1970 (UTC) by the server's clock, ``seconds`` it took, ``round_hash`` of what asked.
    """

    number: int
    task: int
    annotator: str
    verdict: str
    value: tuple[str, ...]
    at: float
    seconds: float
    round_hash: str
