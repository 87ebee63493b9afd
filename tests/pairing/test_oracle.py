"""Oracles: the truth, its price, its errors, and people who answer in a file."""

import json

import numpy as np
import pytest

from modest.pairing import BufferQuery, Hidden, Ledger, SameKey, choose, corrupt
from modest.pairing.human import read_answers, read_tasks, write_tasks
from modest.types import Query

MIXED = np.random.default_rng(0).permutation(100)
CAPTIONS = np.array([[i, 5 * i + k] for i in range(20) for k in range(5)])  # five captions per image


def sides(seed=0, n=40, m=40):
    rng = np.random.default_rng(seed)
    return {"image": rng.standard_normal((n, 8)), "text": rng.standard_normal((m, 8))}


def asked(rows, side="image", target="text", lists=None):
    rows = np.asarray(rows, dtype=np.int64)
    lists = np.zeros((len(rows), 0), dtype=np.int64) if lists is None else np.asarray(lists)
    return Query(side, target, rows, np.array([f"{side[0]}{r}" for r in rows]), lists, np.zeros(len(rows)), "-")


def test_a_bijection_answers_both_ways():
    where = np.random.default_rng(0).permutation(40)
    oracle = Hidden(np.stack([np.arange(40), where], axis=1))
    for query in choose(sides(), None, 30, "random"):
        for row, answer in zip(query.rows, oracle(query)):
            partner = where[row] if query.modality == "image" else np.flatnonzero(where == row)[0]
            assert (answer.row, answer.matches, answer.status, answer.cost) == (row, (partner,), "matched", 1.0)


@pytest.mark.parametrize(("cost", "image", "text"), [("pair", 10.0, 2.0), ("query", 2.0, 2.0)])
def test_five_captions_are_all_returned_at_either_price(cost, image, text):
    oracle = Hidden(CAPTIONS, cost=cost, price=2.0)
    (answer,) = oracle(asked([3]))
    assert (answer.matches, answer.cost) == ((15, 16, 17, 18, 19), image)
    (back,) = oracle(asked([17], "text", "image"))
    assert (back.matches, back.cost) == ((3,), text)
    turned = Hidden(CAPTIONS[:, ::-1], ("text", "image"), cost=cost, price=2.0)
    assert [(a.matches, a.cost) for a in turned(asked([3]))] == [((15, 16, 17, 18, 19), image)]


def test_rows_without_partner_cost_a_query():
    answers = Hidden(CAPTIONS, cost="pair")(asked([0, 25]))
    assert [(a.status, a.cost) for a in answers] == [("matched", 5.0), ("no_match", 1.0)]


def test_ids_in_place_of_rows():
    oracle = Hidden([["i1", "t0"], ["i2", "t9"]], ids={"text": ["t9", "t0"], "image": ["i2", "i1"]})
    assert [(a.matches, a.status) for a in oracle(asked([1, 2, 3]))] == [
        ((1,), "matched"), ((0,), "matched"), ((), "no_match"),
    ]  # fmt: skip
    names = {"image": np.array(["i1"]), "text": np.array(["t7", "t0"])}
    query = BufferQuery(**vars(asked([1])), names=names)
    assert Hidden([["i1", "t0"]])(query)[0].matches == (1,)
    assert Hidden([["i1", "t1"]])(query)[0].status == "skipped"  # it has a partner, which is not here
    assert Hidden([["i1", "t1"]], elsewhere="matched")(query)[0].status == "matched"
    assert Hidden([["i7", "t1"]])(query)[0].status == "no_match"
    with pytest.raises(ValueError, match="give pairs of ids"):
        Hidden([[0, 1]])(query)
    with pytest.raises(ValueError, match="ids of text is missing"):
        Hidden([["i1", "t1"]])(asked([1]))
    with pytest.raises(ValueError, match="no pair of image and sound"):
        Hidden([[0, 1]])(asked([1], target="sound"))


def test_more_than_two_sides():
    oracle = Hidden({("image", "text"): [[0, 1]], ("image", "sound"): [[0, 2]]})
    assert oracle(asked([0], "image", "sound"))[0].matches == (2,)
    assert oracle(asked([1], "text", "image"))[0].matches == (0,)


def test_same_key_needs_no_memory():
    names = {"image": np.array(["0a/x", "0b/y", "0c/z"]), "text": np.array(["11/y", "22/w", "33/x#2", "44/x"])}
    query = BufferQuery(
        "image", "text", np.arange(3), names["image"], np.zeros((3, 0), int), np.zeros(3), "-", names=names
    )
    oracle = SameKey(lambda name: name.split("/")[1].split("#")[0], cost="pair")
    assert [(a.matches, a.status, a.cost) for a in oracle(query)] == [
        ((2, 3), "matched", 2.0), ((0,), "matched", 1.0), ((), "no_match", 1.0),
    ]  # fmt: skip
    assert SameKey(elsewhere="skipped")(query)[2].status == "skipped"
    with pytest.raises(ValueError, match="on a pool use Hidden"):
        SameKey()(asked([0]))


def test_noise_draws_a_wrong_row_of_the_list_and_is_keyed_by_id():
    n = 4000
    lists = np.stack([(np.arange(n) + k) % n for k in range(12)], axis=1)  # the truth stands first
    query = asked(np.arange(n), lists=lists)
    answers = Hidden(np.stack([np.arange(n)] * 2, axis=1), noise=0.3, seed=1)(query)
    off = np.array([(a.matches[0] - a.row) % n for a in answers])
    assert all(len(a.matches) == 1 and a.cost == 1.0 for a in answers)
    assert off.max() == 9  # among the first ten only
    wrong = (off > 0).sum()
    assert abs(wrong - 0.3 * n) < 4 * np.sqrt(n * 0.3 * 0.7)
    counts = np.bincount(off, minlength=10)[1:10]
    assert abs(counts - wrong / 9).max() < 4 * np.sqrt(wrong / 9)  # uniform over the nine wrong ones
    some = asked(np.arange(n)[::-1][:50], lists=lists[::-1][:50])
    again = {a.row: a.matches for a in Hidden(np.stack([np.arange(n)] * 2, axis=1), noise=0.3, seed=1)(some)}
    assert all(answers[row].matches == matches for row, matches in again.items())
    other = Hidden(np.stack([np.arange(n)] * 2, axis=1), noise=0.3, seed=2)(query)
    assert [a.matches for a in other] != [a.matches for a in answers]


def test_noise_tells_the_truth_where_nothing_else_is_listed():
    oracle = Hidden(CAPTIONS, noise=1.0, cost="pair")
    first, second, third = oracle(asked([0, 1, 30], lists=[[1, 0, -1], [9, 77, -1], [50, -1, -1]]))
    assert (len(first.matches), first.cost) == (5, 5.0)
    assert (second.matches, second.cost) == ((77,), 1.0)
    assert (third.matches, third.status) == ((50,), "matched")  # it has no partner, and gets one


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("pairs", [np.stack([np.arange(100), MIXED], 1), np.stack([CAPTIONS[:, 0], MIXED], 1)])
def test_a_spoiled_truth(pairs, turned):
    pairs = pairs[MIXED][:, ::-1] if turned else pairs[MIXED]
    spoiled = corrupt(pairs, wrong=0.2, missing=0.3, seed=3)
    true = {tuple(p) for p in pairs.tolist()}
    kept = [tuple(p) in true for p in spoiled.tolist()]
    assert (len(spoiled), kept.count(False)) == (70, 20)
    whole = corrupt(pairs, wrong=0.2, seed=3)
    for column in (0, 1):  # exchanged, not invented
        assert sorted(whole[:, column].tolist()) == sorted(pairs[:, column].tolist())
    assert np.array_equal(spoiled, corrupt(pairs, wrong=0.2, missing=0.3, seed=3))
    assert np.array_equal(corrupt(pairs), pairs)


def test_refused_settings():
    with pytest.raises(ValueError, match="at most 1"):
        corrupt(CAPTIONS, wrong=0.6, missing=0.6)
    with pytest.raises(ValueError, match="too few to exchange"):
        corrupt(CAPTIONS[:5], wrong=0.4)
    with pytest.raises(ValueError, match="cost='free' is unknown"):
        Hidden(CAPTIONS, cost="free")
    with pytest.raises(ValueError, match="noise="):
        Hidden(CAPTIONS, noise=1.5)


def test_what_is_chosen_does_not_depend_on_the_truth():
    x, chosen = sides(), []
    for seed in (0, 1):
        where = np.random.default_rng(seed).permutation(40)
        oracle = Hidden(np.stack([np.arange(40), where], axis=1))
        queries = choose(x, None, 10, "random", seed=5)
        assert all(len(oracle(query)) == len(query) for query in queries)
        chosen.append([(q.modality, q.rows.tolist()) for q in queries])
    assert chosen[0] == chosen[1]


IDS = {"image": np.array([f"i{k:02d}" for k in range(40)]), "text": np.array([f"t{k:02d}" for k in range(40)])}


def tasks(tmp_path, **knobs):
    queries = choose(sides(), None, 12, "random", ids=IDS, shortlist=4, round=3)
    path = tmp_path / "tasks.jsonl"
    assert write_tasks(path, queries, IDS, **knobs) == 12
    return queries, path, [json.loads(line) for line in path.read_text().splitlines()]


def test_a_task_file_says_what_is_asked_and_nothing_more(tmp_path):
    queries, _, lines = tasks(tmp_path)
    rows = [(q.modality, q.target, q.ids[k], q.shortlists[k]) for q in queries for k in range(len(q))]
    for line, (side, target, name, listed) in zip(lines, rows, strict=True):
        assert list(line) == [
            "side", "id", "target", "shortlist", "none_of_these", "answer", "cost", "annotator", "round",
        ]  # fmt: skip
        assert (line["side"], line["id"], line["target"], line["round"]) == (side, name, target, 3)
        assert line["shortlist"] == IDS[target][listed].tolist()
        assert line["answer"] is None
        assert line["none_of_these"] is True


def test_a_shuffled_list_hides_the_guess_and_a_suggestion_is_asked_for(tmp_path):
    _, _, plain = tasks(tmp_path)
    _, _, lines = tasks(tmp_path, shuffle=7)
    _, _, again = tasks(tmp_path, shuffle=7, suggest=True)
    first = [line["shortlist"].index(other["shortlist"][0]) for line, other in zip(lines, plain)]
    assert len(set(first)) > 1
    for line, other, told in zip(lines, plain, again):
        assert sorted(line["shortlist"]) == sorted(other["shortlist"])
        assert line["shortlist"] == told["shortlist"]
        assert told["suggested"] == other["shortlist"][0]
        assert "suggested" not in line


def test_answers_come_back(tmp_path):
    queries, path, lines = tasks(tmp_path, shuffle=1)
    said = [lines[0]["shortlist"][2], [], None, [lines[3]["shortlist"][0], lines[3]["shortlist"][1]]]
    for line, answer in zip(lines, said):
        line.update(answer=answer, annotator="ann", cost=2.5)
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    answers = [a for some in read_answers(path, queries, IDS) for a in some]
    target = [lines[k]["target"] for k in range(4)]
    places = [IDS[t].tolist().index for t in target]
    assert answers[0].matches == (places[0](said[0]),)
    assert (answers[1].status, answers[2].status, answers[2].cost) == ("no_match", "skipped", 0.0)
    assert answers[3].matches == tuple(places[3](name) for name in said[3])
    assert (answers[0].annotator, answers[0].cost) == ("ann", 2.5)
    loose = [a for some in read_answers(path, queries, IDS, none="skipped") for a in some]
    assert (loose[1].status, loose[1].cost) == ("skipped", 2.5)
    ledger = Ledger({"image": 40, "text": 40})
    for query, some in zip(queries, read_answers(path, queries, IDS)):
        ledger.take(query, some)
    assert (ledger.cost, len(ledger)) == (7.5, 3)


def test_queries_are_read_from_their_tasks(tmp_path):
    queries, path, _ = tasks(tmp_path)
    for query, read in zip(queries, read_tasks(path, IDS), strict=True):
        assert (read.modality, read.target, read.method, read.trace["round"]) == (
            query.modality, query.target, "human", 3,
        )  # fmt: skip
        assert np.array_equal(read.rows, query.rows)
        assert np.array_equal(read.ids, query.ids)
        assert np.array_equal(read.shortlists, query.shortlists)


def test_a_row_in_two_lines_and_a_row_not_asked(tmp_path):
    queries, path, lines = tasks(tmp_path)
    first = [{**lines[0], "answer": lines[0]["shortlist"][k]} for k in (0, 1)]
    path.write_text("\n".join(map(json.dumps, first)))
    ledger = Ledger({"image": 40, "text": 40})
    assert [f.kind for f in ledger.take(queries[0], read_answers(path, queries, IDS)[0])] == ["conflict"]
    stranger = next(name for name in IDS[queries[0].modality] if name not in queries[0].ids)
    path.write_text(json.dumps({**lines[0], "id": stranger, "answer": []}))
    with pytest.raises(ValueError, match="was not asked"):
        ledger.take(queries[0], read_answers(path, queries, IDS)[0])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2 is no JSON"),
        ("[]", "line 2 is no task"),
        ('{"side": "image", "target": "text", "round": 3}', "line 2 has no 'id'"),
        ('{"side": "image", "target": "text", "id": "i00", "round": 2}', "for 'text' in round 2, and no query does"),
        ('{"side": "text", "target": "image", "id": "t00", "round": 3}', "asks 'text' for 'image' in round 3"),
        ('{"side": "image", "target": "text", "id": "i99", "round": 3}', "line 2 names 'i99', which is no id of image"),
        (
            '{"side": "image", "target": "text", "id": "i00", "round": 3, "answer": "t99"}',
            "line 2 names 't99', which is no id of text",
        ),
        (
            '{"side": "image", "target": "text", "id": "i00", "round": 3, "answer": [], "cost": "much"}',
            "line 2 costs 'much'",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, told):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"side": "image", "target": "text", "id": "i01", "round": 3}\n' + line)
    query = Query(**{**vars(asked([0])), "trace": {"round": 3}})
    with pytest.raises(ValueError, match=told):
        read_answers(path, [query], IDS)
    with pytest.raises(FileNotFoundError, match="is not there"):
        read_answers(tmp_path / "none.jsonl", [query], IDS)
