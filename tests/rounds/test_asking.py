"""What a pool's round of questions shows its method."""

import numpy as np
import pytest

import modest
from modest.pairing import choose
from modest.representation.paired import learn_pairs
from modest.rounds.asking import ask
from tests.representation.test_paired import pool  # noqa: F401


def plain(opened, name):
    """Standardised ready rows of a side, and the pool's rows they are of."""
    views = opened.views({name: "given"})
    there = np.ones(len(opened), bool) if views.present is None else views.present[:, 0]
    rows = np.flatnonzero((opened.split == "train") & there)
    x = np.asarray(views.arrays[name][rows], dtype=np.float64)
    return (x - x.mean(axis=0)) / x.std(axis=0), rows


@pytest.mark.parametrize("given", [False, True])
def test_auto_is_shown_what_towers_from_scratch_stand_on(pool, given):  # noqa: F811
    model = learn_pairs(pool, "linear", epochs=2)
    opened = modest.open(pool.path)
    (query,) = ask(opened, 3, "auto", model=model if given else None).queries
    assert query.trace["rule"] == "design"
    sides = {name: plain(opened, name) for name in ("image", "text")}
    known = {name: opened.ids[rows] for name, (_, rows) in sides.items()}
    bought = {name: {*frame} for name, frame in _bought(opened).items()}
    free = {name: ~np.isin(known[name], list(bought[name])) for name in known}
    (alone,) = choose({name: x for name, (x, _) in sides.items()}, None, 3, "auto", ids=known, free=free,
                      views={name: x for name, (x, _) in sides.items()})  # fmt: skip
    assert query.ids.tolist() == alone.ids.tolist()


def test_ready_views_are_looked_at_as_they_are(pool):  # noqa: F811
    asked = ask(pool, 3, "auto").queries
    _, rows = sides_of(pool)
    x = {name: np.asarray(pool.views().arrays[name][at]) for name, at in rows.items()}
    names = {name: pool.ids[at] for name, at in rows.items()}
    bought = _bought(pool)
    free = {name: ~np.isin(names[name], bought[name]) for name in names}
    queries = choose(x, None, 3, "auto", ids=names, free=free)
    assert [query.ids.tolist() for query in asked] == [query.ids.tolist() for query in queries]
    assert all("views" not in query.trace["knobs"] for query in asked)


def sides_of(opened):
    from modest.data.pairs import sides

    return sides(opened, {"image": "given", "text": "given"})


def _bought(opened):
    from modest.data.pairs import bought

    _, rows = sides_of(opened)
    (way, pairs), *_ = bought(opened, rows).items()
    return {name: opened.ids[rows[name][pairs[:, k]]].tolist() for k, name in enumerate(way)}
