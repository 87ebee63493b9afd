"""Who answered what on the page, how fast, and how far annotators agree. Answers come as a table: see ``COLUMNS``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from modest.data.pool import Pool
from modest.evaluation.agreement import agreement, cohen_kappa, majority
from modest.report import plots
from modest.report.html import Card, Part
from modest.report.items import card

# one row per standing answer: number of the task, kind ("label", "pair"), id of the item, who said what ("label",
# "match", "none", "unsure", "skip"), the class or the partners' ids with a comma between, when it was said (seconds
# since 1970), and how many seconds it took
COLUMNS = ("task", "kind", "id", "annotator", "verdict", "value", "at", "seconds")
SHOWN, LISTED = 6, 8  # items that annotators disagree about, answers that are confirmed least often


def people_parts(pool: Pool, answers: pd.DataFrame) -> list[Part]:
    """Sections on the annotators of a pool: who did what and when, and where they disagree; none without answers.

    Raises
    ------
    ValueError
        If the table lacks a column.
    """
    lacking = [name for name in COLUMNS if name not in answers.columns]
    if lacking:
        raise ValueError(f"answers has no column {lacking[0]!r}; its columns are {', '.join(COLUMNS)}.")
    if not len(answers):
        return []
    said = answers[answers["verdict"] != "skip"]
    named, others = said["annotator"].nunique(), []
    who = f"{named} {'people' if named != 1 else 'person'}"
    text = f"{len(said):,} answers to {said['task'].nunique():,} questions by {who}."
    sure = said[said["verdict"].isin(_SURE)]
    several = sure.groupby("task")["annotator"].transform("nunique") > 1
    if several.any():
        told, part = _disagreements(pool, sure[several])
        text, others = f"{text} {told}", [part]
    figure = work_figure(answers) if len(said) > 1 else None
    caption = "Answers given so far, by annotator."
    return [Part("Who answered", text, figure, caption, _table(answers), data=answers[list(COLUMNS)]), *others]


def work_figure(answers: pd.DataFrame) -> Figure:
    """Answers so far against time, one line per annotator; ``answers`` as in :func:`people_parts`."""
    figure, grid = plots.panels(7.6, 2.8)
    axes = grid[0, 0]
    for name, own in answers[answers["verdict"] != "skip"].groupby("annotator", sort=True):
        when = pd.to_datetime(np.sort(own["at"].to_numpy(dtype=float)), unit="s")
        axes.step(
            when, np.arange(1, len(when) + 1), where="post", color=plots.colour(str(name)), linewidth=1.8, label=name
        )
    locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylim(0, None)
    axes.set_xlabel("time (UTC)")
    axes.set_ylabel("answers")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _table(answers: pd.DataFrame) -> pd.DataFrame:
    sure = answers[answers["verdict"].isin(_SURE)]
    words = {task: list(zip(own["annotator"], _words(own))) for task, own in sure.groupby("task")}
    rows = []
    for name, own in answers.groupby("annotator", sort=True):
        verdicts = own["verdict"].value_counts()
        alike = [
            said == word
            for every in words.values()
            for word in [one for who, one in every if who == name]
            for who, said in every
            if who != name
        ]
        rows.append(
            {
                "annotator": name,
                "answers": f"{int(verdicts.drop('skip', errors='ignore').sum()):,}",
                "cannot tell": int(verdicts.get("unsure", 0)),
                "seconds, median": f"{own['seconds'].median():.1f}",
                "others agree": f"{100 * np.mean(alike):.0f} % of {len(alike):,}" if alike else "-",
            }
        )
    return pd.DataFrame(rows)


def _disagreements(pool: Pool, said: pd.DataFrame) -> tuple[str, Part]:
    """Sentence on agreement beyond chance, and the section that shows it by class, by couple and by item."""
    told = said.assign(word=_words(said))
    by_task = told.groupby("task", sort=True)["word"].agg(list)
    whole = agreement(by_task.tolist())
    text = f"Of {whole.items:,} questions with two answers or more, {100 * whole.share:.0f} % of the pairs of answers"
    text += " agree"
    text += (
        f" (Krippendorff's alpha {whole.alpha:.2f}; 1 always, 0 as by chance)." if whole.alpha == whole.alpha else "."
    )
    classes = sorted(whole.by_class.items(), key=lambda one: (one[1], str(one[0])))[:LISTED]
    table = pd.DataFrame(
        [
            {"answers confirmed least": str(name), "by another annotator": f"{100 * share:.0f} %"}
            for name, share in classes
        ]
    )
    split = [(task, words) for task, words in by_task.items() if len(set(words)) > 1]
    split.sort(key=lambda one: (majority(one[1])[1], one[0]))
    cards = [_card(pool, told[told["task"] == task]) for task, _ in split[:SHOWN]]
    heads = {f"{len(split):,} questions with different answers": cards} if cards else {}
    return text, Part("Where annotators disagree", _couples(told), cards=heads, table=table)


def _card(pool: Pool, own: pd.DataFrame) -> Card:
    words = ", ".join(f"{name}: {word}" for name, word in zip(own["annotator"], own["word"]))
    return card(pool, int(np.flatnonzero(pool.ids == own["id"].iloc[0])[0]), words)


def _couples(told: pd.DataFrame) -> str:
    """Sentence about the two annotators that agree most and least beyond chance."""
    wide = told.pivot_table(index="task", columns="annotator", values="word", aggfunc="last")
    wide = wide.astype(object).where(wide.notna(), None)
    found = []
    for k, a in enumerate(wide.columns):
        for b in wide.columns[k + 1 :]:
            both = int((wide[a].notna() & wide[b].notna()).sum())
            if both >= 2 and (kappa := cohen_kappa(wide[a].tolist(), wide[b].tolist())) == kappa:
                found.append((kappa, f"{a} and {b}", both))
    if not found:
        return "Nobody answered enough alike questions for a comparison of two."
    least, most = min(found), max(found)
    words = f"{most[1]}: Cohen's kappa {most[0]:.2f} on {most[2]:,} questions"
    return f"{words}." if least == most else f"Most alike {words}; least {least[1]}: {least[0]:.2f} on {least[2]:,}."


def _words(said: pd.DataFrame) -> pd.Series:
    """What was said in one word: the class or the partners, or that there is none."""
    return said["value"].where(said["verdict"] != "none", "none of these")


_SURE = ("label", "match", "none")  # who cannot tell agrees and disagrees with nobody


def columns(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Table of answers from rows in the order of ``COLUMNS``."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS))
