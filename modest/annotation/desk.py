"""What all pages and requests share: pool, store, catalogue, and how a task becomes HTML."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from modest.annotation.safety import Door
from modest.annotation.shown import Showcase, with_keys
from modest.annotation.task import Task
from modest.data.pairs import query_rounds
from modest.evaluation.agreement import agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modest.annotation.catalogue import Catalogue, Item
    from modest.annotation.store import Store
    from modest.data.pool import Pool

PAGES = Environment(
    loader=PackageLoader("modest.annotation", "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
MOST_COMPARED = 1_000  # tasks whose answers are compared on the page
FRESH = 20.0  # seconds for which that is kept
LOOKS = 50  # pages of a search looked at for one that has a partner


@dataclass(eq=False)
class Desk:
    """Everything that answers a request, made once.

    ``rounds`` asked of people here, None for all; ``classes`` the pool's own; ``redundancy`` answers wanted of a task;
    ``annotator`` a name that newcomers get without being asked; ``multiple`` whether a pair may have several partners.
    """

    pool: Pool
    store: Store
    catalogue: Catalogue
    door: Door
    classes: tuple[str, ...]
    rounds: tuple[int, ...] | None = None
    redundancy: int = 1
    lease: float = 600.0
    annotator: str = ""
    multiple: bool = False
    clock: Any = time.monotonic
    _shared: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open what shows items."""
        self.showcase = Showcase(self.pool)

    def all_classes(self) -> tuple[str, ...]:
        """Classes of the pool, then those that people added."""
        return tuple(dict.fromkeys([*self.classes, *self.store.classes()]))

    def class_list(self) -> dict[str, Any]:
        """Buttons of all classes as HTML, and how many there are."""
        names = self.all_classes()
        return {"count": len(names), "html": PAGES.get_template("classes.html").render(classes=with_keys(names))}

    def hand_out(self, annotator: str, count: int = 2) -> list[dict[str, Any]]:
        """Tasks for somebody, the one to answer first, each with its HTML; they are leased by this."""
        return [self.told(task) for task in self.store.next(annotator, self.rounds, count=count)]

    def told(self, task: Task) -> dict[str, Any]:
        """Return one task as the page's script gets it."""
        return {"number": task.number, "kind": task.kind, "id": task.id, "html": self.html(task)}

    def html(self, task: Task) -> str:
        """Return one task as HTML: the item, and for a pair the candidates."""
        candidates = [(key, self._seen(name, task.target)) for key, name in with_keys(task.shortlist)]
        template = PAGES.get_template("task.html")
        seen = self._seen(task.id, task.side)
        return template.render(task=task, item=seen, candidates=candidates, multiple=self.multiple)

    def found(self, text: str, target: str, limit: int, after: int, near: str = "", turn: int = 0) -> dict[str, Any]:
        """Items that a search finds, as HTML; ``near`` is the id asked about, which cannot be its own partner, ``turn``
        the round that asks.

        Pages on which nothing may be a partner are passed over, up to LOOKS of them.
        """
        kept: list[Any] = []
        for _ in range(LOOKS):
            items = self.catalogue.search(text, target or None, limit=limit, after=after)
            kept = [item for item in items if item.id != near and self.sought(turn, item)]
            after = items[-1].row + 1 if len(items) == limit else 0
            if kept or not after:
                break
        seen = [("", self._as_seen(item, target)) for item in kept]
        return {"html": PAGES.get_template("found.html").render(candidates=seen), "count": len(seen), "more": after}

    def sought(self, turn: int, item: Item) -> bool:
        """Whether a round seeks partners where this item is: in its split, or everywhere."""
        if "splits" not in self._shared:
            self._shared["splits"] = {one.number: one.manifest.get("split") for one in query_rounds(self.pool.path)}
        split = self._shared["splits"].get(turn)
        if split is None:
            return True
        if ("inside", split) not in self._shared:
            self._shared["inside", split] = _rows_of(self.pool, split)
        return bool(self._shared["inside", split][item.row])

    def progress(self, annotator: str) -> dict[str, Any]:
        """How far everybody is, in numbers and in words."""
        told = self.store.progress(self.rounds)
        left = told.total - told.done
        words = [f"{told.done:,} of {told.total:,} done"]
        if left:
            words.append(f"{left:,} left")
            if told.per_minute:
                wanted = left * self.redundancy / told.per_minute
                words.append(f"{told.per_minute:.1f} a minute, about {duration(wanted)} more")
        return {
            "total": told.total,
            "done": told.done,
            "yours": int(told.by_annotator.get(annotator, 0)),
            "people": dict(told.by_annotator),
            "per_minute": told.per_minute,
            "skipped": told.skipped,
            "unsure": told.unsure,
            "agreement": self.agreement(),
            "words": " · ".join(words),
            "classes": len(self.all_classes()),
        }

    def agreement(self) -> dict[str, Any] | None:
        """Share of pairs of answers to one task that agree, Krippendorff's alpha (None where it says nothing), and of
        how many tasks; None where nothing can be compared.

        Of the first MOST_COMPARED answered tasks, and at most FRESH seconds old.
        """
        kept = self._shared.get("agreement")
        if kept is None or self.clock() - kept[0] > FRESH:
            kept = self._shared["agreement"] = (self.clock(), self._agreement())
        found: dict[str, Any] | None = kept[1]
        return found

    def _agreement(self) -> dict[str, Any] | None:
        if len(self.store.progress(self.rounds).by_annotator) < 2:
            return None
        answered = islice(self.store.standing(self.rounds), MOST_COMPARED)
        found = agreement([(one.verdict, frozenset(one.value)) for one in said] for _, said in answered)
        alpha = None if math.isnan(found.alpha) else found.alpha
        return {"share": found.share, "alpha": alpha, "tasks": found.items} if found.pairs else None

    def _seen(self, name: str, only: str) -> dict[str, Any]:
        item = self.catalogue.item(name)
        return {"id": name, "blocks": []} if item is None else self._as_seen(item, only)

    def _as_seen(self, item: Any, only: str) -> dict[str, Any]:
        return {"id": item.id, "blocks": self.showcase.blocks(item, only)}


def class_names(pool: Pool, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Classes of a pool: those it was told of, labelled or not yet, then labels found, then ``given``; all once.

    The column of labels is read in pieces, so that a large table stays on disk.
    """
    import pyarrow.parquet as pq

    found: set[str] = set()
    with pq.ParquetFile(Path(pool.path) / "pool.parquet") as table:
        for piece in table.iter_batches(columns=["label"]):
            found.update(str(label) for label in piece.column(0).unique().to_pylist() if label is not None)
    told = [str(name) for name in pool.config.get("classes") or []]
    whole = all(label.lstrip("-").isdigit() for label in found)
    rest = sorted(found, key=int) if whole else sorted(found)
    return tuple(dict.fromkeys([*told, *rest, *given]))


def _rows_of(pool: Pool, split: str) -> NDArray[np.bool_]:
    """(n,) which rows are of a split, without the rest of the table."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    column = pq.read_table(pool.path / "pool.parquet", columns=["split"]).column(0)
    return np.asarray(pc.equal(column, split))


def duration(minutes: float) -> str:
    """Minutes in words: seconds, minutes or hours.

    Examples
    --------
    >>> duration(0.5), duration(12.2), duration(150)
    ('30 s', '12 min', '2.5 h')
    """
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
