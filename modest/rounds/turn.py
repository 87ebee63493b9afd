"""One turn: which method chooses now, which arrays it is handed, and why.

    known labels                the method asks for     chosen by           handed
    none                        anything                the first method    nothing
    some                        nothing                 the method          nothing
    of one class                arrays it needs         the first method    nothing
    of one class                arrays it can lack      the method          nothing
    of two classes and more     arrays                  the method          all that it needs and uses

So a cold method chooses in every round, and one that also uses arrays, as ``uherding``, decides itself what to make of
them; if its trace holds a ``why``, that is the reason told. Rows bought before count as taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modest.checks import known
from modest.selection import METHODS, select
from modest.types import Bool, Choice, Views

__all__ = ["JOIN", "Ask", "Way", "turn"]

JOIN = "+"
# names of arrays -> the arrays, of all rows of the table
Ask = Callable[[Sequence[str]], Mapping[str, Any]]


@dataclass(frozen=True)
class Way:
    """How a run of rounds chooses: by ``first`` as long as no label is known, by ``method`` afterwards."""

    first: str
    method: str

    @classmethod
    def of(cls, name: str, first: str = "random") -> Way:
        """Read a name.

        Parameters
        ----------
        name : str
            A name of ``modest.selection.METHODS``, or two: ``"maxherding+badge"`` begins with ``maxherding``.
        first : str
            What a warm method begins with whose name does not say it; a cold one begins with itself.

        Raises
        ------
        ValueError
            If a name is unknown, or the first round would need a classifier.

        Examples
        --------
        >>> Way.of("badge"), Way.of("maxherding+badge").first, Way.of("uherding").first
        (Way(first='random', method='badge'), 'maxherding', 'uherding')
        """
        begins, joined, method = name.rpartition(JOIN)
        own = METHODS[known(method, METHODS, "method")]
        start = begins if joined else (method if own.cold else first)
        if not METHODS[known(start, METHODS, "first")].cold:
            raise ValueError(
                f"the first round of {name!r} would be chosen by {start!r}, which needs a trained classifier; begin "
                f"with a cold method, e.g. 'maxherding{JOIN}{method}'."
            )
        return cls(start, method)


def turn(
    views: Views,
    items: int,
    way: Way,
    taken: Bool,
    ask: Ask | None,
    seed: int = 0,
    knobs: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> tuple[Choice, str]:
    """Choose the rows of one round.

    Parameters
    ----------
    views : Views
        The table, n items.
    items : int
        Rows to choose now.
    way : Way
    taken : (n,) bool
        Rows bought before.
    ask : function, optional
        Names of arrays -> these arrays of all n rows, from a classifier fitted on the rows bought; None where there can
        be none, because all labels are of one class.
    seed : int
    knobs : mapping method -> keyword arguments of its selection
    options : ``memory`` and ``device`` of :func:`modest.select`

    Returns
    -------
    The Choice, and one sentence that says why its method chose.

    Raises
    ------
    ValueError, TypeError
        Those of :func:`modest.select`.
    """
    entry = METHODS[way.method]
    wanted, arrays, name = (*entry.needs, *entry.uses), {}, way.method
    if not taken.any():
        name, why = way.first, "no label is known yet"
    elif not wanted:
        why = "it asks no classifier"
    elif ask is None:
        name = way.method if entry.cold else way.first
        why = "all known labels are of one class, so there is no classifier to ask"
    else:
        arrays, why = dict(ask(wanted)), f"a classifier of {int(taken.sum())} labels was asked"
    own = dict((knobs or {}).get(name, {}))
    choice = select(views, items, name, seed, taken, **options, **arrays, **own)
    return choice, str(choice.trace.get("why", why))
