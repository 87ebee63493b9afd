"""Streams: a buffer is a pool of its own, what was bought stays covered, and memory does not grow."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from modest.data.sample_stream import Sample
from modest.pairing import METHODS, Hidden, SameKey, choose, gather, parted, stream
from modest.pairing.buffer import carried
from modest.types import Answer

FIELDS = {"image": "v", "text": "w"}


def samples(n, d=6, seed=0, noise=0.3):
    """Generated one by one, so that a stream holds none of them itself."""
    for k in range(n):
        rng = np.random.default_rng([seed, k])
        z = rng.standard_normal(d)
        yield Sample(f"k{k:05d}", "-", {"v": z, "w": z + noise * rng.standard_normal(d)})


def embed(side, items):
    return np.stack(items)


def follow(steps, oracle=None, seen=None):
    """All queries of a stream and its sums; ``seen`` is called with each query and its answers."""
    oracle, queries = oracle or SameKey(), []
    try:
        query = next(steps)
        while True:
            queries.append(query)
            answers = oracle(query)
            if seen is not None:
                seen(query, answers)
            query = steps.send(answers)
    except StopIteration as end:
        return queries, end.value


def buffers(n=300, size=60, **knobs):
    return parted(samples(n, **knobs), size, FIELDS)


@pytest.mark.parametrize("method", METHODS)
def test_one_buffer_is_one_pool_round(method):
    (buffer,) = buffers(80, 80)
    ids = {side: list(items) for side, items in buffer.items()}
    x = {side: np.stack(list(items.values())) for side, items in buffer.items()}
    pool = choose(x, None, 8, method, ids=ids, seed=3)
    queries, told = follow(stream([buffer], embed, 8, method=method, seed=3))
    assert [(q.modality, q.rows.tolist(), q.shortlists.tolist()) for q in queries] == [
        (q.modality, q.rows.tolist(), q.shortlists.tolist()) for q in pool
    ]
    assert (told["buffers"], told["asked"], told["cost"]) == (1, 8, 8.0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_along_a_stream(method):
    queries, told = follow(stream(buffers(), embed, 6, method=method, reference=10, carry=5))
    assert told["buffers"] == 5
    assert told["asked"] == sum(map(len, queries)) == 30
    names = [f"{query.modality}/{name}" for query in queries for name in query.ids]
    assert len(set(names)) == 30
    assert told["pairs"] + told["flags"].get("known", 0) + told["rejected"] >= 24


def test_a_buffer_is_covered_by_all_that_was_bought_before():
    """The same as one call with what was bought as anchors, embedded by the model of that round."""
    turn = {"k": 0}

    def moving(side, items):  # another model in every round
        return np.stack(items) @ np.linalg.qr(np.random.default_rng(turn["k"]).standard_normal((6, 6)))[0] + turn["k"]

    bought, sides, oracle = {"image": [], "text": []}, ("image", "text"), SameKey()
    steps = stream(buffers(), moving, 5, 20, modality_rule="alternate")
    query = next(steps)
    for k in range(5):
        x = {side: moving(side, list(query.items[side])) for side in sides}
        held = {side: moving(side, items) for side, items in bought.items() if items}
        ids = {side: query.names[side].tolist() for side in sides}
        (expected,) = choose(
            x, None, 5, "acquire", anchors=held, ids=ids, round=k, candidates=20, modality_rule="alternate"
        )
        assert (query.modality, query.rows.tolist()) == (expected.modality, expected.rows.tolist())
        assert query.trace["radius"] == pytest.approx(expected.trace["radius"])
        answers = oracle(query)
        for answer in answers:
            bought[query.modality].append(query.items[query.modality][answer.row])
            bought[query.target] += [query.items[query.target][match] for match in answer.matches]
        turn["k"] += 1
        if k < 4:
            query = steps.send(answers)


def test_the_reference_is_capped_farthest_first():
    shown = []

    def watching(side, items):
        shown.append((side, len(items)))
        return np.stack(items)

    follow(stream(buffers(), watching, 10, modality_rule="fixed:image", reference=7))
    sizes = [n for side, n in shown if side == "image"]
    # buffer, then buffer and what is remembered: 10 after one round, then 7 kept and 10 more
    assert sizes == [60, 60, 10, 60, 17, 60, 17, 60, 17]
    three = {"a": [1.0, 0.0], "b": [0.99, 0.1], "c": [0.0, 1.0], "d": [-1.0, 0.0]}
    buffer = {"image": three, "text": {"e": [1.0, 1.0], "f": [1.0, 2.0], "g": [1.0, 3.0], "h": [1.0, 4.0]}}
    later = {"image": {"z": [1.0, 1.0]}, "text": {"y": [1.0, 1.0], "x": [2.0, 1.0]}}
    truth = Hidden([["a", "e"], ["b", "f"], ["c", "g"], ["d", "h"], ["z", "y"]])
    queries, _ = follow(
        stream([buffer, later], lambda side, items: np.array(items), 4, modality_rule="fixed:image", reference=2),
        truth,
    )
    # of a, b, c, d the first and the one farthest from it count: (1, 1) is a right angle less to a
    assert queries[1].trace["radius"]["image"] == pytest.approx(1 - np.sqrt(0.5))


def test_what_was_bought_and_is_remembered_is_not_asked_again():
    (buffer,) = buffers(40, 40)
    queries, told = follow(stream([buffer, buffer, buffer], embed, 20, method="random"))
    names = [f"{query.modality}/{name}" for query in queries for name in query.ids]
    assert len(names) == len(set(names))
    assert told["pairs"] == 40
    assert told["asked"] < 60  # the third time too few were free


def test_sides_may_end_at_different_times():
    streams = {
        "image": ((f"i{k}", np.random.default_rng(k).standard_normal(4)) for k in range(30)),
        "text": ((f"t{k}", np.random.default_rng(k).standard_normal(4)) for k in range(12)),
    }
    queries, told = follow(
        stream(gather(streams, 10), embed, 4, method="random"), Hidden([[f"i{k}", f"t{k}"] for k in range(12)])
    )
    assert [sum(len(q) for q in queries if q.trace["round"] == k) for k in range(3)] == [4, 4, 0]
    assert (told["buffers"], told["passed"], told["seen"]) == (3, 1, 42)
    assert max(len(q.names["text"]) for q in queries if q.trace["round"] == 1) == 2


def test_the_last_buffer_may_be_smaller_than_the_budget():
    queries, _ = follow(stream(buffers(64, 60), embed, 10))
    assert [len(query) for query in queries] == [10, 4]


def test_what_is_carried():
    left = {f"n{k}": k for k in range(100)}
    assert list(carried(left, 3, "oldest_first", 0, "image")) == ["n0", "n1", "n2"]
    assert carried(left, 0, "reservoir", 0, "image") == {}
    # a sample of a sample is a sample of all: the same items as drawn at once
    first = carried(dict(islice(left.items(), 60)), 10, "reservoir", 0, "image")
    second = carried({**first, **dict(islice(left.items(), 60, 100))}, 10, "reservoir", 0, "image")
    assert second == carried(left, 10, "reservoir", 0, "image")
    counts = np.zeros(100)
    for seed in range(400):
        for k in carried(left, 10, "reservoir", seed, "image").values():
            counts[k] += 1
    assert abs(counts - 40).max() < 4.5 * np.sqrt(400 * 0.1 * 0.9)  # uniform over all


@pytest.mark.parametrize("mode", ["reservoir", "oldest_first"])
def test_carried_items_join_the_next_buffer(mode):
    queries, _ = follow(stream(buffers(), embed, 6, carry=15, carry_mode=mode), SameKey(elsewhere="skipped"))
    sizes = [len(query.names["image"]) for query in queries]
    assert sizes[0] == 60
    assert set(sizes[1:]) == {75}
    if mode == "oldest_first":
        first = set(queries[0].names["image"].tolist())
        assert len(first & set(queries[1].names["image"].tolist())) == 15
        assert len(first & set(queries[2].names["image"].tolist())) >= 9
    gone = set()
    for query in queries:
        assert not gone & set(query.names[query.modality].tolist())
        partners = [a for a in SameKey(elsewhere="skipped")(query) if a.status == "matched"]
        gone |= {f"{query.names[query.modality][a.row]}" for a in partners}


def test_rejected_rows_are_covered_and_not_carried():
    gone, sizes = set(), []

    def nobody(query):
        assert not gone & set(query.names["image"].tolist())
        gone.update(query.ids.tolist())
        sizes.append(len(query.names["image"]))
        return [Answer(row, (), "no_match") for row in query.rows.tolist()]

    _, told = follow(stream(buffers(), embed, 6, carry=60, modality_rule="fixed:image"), nobody)
    assert sizes == [60, 114, 120, 120, 120]
    assert (told["pairs"], told["rejected"], told["cost"]) == (0, 30, 30.0)


def test_an_annotator_may_write_partners_that_are_in_no_buffer():
    def writes(query):
        return [Answer(row) for row in query.rows.tolist()]

    _, told = follow(stream(buffers(), embed, 6, creates=True), writes)
    assert (told["asked"], told["pairs"], told["rejected"]) == (30, 0, 0)
    with pytest.raises(ValueError, match="names no partner"):
        follow(stream(buffers(), embed, 6), writes)


def test_several_directions_and_flags_come_in_turn():
    queries, told = follow(stream(buffers(100, 50), embed, 40, method="random"))
    rounds = [query.trace["round"] for query in queries]
    assert rounds == [0, 0, 1, 1]
    assert [q.trace["stream"]["asked"] for q in queries] == [0, len(queries[0]), 40, 40 + len(queries[2])]
    assert told["flags"]["known"] > 0
    assert told["pairs"] + told["flags"]["known"] == told["asked"] == 80


def test_three_sides():
    def triples():
        for k in range(60):
            z = np.random.default_rng(k).standard_normal((3, 5))
            yield Sample(str(k), "-", dict(zip("abc", z)))

    made = parted(triples(), 30, {"image": "a", "text": "b", "sound": "c"})
    queries, told = follow(stream(made, embed, 9, method="random", directions=[("image", "sound"), ("text", "sound")]))
    assert {(q.modality, q.target) for q in queries} == {("image", "sound"), ("text", "sound")}
    assert told["asked"] == 18


def test_halves_are_shuffled_on_their_own_and_tell_nothing():
    first, second = buffers(100, 50)
    names = {side: list(items) for side, items in first.items()}
    keys = {side: [name.split("/")[1] for name in some] for side, some in names.items()}
    assert set(keys["image"]) == set(keys["text"]) == {f"k{k:05d}" for k in range(50)}
    assert sum(a == b for a, b in zip(keys["image"], keys["text"])) < 6  # about one by chance
    assert keys["image"] != sorted(keys["image"])
    assert all(some == sorted(some) for some in names.values())  # the order of ids is the drawn order
    assert len(second["image"]) == 50
    assert list(next(buffers(100, 50))["image"]) == names["image"]
    assert list(next(parted(samples(100), 50, FIELDS, seed=1))["image"]) != names["image"]
    some = [Sample("1", "-", {"v": 1, "w": None}), Sample("2", "-", {"v": 2})]
    (buffer,) = parted(some, 9, FIELDS)
    assert (len(buffer["image"]), len(buffer["text"])) == (2, 0)


def items_held(n):
    """Most items alive at once, and most memory, along a stream of ``n`` samples."""

    alive = {"now": 0, "most": 0}

    class Watched:
        def __init__(self, x):
            self.x = x
            alive["now"] += 1
            alive["most"] = max(alive["most"], alive["now"])

        def __del__(self):
            alive["now"] -= 1

    def watched():
        for sample in samples(n):
            yield Sample(sample.id, "-", {k: Watched(np.tile(v, 20)) for k, v in sample.fields.items()})

    tracemalloc.start()
    steps = stream(
        parted(watched(), 50, FIELDS), lambda side, items: np.stack([i.x for i in items]), 5, 20, carry=10, reference=20
    )
    oracle, query = SameKey(elsewhere="skipped"), next(steps)
    try:
        while True:
            answers = oracle(query)
            query = None
            query = steps.send(answers)
    except StopIteration as end:
        told = end.value
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return alive["most"], peak, told["seen"]


def test_memory_does_not_grow_with_the_stream():
    items_held(200)  # what is imported and cached on the way
    few, low, _ = items_held(400)
    many, high, seen = items_held(1600)
    assert seen == 3200
    # a buffer of 50, 10 carried, 20 remembered and 5 new ones per side, and the next buffer while it is read
    assert few <= many <= 2 * (50 + 10 + 20 + 5 + 50) + 2
    assert high < low + 40_000


def test_what_is_refused():
    with pytest.raises(ValueError, match="carry_mode='newest' is unknown"):
        next(stream(buffers(), embed, 4, carry_mode="newest"))
    with pytest.raises(ValueError, match="carry=-1 is below 0"):
        next(stream(buffers(), embed, 4, carry=-1))
    with pytest.raises(ValueError, match="reference=0 is below 1"):
        next(stream(buffers(), embed, 4, reference=0))
    with pytest.raises(ValueError, match=r"shape \(1, 6\) for 60 items of image"):
        next(stream(buffers(), lambda side, items: embed(side, items)[:1], 4))
    with pytest.raises(ValueError, match="candidates=3 is below the budget"):
        next(stream(buffers(), embed, 4, 3))
    steps = stream(buffers(), embed, 4)
    next(steps)
    with pytest.raises(TypeError, match="no answers were sent"):
        next(steps)
    steps = stream(buffers(), embed, 4)
    asked = next(steps)
    stranger = next(row for row in range(60) if row not in asked.rows)
    with pytest.raises(ValueError, match=f"row {stranger} of {asked.modality}, which was not asked"):
        steps.send([Answer(stranger, (0,))])
    with pytest.raises(ValueError, match="comes twice in one buffer of image"):
        list(gather({"image": [("a", 1), ("a", 2)], "text": []}, 5))
    with pytest.raises(ValueError, match="size=0"):
        list(gather({"image": [("a", 1)], "text": []}, 0))
    assert follow(stream([], embed, 4))[1]["buffers"] == 0


def test_what_nobody_could_answer_is_not_carried():
    """Else the same unanswerable items, which look as doubtful as before, would be asked in every round."""
    asked = []

    def shrugs(query):
        asked.extend(query.ids.tolist())
        return [Answer(row, (), "skipped") for row in query.rows.tolist()]

    _, told = follow(stream(buffers(), embed, 6, carry=60, modality_rule="fixed:image"), shrugs)
    assert len(asked) == len(set(asked)) == told["asked"] == 30
    assert (told["pairs"], told["rejected"], told["cost"]) == (0, 0, 30.0)


def test_rejected_rows_are_remembered_as_covered():
    (buffer,) = buffers(40, 40)
    steps = stream([buffer, buffer], embed, 6, modality_rule="fixed:image")
    first = next(steps)
    second = steps.send([Answer(row, (), "no_match") for row in first.rows.tolist()])
    assert not set(first.ids.tolist()) & set(second.ids.tolist())
