"""Annotators on a page: counts and agreement worked by hand."""

import numpy as np
import pytest

import modest
from modest.report import people_parts
from modest.report.people import columns, work_figure

ROWS = [  # task, kind, id, annotator, verdict, value, at, seconds
    (1, "label", "a", "ada", "label", "cat", 100.0, 2.0),
    (1, "label", "a", "bob", "label", "cat", 110.0, 4.0),
    (2, "label", "b", "ada", "label", "dog", 120.0, 3.0),
    (2, "label", "b", "bob", "label", "cat", 130.0, 6.0),
    (3, "label", "c", "ada", "label", "dog", 140.0, 4.0),
    (3, "label", "c", "bob", "unsure", "", 150.0, 8.0),
    (4, "label", "d", "ada", "skip", "", 160.0, 9.0),
    (5, "pair", "d", "ada", "match", "a,b", 170.0, 5.0),
    (5, "pair", "d", "bob", "none", "", 180.0, 5.0),
]


@pytest.fixture
def pool(tmp_path):
    return modest.ingest({"id": list("abcd"), "x": np.eye(4)}, tmp_path / "pool")


def test_counts_and_agreement_are_those_worked_by_hand(pool):
    first, second = people_parts(pool, columns(ROWS))
    ada, bob = first.table.to_dict("records")
    assert (ada["annotator"], ada["answers"], ada["cannot tell"]) == ("ada", "4", 0)
    assert (bob["answers"], bob["cannot tell"]) == ("4", 1)
    assert ada["others agree"] == bob["others agree"] == "33 % of 3"  # of a, b and d; nobody is sure of c beside ada
    assert ada["seconds, median"] == "4.0"
    assert "8 answers to 4 questions by 2 people" in first.text
    assert "Of 3 questions with two answers or more, 33 % of the pairs" in first.text
    assert "ada and bob: Cohen's kappa" in second.text
    (cards,) = second.cards.values()
    assert list(second.cards) == ["2 questions with different answers"]
    assert {card.title: card.note for card in cards} == {"b": "ada: dog, bob: cat", "d": "ada: a,b, bob: none of these"}
    confirmed = dict(second.table.itertuples(index=False))
    assert confirmed["dog"] == "0 %"
    assert confirmed["cat"] == "67 %"  # named three times in pairs, confirmed twice


def test_lines_count_answers(pool):
    lines = work_figure(columns(ROWS)).axes[0].lines
    assert [line.get_ydata().tolist() for line in lines] == [[1, 2, 3, 4], [1, 2, 3, 4]]


def test_without_a_second_answer_nobody_disagrees(pool):
    (only,) = people_parts(pool, columns(ROWS[:1]))
    assert only.figure is None
    assert only.table["others agree"].tolist() == ["-"]
    assert "1 person" in only.text
    assert people_parts(pool, columns([])) == []


def test_another_table_is_refused(pool):
    with pytest.raises(ValueError, match="answers has no column 'seconds'"):
        people_parts(pool, columns(ROWS).drop(columns="seconds"))
