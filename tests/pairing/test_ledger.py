"""The ledger: what is bought is conserved, what is odd is kept and flagged, what is impossible changes nothing."""

import json

import numpy as np
import pytest

from modest.pairing import Hidden, Ledger, choose
from modest.types import Answer, Query


def query(rows, side="image", target="text", round=0):
    rows = np.asarray(rows, dtype=np.int64)
    none = np.full((len(rows), 2), -1)
    return Query(side, target, rows, rows.astype(np.str_), none, np.zeros(len(rows)), "-", {"round": round})


def state(ledger):
    masks = {kind: {s: m.tolist() for s, m in getattr(ledger, kind).items()} for kind in ("free", "rejected")}
    pairs = ledger.pairs
    told = {k: v.tolist() for k, v in pairs.items()} if isinstance(pairs, dict) else pairs.tolist()
    return {**masks, "pairs": told, "cost": ledger.cost, "flags": ledger.flags, "asked": ledger.asked}


def kinds(flags):
    return [flag.kind for flag in flags]


def test_a_rehearsal_conserves_everything():
    rng = np.random.default_rng(0)
    sides = {"image": rng.standard_normal((60, 6)), "text": rng.standard_normal((50, 6))}
    truth = np.stack([rng.permutation(60)[:45], rng.permutation(50)[:45]], axis=1)  # 15 images and 5 texts have none
    oracle, ledger, asked = Hidden(truth), Ledger({"image": 60, "text": 50}), {"image": [], "text": []}
    spent, bought = 0, 0
    for round in range(6):
        for one in choose(sides, ledger.pairs, 12, "random", free=ledger.free, round=round):
            before, free = len(ledger), ledger.free
            assert free[one.modality][one.rows].all() or round == 0 or before > bought
            answers = oracle(one)
            flags = ledger.take(one, answers)
            asked[one.modality] += one.rows.tolist()
            spent += len(one)
            matched = sum(len(answer.matches) for answer in answers)
            assert len(ledger) == before + matched - kinds(flags).count("known")
        bought = len(ledger)
    assert all(len(rows) == len(set(rows)) for rows in asked.values())
    assert ledger.cost == spent == 72
    pairs, free, rejected = ledger.pairs, ledger.free, ledger.rejected
    assert {tuple(pair) for pair in pairs.tolist()} <= {tuple(pair) for pair in truth.tolist()}
    for column, side in enumerate(("image", "text")):
        paired = np.isin(np.arange(len(free[side])), pairs[:, column])
        assert (free[side].astype(int) + rejected[side] + paired == 1).all()
        partnerless = ~np.isin(np.arange(len(free[side])), truth[:, column])
        assert np.array_equal(rejected[side], partnerless & np.isin(np.arange(len(free[side])), asked[side]))


def test_rejected_rows_leave_and_skipped_rows_stay_or_wait():
    for again in (True, False):
        ledger = Ledger({"image": 3, "text": 3}, again=again)
        ledger.take(query([0, 1]), [Answer(0, (), "no_match", 2.0), Answer(1, (), "skipped", 0.5)])
        assert ledger.free["image"].tolist() == [False, again, True]
        assert ledger.rejected["image"].tolist() == [True, False, False]
        assert (ledger.cost, len(ledger)) == (2.5, 0)
        ledger.take(query([1], round=1), [Answer(1, (2,))])
        assert ledger.free["image"].tolist() == [False, False, True]
        assert ledger.flags == []


def test_a_partner_in_a_pair_is_kept_and_flagged():
    ledger = Ledger({"image": 4, "text": 4}, pairs=[[0, 0]])
    flags = ledger.take(query([1, 2, 3]), [Answer(1, (0,)), Answer(2, (3,)), Answer(3, (3,))])
    assert [(flag.kind, flag.side, flag.row) for flag in flags] == [("shared", "text", 0), ("shared", "text", 3)]
    assert ledger.pairs.tolist() == [[0, 0], [1, 0], [2, 3], [3, 3]]
    assert ledger.free["text"].tolist() == [False, True, True, False]
    assert ledger.cost == 3


def test_several_partners_of_one_answer_are_nothing_odd():
    ledger = Ledger({"image": 2, "text": 5})
    assert ledger.take(query([1]), [Answer(1, (0, 2, 4, 2), cost=3.0)]) == []
    assert ledger.pairs.tolist() == [[1, 0], [1, 2], [1, 4]]


def test_both_ways_give_the_same_pair_once():
    ledger = Ledger({"image": 3, "text": 3})
    ledger.take(query([1]), [Answer(1, (2,))])
    flags = ledger.take(query([2], "text", "image"), [Answer(2, (1,))])
    assert kinds(flags) == ["known"]
    assert ledger.pairs.tolist() == [[1, 2]]
    assert ledger.cost == 2


def test_two_ways_of_answering_one_row_are_both_kept():
    ledger = Ledger({"image": 3, "text": 3})
    flags = ledger.take(query([0]), [Answer(0, (1,)), Answer(0, (2,))])
    assert kinds(flags) == ["conflict"]
    assert "row 0 of image was answered in two ways" in flags[0].told
    assert ledger.pairs.tolist() == [[0, 1], [0, 2]]
    assert kinds(ledger.take(query([0], round=1), [Answer(0, (), "no_match")])) == ["conflict"]
    assert not ledger.rejected["image"][0]  # it is in pairs
    other = Ledger({"image": 3, "text": 3})
    other.take(query([0, 1]), [Answer(0, (), "no_match"), Answer(1, (), "skipped")])
    assert kinds(other.take(query([0, 1], round=1), [Answer(0, (1,)), Answer(1, (2,))])) == ["conflict"]
    assert not other.rejected["image"].any()


def test_the_same_answer_again_changes_nothing_and_another_annotator_costs():
    ledger = Ledger({"image": 3, "text": 3})
    answers = [Answer(0, (1,), annotator="ann"), Answer(2, (), "skipped", 0.0, "ann")]
    ledger.take(query([0, 2]), answers)
    before = json.dumps(ledger.to_dict())
    assert ledger.take(query([0, 2]), answers) == []
    assert json.dumps(ledger.to_dict()) == before
    assert ledger.take(query([0]), [Answer(0, (1,), annotator="bob")]) == []
    assert (ledger.cost, len(ledger)) == (2, 1)
    assert ledger.take(query([0], round=1), answers[:1]) == []  # asked again, which costs again
    assert (ledger.cost, len(ledger)) == (3, 1)


def test_a_partner_that_was_rejected_is_flagged_and_paired():
    ledger = Ledger({"image": 2, "text": 2})
    ledger.take(query([1], "text", "image"), [Answer(1, (), "no_match")])
    flags = ledger.take(query([0]), [Answer(0, (1,))])
    assert [(flag.kind, flag.side, flag.row) for flag in flags] == [("rejected", "text", 1)]
    assert not ledger.rejected["text"].any()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(2, (0,)), "row 2 of image, which was not asked"),
        (Answer(1, (3,)), "names row 3 of text: it has 0 to 2"),
        (Answer(1, (-1,)), "names row -1 of text"),
        (Answer(1, (), "maybe"), "status 'maybe'"),
        (Answer(1, (0,), "no_match"), "names partners and says 'no_match'"),
        (Answer(1), "names no partner"),
        (Answer(1, (0,), cost=float("nan")), "costs nan"),
        (Answer(1, (0,), cost=-1.0), "costs -1.0"),
    ],
)
def test_what_is_impossible_changes_nothing(answer, told):
    ledger = Ledger({"image": 4, "text": 3})
    before = state(ledger)
    with pytest.raises(ValueError, match=told):
        ledger.take(query([0, 1]), [Answer(0, (1,)), answer])
    assert state(ledger) == before


def test_other_refusals():
    ledger = Ledger({"image": 4, "text": 3})
    with pytest.raises(ValueError, match="side 'sound'"):
        ledger.take(query([0], "sound"), [])
    with pytest.raises(ValueError, match="row 4 of image"):
        ledger.take(query([4]), [])
    with pytest.raises(TypeError, match="holds dict"):
        ledger.take(query([0]), [{"row": 0}])
    with pytest.raises(ValueError, match="at least two sides"):
        Ledger({"image": 4})
    with pytest.raises(ValueError, match="row 9 of text"):
        Ledger({"image": 4, "text": 3}, pairs=[[0, 9]])


def test_an_annotator_may_write_a_partner():
    ledger = Ledger({"image": 2, "text": 2}, creates=True)
    ledger.take(query([1]), [Answer(1)])
    assert ledger.free["image"].tolist() == [True, False]
    assert not ledger.rejected["image"].any()
    assert len(ledger) == 0


def test_three_modalities_and_a_round_trip():
    ledger = Ledger({"image": 4, "text": 3, "sound": 2}, {("text", "image"): [[0, 3]]}, again=False)
    ledger.take(query([0, 1, 2]), [Answer(0, (1, 2), cost=0.3), Answer(1, (), "no_match"), Answer(2, (), "skipped")])
    ledger.take(query([1], "sound", "image", round=1), [Answer(1, (0,)), Answer(1, (3,), annotator="ann")])
    assert {way: two.tolist() for way, two in ledger.pairs.items()} == {
        ("image", "text"): [[3, 0], [0, 1], [0, 2]],
        ("image", "sound"): [[0, 1], [3, 1]],
    }
    again = Ledger.from_dict(json.loads(json.dumps(ledger.to_dict())))
    assert state(again) == {**state(ledger), "cost": pytest.approx(ledger.cost)}
    assert kinds(again.flags) == ["shared", "conflict", "shared"]
    assert again.to_dict() == ledger.to_dict()
    table = ledger.table()
    assert table["partner"] == [1, 2, -1, -1, 0, 3]
    assert sum(table["cost"]) == pytest.approx(ledger.cost)
    assert table["round"] == [0, 0, 0, 0, 1, 1]
