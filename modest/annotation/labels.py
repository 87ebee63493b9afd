"""What people said, into the pool: one answer per question by a rule, and a report of all that did not fit.

Labels go into the pool's table, and every opinion on a label into ``labels.parquet`` beside it (id, label, annotator,
source, at): who said what, never changed afterwards. Answers about partners go through the pool's ledger; those a rule
left out stay where they were said. Everything is read and checked before anything is written, and the same answers
again change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.annotation.opinions import NONE, UNSURE, Opinion, Said, Settled, check_rule, latest, settle
from modest.data import files
from modest.data.lock import held
from modest.data.pairs import asked, read_pairs
from modest.data.pool import Pool
from modest.rounds.answers import Asked, answer
from modest.rounds.book import pending

if TYPE_CHECKING:
    import pandas as pd

FILE = "labels.parquet"
COLUMNS = ("id", "label", "annotator", "source", "at")


@dataclass(frozen=True)
class Rule:
    """How one answer is made of several: ``name`` of opinions.RULES, ``adjudicator`` of "adjudicated", the ``minimum``
    of answers to a question, and whether to ``overwrite`` what the pool knows.
    """

    name: str = "majority"
    adjudicator: str = ""
    minimum: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        check_rule(self.name, self.adjudicator, self.minimum)


@dataclass(frozen=True)
class Report:
    """What came of some answers of one ``kind``, "label" or "pair".

    How many answers were ``added``, ``overwritten`` and known already (``unchanged``); ``differ``, questions on which
    people differ: (id, {annotator: words}, what the rule made of it, None where nothing); ``kept``, those answered
    otherwise before: (id, what stays, what was said); ``unknown_ids``; ``unknown_classes`` {class: answers left out};
    ``new_classes`` that are taken in; ids where people ``cannot_tell``, of ``ties``, ``undecided`` by the rule, and
    with too ``few`` answers; ``flags`` of the ledger of pairs; ``left``, questions of rounds that have no answer yet.
    """

    kind: str
    added: int
    overwritten: int
    unchanged: int
    differ: tuple[tuple[str, dict[str, str], str | None], ...]
    kept: tuple[tuple[str, str, str], ...]
    unknown_ids: tuple[str, ...]
    unknown_classes: dict[str, int]
    new_classes: tuple[str, ...]
    cannot_tell: tuple[str, ...]
    ties: tuple[str, ...]
    undecided: tuple[str, ...]
    few: tuple[str, ...]
    flags: tuple[str, ...]
    left: int


def add_labels(
    folder: str | Path,
    opinions: Iterable[Opinion],
    source: str,
    rule: Rule = Rule(),
    new_classes: bool | None = None,
    classes: Sequence[str] = (),
) -> Report:
    """Write labels that people gave into the pool of a folder.

    Parameters
    ----------
    opinions : of kind "label", in the order they were said; a person's last one on an item counts
    source : where they come from, kept with them
    new_classes : whether classes the pool does not know are taken in; left out, only where it knows none
    classes : names that are known beside the pool's own

    Raises
    ------
    OSError
        If another run is writing labels.
    """
    folder, given, unknown, strange = Path(folder), list(opinions), Counter[str](), list[str]()
    told: list[Opinion] = []
    with held(folder / f".{FILE}.lock", folder / FILE):
        pool = Pool(folder)
        labels = dict(zip(pool.ids.tolist(), pool.labels))
        known = {*pool.classes, *map(str, pool.config.get("classes") or ()), *classes}
        opened = not known if new_classes is None else new_classes
        for one in given:
            odd = [word for word in one.said or () if word not in known]
            if one.id not in labels:
                strange.append(one.id)
            elif odd and not opened:
                unknown.update(odd)
            else:
                told.append(one)
        questions = _questions(latest(told))
        before = {name: [frozenset({label})] for name, label in labels.items() if label is not None}
        settled = settle(questions, before, rule.name, rule.adjudicator, rule.minimum, rule.overwrite)
        _log(folder, [one for one in given if one.id in labels], source)
        written = {name: _word(said) for name, said in {**settled.fresh, **settled.changed}.items()}
        if written:
            pool.add(written)
    new = tuple(dict.fromkeys(word for one in told for word in one.said or () if word not in known))
    chosen = {name for one in pool.rounds for name in one.choice["id"]}
    left = len(chosen - {*before, *written})
    stays = {name: labels[name] for name in settled.kept}
    return _report("label", settled, questions, stays, strange, dict(unknown), new, (), left)


def add_pairs(folder: str | Path, opinions: Iterable[Opinion], rule: Rule = Rule()) -> Report:
    """Write answers about partners into the pool of a folder, through its ledger; opinions of kind "pair".

    Answers that agree with the one the rule makes are written, each with its annotator. A question that was answered
    otherwise before keeps that answer; overwriting adds the new one beside it, as the ledger forgets nothing.

    Raises
    ------
    ValueError, OSError
        As :func:`modest.rounds.answers.answer`; nothing is written then.
    """
    pool = Pool(folder)
    asking, told, strange = Asked(pool, asked(pool.path)), list[Opinion](), list[str]()
    for one in opinions:
        odd = [one.id] if one.id not in asking.by_id else [name for name in one.said or () if name not in asking.place]
        if odd:
            strange += odd
            continue
        about = {"id": one.id, "side": one.side or None, "target": one.target or None, "round": one.round}
        asks = asking.question(one.where, about)
        fixed = {"side": asks["modality"], "target": asks["target"], "round": int(asks["round"])}
        told.append(Opinion("pair", one.id, one.said, one.annotator, one.where, at=one.at, **fixed))
    questions, before = _questions(latest(told)), _answered(pool)
    settled = settle(questions, before, rule.name, rule.adjudicator, rule.minimum, rule.overwrite)
    final = {**settled.fresh, **settled.changed, **settled.unchanged, **dict.fromkeys(settled.cannot_tell)}
    lines = [_line(one) for key, answer in final.items() for one in questions[key] if one.answer == answer]
    taken = answer(pool, lines) if lines else None
    stays = {key: " and ".join(sorted({*map(_word, before[key])})) for key in settled.kept}
    left = len(pending(pool))
    return _report("pair", settled, questions, stays, strange, {}, (), taken.flags if taken else (), left)


def read_log(pool: Path) -> pd.DataFrame:
    """Table of all that was said of labels: id, label (null: cannot tell), annotator, source, at; as it came."""
    import pandas as pd

    if (pool / FILE).is_file():
        return files.read_table(pool / FILE, list(COLUMNS))
    return pd.DataFrame({name: pd.Series(dtype="string") for name in COLUMNS})


def _log(pool: Path, opinions: Sequence[Opinion], source: str) -> None:
    """Add to the log what is not in it yet, wherever it was said first."""
    import pandas as pd

    old = read_log(pool)
    rows = [(one.id, one.said[0] if one.said else None, one.annotator, source, one.at) for one in opinions]
    new = pd.DataFrame(rows, columns=list(COLUMNS)).astype("string")
    whole = pd.concat([old.astype("string"), new], ignore_index=True)
    whole = whole.drop_duplicates(["id", "label", "annotator", "at"], ignore_index=True)
    if len(whole) > len(old):
        files.write_table(pool / FILE, whole)


def _questions(opinions: Sequence[Opinion]) -> dict[Any, list[Opinion]]:
    """Opinions by question: an item's id, or (id, side, target, round)."""
    found: dict[Any, list[Opinion]] = {}
    for one in opinions:
        key = one.id if one.kind == "label" else (one.id, one.side, one.target, one.round)
        found.setdefault(key, []).append(one)
    return found


def _answered(pool: Pool) -> dict[Any, list[Said]]:
    """Answers the ledger has, by question; "nobody knows" is none."""
    table = read_pairs(pool.path)
    found: dict[Any, list[Said]] = {}
    for _, lines in table[table["status"] != "skipped"].groupby("answer", sort=True):
        one = lines.iloc[0]
        key = (one["id_a"], one["modality_a"], one["modality_b"], int(one["round"]))
        found.setdefault(key, []).append(frozenset(lines["id_b"].dropna()))
    return found


def _line(one: Opinion) -> tuple[str, dict[str, Any]]:
    said = UNSURE if one.said is None else list(one.said) or NONE
    about = {"side": one.side, "target": one.target, "round": one.round, "annotator": one.annotator}
    return one.where, {"id": one.id, "answer": said, **about}


def _word(said: Said) -> str:
    return UNSURE if said is None else "|".join(sorted(said)) or NONE


def _report(
    kind: str,
    settled: Settled,
    questions: dict[Any, list[Opinion]],
    before: dict[Any, str],
    strange: Sequence[str],
    unknown: dict[str, int],
    new: tuple[str, ...],
    flags: tuple[str, ...],
    left: int,
) -> Report:
    """The report of what was settled, questions by the ids of their items."""

    def ids(keys: Iterable[Any]) -> tuple[str, ...]:
        return tuple(key if isinstance(key, str) else key[0] for key in keys)

    told = {key: {one.annotator or one.where: one.words for one in questions[key]} for key in settled.differ}
    made = {key: _word(one.answer) if one.state == "decided" else None for key, one in settled.differ.items()}
    return Report(
        kind=kind,
        added=len(settled.fresh),
        overwritten=len(settled.changed),
        unchanged=len(settled.unchanged),
        differ=tuple(zip(ids(told), told.values(), made.values())),
        kept=tuple(zip(ids(settled.kept), (before[key] for key in settled.kept), map(_word, settled.kept.values()))),
        unknown_ids=tuple(dict.fromkeys(strange)),
        unknown_classes=unknown,
        new_classes=new,
        cannot_tell=ids(settled.cannot_tell),
        ties=ids(settled.ties),
        undecided=ids(settled.undecided),
        few=ids(settled.few),
        flags=flags,
        left=left,
    )
