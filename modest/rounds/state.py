"""What stands in a pool, as far as it decides what to do next: labels, open rounds, open questions, models."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.data import files
from modest.data.candidates import candidates
from modest.data.history import labelled
from modest.rounds.book import pending

if TYPE_CHECKING:
    from modest.data.pool import Pool


@dataclass(frozen=True)
class State:
    """An open ``pool``, the number of answers ``waiting`` to be taken in, and what people found ``unclear``.

    Each part is read when it is first asked for. Errors are those of the files: ValueError, FileNotFoundError.
    """

    pool: Pool
    waiting: int = 0
    unclear: frozenset[Any] = frozenset()

    @cached_property
    def labels(self) -> tuple[int, str]:
        """How many training rows have a label, and the hash of these."""
        return labelled(self.pool)

    @cached_property
    def known(self) -> set[str]:
        """Ids with a label."""
        return {name for name, label in zip(self.pool.ids.tolist(), self.pool.labels) if label is not None}

    @cached_property
    def rounds(self) -> dict[int, set[str]]:
        """Ids chosen, by number of the round."""
        return {one.number: set(one.choice["id"]) for one in self.pool.rounds}

    @cached_property
    def asked(self) -> int:
        """Questions about partners without an answer."""
        table = pending(self.pool)
        keys = zip(table["id"], table["modality"], table["target"], table["round"])
        return sum(key not in self.unclear for key in keys)

    @cached_property
    def free(self) -> int:
        """Training items that may be chosen."""
        there = (self.pool.split == "train").any()
        return int((~candidates(self.pool)[1]).sum()) if there else 0

    @property
    def left(self) -> dict[int, int]:
        """Items that wait for a label, by number of the round."""
        waits = {number: len(ids - self.known - self.unclear) for number, ids in self.rounds.items()}
        return {number: count for number, count in waits.items() if count}

    @property
    def facts(self) -> dict[str, Any]:
        """Counts that need no view."""
        chosen = set[str]().union(*self.rounds.values())
        return {
            "items": len(self.pool),
            "labelled": self.labels[0],
            "rounds": len(self.rounds),
            "answered": len(chosen & self.known),
            "unanswered": sum(self.left.values()),
            "unclear": len((chosen & self.unclear) - self.known),
            "pairs_unanswered": self.asked,
            "waiting": self.waiting,
        }

    def command(self, *words: Any) -> str:
        """A line for the shell: ``modest``, the words before the pool, the pool, the rest."""
        place = 2 if words[0] in ("pair", "labels") else 1
        return shlex.join(["modest", *map(str, (*words[:place], self.pool.path, *words[place:]))])

    def models(self, kind: str) -> list[tuple[Path, dict[str, Any]]]:
        """(folder, its config.json) of the pool's models of a kind, the one written last first."""
        places = [*(self.pool.path / "models").glob("*/config.json")]
        told = [(place.parent, files.read_json(place)) for place in sorted(places)]
        return sorted((one for one in told if one[1].get("kind") == kind), key=_written, reverse=True)

    @property
    def current(self) -> tuple[Path, dict[str, Any]] | None:
        """(folder, metrics) of the newest classifier that was trained on the labels there are now."""
        told = ((folder, metrics_of(folder)) for folder, _ in self.models("classifier"))
        return next((one for one in told if one[1].get("labels") == self.labels[1]), None)


def metrics_of(folder: Path) -> dict[str, Any]:
    """What ``metrics.json`` of a model's folder says; empty without one."""
    place = folder / "metrics.json"
    return files.read_json(place) if place.is_file() else {}


def _written(model: tuple[Path, Any]) -> float:
    return (model[0] / "config.json").stat().st_mtime
