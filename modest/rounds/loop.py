"""The loop choose -> reveal -> train -> choose, over a schedule of budgets.

Selection sees arrays, never the classifier: the loop trains it on what is bought and hands over what the method of the
round needs and uses (``modest.rounds.turn`` says when). Nothing is kept besides the labels, and every round has the
same seed, so that a loop which takes up from the labels of an earlier one goes on as that one would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.checks import as_views, budget_items, known
from modest.classifier import MultimodalClassifier
from modest.data.pool import Pool
from modest.evaluation import METRICS, accuracy, macro_accuracy, weighted_f1
from modest.rounds.turn import Ask, Way, turn
from modest.selection import METHODS
from modest.types import Int, Record, Views

__all__ = ["loop"]

Labels = NDArray[np.object_]
Rule = Callable[[int, Labels], str]


def loop(
    views: Views | Pool | Mapping[str, Any] | Any,
    oracle: Callable[[Int], Any],
    budgets: Sequence[int | float] = (0.01, 0.02, 0.05, 0.10),
    method: str | Rule = "auto",
    *,
    first: str = "random",
    labels: Any = None,
    classes: int = 1,
    seed: int = 0,
    classifier: Callable[[], Any] | None = None,
    test: tuple[Any, Any] | None = None,
    knobs: Mapping[str, Mapping[str, Any]] | None = None,
    memory: str | int = "2GB",
    device: str | None = None,
) -> Iterator[Record]:
    """Buy labels in rounds, each chosen with what the earlier ones taught.

    Yields one Record of stage ``"round"`` per round that buys something, once its labels are known; ``epoch`` is the
    round, from 1, ``step`` their number. Values: ``items`` bought in all; of this round ``rows`` (k,), ``ids`` (k,) and
    ``labels`` (k,), ``method``, ``why`` it was that method, ``trace`` of its choice; with ``test`` also accuracy,
    macro_accuracy and weighted_f1 of the classifier fitted on all that is bought.

    Parameters
    ----------
    views : Views, Pool, mapping name -> (n, d_m) array, or one (n, d) array
        Of a Pool, the rows of split train that have any modality are for sale; row numbers stay those of the pool.
    oracle : function
        Rows (k,) -> their labels (k,), int or str. A rehearsal on hidden labels: ``lambda rows: y[rows]``.
    budgets : sequence of int or float
        Items bought in all after each round, rising: counts, or shares of the rows for sale.
    method : str or function
        A name of ``modest.selection.METHODS``, or two as ``"maxherding+badge"``, of which one chooses the first round;
        or a rule: (round, labels (n,) with None where unknown) -> such a name.
    first : str
        Cold method of the first round of a warm method whose name does not say it.
    labels : (n,) optional
        What is known already; None, NaN or, among numbers, -1 where not. Budgets reached already are passed over.
    classes : int
        Classes there are, if that is known: a share never buys fewer items, one per class.
    seed : int
        Of every round's choice, and of the classifier left out.
    classifier : function, optional
        Without arguments -> an unfitted classifier with ``fit(views, y, validation=False)``, ``arrays(views, needs,
        y=labels)`` and, for ``test``, ``predict(views)``. Left out: ``MultimodalClassifier(method="concat")``.
    test : (views, labels), optional
        What each round's classifier is scored on.
    knobs : mapping method -> keyword arguments of its selection
    memory, device
        As in :func:`modest.select`.

    Raises
    ------
    ValueError
        Budgets that do not rise or exceed the rows, an unknown method, a warm method for the first round, labels of
        another length, an oracle that leaves a row without an answer; and what selection and classifier refuse.
    TypeError
        A budget that is no number, budgets that are no list, an oracle that is no function.

    Examples
    --------
    >>> x = np.repeat(np.eye(2), 10, axis=0) + np.arange(20)[:, None] / 100
    >>> y = np.repeat(["a", "b"], 10)
    >>> for record in loop({"x": x}, lambda rows: y[rows], (2, 4), "maxherding"):
    ...     print(record.epoch, record.values["items"], record.values["labels"].tolist())
    1 2 ['a', 'b']
    2 4 ['a', 'b']
    """
    _check(oracle, budgets, knobs or {})
    market = _market(views)
    counts = [_count(budget, market, classes) for budget in budgets]
    if not counts or any(later < earlier for earlier, later in pairwise(counts)):
        raise ValueError(f"budgets buys {counts} items in all; give at least one budget, each above the one before.")
    before = _as_labels(labels, market.size)
    if isinstance(method, str):
        Way.of(method, first)
    make = classifier or partial(MultimodalClassifier, method="concat", random_state=seed, device=device)
    school = _School(market, make, before, test)

    def rounds() -> Iterator[Record]:
        for number, count in enumerate(counts, start=1):
            left = count - len(school.bought)
            if left <= 0:
                continue
            way = Way.of(method if isinstance(method, str) else method(number, before.copy()), first)
            taken = np.isin(market.rows, school.bought)
            given = (taken, school.ask(), seed, knobs)
            choice, why = turn(market.views, left, way, *given, memory=memory, device=device)
            rows = market.rows[choice.rows]
            answers = _answers(oracle(rows), rows)
            school.learn(rows, answers)
            told = {"rows": rows, "ids": choice.ids, "labels": answers, "method": choice.method, "why": why}
            scored = school.scores()
            yield Record(
                "round", number, len(counts), {"items": len(school.bought), **told, "trace": choice.trace, **scored}
            )

    return rounds()


def _check(oracle: Any, budgets: Any, knobs: Mapping[str, Any]) -> None:
    """Refuse what would only fail in the first round, or never."""
    if not callable(oracle):
        told = f"oracle is {type(oracle).__name__}"
        raise TypeError(f"{told}; give a function from rows to their labels, such as lambda rows: y[rows].")
    if isinstance(budgets, str) or not isinstance(budgets, Sequence | np.ndarray):
        raise TypeError(f"budgets is {type(budgets).__name__}; give a list of them, one per round, such as (10, 20).")
    for name in knobs:
        known(name, METHODS, "knobs")


@dataclass(frozen=True, eq=False)
class _Market:
    """What is for sale: ``views`` of the rows ``rows`` (k,) of a table of ``size`` rows."""

    views: Views
    rows: Int
    size: int


def _market(given: Any) -> _Market:
    if isinstance(given, Pool):
        rows = np.flatnonzero((given.split == "train") & given.present.any(axis=1))
        return _Market(given.views(rows=rows), rows, len(given))
    views = as_views(given)
    return _Market(views, np.arange(len(views)), len(views))


def _count(budget: int | float, market: _Market, classes: int) -> int:
    """Items in all after a budget."""
    n = len(market.rows)
    items = budget_items(budget, n, n)
    return min(max(items, classes), n) if isinstance(budget, (float, np.floating)) else items


class _School:
    """The labels known so far, and the classifier fitted on them, made when it is first asked for."""

    def __init__(self, market: _Market, make: Callable[[], Any], known: Labels, test: Any) -> None:
        self.market, self.make, self.known, self.test = market, make, known, test
        self._fitted: Any = None

    @property
    def bought(self) -> Int:
        """(b,) rows for sale whose label is known, in the order of their ids."""
        places = np.flatnonzero([label is not None for label in self.known[self.market.rows]])
        return self.market.rows[places[np.argsort(self.market.views.ids[places], kind="stable")]]

    def learn(self, rows: Int, answers: NDArray[Any]) -> None:
        """Note the labels of some rows; the classifier is fitted anew when it is needed."""
        for row, answer in zip(rows, answers.tolist()):
            self.known[row] = answer
        self._fitted = None

    def ask(self) -> Ask | None:
        """What a warm method asks of all rows for sale; None where no classifier can be had."""
        if len(set(self.known[self.bought].tolist())) < 2:
            return None
        return lambda needs: self._classifier().arrays(self.market.views, needs, y=self.known[self.market.rows])

    def scores(self) -> dict[str, float]:
        """Metrics on the test table, if there is one; a single class is answered always."""
        if self.test is None:
            return {}
        views, truth = as_views(self.test[0]), np.asarray(self.test[1])
        seen = sorted(set(self.known[self.bought].tolist()))
        answers = np.array(seen * len(views)) if len(seen) == 1 else self._classifier().predict(views)
        values = (measure(truth, answers) for measure in (accuracy, macro_accuracy, weighted_f1))
        return dict(zip(METRICS, values))

    def _classifier(self) -> Any:
        if self._fitted is None:
            places = np.searchsorted(self.market.rows, self.bought)
            y = np.array(self.known[self.bought].tolist())
            self._fitted = self.make().fit(self.market.views[places], y, validation=False)
        return self._fitted


def _as_labels(labels: Any, size: int) -> Labels:
    """(n,) labels of the table, None where unknown."""
    known = np.full(size, None, dtype=object)
    given = known if labels is None else np.asarray(labels, dtype=object)
    if given.shape != (size,):
        raise ValueError(f"labels has shape {given.shape}; it must hold one entry per row, ({size},), None if unknown.")
    for row, label in enumerate(given.tolist()):
        known[row] = label if _is_known(label) else None
    return known


def _is_known(label: Any) -> bool:
    return label is not None and label == label and not (not isinstance(label, str) and label == -1)


def _answers(given: Any, rows: Int) -> NDArray[Any]:
    """(k,) labels an oracle gave."""
    answers = np.asarray(given)
    if answers.shape != rows.shape:
        raise ValueError(f"oracle answered with shape {answers.shape} for {len(rows)} rows; give one label per row.")
    silent = [row for row, label in zip(rows.tolist(), answers.tolist()) if not _is_known(label)]
    if silent:
        raise ValueError(f"oracle gave row {silent[0]} no label; a row it is asked for needs one.")
    return answers
