"""The door of the pairing room: what it takes, what it gives, and what it refuses."""

import numpy as np
import pytest

from modest.pairing import choose


def sides(seed=0, n=30, m=40, d=8):
    rng = np.random.default_rng(seed)
    return {"image": rng.standard_normal((n, d)), "text": rng.standard_normal((m, d))}


def test_random_asks_for_distinct_free_rows_on_both_sides():
    pairs = np.array([[0, 1], [2, 3]])
    queries = choose(sides(), pairs, 20, "random")
    assert sum(map(len, queries)) == 20
    for query in queries:
        column = 0 if query.modality == "image" else 1
        assert len(set(query.rows.tolist())) == len(query)
        assert not set(query.rows.tolist()) & set(pairs[:, column].tolist())
        assert not set(query.shortlists.ravel().tolist()) & set(pairs[:, 1 - column].tolist())


def test_shortlists_and_margins_are_those_of_a_slow_loop():
    x = sides()
    unit = {name: a / np.linalg.norm(a, axis=1, keepdims=True) for name, a in x.items()}
    for query in choose(x, None, 12, "random", shortlist=4):
        for row, listed, margin in zip(query.rows, query.shortlists, query.margins):
            similarity = unit[query.target] @ unit[query.modality][row]
            order = np.argsort(-similarity)
            assert listed.tolist() == order[:4].tolist()
            assert margin == pytest.approx(similarity[order[0]] - similarity[order[1]], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sides": {"image": np.eye(3)}}, "at least two"),
        ({"budget": 71}, "only 70 rows are free"),
        ({"method": "magic"}, "method='magic' is unknown"),
        ({"pairs": [[0, 99]]}, "row 99 of text"),
        ({"free": {"sound": np.ones(3, bool)}}, "free names 'sound'"),
        ({"costs": {("image", "text"): -1.0}}, "must be above 0"),
        ({"sides": {"image": np.full((3, 2), np.nan), "text": np.eye(2)}}, "sides"),
    ],
)
def test_what_is_refused(change, told):
    given = {"sides": sides(), "pairs": None, "budget": 5, "method": "random", **change}
    with pytest.raises(ValueError, match=told):
        choose(**given)


def test_sides_of_different_width_can_still_be_drawn_from():
    x = sides()
    x["text"] = x["text"][:, :5]
    for query in choose(x, None, 10, "random"):
        assert (query.shortlists == -1).all()
        assert np.isnan(query.margins).all()
