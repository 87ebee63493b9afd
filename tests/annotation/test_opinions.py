"""One answer of several people: each rule by hand, and what a settled question is held against."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modest.annotation.opinions import Opinion, check_rule, decide, latest, settle


def said(*answers):
    """Opinions of ann, bob, cat ... on one item; None is "cannot tell"."""
    names = ("ann", "bob", "cat", "dan", "eve")
    return [Opinion("label", "x", a if a is None else (a,), name) for name, a in zip(names, answers)]


@pytest.mark.parametrize(
    ("answers", "majority", "unanimous", "adjudicated"),
    [
        (["a"], "a", "a", "a"),
        (["a", "a"], "a", "a", "a"),
        (["a", "b"], "tie", "differ", "b"),
        (["a", "b", "a"], "a", "differ", "b"),
        (["a", "b", "c"], "tie", "differ", "b"),
        (["a", None], "tie", "differ", None),
        (["a", None, None], None, "differ", None),
        ([None], None, None, None),
        (["a", "b", "b", "a", "c"], "tie", "differ", "b"),
    ],
)
def test_rules_by_hand(answers, majority, unanimous, adjudicated):
    for rule, wanted in (("majority", majority), ("unanimous", unanimous), ("adjudicated", adjudicated)):
        made = decide(said(*answers), rule, "bob" if rule == "adjudicated" else "")
        if wanted in ("tie", "differ"):
            assert (made.state, made.answer) == (wanted, None)
        else:
            assert (made.state, made.answer) == ("decided", None if wanted is None else frozenset({wanted}))


def test_an_adjudicator_who_said_nothing_leaves_it_to_agreement():
    assert decide(said("a", "a"), "adjudicated", "zoe").answer == {"a"}
    assert decide(said("a", "b"), "adjudicated", "zoe").state == "differ"


def test_minimum_counts_people_and_an_adjudicator_needs_no_others():
    assert decide(said("a"), minimum=2).state == "few"
    assert decide(said("a", None), "unanimous", minimum=3).state == "few"
    assert decide(said("a", "a"), minimum=2).answer == {"a"}
    assert decide(said("a"), "adjudicated", "ann", minimum=5).answer == {"a"}


def test_partners_are_one_answer_whatever_their_order():
    two = [Opinion("pair", "x", ("t1", "t2"), "ann"), Opinion("pair", "x", ("t2", "t1"), "bob")]
    assert decide(two, "unanimous").answer == {"t1", "t2"}
    none = [Opinion("pair", "x", (), "ann"), Opinion("pair", "x", None, "bob")]
    assert decide(none).state == "tie"  # none of these is not cannot tell


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=5))
def test_majority_is_what_counting_says_in_any_order(answers):
    counts = {one: answers.count(one) for one in answers}
    best = [one for one, count in counts.items() if count == max(counts.values())]
    for order in itertools.islice(itertools.permutations(answers), 6):
        made = decide(said(*order))
        if len(best) > 1:
            assert made.state == "tie"
        else:
            assert made.state == "decided"
            assert made.answer == (None if best[0] is None else {best[0]})


@pytest.mark.parametrize(
    ("rule", "adjudicator", "minimum", "named"),
    [("most", "", 1, "rule"), ("adjudicated", "", 1, "adjudicator"), ("majority", "ann", 1, "adjudicator"),
     ("majority", "", 0, "minimum")],
)  # fmt: skip
def test_rules_that_do_not_fit(rule, adjudicator, minimum, named):
    with pytest.raises(ValueError, match=named):
        check_rule(rule, adjudicator, minimum)


def test_a_named_person_counts_once_and_nameless_ones_each():
    first, second = Opinion("label", "x", ("a",), "ann"), Opinion("label", "x", ("b",), "ann")
    assert latest([first, second]) == [second]
    assert len(latest([Opinion("label", "x", ("a",)), Opinion("label", "x", ("a",))])) == 2
    assert len(latest([first, Opinion("pair", "x", ("a",), "ann")])) == 2


def test_an_item_that_two_rounds_asked_for_has_one_last_word_of_a_person():
    first, second = (Opinion("label", "x", (word,), "ann", round=k) for k, word in enumerate("ab"))
    assert latest([first, second]) == [second]
    pairs = [Opinion("pair", "x", (word,), "ann", round=k) for k, word in enumerate("ab")]
    assert latest(pairs) == pairs  # rounds ask about different partners


def test_settled_against_what_was_known():
    a, b = frozenset("a"), frozenset("b")
    questions = {"new": said("a"), "same": said("a"), "other": said("b"), "open": said("a", "b"),
                 "unsure": said(None)}  # fmt: skip
    known = {"same": [a], "other": [a], "unsure": [a]}
    kept = settle(questions, known, "majority", "", 1, overwrite=False)
    assert (kept.fresh, kept.unchanged, kept.kept, kept.changed) == ({"new": a}, {"same": a}, {"other": b}, {})
    assert (list(kept.differ), kept.ties, kept.cannot_tell, kept.undecided) == (["open"], ("open",), ("unsure",), ())
    written = settle(questions, known, "majority", "", 1, overwrite=True)
    assert (written.changed, written.kept) == ({"other": b}, {})
    assert settle(questions, known, "unanimous", "", 2, False).few == ("new", "same", "other", "unsure")
