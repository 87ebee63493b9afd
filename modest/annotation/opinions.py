"""What several people said of one question, and the one answer that follows from it by a rule.

    majority      the answer most gave; a tie leaves the question open
    unanimous     the answer all gave
    adjudicated   the adjudicator's answer where there is one, else the answer all gave

"Cannot tell" is an answer like the others: it can win, and the item then stays without a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modest.checks import known as known_name
from modest.evaluation.agreement import majority

RULES = ("majority", "unanimous", "adjudicated")
NONE, UNSURE = "none of these", "cannot tell"

Said = frozenset[str] | None


@dataclass(frozen=True)
class Opinion:
    """One answer of one person, wherever it was written down.

    ``kind`` "label" or "pair"; ``id`` of the item; ``said`` the class, or the ids of partners (empty: none of these),
    None: cannot tell; ``annotator`` "" where nobody is named; ``where`` it stands, for messages; ``side``, ``target``
    and ``round`` of a pair, as far as they are told; ``at`` when, as text.
    """

    kind: str
    id: str
    said: tuple[str, ...] | None
    annotator: str = ""
    where: str = ""
    side: str = ""
    target: str = ""
    round: int | None = None
    at: str = ""

    @property
    def answer(self) -> Said:
        """What was said, without an order."""
        return None if self.said is None else frozenset(self.said)

    @property
    def words(self) -> str:
        """What was said, for people."""
        return UNSURE if self.said is None else "|".join(self.said) or NONE


@dataclass(frozen=True)
class Decision:
    """What a rule makes of the opinions on one question.

    ``state`` "decided" (then ``answer`` is it; None: nobody can tell), "tie", "differ" (no rule settles it) or "few".
    """

    state: str
    answer: Said = None


def decide(opinions: Sequence[Opinion], rule: str = "majority", adjudicator: str = "", minimum: int = 1) -> Decision:
    """One answer from all opinions on a question; ``minimum`` opinions are needed, but for an adjudicator's.

    Examples
    --------
    >>> said = [Opinion("label", "a", ("cat",), "ann"), Opinion("label", "a", ("dog",), "bob")]
    >>> decide(said).state, decide(said, "adjudicated", "bob").answer
    ('tie', frozenset({'dog'}))
    """
    if rule == "adjudicated":
        final = [one.answer for one in opinions if one.annotator == adjudicator]
        if final:
            return Decision("decided", final[-1])
    if len(opinions) < minimum:
        return Decision("few")
    answers = [one.answer for one in opinions]
    if len(set(answers)) == 1:
        return Decision("decided", answers[0])
    if rule != "majority":
        return Decision("differ")
    winner, _ = majority([(answer,) for answer in answers])  # wrapped, as None is no answer to it
    return next((Decision("decided", answer) for answer in answers if (answer,) == winner), Decision("tie"))


def check_rule(rule: str, adjudicator: str, minimum: int) -> None:
    """Raise ValueError unless a rule and what goes with it fit together."""
    known_name(rule, RULES, "rule")
    if (rule == "adjudicated") != bool(adjudicator):
        raise ValueError("adjudicator is the name that decides under rule='adjudicated'; give both or neither.")
    if minimum < 1:
        raise ValueError(f"minimum is {minimum}; ask for at least 1 answer to a question.")


@dataclass(frozen=True)
class Settled:
    """Questions after a rule: ``fresh`` answers to write, ``changed`` ones (overwrite), ``unchanged`` ones, those that
    were answered otherwise before and are ``kept`` so, what people ``differ`` on (whatever the rule made of it); where
    they ``cannot_tell``, ``ties``, what is ``undecided`` by the rule, and what has too ``few`` answers.
    """

    fresh: Mapping[Any, Said]
    changed: Mapping[Any, Said]
    unchanged: Mapping[Any, Said]
    kept: Mapping[Any, Said]
    differ: Mapping[Any, Decision]
    cannot_tell: tuple[Any, ...]
    ties: tuple[Any, ...]
    undecided: tuple[Any, ...]
    few: tuple[Any, ...]


def settle(
    questions: Mapping[Any, Sequence[Opinion]],
    before: Mapping[Any, Iterable[Said]],
    rule: str,
    adjudicator: str,
    minimum: int,
    overwrite: bool,
) -> Settled:
    """Decide every question and hold it against the answers known ``before`` (none, one, or several as with pairs)."""
    decisions = {key: decide(said, rule, adjudicator, minimum) for key, said in questions.items()}
    by_state = {state: tuple(k for k, d in decisions.items() if d.state == state) for state in ("tie", "differ", "few")}
    told = {key: one.answer for key, one in decisions.items() if one.state == "decided" and one.answer is not None}
    known = {key: tuple(before.get(key, ())) for key in told}
    other = {key: answer for key, answer in told.items() if known[key] and answer not in known[key]}
    return Settled(
        fresh={key: answer for key, answer in told.items() if not known[key]},
        changed=other if overwrite else {},
        unchanged={key: answer for key, answer in told.items() if answer in known[key]},
        kept={} if overwrite else other,
        differ={key: decisions[key] for key, said in questions.items() if len({one.answer for one in said}) > 1},
        cannot_tell=tuple(key for key, one in decisions.items() if one.state == "decided" and one.answer is None),
        ties=by_state["tie"],
        undecided=by_state["differ"],
        few=by_state["few"],
    )


def latest(opinions: Iterable[Opinion]) -> list[Opinion]:
    """The last opinion of every named person on every question; each nameless one counts by itself.

    An item has one class, whichever round asked for it: of labels the round makes no other question.
    """
    kept: dict[Any, Opinion] = {}
    for k, one in enumerate(opinions):
        asked = (one.side, one.target, one.round) if one.kind == "pair" else ()
        key = (one.kind, one.id, asked, one.annotator or k)
        kept[key] = one
    return list(kept.values())
