"""What people said on the page, held against the pool: how much waits to be taken in, and what decided nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modest.annotation.exchange import said_on_page
from modest.annotation.labels import read_log
from modest.annotation.opinions import Opinion, decide
from modest.annotation.schema import FILE
from modest.annotation.store import Store
from modest.rounds.book import pending

if TYPE_CHECKING:
    from modest.data.pool import Pool

QUESTION = ("id", "modality", "target", "round")


def waiting(pool: Pool) -> tuple[int, set[Any]]:
    """How many questions have answers that are not in the pool yet, and those whose answers decided nothing."""
    told: list[Opinion] = []
    if (pool.path / FILE).is_file():
        with Store(pool.path) as store:
            told = said_on_page(store.standing())
    labels, unlabelled = _labels(pool, [one for one in told if one.kind == "label"], read_log(pool.path))
    pairs, unpaired = _pairs(pool, [one for one in told if one.kind == "pair"])
    return labels + pairs, unlabelled | unpaired


def _labels(pool: Pool, told: list[Opinion], log: Any) -> tuple[int, set[Any]]:
    """Of items: an answer waits until the log of what was taken in has it."""
    known = {name for name, label in zip(pool.ids.tolist(), pool.labels) if label is not None}
    taken = set(zip(log["id"], log["annotator"], log["label"].fillna("")))
    new = {one.id for one in told if one.said and (one.id, one.annotator, one.said[0]) not in taken} - known
    return len(new), ({one.id for one in told} | set(log["id"])) - known - new


def _pairs(pool: Pool, told: list[Opinion]) -> tuple[int, set[Any]]:
    """Of questions about partners: an answer waits until the pool has it, unless people differ too much for one."""
    table = pending(pool)
    said: dict[Any, list[Opinion]] = {key: [] for key in zip(*(table[name] for name in QUESTION))}
    for one in told:
        said.get((one.id, one.side, one.target, one.round), []).append(one)
    decided = {key: decide(answers).state == "decided" for key, answers in said.items() if answers}
    return sum(decided.values()), {key for key, so in decided.items() if not so}
